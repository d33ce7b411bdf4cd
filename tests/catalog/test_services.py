"""Connecting providers, and where their secrets may go."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection

from catalog.models import Credential, Deployment, Provider
from catalog.presets import PRESETS, ModelPreset
from catalog.sandbox.models import MODELS
from catalog.services import (
    add_deployment,
    connect_provider,
    connect_sandbox,
    open_secret,
    providers_of_environment,
    set_credential,
)
from lib.errors import RouterError
from lib.secretbox import SecretError
from tenancy.core import SYSTEM
from tenancy.models import Organization, new_id
from tenancy.scope import tenant_scope
from tenancy.selectors import audit_entries
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

SECRET = "sk-canary-0123456789abcdef"
ADDRESSES = {
    "azure": "https://acme.openai.azure.com/openai/v1",
    "bedrock": "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1",
    "openai-compatible": "https://models.example.com/v1",
    "local": "https://vllm.example.com/v1",
}
TINY = ModelPreset("tiny", 8_192, 1_024, frozenset({"tools", "streaming"}), 40)


def connect(cast: Cast, **wanted: Any) -> Provider:
    given = {"preset": "openai", "secret": SECRET, "actor": SYSTEM, **wanted}
    return connect_provider(given.pop("organization_id", cast.acme.id), **given)


def refusal(cast: Cast, **wanted: Any) -> tuple[int, str | None]:
    with pytest.raises(RouterError) as why:
        connect(cast, **wanted)
    return why.value.status, why.value.param


def credential_of(provider: Provider) -> Credential:
    with tenant_scope(provider.organization_id):
        return Credential.objects.get(provider=provider, active=True)


def scoped_count(organization: Organization, model: Any) -> int:
    with tenant_scope(organization.id):
        count: int = model.objects.count()
    return count


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_each_preset_connects_with_its_models_and_its_secret(cast: Cast, preset: Any) -> None:
    address = ADDRESSES.get(preset.slug, "")
    provider = connect(cast, preset=preset.slug, base_url=address, confirm_local=preset.is_local)
    assert provider.slug == provider.preset == preset.slug
    assert (provider.wire, provider.auth) == (preset.wire, preset.auth)
    assert provider.is_local == preset.is_local
    assert not provider.is_sandbox
    with tenant_scope(cast.acme.id):
        rows = {row.model: row for row in Deployment.objects.filter(provider=provider)}
    assert rows.keys() == {model.name for model in preset.models}
    for model in preset.models:
        row = rows[model.name]
        assert (row.context_window, row.operation) == (model.context_window, model.operation)
        assert row.capabilities == sorted(model.capabilities)
    assert open_secret(credential_of(provider), provider) == SECRET


@pytest.mark.parametrize("slug", ADDRESSES)
def test_an_address_with_gaps_is_asked_for(cast: Cast, slug: str) -> None:
    assert refusal(cast, preset=slug) == (422, "base_url")
    assert refusal(cast, preset=slug, base_url="https://{x}.example.com") == (422, "base_url")


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.openai.com/v1",
        "https://10.0.0.1/v1",
        "https://127.0.0.1/v1",
        "https://[::1]/v1",
        "https://169.254.169.254/latest",
        "https://[64:ff9b::a9fe:a9fe]/v1",
        "https://2130706433/v1",
        "https://user:password@api.openai.com/v1",
        "https://api.openai.com/v1?key=x",
        "ftp://api.openai.com/v1",
        "not an address",
        "https://" + "x" * 500,
    ],
)
def test_an_address_that_leads_inside_is_refused(cast: Cast, settings: Any, base_url: str) -> None:
    settings.PRIVATE_NETWORKS = ()
    assert refusal(cast, base_url=base_url) == (422, "base_url")
    assert scoped_count(cast.acme, Provider) == 0


def test_the_operator_may_allow_private_networks(cast: Cast, settings: Any) -> None:
    settings.PRIVATE_NETWORKS = (ip_network("10.1.0.0/16"),)
    provider = connect(cast, preset="local", base_url="http://10.1.2.3:8000/v1/")
    assert provider.base_url == "http://10.1.2.3:8000/v1"
    assert credential_of(provider).origin == "http://10.1.2.3:8000"
    assert refusal(cast, preset="local", slug="b", base_url="http://10.2.2.3/v1") == (
        422,
        "base_url",
    )


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"preset": "nobody"}, "preset"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": "a,b"}, "slug"),
        ({"slug": "x" * 41}, "slug"),
        ({"name": "x" * 81}, "name"),
        ({"name": "nul\x00l"}, "name"),
        ({"region": "x" * 41}, "region"),
        ({"secret": " "}, "secret"),
        ({"secret": "two\r\nx-injected: header"}, "secret"),
        ({"secret": "schlüssel"}, "secret"),
        ({"secret": "x" * 4097}, "secret"),
    ],
)
def test_what_is_wrong_is_said_by_field_and_nothing_is_stored(
    cast: Cast, wanted: dict[str, Any], field: str
) -> None:
    assert refusal(cast, **wanted) == (422, field)
    assert scoped_count(cast.acme, Provider) == scoped_count(cast.acme, Credential) == 0


def test_a_taken_slug_is_refused_and_the_first_stays(cast: Cast) -> None:
    first = connect(cast)
    assert refusal(cast, preset="groq", slug="openai") == (409, "slug")
    assert connect(cast, slug="openai-eu", region="eu", name="OpenAI (EU)").region == "eu"
    assert connect(cast, organization_id=cast.rival.id).slug == first.slug


def test_a_provider_has_a_model_once(cast: Cast) -> None:
    provider = connect(cast, models=[])
    prices = {"input_nano_per_mtok": 150_000_000, "output_nano_per_mtok": 600_000_000}
    made = add_deployment(provider, TINY, actor=SYSTEM, prices=prices)
    assert made.capabilities == ["streaming", "tools"]
    with tenant_scope(cast.acme.id):
        stored = Deployment.objects.get(id=made.id)
    assert stored.input_nano_per_mtok == 150_000_000
    assert stored.cached_nano_per_mtok is None
    with pytest.raises(RouterError) as why:
        add_deployment(provider, TINY, actor=SYSTEM)
    assert (why.value.status, why.value.param) == (409, "model")


def test_without_a_secret_there_is_no_credential(cast: Cast) -> None:
    provider = connect(cast, secret="")
    assert scoped_count(cast.acme, Credential) == 0
    with tenant_scope(cast.acme.id):
        assert audit_entries(cast.acme.id)[0].after["credential"] == "none"
    credential = set_credential(provider, f" {SECRET}\n", actor=SYSTEM)
    assert open_secret(credential, provider) == SECRET


def test_a_new_secret_retires_the_old_one(cast: Cast) -> None:
    provider = connect(cast)
    old = credential_of(provider)
    set_credential(provider, "sk-another-0123456789", actor=SYSTEM)
    assert credential_of(provider).id != old.id
    assert credential_of(provider).last_four == "6789"
    assert scoped_count(cast.acme, Credential) == 2


def test_a_short_secret_shows_nothing_of_itself(cast: Cast) -> None:
    assert credential_of(connect(cast, secret="short")).last_four == ""


def test_one_secret_never_seals_to_the_same_bytes(cast: Cast) -> None:
    first, second = connect(cast), connect(cast, slug="second")
    sealed = [bytes(credential_of(p).secret_sealed) for p in (first, second)]
    assert sealed[0] != sealed[1]
    assert SECRET.encode() not in sealed[0]


def test_ciphertext_does_not_open_in_another_row(cast: Cast) -> None:
    first, second = connect(cast), connect(cast, slug="second")
    moved = credential_of(second)
    moved.secret_sealed = credential_of(first).secret_sealed
    with tenant_scope(cast.acme.id):
        moved.save()
    with pytest.raises(SecretError) as why:
        open_secret(credential_of(second), second)
    assert SECRET not in str(why.value)


def test_ciphertext_does_not_open_in_another_organization(cast: Cast) -> None:
    ours, theirs = connect(cast), connect(cast, organization_id=cast.rival.id)
    stolen = credential_of(ours)
    with tenant_scope(cast.rival.id):
        # Even under the same id: the organization is part of what it is bound to.
        copy = Credential(
            id=stolen.id,
            organization_id=cast.rival.id,
            provider=theirs,
            origin=stolen.origin,
            secret_sealed=stolen.secret_sealed,
            last_four="",
        )
    with pytest.raises(SecretError):
        open_secret(copy, theirs)


def test_an_altered_ciphertext_does_not_open(cast: Cast) -> None:
    provider = connect(cast)
    credential = credential_of(provider)
    sealed = bytearray(credential.secret_sealed)
    sealed[-1] ^= 1
    credential.secret_sealed = bytes(sealed)
    with pytest.raises(SecretError):
        open_secret(credential, provider)


def test_another_encryption_key_opens_nothing(cast: Cast, settings: Any) -> None:
    provider = connect(cast)
    settings.ENCRYPTION_KEY = b"x" * 32
    with pytest.raises(SecretError):
        open_secret(credential_of(provider), provider)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.evil.example.com/v1",
        "http://api.openai.com/v1",
    ],
)
def test_a_secret_stays_with_the_origin_it_was_given_for(cast: Cast, base_url: str) -> None:
    provider = connect(cast)
    provider.base_url = base_url
    with tenant_scope(cast.acme.id):
        provider.save()
    assert open_secret(credential_of(provider), provider) is None


def test_another_path_of_the_same_origin_keeps_the_secret(cast: Cast) -> None:
    provider = connect(cast)
    provider.base_url = "https://API.openai.com:443/v2"
    assert open_secret(credential_of(provider), provider) == SECRET


def test_the_secret_is_in_no_text(cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    provider = connect(cast)
    credential = set_credential(provider, SECRET, actor=SYSTEM)
    told = [repr(credential), str(credential), repr(provider), str(vars(credential)), caplog.text]
    with tenant_scope(cast.acme.id), connection.cursor() as cursor:
        for table in ("catalog_credential", "catalog_provider", "tenancy_auditentry"):
            cursor.execute(f"SELECT t::text FROM {table} t")
            told += [text for (text,) in cursor.fetchall()]
    assert len(told) > 7
    for text in told:
        assert SECRET not in text
        assert SECRET.encode().hex() not in text


def test_the_sandbox_speaks_both_wires_and_charges_nothing(cast: Cast, settings: Any) -> None:
    settings.PRIVATE_NETWORKS = (ip_network("127.0.0.0/8"),)
    provider = connect_sandbox(cast.acme.id, base_url="http://127.0.0.1:9", actor=SYSTEM)
    assert provider.slug == "sandbox"
    with tenant_scope(cast.acme.id):
        providers = {p.wire: p for p in Provider.objects.all()}
        rows = list(Deployment.objects.select_related("provider"))
    assert providers.keys() == {"openai", "anthropic"}
    for found in providers.values():
        assert found.is_sandbox
        assert found.is_local
        assert open_secret(credential_of(found), found) == "sandbox"
    assert {row.model for row in rows} == {model.name for model in MODELS}
    wires = {model.name: model.wire for model in MODELS}
    for row in rows:
        assert row.provider.wire == wires[row.model]
        assert "no money" in row.price_source
        assert row.input_nano_per_mtok is not None


def test_the_sandbox_is_connected_once_and_where_it_may_be(cast: Cast, settings: Any) -> None:
    settings.PRIVATE_NETWORKS = ()
    with pytest.raises(RouterError) as why:
        connect_sandbox(cast.acme.id, base_url="http://127.0.0.1:9", actor=SYSTEM)
    assert (why.value.status, why.value.param) == (422, "base_url")
    connect_sandbox(cast.acme.id, base_url="https://sandbox.example.com", actor=SYSTEM)
    with pytest.raises(RouterError) as why:
        connect_sandbox(cast.acme.id, base_url="https://sandbox.example.com", actor=SYSTEM)
    assert (why.value.status, why.value.param) == (409, "slug")
    assert scoped_count(cast.acme, Provider) == 2


def test_keys_of_the_environment_are_those_under_the_usual_names() -> None:
    environment = {
        "OPENAI_API_KEY": "sk-1",
        "ANTHROPIC_API_KEY": "",
        "GROQ_API_KEY": "gsk",
        "AZURE_OPENAI_API_KEY": "needs an address that nobody gave",
        "SOMETHING_API_KEY": "x",
    }
    found = providers_of_environment(environment)
    assert [(preset.slug, secret) for preset, secret in found] == [
        ("openai", "sk-1"),
        ("groq", "gsk"),
    ]


def test_no_row_is_connected_to_a_provider_of_another_organization(cast: Cast) -> None:
    theirs = connect(cast, organization_id=cast.rival.id)
    with tenant_scope(cast.acme.id):
        assert not Provider.objects.filter(id__in=[theirs.id, new_id()]).exists()
