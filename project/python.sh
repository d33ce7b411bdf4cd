# Sourced by ./up and ./test: sets $python to a Python that is new enough, or ends with a sentence.
python=
for candidate in python3 python3.13 python3.12 python3.11 python3.14 python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
        >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$0: this Python cannot make virtual environments: install python3-venv." >&2
    else
        found=$(python3 --version 2>/dev/null || echo "none")
        echo "$0: Python 3.11 or newer is needed and was not found (found: $found)." >&2
    fi
    exit 1
fi
