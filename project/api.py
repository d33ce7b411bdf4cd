"""The one NinjaAPI: /api for configuration and reading, /v1 as OpenAPI knows the gateway."""

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from analytics.api import router as calls
from lib.errors import RouterError
from preferences.keys.api import router as keys
from routing.api import router as gateway
from tenancy.api_auth import AdminKey

api = NinjaAPI(
    title="Enterprise Router",
    version="1",
    description="Configuration and reading by REST, with a key of the admin scope.",
    auth=AdminKey(),
    docs_url=None,
    urls_namespace="api",
)
api.add_router("/calls", calls)
api.add_router("/keys", keys)

v1 = NinjaAPI(
    title="Enterprise Router gateway",
    version="v1",
    description="The OpenAI API, routed. Use a key of the gateway scope.",
    docs_url=None,
    urls_namespace="v1",
)
v1.add_router("", gateway)


@api.exception_handler(RouterError)
def refused(request: HttpRequest, why: RouterError) -> HttpResponse:
    """A problem object (RFC 9457) that names the field and the way out."""
    problem = {
        "type": "about:blank",
        "status": why.status,
        "title": why.code.replace("_", " "),
        "detail": why.message,
        "code": why.code,
        "field": why.param,
    }
    return _problem(request, problem)


@api.exception_handler(AuthenticationError)
def unauthenticated(request: HttpRequest, why: AuthenticationError) -> HttpResponse:
    """No key at all, said as every other refusal is."""
    message = "Send an API key with the admin scope as Authorization: Bearer er_live_…"
    response = refused(request, RouterError(401, "api_key_missing", message))
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(HttpError)
def malformed(request: HttpRequest, why: HttpError) -> HttpResponse:
    """What the framework refuses by itself, such as a body that is no JSON."""
    return refused(request, RouterError(why.status_code, "invalid_request", why.message))


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, why: ValidationError) -> HttpResponse:
    """Every field that is wrong, each with what is wrong about it."""
    errors = [
        {"field": ".".join(str(p) for p in e["loc"][1:]), "message": e["msg"]} for e in why.errors
    ]
    problem = {
        "type": "about:blank",
        "status": 422,
        "title": "invalid value",
        "detail": "; ".join(f"{e['field']}: {e['message']}" for e in errors),
        "code": "invalid_value",
        "field": errors[0]["field"] if errors else None,
        "errors": errors,
    }
    return _problem(request, problem)


def _problem(request: HttpRequest, problem: dict[str, object]) -> HttpResponse:
    response = api.create_response(request, problem, status=int(str(problem["status"])))
    response["Content-Type"] = "application/problem+json"
    return response
