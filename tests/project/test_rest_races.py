"""The same creating request, sent several times at the same moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from tenancy.models import ApiKey, IdempotentAnswer
from tenancy.scope import tenant_scope
from tests.conftest import Cast
from tests.project.test_rest import is_problem, make, named

pytestmark = pytest.mark.urls("tests.project.rest_urls")


def _at_once(cast: Cast, count: int) -> list[Any]:
    answers: list[Any] = []
    ready = threading.Barrier(count)

    def ask() -> None:
        ready.wait()
        try:
            answers.append(make(cast.acme_key, "race", "k9"))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def test_requests_at_the_same_time_become_one(committed: Cast) -> None:
    answers = _at_once(committed, 4)
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer for answer in answers) == 3
    assert named(committed, "race") == 1


def test_who_waits_too_long_is_told_when_to_come_back(committed: Cast) -> None:
    with tenant_scope(committed.acme.id):
        key = ApiKey.objects.get(organization_id=committed.acme.id)
    with transaction.atomic():
        with tenant_scope(committed.acme.id):
            IdempotentAnswer.objects.create(
                organization_id=committed.acme.id, api_key=key, key="k9", fingerprint=b"x"
            )
            answers = _at_once(committed, 1)
        transaction.set_rollback(True)
    told = is_problem(answers[0], 409, "request_in_progress")
    assert told["field"] == "Idempotency-Key"
    assert int(answers[0]["Retry-After"]) > 0
