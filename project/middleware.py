"""What every page's response carries, and how files of style and script are sent.

1. ``PageHeaders``: the content policy, who may frame a page, how it is cached.
2. ``StaticFiles``: whitenoise, whose files an event loop can send piece by piece.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, BinaryIO, cast
from urllib.parse import urlencode

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

from tenancy.pages import THEME_COOKIE, Theme, current_page

# The hash is that of an empty <style>: the chart library adds one and fills it through the CSSOM.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self'; "
    "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; "
    "img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

_PIECE_BYTES = 64 * 1024

Next = Callable[[HttpRequest], Any]


class PageHeaders:
    """Reads the theme from its cookie, and puts the headers above on each response."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        cast(Any, request).theme = _theme(request)
        if self.is_async:
            return self._answer_later(request)
        return _dress(request, self.get_response(request))

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        return _dress(request, await self.get_response(request))


def _theme(request: HttpRequest) -> Theme:
    try:
        return Theme(request.COOKIES.get(THEME_COOKIE, Theme.SYSTEM))
    except ValueError:
        return Theme.SYSTEM


def _dress(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if _leads_to_sign_in(request, response):
        # A swap would put the sign-in page into a panel; this makes the browser go there, and
        # after signing in back to the page that was open.
        query = urlencode({"next": current_page(request) or settings.LOGIN_REDIRECT_URL})
        response = HttpResponse(
            status=204, headers={"HX-Redirect": f"{settings.LOGIN_URL}?{query}"}
        )
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
    headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
    if headers.get("Content-Type", "").startswith("text/html"):
        headers.setdefault("Cache-Control", "private, no-cache")
    return response


def _leads_to_sign_in(request: HttpRequest, response: HttpResponseBase) -> bool:
    return (
        "HX-Request" in request.headers
        and response.status_code == 302
        and response.headers.get("Location", "").startswith(settings.LOGIN_URL)
    )


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Whitenoise, which by itself gives an event loop files that it has to read as a whole."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponseBase:
        """The file, or that the browser has it already."""
        if not isinstance(request, ASGIRequest):
            return cast(HttpResponseBase, WhiteNoiseMiddleware.serve(static_file, request))
        found = static_file.get_response(request.method, request.META)
        content = b"" if found.file is None else _Pieces(found.file)
        kind = HttpResponse if found.file is None else StreamingHttpResponse
        response = kind(content, status=int(found.status))
        del response["Content-Type"]
        for name, value in found.headers:
            response[name] = value
        return response


class _Pieces:
    """A file for an event loop, piece by piece; Django closes it with its response."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = sync_to_async(self._file.read, thread_sensitive=False)
        while piece := await read(_PIECE_BYTES):
            yield piece

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
