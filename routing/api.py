"""The operations of /v1 for OpenAPI, and Django's own way to them.

A server that runs ``project.asgi`` answers /v1 at the gateway's own door; both doors call the
same functions, and a test holds them to the same answers.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Router
from ninja.responses import codes_4xx, codes_5xx

from lib.errors import RouterError
from routing.door import unknown_url
from routing.gateway import Gateway
from routing.incoming import Incoming, Reply
from routing.replies import error_reply
from routing.runtime import running
from routing.schemas import ChatIn, EmbeddingsIn, ErrorOut

router = Router(tags=["gateway"])

_ERRORS: dict[Any, Any] = {codes_4xx: ErrorOut, codes_5xx: ErrorOut}
_JSON = "application/json"


def _takes(schema: type[Any]) -> dict[str, Any]:
    """The body for OpenAPI alone: it is read once, by the gateway, and never re-encoded here."""
    content = {_JSON: {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/chat/completions",
    response={200: dict[str, Any], **_ERRORS},
    openapi_extra=_takes(ChatIn),
    summary="Create a chat completion",
)
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    """OpenAI's chat completions. Headers x-router-priority, -max-cost, -max-latency-ms,
    -providers and -metadata tighten preferences for this call; every answer tells its
    x-router-call-id, -provider, -model, -cost, -attempts and -overhead-ms."""
    return await _answer(request, lambda gateway, sent: gateway.call(sent, "chat"))


@router.post(
    "/embeddings",
    response={200: dict[str, Any], **_ERRORS},
    openapi_extra=_takes(EmbeddingsIn),
    summary="Create embeddings",
)
async def embeddings(request: HttpRequest) -> HttpResponseBase:
    """OpenAI's embeddings, routed as chat completions are."""
    return await _answer(request, lambda gateway, sent: gateway.call(sent, "embeddings"))


@router.get("/models", response={200: dict[str, Any], **_ERRORS}, summary="List models")
async def list_models(request: HttpRequest) -> HttpResponseBase:
    """Every name that a call may ask for: auto, models, and models pinned to a provider."""
    return await _answer(request, lambda gateway, sent: gateway.list_models(sent))


@router.get(
    "/models/{path:model}", response={200: dict[str, Any], **_ERRORS}, summary="Show a model"
)
async def show_model(request: HttpRequest, model: str) -> HttpResponseBase:
    """One model."""
    return await _answer(request, lambda gateway, sent: gateway.show_model(sent, model))


@router.api_operation(
    ["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:rest}", include_in_schema=False
)
async def elsewhere(request: HttpRequest, rest: str) -> HttpResponseBase:
    """Every other address, in the shape that clients of the gateway read."""
    return _response(error_reply(unknown_url(request.method or "", request.path)))


async def _answer(
    request: HttpRequest, ask: Callable[[Gateway, Incoming], Awaitable[Reply]]
) -> HttpResponseBase:
    runtime = running()
    headers = [(n.lower().encode(), v.encode("latin-1")) for n, v in request.headers.items()]
    try:
        runtime.door.check_head(headers)
        runtime.door.check_size(len(request.body))
    except RouterError as refused:
        return _response(error_reply(refused))
    sent = Incoming(headers, request.body, request.META.get("REMOTE_ADDR", ""))
    return _response(await ask(runtime.gateway, sent))


def _response(reply: Reply) -> HttpResponseBase:
    response: HttpResponseBase
    if reply.stream is None:
        response = HttpResponse(reply.body, status=reply.status)
    else:
        response = StreamingHttpResponse(_closing(reply.stream), status=reply.status)
    for name, value in reply.headers:
        response[name.decode()] = value.decode("latin-1")
    return response


async def _closing(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in stream:
            yield piece
    finally:
        await stream.aclose()
