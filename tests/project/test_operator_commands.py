"""manage.py api_key and manage.py provider: what they promise, on the real database."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as ours
from django.core.management import CommandError, call_command

from catalog.models import Credential, Provider
from catalog.services import open_secret
from lib.hashing import digest
from routing.compiler import compile_snapshot
from routing.model import Deployment
from routing.snapshot import Key
from tenancy.models import ApiKey, new_id
from tenancy.scope import tenant_scope
from tenancy.selectors import audit_entries
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-canary-0123456789abcdef"
VARIABLE = "MY_PROVIDERS_KEY"
FROM_ENV = ("--secret-env", VARIABLE)
CUSTOM = ("--model", "llama", "--context-window", "8192", "--max-output-tokens", "1024")


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider's secret in the environment, and nothing on standard input."""
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))


def text_of(cast: Cast, *words: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    call_command(*words, "--organization", str(cast.acme.id), stdout=out, stderr=err)
    told = out.getvalue()
    assert SECRET not in told + err.getvalue()
    return told


def run(cast: Cast, *words: str) -> Any:
    return json.loads(text_of(cast, *words, "--json"))


def refusal(cast: Cast, *words: str) -> str:
    with pytest.raises(CommandError) as why:
        run(cast, *words)
    told = str(why.value)
    assert SECRET not in told
    assert "\n" not in told
    return told


def key_in_snapshot(cast: Cast, secret: str) -> Key | None:
    with tenant_scope(cast.acme.id):
        snapshot = compile_snapshot(cast.acme.id)
    assert snapshot is not None
    return snapshot.keys.get(digest(ours.API_KEY_PEPPER, secret.encode()))


def served(cast: Cast) -> dict[str, Deployment]:
    with tenant_scope(cast.acme.id):
        snapshot = compile_snapshot(cast.acme.id)
    assert snapshot is not None
    return {f"{d.provider}/{d.model}": d for d in snapshot.models}


def secret_of(cast: Cast, slug: str) -> str | None:
    with tenant_scope(cast.acme.id):
        provider = Provider.objects.get(slug=slug)
        live = Credential.objects.filter(provider=provider, active=True).first()
        return open_secret(live, provider) if live else None


def last_entry(cast: Cast) -> tuple[str, str, str]:
    with tenant_scope(cast.acme.id):
        entry = audit_entries(cast.acme.id)[0]
    return entry.action, entry.actor, entry.source


def test_a_created_key_works_as_it_was_asked_for(cast: Cast) -> None:
    made = run(
        cast,
        *("api_key", "create", "--name", "batch", "--scopes", "gateway, admin"),
        *("--expires-at", "2999-01-31", "--allowed-networks", "203.0.113.0/24,2001:db8::/32"),
    )
    key = key_in_snapshot(cast, made["api_key"])
    assert key is not None
    assert (key.id, key.name, key.revoked) == (made["api_key_id"].replace("-", ""), "batch", False)
    assert key.scopes == {"gateway", "admin"}
    assert key.networks == (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
    assert key.expires_at_s == datetime(2999, 1, 31, tzinfo=UTC).timestamp()
    assert last_entry(cast) == ("api_key.create", "operator", "manage.py")


def test_a_keys_secret_is_shown_once(cast: Cast) -> None:
    made = run(cast, "api_key", "create", "--name", "batch")
    listed = run(cast, "api_key", "list")
    assert [(row["name"], row["state"]) for row in listed] == [
        ("batch", "live"),
        ("acme key", "live"),
    ]
    assert listed[0]["secrets"][0].endswith(made["api_key"][-4:])
    assert made["api_key"] not in json.dumps(listed)
    told = text_of(cast, "api_key", "list")
    assert made["api_key_id"] in told
    assert made["api_key"] not in told


def test_a_rotated_key_has_two_secrets_for_a_while(cast: Cast) -> None:
    old = run(cast, "api_key", "create", "--name", "batch")
    new = run(cast, "api_key", "rotate", old["api_key_id"], "--overlap-hours", "2")
    assert new["api_key_id"] == old["api_key_id"]
    before, after = (key_in_snapshot(cast, made["api_key"]) for made in (old, new))
    assert before is not None
    assert after is not None
    assert before.expires_at_s == pytest.approx(datetime.now(UTC).timestamp() + 7_200, abs=60)
    assert after.expires_at_s is None
    run(cast, "api_key", "rotate", old["api_key_id"], "--overlap-hours", "0")
    assert [len(row["secrets"]) for row in run(cast, "api_key", "list")] == [1, 1]


def test_a_revoked_key_is_refused(cast: Cast) -> None:
    made = run(cast, "api_key", "create", "--name", "batch")
    assert run(cast, "api_key", "revoke", made["api_key_id"]) == {"revoked": made["api_key_id"]}
    key = key_in_snapshot(cast, made["api_key"])
    assert key is not None
    assert key.revoked
    assert run(cast, "api_key", "list")[0]["state"] == "revoked"
    assert refusal(cast, "api_key", "revoke", made["api_key_id"]).startswith("KEY_ID: ")


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_a_key_of_another_organization_is_none(cast: Cast, verb: str) -> None:
    with tenant_scope(cast.rival.id):
        theirs = ApiKey.objects.get()
    assert refusal(cast, "api_key", verb, str(theirs.id)) == (
        "KEY_ID: There is no such live API key."
    )
    with tenant_scope(cast.rival.id):
        theirs.refresh_from_db()
        assert theirs.revoked_at is None
        assert theirs.secrets.count() == 1


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("create --name", "--name"),
        ("create --name x --scopes root", "--scopes"),
        ("create --name x --scopes ,", "--scopes"),
        ("create --name x --expires-at soon", "--expires-at"),
        ("create --name x --expires-at 2001-01-31", "--expires-at"),
        ("create --name x --allowed-networks 10.0.0.1/8", "--allowed-networks"),
        ("rotate nonsense", "KEY_ID"),
        ("revoke 01930000-0000-7000-8000-000000000000", "KEY_ID"),
        ("rotate 01930000-0000-7000-8000-000000000000 --overlap-hours -1", "--overlap-hours"),
        ("rotate 01930000-0000-7000-8000-000000000000 --overlap-hours 721", "--overlap-hours"),
        (f"rotate 01930000-0000-7000-8000-000000000000 --overlap-hours {10**15}", "--overlap-h"),
    ],
)
def test_a_wrong_option_of_a_key_is_named(cast: Cast, words: str, option: str) -> None:
    given = words.split() + ([" "] if words.endswith("--name") else [])
    assert refusal(cast, "api_key", *given).startswith(option)
    assert len(run(cast, "api_key", "list")) == 1


