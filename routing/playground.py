"""The playground: one question to up to three models side by side, through the gateway.

1. A call is made as the signed-in member, under every preference and limit, and recorded as any.
2. ``run`` asks one model and streams JSON lines: first the call's ``{"id"}``, then ``{"text"}``,
   and last ``{"told"}`` with the HTML of what it took and why it went there. The page sends one
   such request a column.
3. A browser that leaves, or presses Stop, ends the call at the provider. What it cost until then
   stands in the ledger a moment later: ``told`` reads it there, whichever process made the call.
4. Without JavaScript the form is posted to the page, which answers with the whole result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from analytics.selectors import call as call_of
from catalog import selectors as catalog
from preferences.core import Priority
from routing.asking import (
    MODELS_MAX,
    Errors,
    Outcome,
    Question,
    ask,
    read_question,
    recorded,
    stream,
)
from routing.gate import answered, enter, for_senders
from routing.model import AUTO
from routing.replay import question_of
from routing.runtime import Runtime, current
from routing.snippets import VARIABLE
from routing.start import NO_GATEWAY
from routing.waiting import FIXES
from tenancy.core import Role
from tenancy.pages import Member, MemberRequest, member_page, render_page

TEMPLATE = "playground/page.html"
OPTIONS_MAX = 300
LABELS = ("Model", "Compare with", "And with")


@require_http_methods(["GET", "HEAD", "POST"])
async def page(request: HttpRequest) -> HttpResponseBase:
    """The form, filled from the address or from a recorded call; with the answers to a POST."""
    if request.method != "POST":
        return await answered(_shown, request)
    member = await enter(request, for_senders)
    if isinstance(member, HttpResponseBase):
        return member
    question, errors = read_question(request.POST)
    runtime = current()
    if errors or runtime is None:
        return await answered(_answered, request, question, errors, [])
    asked = (_ask(runtime, member, question, model) for model in question.models)
    outcomes = list(await asyncio.gather(*asked))
    return await answered(_answered, request, question, errors, outcomes)


@require_POST
async def run(request: HttpRequest) -> HttpResponseBase:
    """The answer of one model, streamed; 422 with ``errors`` by field for a wrong question."""
    member = await enter(request, for_senders)
    if isinstance(member, HttpResponseBase):
        return member
    question, errors = read_question(request.POST)
    if errors:
        return JsonResponse({"errors": errors}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    runtime = current()
    if runtime is None:
        return JsonResponse({"message": NO_GATEWAY}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response = StreamingHttpResponse(
        _lines(runtime, member, question), content_type="application/x-ndjson"
    )
    response.headers["Cache-Control"] = "no-store"
    # A compressed stream is held back until a block is full.
    response.headers["Content-Encoding"] = "identity"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@require_safe
@member_page
def told(request: MemberRequest, call_id: UUID) -> HttpResponse:
    """What a call took that the page did not see to its end; 204 until it is written down."""
    call = call_of(request.member.organization_id, call_id)
    if call is None:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return HttpResponse(_told(recorded(call)))


async def _lines(runtime: Runtime, member: Member, question: Question) -> AsyncIterator[bytes]:
    gateway = runtime.member_gateway(member.organization_id.hex, member.user.id.hex)
    yield orjson.dumps({"id": gateway.call_id}) + b"\n"
    async with aclosing(cast(Any, stream(gateway, question, question.models[0]))) as parts:
        async for part in parts:
            if isinstance(part, Outcome):
                html = await sync_to_async(_told, thread_sensitive=False)(part)
                yield orjson.dumps({"told": html, "failed": bool(part.error)}) + b"\n"
            else:
                yield orjson.dumps({"text": part}) + b"\n"


async def _ask(runtime: Runtime, member: Member, question: Question, model: str) -> Outcome:
    gateway = runtime.member_gateway(member.organization_id.hex, member.user.id.hex)
    return await ask(gateway, question, model)


def _told(outcome: Outcome) -> str:
    return render_to_string(f"{TEMPLATE}#told", {"told": outcome, "link": _way_out(outcome)})


def _way_out(outcome: Outcome) -> tuple[str, str] | None:
    """Where an error is mended, unless that is on this page."""
    link = FIXES.get(outcome.code, ("", None))[1]
    if outcome.code == "model_not_found":
        link = ("Add it under Providers", "/providers")
    return link if link and not link[1].startswith("#") else None


@member_page
def _shown(request: MemberRequest) -> HttpResponse:
    question, _ = read_question(request.GET)
    note = ""
    if request.GET.get("call"):
        question, note = _repeated(request)
    return _page(request, question, note=note)


@member_page
def _answered(
    request: MemberRequest, question: Question, errors: Errors, outcomes: list[Outcome]
) -> HttpResponse:
    status = HTTPStatus.OK
    if errors:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    elif not outcomes:
        errors, status = {"prompt": NO_GATEWAY}, HTTPStatus.SERVICE_UNAVAILABLE
    return _page(request, question, errors=errors, outcomes=outcomes, status=status)


def _repeated(request: MemberRequest) -> tuple[Question, str]:
    """The question of a recorded call, and what is missing of it."""
    try:
        found = question_of(request.member, UUID(request.GET["call"]))
    except ValueError:
        raise Http404 from None
    if found is None:
        raise Http404
    return found


def _page(
    request: MemberRequest,
    question: Question,
    *,
    note: str = "",
    errors: Errors | None = None,
    outcomes: list[Outcome] | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    rows = catalog.deployments(request.member.organization_id).filter(operation="chat")
    found = list(
        rows.values_list("model", "provider__slug", "provider__name", "provider__is_sandbox")
    )
    context = {
        "title": "Playground",
        "question": question,
        "slots": list(zip(LABELS, question.slots, strict=True)),
        "models_max": MODELS_MAX,
        "note": note,
        "errors": errors or {},
        "answers": [(one, _way_out(one)) for one in outcomes or ()],
        "options": _options(found),
        "has_model": bool(found),
        "only_sandbox": bool(found) and all(is_sandbox for *_, is_sandbox in found),
        "priorities": list(Priority),
        "may_send": request.member.may(Role.MEMBER),
        "member": request.member,
        "base_url": f"{settings.PUBLIC_URL}/v1",
        "variable": VARIABLE,
        "unfolded": bool(
            question.temperature or question.max_tokens or question.priority or question.messages
        ),
    }
    return render_page(request, TEMPLATE, context, status=status)


def _options(found: list[tuple[str, str, str, bool]]) -> list[tuple[str, str]]:
    """What a model's field proposes: auto, every model, and each model at each provider."""
    names = {model: "any provider" for model, *_ in found}
    pinned = {f"{slug}/{model}": f"at {name} only" for model, slug, name, _ in found}
    all_of_them = {AUTO: "the router chooses", **names, **pinned}
    return list(all_of_them.items())[:OPTIONS_MAX]
