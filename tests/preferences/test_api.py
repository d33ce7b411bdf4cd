"""Preferences by REST: read, changed in part, never over somebody else's change."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from preferences.selectors import preferences_row
from preferences.services import save_preferences
from tenancy.core import SYSTEM
from tenancy.models import AuditEntry, new_id
from tenancy.scope import tenant_scope
from tests.conftest import Cast

pytestmark = pytest.mark.django_db

PATH = "/api/preferences"


@pytest.fixture
def api(cast: Cast) -> Client:
    return Client(headers={"Authorization": f"Bearer {cast.acme_key}"})


def patch(api: Client, body: dict[str, Any], path: str = PATH, **headers: str) -> Any:
    return api.patch(path, body, content_type="application/json", headers=headers)


def test_nothing_is_set_at_first(api: Client) -> None:
    answer = api.get(PATH)
    assert answer["ETag"] == '"0"'
    assert answer.json() == {
        "priority": None,
        "max_cost_usd": None,
        "max_latency_ms": None,
        "preferred_providers": [],
        "blocked_providers": [],
        "cost_alert_threshold_usd": None,
        "updated_at": None,
    }


def test_what_is_sent_is_changed_and_nothing_else(api: Client, cast: Cast) -> None:
    patch(api, {"max_latency_ms": 900, "priority": "speed"})
    changed = patch(api, {"max_cost_usd": "0.05"})
    assert changed.status_code == 200
    told = changed.json()
    assert (told["max_latency_ms"], told["priority"]) == (900, "speed")
    assert told["max_cost_usd"] == "0.05"
    assert patch(api, {"max_latency_ms": None}).json()["max_latency_ms"] is None
    with tenant_scope(cast.acme.id):
        assert preferences_row(cast.acme.id, None).max_cost_per_request_nano == 50_000_000
        entry = AuditEntry.objects.filter(action="preferences.update").latest("created_at")
    assert entry.actor == "key acme key"


def test_a_change_on_an_old_version_is_refused(api: Client, cast: Cast) -> None:
    tag = api.get(PATH)["ETag"]
    first = patch(api, {"max_latency_ms": 900}, **{"If-Match": tag})
    assert first.status_code == 200
    stale = patch(api, {"max_latency_ms": 901}, **{"If-Match": tag})
    assert stale.status_code == 412
    assert stale["Content-Type"] == "application/problem+json"
    assert stale.json()["field"] == "If-Match"
    assert first["ETag"] == api.get(PATH)["ETag"]
    save_preferences(cast.acme.id, None, {"max_latency_ms": 950}, actor=SYSTEM)
    assert patch(api, {}, **{"If-Match": first["ETag"]}).status_code == 412
    assert patch(api, {"max_latency_ms": 960}, **{"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_latency_ms": 20}, "max_latency_ms"),
        ({"max_latency_ms": "soon"}, "max_latency_ms"),
        ({"max_cost_usd": "five"}, "max_cost_usd"),
        ({"max_cost_usd": "-1"}, "max_cost_usd"),
        ({"max_cost_usd": 0.05}, "max_cost_usd"),
        ({"cost_alert_threshold_usd": "1e99"}, "cost_alert_threshold_usd"),
        ({"priority": "luck"}, "priority"),
        ({"blocked_providers": ["nobody"]}, "blocked_providers"),
        ({"custom": 1}, "custom"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_stored(
    api: Client, body: dict[str, Any], field: str
) -> None:
    answer = patch(api, body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert api.get(PATH)["ETag"] == '"0"'


def test_a_member_has_preferences_of_their_own(api: Client, cast: Cast) -> None:
    path = f"{PATH}/users/{cast.bob.id}"
    assert patch(api, {"cost_alert_threshold_usd": "12.5"}, path).status_code == 200
    assert api.get(path).json()["cost_alert_threshold_usd"] == "12.5"
    assert api.get(PATH).json()["cost_alert_threshold_usd"] is None


def test_who_is_no_member_is_not_there(api: Client, cast: Cast) -> None:
    for id_ in (cast.carol.id, new_id()):
        path = f"{PATH}/users/{id_}"
        assert api.get(path).status_code == 404
        assert patch(api, {"max_latency_ms": 700}, path).status_code == 404


def test_a_key_has_preferences_of_its_own(api: Client, cast: Cast) -> None:
    (key,) = api.get("/api/keys").json()["data"]
    path = f"/api/keys/{key['id']}/preferences"
    tag = api.get(path)["ETag"]
    assert tag == '"0"'
    assert patch(api, {"max_latency_ms": 700}, path, **{"If-Match": tag}).status_code == 200
    assert patch(api, {"max_latency_ms": 701}, path, **{"If-Match": tag}).status_code == 412
    assert api.get(path).json()["max_latency_ms"] == 700
    wrong = patch(api, {"max_cost_usd": "-1"}, path)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "max_cost_usd")


def test_a_refused_body_is_told_in_words_of_who_sent_it(cast: Cast) -> None:
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})

    def patched(body: str) -> tuple[str, str | None]:
        answer = client.patch(PATH, body, content_type="application/json")
        assert answer.status_code == 422
        return answer.json()["detail"], answer.json()["field"]

    assert patched("[]") == ("Send a JSON object.", None)
    said = 'Send dollars as a decimal number in text, such as "0.05".'
    assert patched('{"max_cost_usd": 0.05}') == (f"max_cost_usd: {said}", "max_cost_usd")
    assert "valid integer" in patched('{"max_latency_ms": "soon"}')[0]


def test_the_trail_names_whose_preferences_a_key_changed(cast: Cast) -> None:
    client = Client(headers={"Authorization": f"Bearer {cast.acme_key}"})
    path = f"{PATH}/users/{cast.bob.id}"
    body = {"max_latency_ms": 900}
    assert client.patch(path, body, content_type="application/json").status_code == 200
    with tenant_scope(cast.acme.id):
        entry = AuditEntry.objects.get(action="preferences.update")
    assert entry.object_name == f"preferences of {cast.bob.email}"
