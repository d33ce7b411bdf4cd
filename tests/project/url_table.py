"""Every address of the product; ``url_row`` tells what a row holds."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from tests.project import url_rows
from tests.project.url_row import NO_PAGE, Row

ROWS = [
    Row("", "GET", "/", "302 302 302 302 302 302 302 302 302 302"),
    Row("accounts/login/", "GET", "/accounts/login/", "200 302 302 302 302 302 200 200 200 200"),
    Row(
        "accounts/login/",
        "POST",
        "/accounts/login/",
        "200 302 302 302 302 302 200 200 200 200",
        {"login": "nobody@example.com", "password": "wrong"},
    ),
    Row("accounts/logout/", "GET", "/accounts/logout/", "302 200 200 200 200 200 302 302 302 302"),
    Row("accounts/logout/", "POST", "/accounts/logout/", "302 302 302 302 302 302 302 302 302 302"),
    Row(
        "accounts/inactive/",
        "GET",
        "/accounts/inactive/",
        "200 200 200 200 200 200 200 200 200 200",
    ),
    Row("accounts/signup/", "GET", "/accounts/signup/", "200 302 302 302 302 302 200 200 200 200"),
    Row(
        "accounts/signup/",
        "POST",
        "/accounts/signup/",
        "200 302 302 302 302 302 200 200 200 200",
        {"email": "x"},
    ),
    Row(
        "accounts/reauthenticate/",
        "GET",
        "/accounts/reauthenticate/",
        "in 200 200 200 200 200 in in in in",
    ),
    Row(
        "accounts/reauthenticate/",
        "POST",
        "/accounts/reauthenticate/",
        "in 200 200 200 200 200 in in in in",
        {"password": "wrong"},
    ),
    Row("accounts/email/", "GET", "/accounts/email/", "in 200 200 200 200 200 in in in in"),
    Row(
        "accounts/email/",
        "POST",
        "/accounts/email/",
        "in 200 200 200 200 200 in in in in",
        {"action_add": "", "email": "x"},
    ),
    Row(
        "accounts/confirm-email/",
        "GET",
        "/accounts/confirm-email/",
        "200 200 200 200 200 200 200 200 200 200",
    ),
    Row(
        "accounts/password/change/",
        "GET",
        "/accounts/password/change/",
        "in 200 200 200 200 200 in in in in",
    ),
    Row(
        "accounts/password/change/",
        "POST",
        "/accounts/password/change/",
        "in 200 200 200 200 200 in in in in",
        {"oldpassword": "wrong"},
    ),
    Row(
        "accounts/password/set/",
        "GET",
        "/accounts/password/set/",
        "in 302 302 302 302 302 in in in in",
    ),
    Row(
        "accounts/password/set/",
        "POST",
        "/accounts/password/set/",
        "in 302 302 302 302 302 in in in in",
        {"password1": "x"},
    ),
    Row(
        "accounts/password/reset/",
        "GET",
        "/accounts/password/reset/",
        "200 200 200 200 200 200 200 200 200 200",
    ),
    Row(
        "accounts/password/reset/",
        "POST",
        "/accounts/password/reset/",
        "200 200 200 200 200 200 200 200 200 200",
        {"email": "x"},
    ),
    Row(
        "accounts/login/code/confirm/",
        "GET",
        "/accounts/login/code/confirm/",
        "302 302 302 302 302 302 302 302 302 302",
    ),
    Row(
        "accounts/login/code/confirm/",
        "POST",
        "/accounts/login/code/confirm/",
        "302 302 302 302 302 302 302 302 302 302",
        {"code": "x"},
    ),
    Row(
        "accounts/^confirm-email/(?P<key>[-:\\w]+)/$",
        "GET",
        "/accounts/confirm-email/nonsense/",
        "200 200 200 200 200 200 200 200 200 200",
    ),
    Row(
        "accounts/^confirm-email/(?P<key>[-:\\w]+)/$",
        "POST",
        "/accounts/confirm-email/nonsense/",
        "404 404 404 404 404 404 404 404 404 404",
    ),
    Row(
        "accounts/password/reset/key/done/",
        "GET",
        "/accounts/password/reset/key/done/",
        "200 200 200 200 200 200 200 200 200 200",
    ),
    Row(
        "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        "GET",
        "/accounts/password/reset/key/1-nonsense/",
        "200 200 200 200 200 200 200 200 200 200",
    ),
    Row(
        "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        "POST",
        "/accounts/password/reset/key/1-nonsense/",
        "200 200 200 200 200 200 200 200 200 200",
        {"password1": "x"},
    ),
    Row(
        "accounts/password/reset/done/",
        "GET",
        "/accounts/password/reset/done/",
        "200 200 200 200 200 200 200 200 200 200",
    ),
    Row(
        "enterprise-router/",
        "GET",
        "/enterprise-router/",
        "in 302 302 302 302 302 in in in in",
    ),
    Row(
        "enterprise-router/preferences",
        "GET",
        "/enterprise-router/preferences",
        "in 200 200 200 200 200 in in in in",
    ),
    Row(
        "enterprise-router/preferences/<slug:scope>/<slug:name>",
        "GET",
        "/enterprise-router/preferences/organization/max-cost",
        "in 302 302 302 302 302 in in in in",
    ),
    Row(
        "enterprise-router/preferences/<slug:scope>/<slug:name>",
        "POST",
        "/enterprise-router/preferences/organization/max-cost",
        "in 302 403 403 302 302 in in in in",
        {"value": "1", "was": ""},
    ),
    Row(
        "enterprise-router/preferences/<slug:scope>/<slug:name>",
        "POST",
        "/enterprise-router/preferences/mine/max-cost",
        "in 302 403 302 302 302 in in in in",
        {"value": "1", "was": ""},
    ),
    Row(
        "enterprise-router/preferences/<slug:scope>/<slug:name>",
        "POST",
        "/enterprise-router/preferences/organization/providers",
        "in 422 403 403 422 422 in in in in",
        {"value": ""},
    ),
    Row(
        "enterprise-router/preferences/<slug:scope>/<slug:name>",
        "GET",
        "/enterprise-router/preferences/nobody/max-cost",
        "in 404 404 404 404 404 in in in in",
    ),
    Row(
        "enterprise-router/preferences/<slug:scope>/<slug:name>",
        "GET",
        "/enterprise-router/preferences/mine/nothing",
        "in 404 404 404 404 404 in in in in",
    ),
    Row(
        "enterprise-router/theme",
        "GET",
        "/enterprise-router/theme",
        "405 405 405 405 405 405 405 405 405 405",
    ),
    Row(
        "enterprise-router/theme",
        "POST",
        "/enterprise-router/theme",
        "302 302 302 302 302 302 302 302 302 302",
        {"theme": "dark"},
    ),
    Row(
        "enterprise-router/organization/new",
        "GET",
        "/enterprise-router/organization/new",
        "in 302 302 302 302 302 in in in in",
    ),
    Row(
        "enterprise-router/organization/new",
        "POST",
        "/enterprise-router/organization/new",
        "in 302 302 302 302 302 in in in in",
        {"name": "x", "time_zone": "UTC"},
    ),
    Row(
        "enterprise-router/organization",
        "GET",
        "/enterprise-router/organization",
        "405 405 405 405 405 405 405 405 405 405",
    ),
    Row(
        "enterprise-router/organization",
        "POST",
        "/enterprise-router/organization",
        "in 404 302 302 302 302 in in in in",
        {"organization": "{acme}"},
    ),
    Row("requests", "GET", "/requests", "in 200 200 200 200 200 in in in in"),
    Row("requests/newer", "GET", "/requests/newer", "in 200 200 200 200 200 in in in in"),
    Row("requests/<uuid:call_id>", "GET", "/requests/{call}", "in 404 200 200 200 200 in in in in"),
    Row(
        "requests/<uuid:call_id>",
        "POST",
        "/requests/{call}",
        "405 405 405 405 405 405 405 405 405 405",
    ),
    Row("api/openapi.json", "GET", "/api/openapi.json", "200 200 200 200 200 200 200 200 200 200"),
    Row("api/calls", "GET", "/api/calls", "401 401 401 401 401 401 200 200 401 403"),
    Row("api/calls", "POST", "/api/calls", "405 405 405 405 405 405 405 405 405 405"),
    Row(
        "api/calls/<uuidstr:call_id>",
        "GET",
        "/api/calls/{call}",
        "401 401 401 401 401 401 200 404 401 403",
    ),
    Row("api/", "GET", "/api/", "302 302 302 302 302 302 302 302 302 302"),
    Row("v1/openapi.json", "GET", "/v1/openapi.json", "200 200 200 200 200 200 200 200 200 200"),
    Row("v1/", "GET", "/v1/", "404 404 404 404 404 404 404 404 404 404"),
]

for _module in iter_modules(url_rows.__path__):
    ROWS += import_module(f"{url_rows.__name__}.{_module.name}").ROWS

_HELLO = {"model": "never-was", "messages": [{"role": "user", "content": "x"}]}
GATEWAY_ROWS = [
    Row(
        "v1/chat/completions",
        "POST",
        "/v1/chat/completions",
        "401 401 401 401 401 401 404 404 401 404",
        _HELLO,
    ),
    Row(
        "v1/embeddings",
        "POST",
        "/v1/embeddings",
        "401 401 401 401 401 401 404 404 401 404",
        {"model": "never-was", "input": "x"},
    ),
    Row("v1/models", "GET", "/v1/models", "401 401 401 401 401 401 200 200 401 200"),
    Row(
        "v1/models/<path:model>",
        "GET",
        "/v1/models/acme-only",
        "401 401 401 401 401 401 200 404 401 200",
    ),
    Row("v1/<path:rest>", "GET", "/v1/nothing", NO_PAGE),
]


def patterns() -> Iterator[str]:
    """Every pattern that the resolver knows."""

    def walk(found: list[Any], before: str) -> Iterator[str]:
        for entry in found:
            if isinstance(entry, URLResolver):
                yield from walk(entry.url_patterns, before + str(entry.pattern))
            elif isinstance(entry, URLPattern):
                yield before + str(entry.pattern)

    yield from walk(get_resolver().url_patterns, "")
