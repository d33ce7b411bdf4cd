"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import call_command

from catalog.presets import PRESETS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("project", "routing", "preferences", "analytics", "catalog", "tenancy", "lib")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
# Set by one of our own processes for another; nobody configures them.
INTERNAL = {"DJANGO_SETTINGS_MODULE", "CALLED_FROM"}
# Written in two halves, so that this file does not hold what it looks for.
UNWANTED = [
    re.compile(first + second)
    for first, second in (
        (r"(?<![\w.])/wor", r"k/"),
        (r"pypi\.", r"org"),
        (r"python", r"hosted\.org"),
        (r"npm", r"js\.(org|com)"),
        (r"crates\.", r"io"),
        (r"proxy\.golang", r"\.org"),
        (r"shared/", r"design"),
    )
]
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


@cache
def tracked() -> tuple[Path, ...]:
    """The files of the repository."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return tuple(ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).exists())


def product() -> Iterator[Path]:
    """The product's own modules, without migrations."""
    for path in tracked():
        parts = path.relative_to(ROOT).parts
        ours = path.suffix == ".py" and parts[0] in (*PACKAGES, "manage.py")
        if ours and "migrations" not in parts:
            yield path


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    """Tracked text files with their text; none that others wrote."""
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("static/vendor/") or (suffixes and path.suffix not in suffixes):
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def where(found: list[tuple[Path, object]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {what}" for path, what in found]


def test_there_is_something_to_look_at() -> None:
    assert len(list(product())) > 80
    assert len(list(texts(".html"))) > 20


def test_no_file_is_too_long() -> None:
    lines = [(path, len(path.read_text().splitlines())) for path in product()]
    assert where([(path, n) for path, n in lines if n > FILE_LINES_MAX]) == []


def test_no_function_is_too_long() -> None:
    found: list[tuple[Path, object]] = []
    for path in product():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    found.append((path, f"{node.name} has {lines} lines"))
    assert where(found) == []


def test_no_file_is_named_after_nothing() -> None:
    paths = [path.relative_to(ROOT) for path in tracked() if path.suffix == ".py"]
    words = {path: {path.stem, *path.parts[:-1]} for path in paths}
    assert [str(path) for path, names in words.items() if names & BANNED_NAMES] == []


def test_every_module_opens_with_a_line_about_itself() -> None:
    found: list[tuple[Path, object]] = [
        (path, "no docstring")
        for path in product()
        if path.stat().st_size
        and ast.get_docstring(ast.parse(path.read_text())) is None
        and path.name != "manage.py"
    ]
    assert where(found) == []


def test_nothing_is_left_unfinished() -> None:
    found = [(path, m.group()) for path, text in texts() for m in UNFINISHED.finditer(text)]
    assert where(found) == []


def test_nothing_speaks_of_the_place_it_was_made_in() -> None:
    found = [
        (path, match.group())
        for path, text in texts()
        for pattern in UNWANTED
        for match in pattern.finditer(text)
    ]
    assert where(found) == []


INLINE = {
    "an inline style": re.compile(r"\sstyle\s*=", re.I),
    "a style element": re.compile(r"<style[\s>]", re.I),
    "an inline script": re.compile(r"<script(?![^>]*\ssrc=)[^>]*>", re.I),
    "an event attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.I),
    "htmx's inline script": re.compile(r"\shx-on[:=-]", re.I),
    "a javascript: address": re.compile(r"javascript:", re.I),
    "a foreign source": re.compile(
        r"<(script|link|img|iframe|source|video|audio|object|embed)\b[^>]*"
        r"\s(src|href|data|srcset)\s*=\s*[\"']?(https?:)?//",
        re.I,
    ),
}


@pytest.mark.parametrize("what", INLINE)
def test_templates_hold_nothing_that_the_content_policy_forbids(what: str) -> None:
    found = [
        (path, match.group())
        for path, text in texts(".html")
        for match in INLINE[what].finditer(text)
        # Mail is no page: no policy holds there, and no stylesheet is loaded.
        if not (what == "a style element" and path.match("templates/email/base.html"))
    ]
    assert where(found) == []


def test_styles_and_scripts_load_from_here_alone() -> None:
    loads = re.compile(r"(@import|url\(|import\s*\(?)\s*[\"']?(https?:)?//", re.I)
    found = [(path, m.group()) for path, text in texts(".css", ".js") for m in loads.finditer(text)]
    assert where(found) == []


def _is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")


def test_the_environment_is_read_in_project_alone() -> None:
    found: list[tuple[Path, object]] = [
        (path, f"line {node.lineno}")
        for path in product()
        if path.relative_to(ROOT).parts[0] not in ("project", "manage.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and _is_environ(node)
    ]
    assert where(found) == []


def _read_by(node: ast.AST) -> Iterator[str]:
    """Names of variables that an expression reads, from the environment or by a typed reader."""
    names: list[ast.expr] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if _is_environ(owner) or (
            isinstance(owner, ast.Name) and owner.id in ("env", "environment", "given")
        ):
            names = node.args[:1]
    elif isinstance(node, ast.Subscript) and _is_environ(node.value):
        names = [node.slice]
    elif isinstance(node, ast.Compare) and any(map(_is_environ, node.comparators)):
        names = [node.left]
    for name in names:
        if isinstance(name, ast.Constant) and re.fullmatch("[A-Z_]+", str(name.value)):
            yield str(name.value)


def test_every_variable_stands_in_the_example_and_no_other() -> None:
    read = {
        name
        for path in product()
        if path.relative_to(ROOT).parts[0] == "project"
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _read_by(node)
    } - INTERNAL
    assert {"SECRET_KEY", "LOG_FORMAT", "NO_COLOR"} <= read
    keys = {p.key_variable for p in PRESETS.values() if p.key_variable and "{" not in p.base_url}
    lines = (ROOT / ".env.example").read_text().splitlines()
    shown = [
        line.removeprefix("#").split("=")[0] for line in lines if re.match(r"#[A-Z_]+=$", line)
    ]
    assert len(shown) == len(set(shown))
    assert set(shown) == read | keys
    for name in shown:
        about = lines[lines.index(f"#{name}=") - 1]
        assert about.startswith(f"# {name}: "), name
        assert "Default: " in about or about.endswith("Required."), name


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