@pytest.mark.parametrize("id_", ["acme", str(new_id())])
def test_an_organization_that_is_not_there_is_said(id_: str) -> None:
    for command in ("api_key", "provider"):
        with pytest.raises(CommandError, match=r"^--organization: "):
            call_command(command, "list", "--organization", id_)


def test_a_connected_provider_serves_its_presets_models(cast: Cast) -> None:
    made = run(cast, "provider", "connect", "--preset", "openai", "--region", "eu", *FROM_ENV)
    assert (made["slug"], made["credential"], made["region"]) == ("openai", "set", "eu")
    assert "gpt-4o-mini" in made["models"]
    deployment = served(cast)["openai/gpt-4o-mini"]
    assert deployment.target is not None
    assert (b"authorization", f"Bearer {SECRET}".encode()) in deployment.target.headers
    assert last_entry(cast) == ("provider.connect", "operator", "manage.py")
    (listed,) = run(cast, "provider", "list")
    assert {model["model"] for model in listed["models"]} == set(made["models"])
    assert "gpt-4o-mini" in text_of(cast, "provider", "list")


def test_a_custom_server_is_described_and_takes_its_secret_from_standard_input(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    made = run(
        cast,
        *("provider", "connect", "--preset", "openai-compatible", "--slug", "vllm", "--name", "V"),
        *("--base-url", "https://vllm.example.com/v1", *CUSTOM),
        *("--capabilities", "streaming,tools"),
    )
    assert (made["slug"], made["models"]) == ("vllm", ["llama"])
    deployment = served(cast)["vllm/llama"]
    assert (deployment.context_window, deployment.max_output_tokens) == (8_192, 1_024)
    assert deployment.capabilities == {"streaming", "tools"}
    assert secret_of(cast, "vllm") == SECRET


def test_a_local_server_needs_no_secret(cast: Cast) -> None:
    words = ("provider", "connect", "--preset", "local", "--base-url", "https://box.example.com/v1")
    assert refusal(cast, *words, *CUSTOM).startswith("--confirm-local")
    assert run(cast, *words, *CUSTOM, "--confirm-local")["credential"] == "none"
    assert served(cast)["local/llama"].target is not None


def test_a_renewed_credential_replaces_the_old_one(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cast, "provider", "connect", "--preset", "openai", *FROM_ENV)
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-renewed-0123456789\n"))
    assert "renewed" not in text_of(cast, "provider", "credential", "openai")
    assert secret_of(cast, "openai") == "sk-renewed-0123456789"
    assert last_entry(cast)[0] == "credential.set"


def test_a_new_address_needs_a_new_secret(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    run(cast, "provider", "connect", "--preset", "openai", *FROM_ENV)
    moved = ("provider", "address", "openai", "--base-url", "https://eu.api.openai.com/v1")
    assert "needs a new secret" in refusal(cast, *moved)
    assert secret_of(cast, "openai") == SECRET
    monkeypatch.setenv(VARIABLE, "sk-of-the-new-address")
    assert run(cast, *moved, *FROM_ENV)["base_url"] == "https://eu.api.openai.com/v1"
    assert secret_of(cast, "openai") == "sk-of-the-new-address"
    target = served(cast)["openai/gpt-4o"].target
    assert target is not None
    assert target.host == "eu.api.openai.com"


def test_a_moved_provider_without_a_secret_is_not_called(cast: Cast) -> None:
    run(cast, "provider", "connect", "--preset", "openai", *FROM_ENV)
    # Back at the old address the retired secret stays retired.
    for host in ("eu.api.openai.com", "api.openai.com"):
        moved = ("provider", "address", "openai", "--base-url", f"https://{host}/v1")
        assert run(cast, *moved, "--no-secret")["credential"] == "none"
        assert served(cast)["openai/gpt-4o"].target is None


def test_one_more_model_is_deployed_known_or_described(cast: Cast) -> None:
    connect = ("provider", "connect", "--preset", "openai", "--model", "gpt-4o", *FROM_ENV)
    assert run(cast, *connect)["models"] == ["gpt-4o"]
    known = run(cast, "provider", "deploy", "openai", "--model", "gpt-4o-mini", "--quality", "99")
    assert (known["context_window"], known["quality"]) == (128_000, 99)
    assert run(cast, "provider", "deploy", "openai", *CUSTOM)["input_usd"] is None
    assert served(cast).keys() == {"openai/gpt-4o", "openai/gpt-4o-mini", "openai/llama"}
    assert last_entry(cast)[0] == "deployment.create"
    assert refusal(cast, "provider", "deploy", "openai", *CUSTOM).startswith("--model: ")


def test_a_price_of_ones_own_holds(cast: Cast) -> None:
    run(cast, "provider", "connect", "--preset", "openai", *FROM_ENV)
    words = ("--input", "0.15", "--output", "1.20", "--cached", "0.01", "--source", "our contract")
    made = run(cast, "provider", "price", "openai", "gpt-4o", *words)
    assert (made["input_usd"], made["cached_usd"], made["output_usd"]) == ("0.15", "0.01", "1.2")
    price = served(cast)["openai/gpt-4o"].price
    assert price is not None
    assert (price.input, price.cached, price.output) == (150_000_000, 10_000_000, 1_200_000_000)
    assert (price.source, price.as_of) == ("our contract", datetime.now(UTC).date().isoformat())
    assert last_entry(cast)[0] == "deployment.set_price"


COMPATIBLE = "connect --preset openai-compatible --base-url https://v.example.com --secret-env"
MODEL = f"{COMPATIBLE} {VARIABLE} --model m"
PRICE = "price openai gpt-4o --source x"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("connect --preset nobody --no-secret", "--preset"),
        ("connect --preset groq", "--secret-env"),
        (f"connect --preset groq --secret-env {SECRET}", "--secret-env"),
        ("connect --preset openai --no-secret", "--slug"),
        ("connect --preset groq --no-secret --slug a/b", "--slug"),
        ("connect --preset azure --no-secret", "--base-url"),
        ("connect --preset groq --no-secret --base-url http://10.0.0.1", "--base-url"),
        ("connect --preset groq --no-secret --quality 5", "--quality"),
        (MODEL, "--context-window"),
        (f"{MODEL} --context-window 9", "--max-output-tokens"),
        (f"{MODEL} --context-window 0 --max-output-tokens 1", "--context-window"),
        (f"{MODEL} --context-window 9 --max-output-tokens 10", "--max-output-tokens"),
        (f"{MODEL} --context-window 9 --max-output-tokens 1 --capabilities magic", "--capab"),
        (f"{MODEL} --context-window 9 --max-output-tokens 1 --quality 101", "--quality"),
        (f"{MODEL} --model m --context-window 9 --max-output-tokens 1", "--model"),
        (f"deploy openai --model {'x' * 161} --context-window 9 --max-output-tokens 1", "--model"),
        ("credential openai", "--secret-env or standard input"),
        (f"credential nobody --secret-env {VARIABLE}", "SLUG"),
        (f"address openai --base-url https://127.1 --secret-env {VARIABLE}", "--base-url"),
        ("deploy nobody --model gpt-4o", "SLUG"),
        (f"{PRICE} --input x --output 1", "--input"),
        (f"{PRICE} --input 1 --output -1", "--output"),
        (f"{PRICE} --input 1 --output 1 --cached 0.0000000001", "--cached"),
        ("price openai nothing --source x --input 1 --output 1", "MODEL"),
        (f"price openai gpt-4o --source {'x' * 201} --input 1 --output 1", "--source"),
    ],
)
def test_a_wrong_option_of_a_provider_is_named(cast: Cast, words: str, option: str) -> None:
    run(cast, "provider", "connect", "--preset", "openai", *FROM_ENV)
    before = run(cast, "provider", "list")
    assert refusal(cast, "provider", *words.split()).startswith(option)
    assert run(cast, "provider", "list") == before
    assert secret_of(cast, "openai") == SECRET


