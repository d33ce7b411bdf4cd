"""The pages of providers: what they show, whom, and what their forms do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from catalog.models import Credential, Deployment, Provider
from catalog.presets import PRESETS, ModelPreset
from catalog.services import connect_provider, connect_sandbox, open_secret
from preferences.models import UserRouterPreferences
from preferences.services import save_preferences
from routing.compiler import compile_snapshot
from tenancy.core import SYSTEM, live_key
from tenancy.models import AuditEntry, Organization
from tenancy.scope import tenant_scope
from tests.catalog.sandbox_process import Server, server, shared  # noqa: F401  are fixtures
from tests.conftest import Cast

pytestmark = pytest.mark.django_db
SECRET = "sk-canary-0123456789abcdef"
HOSTILE = "<script>alert(1)</script> 😀 שלום " + "W" * 40
TINY = ModelPreset("tiny", 8_192, 1_024, frozenset({"streaming"}), 40)


def connect(cast: Cast, **more: Any) -> Provider:
    """A provider of acme with one model."""
    given = {"preset": "openai", "secret": SECRET, "actor": SYSTEM, "models": [TINY], **more}
    return connect_provider(cast.acme.id, **given)


def model_of(provider: Provider) -> Deployment:
    with tenant_scope(provider.organization_id):
        return Deployment.objects.get(provider=provider)


def stored(provider: Provider) -> Provider:
    with tenant_scope(provider.organization_id):
        return Provider.objects.get(id=provider.id)


def epoch(cast: Cast) -> int:
    with tenant_scope(cast.acme.id):
        return Organization.objects.get(id=cast.acme.id).epoch


def text(answer: Any) -> str:
    return str(answer.content.decode())


def new(preset: str, **more: Any) -> dict[str, Any]:
    known = PRESETS[preset]
    given = {"slug": preset, "name": known.name, "base_url": known.base_url, "secret": SECRET}
    return {"preset": preset, **given, **more}


def test_the_presets_say_what_each_needs_and_are_searched(as_alice: Client) -> None:
    page = text(as_alice.get("/providers/new"))
    assert all(f"?preset={slug}" in page for slug in PRESETS)
    assert "Needs your resource, an API key, the names of its models." in page
    found = text(as_alice.get("/providers/new?q=gemini"))
    assert "?preset=google" in found
    assert "?preset=groq" not in found
    assert "No provider matches" in text(as_alice.get("/providers/new?q=nobody"))


def test_connecting_a_preset(as_alice: Client, cast: Cast) -> None:
    answer = as_alice.post("/providers/new", new("groq"), follow=True)
    page = text(answer)
    assert "Groq is added. Its test below tells whether it answers." in page
    assert "…cdef" in page
    assert SECRET not in page
    assert 'hx-trigger="load, submit"' in page
    assert "llama-3.1-8b-instant" in page
    with tenant_scope(cast.acme.id):
        credential = Credential.objects.get(active=True)
        assert open_secret(credential, Provider.objects.get(slug="groq")) == SECRET


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"secret": ""}, "secret-error"),
        ({"secret": "two\nlines"}, "secret-error"),
        ({"slug": "new"}, "slug-error"),
        ({"slug": "a/b"}, "slug-error"),
        ({"name": "x" * 81}, "name-error"),
        ({"base_url": "https://169.254.169.254/latest"}, "base-url-error"),
        ({"base_url": "https://[::1]/v1"}, "base-url-error"),
        ({"base_url": "http://api.groq.com"}, "base-url-error"),
        ({"base_url": "https://2130706433/v1"}, "base-url-error"),
        ({"base_url": "file:///etc/passwd"}, "base-url-error"),
        ({"region": "x" * 41}, "region-error"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    as_alice: Client, cast: Cast, settings: Any, wrong: dict[str, Any], field: str
) -> None:
    settings.PRIVATE_NETWORKS = ()
    answer = as_alice.post("/providers/new", new("groq", **wrong))
    assert answer.status_code == 422
    assert f'id="{field}"' in text(answer)
    assert SECRET not in text(answer)
    with tenant_scope(cast.acme.id):
        assert not Provider.objects.exists()


def test_a_bad_short_name_is_told_what_is_allowed(as_alice: Client) -> None:
    page = text(as_alice.post("/providers/new", new("groq", slug="two words")))
    assert "Write 1 to 40 letters, digits, - and _, without blanks" in page
    assert "<code>two words/model</code>" in page


def test_local_at_an_address_that_may_be_public_has_to_be_confirmed(
    as_alice: Client, cast: Cast
) -> None:
    given = new("local", base_url="https://vllm.example.com/v1", is_local="on", secret="")
    answer = as_alice.post("/providers/new", given)
    assert answer.status_code == 422
    assert "may be public" in text(answer)
    assert "Needed for a public address; a private one, such as 10.0.0.5, needs none." in text(
        answer
    )
    assert 'name="confirm_local"' in text(answer)
    assert as_alice.post("/providers/new", {**given, "confirm_local": "on"}).status_code == 302
    assert "Local by your word" in text(as_alice.get("/providers/local"))
    given = new("local", slug="inside", base_url="http://127.0.0.1:9/v1", is_local="on", secret="")
    assert as_alice.post("/providers/new", given).status_code == 302
    assert "by your word" not in text(as_alice.get("/providers/inside"))


def test_a_local_provider_does_not_become_public_unsaid(as_alice: Client, cast: Cast) -> None:
    provider = connect(cast, preset="local", base_url="http://127.0.0.1:9/v1", secret="")
    path = f"/providers/{provider.slug}"
    moved = {"base_url": "https://models.example.com/v1"}
    answer = as_alice.post(f"{path}/address", {**moved, "is_local": "on"})
    assert answer.status_code == 422
    assert 'id="moved-confirm-error"' in text(answer)
    assert stored(provider).base_url == "http://127.0.0.1:9/v1"
    as_alice.post(f"{path}/address", moved)
    assert stored(provider).base_url == moved["base_url"]
    assert not stored(provider).is_local
    # Nor does an edit mark it again without a word.
    again = {"name": "x", "active": "on", "is_local": "on"}
    assert as_alice.post(path, again).status_code == 422
    assert as_alice.post(path, {**again, "confirm_local": "on"}).status_code == 302
    assert stored(provider).is_local


def test_a_new_credential_and_a_new_address(as_alice: Client, cast: Cast) -> None:
    provider = connect(cast)
    path = f"/providers/{provider.slug}"
    page = as_alice.post(f"{path}/credential", {"secret": "sk-renewed-0123456789"}, follow=True)
    assert "…6789" in text(page)
    assert "renewed" not in text(page)
    assert as_alice.post(f"{path}/credential", {"secret": " "}).status_code == 422
    as_alice.post(f"{path}/address", {"base_url": "https://eu.example.com/v1"})
    assert "No credential" in text(as_alice.get(path))


def test_a_test_through_the_page_and_its_fragment(
    as_alice: Client,
    cast: Cast,
    server: Server,  # noqa: F811
) -> None:
    connect(cast, slug="box", base_url=f"{server.url}/v1", name=HOSTILE)
    page = text(as_alice.post("/providers/box/test"))
    assert "<html" in page
    assert "The credential was accepted." in page
    assert "Not in its list: tiny." in page
    assert "<script>alert" not in page
    swap = {"HX-Request": "true", "HX-Target": "test-result"}
    fragment = text(as_alice.post("/providers/box/test", headers=swap))
    assert "<html" not in fragment
    assert "The credential was accepted." in fragment
    assert SECRET not in page + fragment
    connect(cast, slug="away", base_url="http://127.0.0.1:9/v1")
    page = text(as_alice.post("/providers/away/test"))
    with tenant_scope(cast.acme.id):
        assert [p.slug for p in Provider.objects.exclude(tested_at=None)] == ["box"]
    assert "127.0.0.1:9 cannot be reached: connection refused. Check the address" in page
    assert "Connect call failed" not in page
    assert "Tested <time" in page


def test_settings_and_turning_off_hold_for_the_next_call(as_alice: Client, cast: Cast) -> None:
    provider = connect(cast)
    before = epoch(cast)
    path = f"/providers/{provider.slug}"
    as_alice.post(path, {"name": "Ours", "region": "eu"})
    assert (stored(provider).name, stored(provider).active) == ("Ours", False)
    assert epoch(cast) == before + 1
    with tenant_scope(cast.acme.id):
        snapshot = compile_snapshot(cast.acme.id)
        entry = AuditEntry.objects.get(action="provider.update")
    assert snapshot is not None
    assert snapshot.models == ()
    assert entry.before == {"active": True, "name": "OpenAI", "region": ""}
    assert "Off" in text(as_alice.get(path))


def test_removing_says_who_names_it_and_forgets_it_there(as_alice: Client, cast: Cast) -> None:
    provider = connect(cast)
    save_preferences(cast.acme.id, None, {"blocked_providers": ["openai"]}, actor=SYSTEM)
    wished = {"preferred_providers": ["openai"]}
    save_preferences(cast.acme.id, cast.bob.id, wished, actor=SYSTEM)
    page = text(as_alice.get("/providers/openai/remove"))
    assert "organization default</bdi>: blocked" in page
    assert "bob-test@example.com</bdi>: preferred" in page
    assert as_alice.post("/providers/openai/remove").status_code == 302
    with tenant_scope(cast.acme.id):
        assert not Provider.objects.filter(id=provider.id).exists()
        assert not Deployment.objects.exists()
        assert not Credential.objects.exists()
        for row in UserRouterPreferences.objects.all():
            assert row.preferred_providers == row.blocked_providers == []
        assert AuditEntry.objects.filter(action="provider.remove").count() == 1
    assert as_alice.get("/providers/openai").status_code == 404


def test_a_model_whose_name_differs_at_the_provider(as_alice: Client, cast: Cast) -> None:
    connect(cast, preset="azure", base_url="https://acme.openai.azure.com/openai/v1", models=[])
    given = {"model": "gpt-4o", "upstream_model": "our-gpt4o-eu", "context_window": "128,000"}
    more = {"max_output_tokens": "16384", "quality": "78", "operation": "chat", "region": "eu"}
    caps = {"capabilities": ["streaming", "tools"]}
    answer = as_alice.post("/providers/azure/models/new", {**given, **more, **caps}, follow=True)
    assert "there: our-gpt4o-eu" in text(answer)
    with tenant_scope(cast.acme.id):
        snapshot = compile_snapshot(cast.acme.id)
    assert snapshot is not None
    (served,) = snapshot.by_name["gpt-4o"].deployments
    assert (served.upstream_model, served.region) == ("our-gpt4o-eu", "eu")
    again = as_alice.post("/providers/azure/models/new", {**given, **more, **caps})
    assert again.status_code == 409
    for wrong, field in (
        ({"context_window": "many"}, "context-window-error"),
        ({"max_output_tokens": "999999"}, "max-output-error"),
        ({"quality": "101"}, "quality-error"),
        ({"capabilities": ["magic"]}, "capabilities-error"),
        ({"model": ""}, "model-error"),
        ({"upstream_model": "two words"}, "upstream-model-error"),
        ({"operation": "paint"}, "operation-error"),
    ):
        wanted = {**given, **more, **caps, "model": "other", **wrong}
        answer = as_alice.post("/providers/azure/models/new", wanted)
        assert answer.status_code == 422, wrong
        assert f'id="{field}"' in text(answer)


def test_the_price_comes_from_the_list_or_from_oneself_to_the_nano(
    as_alice: Client, cast: Cast
) -> None:
    provider = connect(cast, models=None)
    with tenant_scope(cast.acme.id):
        row = Deployment.objects.get(provider=provider, model="gpt-4o")
    path = f"/providers/openai/models/{row.id}"
    assert "genai-prices" in text(as_alice.get(path))
    price = {"input": "1.000000001", "output": "$2.5", "cached": "", "source": "contract of May"}
    as_alice.post(f"{path}/price", {**price, "as_of": "2026-05-01"})
    with tenant_scope(cast.acme.id):
        now = Deployment.objects.get(id=row.id)
    assert (now.input_nano_per_mtok, now.output_nano_per_mtok) == (1_000_000_001, 2_500_000_000)
    page = text(as_alice.get(path))
    assert "$1.000000001 per million" in page
    assert "contract of May" in page
    assert "2026-05-01" in page
    for wrong, field in (
        ({"input": "free"}, "price-input-error"),
        ({"input": "0.0000000001"}, "price-input-error"),
        ({"output": ""}, "price-output-error"),
        ({"source": ""}, "price-source-error"),
        ({"as_of": "tomorrow"}, "price-as-of-error"),
        ({"as_of": "2999-01-01"}, "price-as-of-error"),
    ):
        answer = as_alice.post(f"{path}/price", {**price, **wrong})
        assert answer.status_code == 422, wrong
        assert f'id="{field}"' in text(answer)
    as_alice.post(f"{path}/price", {"clear": "1"})
    assert "genai-prices" in text(as_alice.get(path))


def test_a_price_that_the_list_does_not_know_is_not_given_up(as_alice: Client, cast: Cast) -> None:
    provider = connect(cast)
    path = f"/providers/openai/models/{model_of(provider).id}"
    price = {"input": "1", "output": "2", "cached": "", "source": "contract of May"}
    as_alice.post(f"{path}/price", price)
    assert "Use the price list again" not in text(as_alice.get(path))
    answer = as_alice.post(f"{path}/price", {"clear": "1"})
    assert answer.status_code == 422
    assert "The price list does not know tiny" in text(answer)
    assert model_of(provider).input_nano_per_mtok == 1_000_000_000


def test_what_the_sandbox_costs_is_not_called_ones_own_price(as_alice: Client, cast: Cast) -> None:
    connect_sandbox(cast.acme.id, base_url="https://sandbox.example.com", actor=SYSTEM)
    with tenant_scope(cast.acme.id):
        row = Deployment.objects.get(model="sandbox-fast")
    page = text(as_alice.get(f"/providers/sandbox/models/{row.id}"))
    assert "sandbox: no money is charged" in page
    assert "your own price)" not in page
    assert "sandbox: no money is charged" in text(as_alice.get("/providers/sandbox"))


def test_a_model_is_turned_off_changed_and_removed(as_alice: Client, cast: Cast) -> None:
    row = model_of(connect(cast))
    path = f"/providers/openai/models/{row.id}"
    as_alice.post(f"{path}/active", {"active": "0"})
    with tenant_scope(cast.acme.id):
        snapshot = compile_snapshot(cast.acme.id)
    assert snapshot is not None
    assert snapshot.models == ()
    wanted = {"model": "tiny-2", "context_window": "9000", "max_output_tokens": "10"}
    as_alice.post(path, {**wanted, "quality": "1", "operation": "chat", "active": "on"})
    with tenant_scope(cast.acme.id):
        now = Deployment.objects.get(id=row.id)
    assert (now.model, now.upstream_model, now.quality, now.active) == ("tiny-2", "tiny-2", 1, True)
    assert as_alice.post(f"{path}/remove").status_code == 302
    assert as_alice.get(path).status_code == 404


def test_a_viewer_sees_everything_and_changes_nothing(as_bob: Client, cast: Cast) -> None:
    provider = connect(cast)
    page = text(as_bob.get(f"/providers/{provider.slug}"))
    assert "your role is viewer" in page
    assert "Replace the credential" not in page
    assert "disabled" in text(as_bob.get("/providers"))
    assert as_bob.post(f"/providers/{provider.slug}", {"name": "x"}).status_code == 403
    assert stored(provider).name == "OpenAI"


def test_health_is_what_redis_says(as_alice: Client, cast: Cast) -> None:
    import time

    import orjson
    import redis

    provider = connect(cast)
    row = model_of(provider)
    now = time.time_ns() // 1_000_000
    state = {"o": 0, "n": 0, "f": 0, "k": 0, "ws": now, "wc": 4, "we": 0, "m": now, "c": now}
    key = live_key(cast.acme.id.hex)
    with redis.Redis.from_url(settings.REDIS_URL) as client:

        def seen(**more: Any) -> str:
            client.hset(key, row.id.hex, orjson.dumps({**state, **more}))
            return text(as_alice.get("/providers"))

        assert "612 ms" in seen(p50=300, p95=612)
        assert "2 of 4 failed just now" in seen(we=2)
        assert "Failing" in seen(o=now + 60_000, n=1, r="failing")
        assert "Rate limited" in seen(o=now + 60_000, r="rate_limited")
        assert "Credential refused" in seen(o=now + 60_000, r="credential_refused")
        client.hdel(key, row.id.hex)
    assert "No recent calls" in text(as_alice.get("/providers"))


def test_a_fixed_number_of_queries_and_no_secret(
    as_alice: Client, cast: Cast, django_assert_max_num_queries: Any
) -> None:
    connect(cast, models=None)
    with django_assert_max_num_queries(14) as few:
        as_alice.get("/providers")
    for number in range(8):
        connect(cast, slug=f"p{number}", models=None)
    with django_assert_max_num_queries(len(few)):
        page = text(as_alice.get("/providers"))
    assert page.count('class="card provider"') == 9
    with django_assert_max_num_queries(18):
        page += text(as_alice.get("/providers/openai"))
    assert SECRET not in page


def test_the_sandbox_is_labelled(as_alice: Client, cast: Cast) -> None:
    connect_sandbox(cast.acme.id, base_url="http://127.0.0.1:9", actor=SYSTEM)
    assert "Sandbox" in text(as_alice.get("/providers"))
    page = text(as_alice.get("/providers/sandbox"))
    assert "no money is charged" in page
    as_alice.post("/providers/sandbox", {"name": "Play", "active": "on", "is_local": "on"})
    with tenant_scope(cast.acme.id):
        assert Provider.objects.get(slug="sandbox").is_local


def test_one_organizations_providers_are_not_found_from_another(
    as_carol: Client, cast: Cast
) -> None:
    row = model_of(connect(cast))
    for path in ("", "/remove", "/models/new", f"/models/{row.id}"):
        assert as_carol.get(f"/providers/openai{path}").status_code == 404
    assert as_carol.post("/providers/openai/test").status_code == 404


def hidden(page: str, place: int = 0) -> str:
    """The version in a form of a page."""
    return str(re.findall(r'name="version" value="(\w*)"', page)[place])


def test_settings_of_a_provider_are_not_overwritten_unseen(as_alice: Client, cast: Cast) -> None:
    provider = connect(cast)
    path = f"/providers/{provider.slug}"
    seen = hidden(text(as_alice.get(path)))
    given = {"name": "Mine", "region": "eu", "active": "on", "version": seen}
    assert as_alice.post(path, {**given, "name": "Theirs"}).status_code == 302
    answer = as_alice.post(path, given)
    page = text(answer)
    assert answer.status_code == 409
    # The form may be far down its page.
    assert 'role="alert" tabindex="-1" autofocus><div><p><strong>Somebody changed this' in page
    assert "<dt>Name</dt><dd><bdi>Theirs</bdi></dd>" in page
    assert 'value="Mine"' in page
    assert stored(provider).name == "Theirs"
    # What is wrong does not make one forget what one saw.
    wrong = text(as_alice.post(path, {**given, "name": ""}))
    assert hidden(wrong) == hidden(page) != seen
    assert as_alice.post(path, {**given, "version": hidden(page)}).status_code == 302
    assert stored(provider).name == "Mine"


def test_price_and_settings_of_a_model_are_not_overwritten_unseen(
    as_alice: Client, cast: Cast
) -> None:
    row = model_of(connect(cast))
    path = f"/providers/openai/models/{row.id}"
    page = text(as_alice.get(path))
    price = {"input": "1", "output": "2", "cached": "", "source": "contract", "version": ""}
    as_alice.post(f"{path}/price", price)
    mine = {**price, "input": "0.6", "source": "a better one", "version": hidden(page, 0)}
    answer = as_alice.post(f"{path}/price", mine)
    assert answer.status_code == 409
    assert "<dt>Input</dt><dd><bdi>1</bdi></dd>" in text(answer)
    assert 'value="a better one"' in text(answer)
    mine["version"] = hidden(text(answer), 0)
    assert as_alice.post(f"{path}/price", mine).status_code == 302
    assert "$0.60 per million tokens" in text(as_alice.get(path))
    settings = {"model": "tiny", "context_window": "9000", "max_output_tokens": "10"}
    settings |= {"quality": "1", "operation": "chat", "version": hidden(page, 1)}
    answer = as_alice.post(path, settings)
    assert answer.status_code == 409
    assert "<dt>Context window</dt><dd><bdi>8192</bdi></dd>" in text(answer)
    assert 'value="9000"' in text(answer)


def test_ones_own_price_begins_without_the_source_of_another(as_alice: Client, cast: Cast) -> None:
    row = model_of(connect(cast))
    with tenant_scope(cast.acme.id):
        Deployment.objects.filter(id=row.id).update(
            price_source="an old list", price_as_of="2020-01-01"
        )
    page = text(as_alice.get(f"/providers/openai/models/{row.id}"))
    assert "an old list" not in page
    assert "2020-01-01" not in page


def test_every_field_of_a_model_that_is_wrong_is_told_at_once(as_alice: Client, cast: Cast) -> None:
    connect(cast)
    typed = {"model": "big", "context_window": "-5", "max_output_tokens": "1e9", "quality": "101"}
    answer = as_alice.post("/providers/openai/models/new", {**typed, "operation": "chat"})
    page = text(answer)
    assert answer.status_code == 422
    for name in ("context-window", "max-output"):
        said = "Enter a whole number from 1 to 100,000,000."
        assert f'id="{name}-error">{said}' in page
    assert 'id="quality-error">Enter a whole number from 0 to 100.' in page
