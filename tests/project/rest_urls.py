"""An API of two operations in the frame of /api, for tests of the frame itself."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from ninja import NinjaAPI, Router, Schema, Status

from lib.errors import RouterError
from project.rest import RestAPI, broken, problem, unknown_address
from tenancy.api_auth import AdminKey, holder, in_scope
from tenancy.core import Scope
from tenancy.services import create_key

router = Router(tags=["keys"])


class KeyIn(Schema):
    """A key to make."""

    name: str


@router.post("", response={201: dict[str, Any]}, summary="Make a key")
@in_scope
def make_key(request: HttpRequest, response: HttpResponse, key: KeyIn) -> Any:
    """A key, with its secret this once."""
    who = holder(request)
    made = create_key(
        who.organization_id, name=key.name, scopes=[Scope.GATEWAY], actor=who.actor(request)
    )
    response["Location"] = f"/api/keys/{made.key.id}"
    return Status(201, {"id": str(made.key.id), "secret": made.secret})


@router.get("", response=dict[str, Any], summary="Break")
def fail(request: HttpRequest) -> Any:
    """A bug."""
    raise ZeroDivisionError("secret internals")


def framed_api() -> NinjaAPI:
    """The API, fresh."""
    api = RestAPI(title="Frame", auth=AdminKey(), docs_url=None, urls_namespace="frame")
    api.add_router("/keys", router)
    api.add_exception_handler(RouterError, lambda request, why: problem(why))
    api.add_exception_handler(Exception, broken)
    return api


urlpatterns = [path("api/", framed_api().urls), path("api/<path:rest>", unknown_address)]
