"""The way into a view that waits for long: checks run in a thread, then nothing is held."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Concatenate, ParamSpec, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.core.handlers.exception import response_for_exception
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from tenancy.core import Role
from tenancy.pages import Member, MemberRequest, member_page
from tenancy.scope import give_back

P = ParamSpec("P")


@member_page
def for_senders(request: MemberRequest) -> HttpResponse:
    """Members who may make calls may pass; raises ``PermissionDenied`` for others."""
    request.member.require(Role.MEMBER)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


async def enter(
    request: HttpRequest, gate: Callable[[HttpRequest], HttpResponseBase]
) -> Member | HttpResponseBase:
    """The member whom the gate let in, or its answer.

    The connection to Postgres goes back at once: what follows may take minutes.
    """

    def check() -> HttpResponseBase:
        try:
            return _with_errors(gate, request)
        finally:
            give_back()

    answer = await sync_to_async(check)()
    if answer.status_code != HTTPStatus.NO_CONTENT:
        return answer
    return cast(MemberRequest, request).member


async def answered(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
    request: HttpRequest,
    *args: P.args,
    **kwargs: P.kwargs,
) -> HttpResponseBase:
    """The answer of a view that waits for nothing, from an async one."""
    return await sync_to_async(_with_errors)(view, request, *args, **kwargs)


def _with_errors(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
    request: HttpRequest,
    *args: P.args,
    **kwargs: P.kwargs,
) -> HttpResponseBase:
    """The view's answer, or the page of its error.

    Left to Django, an async view's error page is drawn in a thread of its own, whose connection
    to Postgres nobody closes.
    """
    try:
        return view(request, *args, **kwargs)
    except (Http404, PermissionDenied) as why:
        return response_for_exception(request, why)
