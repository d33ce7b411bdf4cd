"""The frame of /api: once only, problems for every refusal, limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from project.rest import API_BODY_BYTES_MAX
from tenancy.idempotency import forget_everywhere
from tenancy.models import ApiKey, IdempotentAnswer
from tenancy.scope import tenant_scope
from tests.conftest import Cast

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.project.rest_urls")]

KEYS = "/api/keys"


def make(secret: str, name: str, key: str | None = None, **more: Any) -> Any:
    """Asks for a key called ``name``."""
    headers = {"Authorization": f"Bearer {secret}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    body = {"name": name}
    client = Client(headers=headers, raise_request_exception=False)
    return client.post(KEYS, body, content_type="application/json", **more)


def named(cast: Cast, name: str) -> int:
    """How many keys of acme have the name."""
    with tenant_scope(cast.acme.id):
        return ApiKey.objects.filter(organization_id=cast.acme.id, name=name).count()


def is_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert (told["status"], told["code"]) == (status, code)
    return told


def test_a_request_sent_twice_is_carried_out_once(cast: Cast) -> None:
    first = make(cast.acme_key, "once", "k1")
    second = make(cast.acme_key, "once", "k1")
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert first["Location"] == second["Location"]
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert named(cast, "once") == 1


def test_without_a_key_each_request_counts(cast: Cast) -> None:
    assert make(cast.acme_key, "often").json() != make(cast.acme_key, "often").json()
    assert named(cast, "often") == 2


def test_another_request_under_the_same_key_is_refused(cast: Cast) -> None:
    make(cast.acme_key, "one", "k2")
    told = is_problem(make(cast.acme_key, "other", "k2"), 422, "idempotency_key_invalid")
    assert told["field"] == "Idempotency-Key"
    assert named(cast, "other") == 0


def test_others_may_use_the_same_key(cast: Cast) -> None:
    mine = make(cast.acme_key, "same", "k3")
    theirs = make(cast.rival_key, "same", "k3")
    assert theirs.status_code == 201
    assert "Idempotency-Replayed" not in theirs
    assert mine.json()["id"] != theirs.json()["id"]


def test_what_failed_may_be_repeated(cast: Cast) -> None:
    assert make(cast.acme_key, "", "k4").status_code == 422
    again = make(cast.acme_key, "", "k4")
    assert again.status_code == 422
    assert "Idempotency-Replayed" not in again
    assert make(cast.acme_key, "now", "k4").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
def test_a_strange_key_is_refused(cast: Cast, key: str) -> None:
    is_problem(make(cast.acme_key, "strange", key), 422, "idempotency_key_invalid")
    assert named(cast, "strange") == 0


def test_a_key_does_not_open_the_door(cast: Cast) -> None:
    assert make("er_live_unknown", "door", "k5").status_code == 401
    assert make("", "door", "k5").status_code == 401


def test_the_kept_answer_is_sealed_and_forgotten_after_a_day(cast: Cast) -> None:
    secret = make(cast.acme_key, "sealed", "k6").json()["secret"]
    with tenant_scope(cast.acme.id):
        kept = IdempotentAnswer.objects.get(organization_id=cast.acme.id, key="k6")
        assert secret.encode() not in bytes(kept.answer_sealed or b"")
        IdempotentAnswer.objects.filter(organization_id=cast.acme.id, id=kept.id).update(
            created_at=timezone.now() - timedelta(hours=25)
        )
    assert "Idempotency-Replayed" not in make(cast.acme_key, "sealed", "k6")
    assert named(cast, "sealed") == 2


def test_old_answers_of_everybody_go(cast: Cast) -> None:
    for secret in (cast.acme_key, cast.rival_key):
        make(secret, "old", "k7")
        make(secret, "new", "k8")
    for organization in (cast.acme, cast.rival):
        with tenant_scope(organization.id):
            IdempotentAnswer.objects.filter(organization_id=organization.id, key="k7").update(
                created_at=timezone.now() - timedelta(hours=25)
            )
    assert forget_everywhere() == 2
    with tenant_scope(cast.acme.id):
        left = IdempotentAnswer.objects.filter(organization_id=cast.acme.id)
        assert [one.key for one in left] == ["k8"]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_an_unknown_address_is_a_problem(cast: Cast, method: str) -> None:
    answer = getattr(Client(), method)("/api/no/such")
    assert "/api/docs" in is_problem(answer, 404, "not_found")["detail"]


def test_an_unknown_address_asks_for_no_form(cast: Cast) -> None:
    key = {"Authorization": f"Bearer {cast.acme_key}"}
    client = Client(enforce_csrf_checks=True, headers=key)
    for path in ("/api/nope", "/api/keys/no-uuid"):
        answer = client.post(path, {}, content_type="application/json")
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_an_unknown_method_is_a_problem(cast: Cast) -> None:
    answer = Client().delete(KEYS)
    is_problem(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "POST"}


def test_a_bug_is_a_problem_without_its_words(cast: Cast, caplog: Any) -> None:
    headers = {"Authorization": f"Bearer {cast.acme_key}"}
    answer = Client(headers=headers).get(KEYS)
    told = is_problem(answer, 500, "internal_error")
    assert "internals" not in str(told)
    assert "internals" in caplog.text


def test_a_large_body_is_refused_unread(cast: Cast) -> None:
    is_problem(make(cast.acme_key, "x" * API_BODY_BYTES_MAX), 413, "request_too_large")


def test_a_key_has_so_many_requests_a_minute(cast: Cast, monkeypatch: Any) -> None:
    monkeypatch.setattr(settings, "API_REQUESTS_PER_MINUTE", 2)
    cache.clear()
    answers = [make(cast.acme_key, "n", "k" if n else None) for n in range(4)]
    # The minute may turn in between, but not three times.
    assert answers[0].status_code == 201
    refused = [answer for answer in answers if answer.status_code != 201]
    assert refused
    for answer in refused:
        is_problem(answer, 429, "rate_limit_exceeded")
        assert 0 < int(answer["Retry-After"]) <= 60
    assert make(cast.rival_key, "n").status_code == 201
    cache.clear()
