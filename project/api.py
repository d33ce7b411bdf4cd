"""The one NinjaAPI: /api for configuration and reading, /v1 as OpenAPI knows the gateway."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from analytics.api import router as calls
from analytics.api_analytics import router as analytics
from analytics.api_organization import router as organization_export
from analytics.bodies_api import router as bodies
from lib.errors import RouterError
from preferences.api import router as preferences
from preferences.keys.api import router as keys
from project.rest import RestAPI, broken, problem
from routing.api import router as gateway
from routing.providers.api import router as providers
from routing.providers.models_api import router as deployments
from tenancy.api_audit import router as audit
from tenancy.api_auth import AdminKey
from tenancy.api_members import invitations, members
from tenancy.api_organization import router as organization
from tenancy.outside import AskFirstError
from tenancy.sso.api import security, sso

api = RestAPI(
    title="Enterprise Router",
    version="1",
    description="Everything that an admin can do on the pages, by REST, with a key of the admin "
    "scope. Only on the pages: deleting the organization, transferring ownership, and one's own "
    "account (password, second factors, sessions). "
    "Lists answer data and next_cursor. Money is integer nano-USD or decimal USD in text. "
    "Times are ISO 8601 in UTC. Whatever is refused is a problem object that names the field.",
    auth=AdminKey(),
    docs_url=None,
    urls_namespace="api",
)
api.add_router("/analytics", analytics)
api.add_router("/calls", calls)
api.add_router("/calls", bodies)
api.add_router("/keys", keys)
api.add_router("/preferences", preferences)
api.add_router("/members", members)
api.add_router("/invitations", invitations)
api.add_router("/audit", audit)
api.add_router("/organization", organization)
api.add_router("/organization", organization_export)
api.add_router("/organization/security", security)
api.add_router("/organization/sso", sso)
api.add_router("/providers", providers)
api.add_router("/providers", deployments)

v1 = NinjaAPI(
    title="Enterprise Router gateway",
    version="v1",
    description="The OpenAI API, routed. Use a key of the gateway scope.",
    docs_url=None,
    urls_namespace="v1",
)
v1.add_router("", gateway)

api.add_exception_handler(Exception, broken)


@api.exception_handler(AskFirstError)
def asked_first(request: HttpRequest, why: AskFirstError) -> HttpResponse:
    """No refusal: the transaction ends, and the request begins anew."""
    raise why


@api.exception_handler(RouterError)
def refused(request: HttpRequest, why: RouterError) -> HttpResponse:
    """What our own code refuses."""
    return problem(why)


@api.exception_handler(Http404)
def missing(request: HttpRequest, why: Http404) -> HttpResponse:
    """What an operation could not find."""
    return problem(RouterError(404, "not_found", "There is no such thing here."))


@api.exception_handler(AuthenticationError)
def unauthenticated(request: HttpRequest, why: AuthenticationError) -> HttpResponse:
    """No key at all, said as every other refusal is."""
    message = "Send an API key with the admin scope as Authorization: Bearer er_live_…"
    return problem(RouterError(401, "api_key_missing", message))


@api.exception_handler(HttpError)
def malformed(request: HttpRequest, why: HttpError) -> HttpResponse:
    """What the framework refuses by itself, such as a body that is no JSON."""
    return problem(RouterError(why.status_code, "invalid_request", why.message))


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, why: ValidationError) -> HttpResponse:
    """Every field that is wrong, each with what is wrong about it."""
    if any(e["loc"][0] == "body" and len(e["loc"]) == 2 and _wants_object(e) for e in why.errors):
        return problem(RouterError(422, "invalid_value", "Send a JSON object."), errors=[])
    errors = [{"field": _field(e["loc"]), "message": _said(e)} for e in why.errors]
    said = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
    field = errors[0]["field"] if errors else None
    return problem(RouterError(422, "invalid_value", said, param=field), errors=errors)


def _wants_object(flaw: dict[str, Any]) -> bool:
    """Whether the body is another kind of JSON: the name in its place is ours, not the client's."""
    return flaw["type"] in ("model_attributes_type", "model_type", "dict_type")


def _said(flaw: dict[str, Any]) -> str:
    """What is wrong with a field. Money in a float would lose what it was given."""
    if flaw["type"] == "string_type" and "_usd" in str(flaw["loc"][-1]):
        return 'Send dollars as a decimal number in text, such as "0.05".'
    return str(flaw["msg"])


def _field(place: tuple[str | int, ...]) -> str:
    """A field as the client wrote it: without where it stood, and our name for the body."""
    inside = place[2:] if place[0] == "body" and len(place) > 2 else place[1:]
    return ".".join(str(part) for part in inside)