def test_a_provider_of_another_organization_is_none(cast: Cast) -> None:
    words = ("provider", "connect", "--preset", "openai", *FROM_ENV)
    call_command(*words, "--organization", str(cast.rival.id), stdout=io.StringIO())
    assert run(cast, "provider", "list") == []
    assert refusal(cast, "provider", "credential", "openai", *FROM_ENV).startswith("SLUG: ")


def test_presets_are_shown_without_an_organization() -> None:
    out = io.StringIO()
    call_command("provider", "presets", "--json", stdout=out)
    presets = {row["slug"]: row for row in json.loads(out.getvalue())}
    assert presets["openai"]["key_variable"] == "OPENAI_API_KEY"
    assert "gpt-4o" in presets["openai"]["models"]


def test_a_failure_is_one_line_and_exit_1() -> None:
    words = ["manage.py", "api_key", "list", "--organization", "acme"]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'CommandError: --organization: "acme" is no id.\n'


def test_a_model_may_have_another_name_at_its_provider(cast: Cast) -> None:
    address = ("--base-url", "https://acme.openai.azure.com/openai/v1")
    run(cast, "provider", "connect", "--preset", "azure", *address, *FROM_ENV)
    there = ("--upstream-model", "our-gpt4o-eu", "--context-window", "128000")
    words = ("deploy", "azure", "--model", "gpt-4o", *there, "--max-output-tokens", "16384")
    assert run(cast, "provider", *words)["upstream_model"] == "our-gpt4o-eu"
    assert served(cast)["azure/gpt-4o"].upstream_model == "our-gpt4o-eu"


def test_a_model_and_a_provider_are_taken_away(cast: Cast) -> None:
    run(cast, "provider", "connect", "--preset", "openai", *FROM_ENV)
    run(cast, "provider", "remove", "openai", "--model", "gpt-4o")
    assert "openai/gpt-4o" not in served(cast)
    assert "openai/gpt-4o-mini" in served(cast)
    assert refusal(cast, "provider", "remove", "openai", "--model", "gpt-4o").startswith("MODEL")
    assert run(cast, "provider", "remove", "openai") == {"removed": "openai"}
    assert run(cast, "provider", "list") == []
    assert last_entry(cast)[0] == "provider.remove"


def test_a_local_provider_moves_to_a_public_address_only_when_that_is_said(cast: Cast) -> None:
    local = ("--preset", "local", "--base-url", "http://127.0.0.1:9/v1", "--no-secret")
    run(cast, "provider", "connect", *local, *CUSTOM)
    moved = ("provider", "address", "local", "--base-url", "https://box.example.com/v1")
    assert refusal(cast, *moved, "--no-secret").startswith("--confirm-local")
    assert run(cast, *moved, "--no-secret", "--confirm-local")["is_local"]
