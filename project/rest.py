"""The frame of /api: what holds for every operation, whoever wrote it.

1. A body larger than ``API_BODY_BYTES_MAX`` is refused before anything reads it (413).
2. A POST with an ``Idempotency-Key`` is carried out once; see ``tenancy.idempotency``. One that
   only asks another server may be repeated as it is, and no transaction waits for its answer.
3. A query parameter that an operation does not describe is refused, not left out of account (422).
4. Whatever is refused, by us or by the framework, is a problem object (RFC 9457).
5. The description carries what these rules add to each operation; see ``project.openapi``.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from lib.errors import RouterError
from project.openapi import complete
from tenancy.api_auth import AdminKey, Holder
from tenancy.idempotency import answer_once

log = logging.getLogger(__name__)

API_BODY_BYTES_MAX = 2**20
IDEMPOTENCY_KEY = "Idempotency-Key"
PROBLEM = "application/problem+json"

_MAKES_NOTHING = ("/test", "/verify")
# A place in Django's routes: the description writes {call_id} for it.
_PLACE = re.compile(r"<(?:\w+:)?(\w+)>")
# A name such as tag.<name> stands for every name with this beginning.
_ANY_NAME = "<name>"

View = Callable[..., HttpResponseBase]


class RestAPI(NinjaAPI):
    """A NinjaAPI whose operations all stand in the frame above."""

    _described: OpenAPISchema | None = None

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        found = super()._get_urls()
        for pattern in found:
            assert isinstance(pattern, URLPattern)
            pattern.callback = framed(pattern.callback)
        return found

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """The description with what the frame adds; made once, since code alone changes it."""
        if self._described is None:
            self._described = complete(super().get_openapi_schema(**options))
        return self._described

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        """Asked once the key holds and before values are read: here unknown names are refused."""
        if request.GET:
            _check_names(request.GET, self._query_names(request))
        return super().create_temporal_response(request)

    def _query_names(self, request: HttpRequest) -> list[str]:
        """The query parameters that the description has for the request's operation."""
        assert request.resolver_match is not None
        path = "/" + _PLACE.sub(r"{\1}", request.resolver_match.route)
        operation = self.get_openapi_schema()["paths"][path][(request.method or "").lower()]
        return [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The function's name: generated clients keep theirs when a module moves."""
        return operation.view_func.__name__


def framed(view: View) -> View:
    """The view inside the frame."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            _check_size(request)
            makes = request.method == "POST" and not request.path.endswith(_MAKES_NOTHING)
            key = request.headers.get(IDEMPOTENCY_KEY) if makes else None
            who = _holder(request) if key is not None else None
            if key is None or who is None:
                return _plain(request, view(request, *args, **kwargs))
            return answer_once(
                who.organization_id,
                who.key_id,
                key,
                fingerprint=_fingerprint(request),
                run=lambda: _plain(request, view(request, *args, **kwargs)),
            )
        except RouterError as why:
            return problem(why)

    return answer


def problem(why: RouterError, **more: object) -> HttpResponse:
    """A refusal as a problem object that names the field and the way out."""
    told = {
        "type": "about:blank",
        "status": why.status,
        "title": why.code.replace("_", " "),
        "detail": why.message,
        "code": why.code,
        "field": why.param,
        **more,
    }
    if why.current is not None:
        told["current"] = why.current
    headers = {name.decode(): value.decode() for name, value in why.headers()}
    if why.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JsonResponse(told, status=why.status, content_type=PROBLEM, headers=headers)


@csrf_exempt  # there is no form here, and a client gets JSON
def unknown_address(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Whatever else lies under /api."""
    message = f"There is nothing at {request.path[:200]}. What there is stands in /api/docs."
    return problem(RouterError(HTTPStatus.NOT_FOUND, "not_found", message))


def broken(request: HttpRequest, why: Exception | type[Exception]) -> HttpResponse:
    """A bug of ours: written down whole, and told without a word of it."""
    log.error(
        "%s %s failed",
        request.method,
        request.path,
        exc_info=why if isinstance(why, BaseException) else None,
    )
    message = "Something broke on our side. Try again later; the operator finds why in the log."
    return problem(RouterError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message))


def _check_size(request: HttpRequest) -> None:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > API_BODY_BYTES_MAX:
        raise RouterError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "request_too_large",
            f"A body has at most {API_BODY_BYTES_MAX:,} bytes here.",
        )


def _check_names(asked: Iterable[str], known: Sequence[str]) -> None:
    starts = tuple(name.removesuffix(_ANY_NAME) for name in known if name.endswith(_ANY_NAME))
    for name in asked:
        if name in known or any(name.startswith(start) and name != start for start in starts):
            continue
        there_are = f"There are: {', '.join(known)}." if known else "It takes none."
        raise RouterError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "unknown_parameter",
            f'"{name[:80]}" is no query parameter of this operation. {there_are}',
            param=name[:80],
        )


def _holder(request: HttpRequest) -> Holder | None:
    """Whose key the request came with; None where the operation will refuse it anyway."""
    try:
        found: Holder | None = AdminKey()(request)
    except RouterError as why:
        if why.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise
        return None
    return found


def _fingerprint(request: HttpRequest) -> bytes:
    asked = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(asked + request.body).digest()


def _plain(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """What the framework refuses in a shape of its own, in ours."""
    if response.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return response
    allowed = response.headers.get("Allow", "")
    message = f"{request.method} is not known at {request.path[:200]}; {allowed} is."
    refused = problem(RouterError(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message))
    refused["Allow"] = allowed
    return refused
