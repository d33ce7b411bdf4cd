"""manage.py provision: all of it or nothing, and what it prints works."""

from __future__ import annotations

import io
import json
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from catalog.models import Credential, Provider
from catalog.presets import PRESETS
from catalog.services import open_secret
from tenancy.models import User
from tenancy.pages import memberships_of
from tenancy.scope import tenant_scope

pytestmark = pytest.mark.django_db

EMAIL = "owner@provision.example.com"
SECRET = "sk-environment-0123456789"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """No provider's key in the environment, and a sandbox that may be reached."""
    for preset in PRESETS.values():
        monkeypatch.delenv(preset.key_variable or "NONE", raising=False)
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    settings.PRIVATE_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.PUBLIC_URL = "https://router.example.com"


def provision(*more: str, organization: str = "Acme", email: str = EMAIL) -> dict[str, Any]:
    out = io.StringIO()
    words = ["--organization", organization, "--email", email, "--json", *more]
    call_command("provision", *words, stdout=out)
    made: dict[str, Any] = json.loads(out.getvalue())
    return made


def organizations(email: str = EMAIL) -> list[str]:
    user = User.objects.filter(email=email).first()
    return [member.organization for member in memberships_of(user)] if user else []


def test_it_prints_what_it_made(client: Client) -> None:
    made = provision("--scopes", "gateway,admin", "--sandbox", "--time-zone", "Europe/Berlin")
    assert made.keys() == {
        "organization",
        "organization_id",
        "email",
        "password",
        "api_key",
        "api_key_id",
        "base_url",
        "dashboard_url",
        "providers",
    }
    assert made["base_url"] == "https://router.example.com/v1"
    assert made["dashboard_url"] == "https://router.example.com/enterprise-router/"
    assert made["providers"] == ["sandbox"]
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    assert client.get("/api/calls", headers=headers).status_code == 200


@pytest.mark.parametrize("chosen", ["", "correct horse battery"])
def test_the_printed_password_signs_in(client: Client, chosen: str) -> None:
    made = provision(*(["--password", chosen] if chosen else []))
    assert made["password"] == chosen or (not chosen and len(made["password"]) >= 12)
    wrong = client.post("/accounts/login/", {"login": EMAIL, "password": "wrong"})
    assert wrong.status_code == 200
    right = client.post("/accounts/login/", {"login": EMAIL, "password": made["password"]})
    assert right["Location"] == "/enterprise-router/"
    page = client.get("/enterprise-router/preferences")
    assert page.status_code == 200
    assert b"Owner of Acme" in page.content


def test_a_second_organization_of_the_same_person_leaves_the_password(client: Client) -> None:
    first = provision()
    second = provision("--password", "another one", organization="Second", email=EMAIL.upper())
    assert second["password"] is None
    assert second["api_key"] != first["api_key"]
    assert organizations() == ["Acme", "Second"]
    told = {"login": EMAIL, "password": first["password"]}
    assert client.post("/accounts/login/", told).status_code == 302


def test_keys_of_the_environment_are_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "has no address")
    made = provision("--sandbox")
    assert made["providers"] == ["sandbox", "openai"]
    assert SECRET not in json.dumps(made)
    with tenant_scope(made["organization_id"]):
        provider = Provider.objects.get(slug="openai")
        assert provider.deployments.exists()
        assert open_secret(Credential.objects.get(provider=provider), provider) == SECRET


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scopes", "root"], "--scopes: choose from gateway, admin"),
        (["--scopes", ""], "--scopes"),
        (["--time-zone", "Berlin"], "time_zone: "),
        (["--organization", "x" * 121], "name: "),
        (["--key-name", "x" * 121], "name: "),
        (["--email", "nobody"], "email: "),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        provision(*words)
    assert not User.objects.filter(email__in=[EMAIL, "nobody"]).exists()


def test_a_provider_that_cannot_be_connected_undoes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "no\nheader")
    with pytest.raises(CommandError, match="secret: "):
        provision("--sandbox")
    assert not User.objects.filter(email=EMAIL).exists()


@pytest.mark.parametrize(
    ("url", "said"), [("", "--sandbox needs SANDBOX_URL"), ("http://10.9.9.9", "base_url: ")]
)
def test_a_sandbox_that_is_not_there_is_said(settings: Any, url: str, said: str) -> None:
    settings.SANDBOX_URL = url
    with pytest.raises(CommandError, match=said):
        provision("--sandbox")
    assert not User.objects.filter(email=EMAIL).exists()


def test_without_json_it_is_read_by_people() -> None:
    out = io.StringIO()
    call_command("provision", "--organization", "Acme", "--email", EMAIL, stdout=out)
    assert "api key: er_live_" in out.getvalue()
    assert "providers" not in out.getvalue()
