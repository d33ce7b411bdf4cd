"""A creating request that is sent twice is carried out once.

1. The client names the request with an ``Idempotency-Key`` of its own choice.
2. The key is claimed by a row, in the transaction of the request itself: effect and answer are
   committed together, or neither is.
3. A second request under the key waits until the first is through, and gets its answer again.
4. What another server has to say is asked before the transaction; see ``tenancy.outside``.
5. Another request under the same key is refused. What failed is forgotten, so it may be repeated.

Answers are kept for a day, sealed: that to the creation of a key holds the key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from lib.errors import RouterError
from lib.secretbox import open_, seal
from tenancy.models import IdempotentAnswer, new_id
from tenancy.outside import asking_outside
from tenancy.scope import tenant_scope

KEPT = timedelta(hours=24)
KEY_CHARS_MAX = 255
# How long a database role waits for a lock, see project/database.py.
WAIT_S = 5
REPLAYED = "Idempotency-Replayed"
_HEADERS = ("Content-Type", "ETag", "Location")
_SEAL_KEY_ID = 1
# Of one organization, with each new row: more than come in, so none stays for long.
_FORGOTTEN_MAX = 50
# What creates also changes its organization, so only those hold answers that changed since.
_LOOKED_BACK = timedelta(days=7)


def answer_once(
    organization_id: UUID,
    api_key_id: UUID,
    key: str,
    *,
    fingerprint: bytes,
    run: Callable[[], HttpResponseBase],
) -> HttpResponseBase:
    """The answer of ``run``, or the one that it gave before under this key.

    ``fingerprint`` tells requests apart. Raises ``RouterError``: 422 for a key that names another
    request already or is none, 409 when the first request takes longer than ``WAIT_S``.
    """
    if not (0 < len(key) <= KEY_CHARS_MAX and key.isascii() and key.isprintable()):
        raise _invalid(f"An Idempotency-Key has 1 to {KEY_CHARS_MAX} plain characters.")

    def carry_out() -> HttpResponseBase:
        with tenant_scope(organization_id):
            held = _claimed(organization_id, api_key_id, key, fingerprint)
            if bytes(held.fingerprint) != fingerprint:
                raise _invalid(
                    "This Idempotency-Key was used for another request. Use a fresh one for each."
                )
            if held.answer_sealed is not None:
                return _replayed(held)
            response = run()
            _keep(held, response)
            return response

    try:
        return asking_outside(carry_out)
    except OperationalError as why:
        if getattr(why.__cause__, "sqlstate", "") != "55P03":  # lock_not_available
            raise
        raise RouterError(
            409,
            "request_in_progress",
            "The first request under this Idempotency-Key is still running. Ask again soon.",
            param="Idempotency-Key",
            retry_after_s=WAIT_S,
        ) from None


def forget_expired(organization_id: UUID, rows_max: int | None = None) -> int:
    """Deletes an organization's answers that are older than a day; how many those were."""
    with tenant_scope(organization_id):
        old = IdempotentAnswer.objects.filter(
            organization_id=organization_id, created_at__lt=timezone.now() - KEPT
        )
        if rows_max is not None:
            some = list(old.values_list("id", flat=True)[:rows_max])
            old = IdempotentAnswer.objects.filter(organization_id=organization_id, id__in=some)
        return old.delete()[0]


def forget_everywhere() -> int:
    """Deletes answers older than a day of every organization that keeps any; how many."""
    since = timezone.now() - _LOOKED_BACK
    with connection.cursor() as cursor:
        cursor.execute("SELECT organization_id FROM app.organizations_changed_since(%s)", [since])
        found = [row[0] for row in cursor.fetchall()]
    return sum(forget_expired(organization_id) for organization_id in found)


def _claimed(
    organization_id: UUID, api_key_id: UUID, key: str, fingerprint: bytes
) -> IdempotentAnswer:
    """The row of this key: a new one, or the one that an earlier request committed."""
    forget_expired(organization_id, _FORGOTTEN_MAX)
    IdempotentAnswer.objects.filter(
        organization_id=organization_id,
        api_key_id=api_key_id,
        key=key,
        created_at__lt=timezone.now() - KEPT,
    ).delete()
    # Where another transaction holds the key, this waits for its end.
    IdempotentAnswer.objects.bulk_create(
        [
            IdempotentAnswer(
                id=new_id(),
                organization_id=organization_id,
                api_key_id=api_key_id,
                key=key,
                fingerprint=fingerprint,
            )
        ],
        ignore_conflicts=True,
    )
    return IdempotentAnswer.objects.get(
        organization_id=organization_id, api_key_id=api_key_id, key=key
    )


def _keep(held: IdempotentAnswer, response: HttpResponseBase) -> None:
    """Stores a success. Of a failure nothing is kept: its repetition may succeed."""
    if not 200 <= response.status_code < 300 or not isinstance(response, HttpResponse):
        held.delete()
        return
    headers = {name: response[name] for name in _HEADERS if name in response}
    text = json.dumps({"headers": headers, "body": response.content.decode()})
    held.status = response.status_code
    held.answer_sealed = seal(
        {_SEAL_KEY_ID: settings.ENCRYPTION_KEY},
        text.encode(),
        aad=_aad(held),
        nonce=os.urandom(12),
    )
    held.save(update_fields=["status", "answer_sealed"])


def _replayed(held: IdempotentAnswer) -> HttpResponse:
    keys = {_SEAL_KEY_ID: settings.ENCRYPTION_KEY}
    told = json.loads(open_(keys, bytes(held.answer_sealed or b""), aad=_aad(held)))
    return HttpResponse(
        told["body"], status=held.status, headers={**told["headers"], REPLAYED: "true"}
    )


def _aad(held: IdempotentAnswer) -> str:
    return f"idempotent answer {held.organization_id} {held.id}"


def _invalid(message: str) -> RouterError:
    return RouterError(422, "idempotency_key_invalid", message, param="Idempotency-Key")
