"""Whatever a form of the pages does, a key does by REST; the few exceptions say why."""

from __future__ import annotations

from project.api import api, v1
from tests.project.url_table import ROWS

_ONE = "providers/<slug:slug>"
_MODEL = f"{_ONE}/models/<uuid:model_id>"
_KEY = "api-keys/<uuid:key_id>"
_MEMBER = "members/<uuid:member_id>"
_INVITATION = "members/invitations/<uuid:invitation_id>"
_SSO = "organization/security/sso"
_CONNECTION = f"{_SSO}/<uuid:connection_id>"
_DOMAIN = f"{_CONNECTION}/domains/<uuid:domain_id>"

# Which operations do what the form at an address does.
BY_REST = {
    "api-keys/new": {"new_key"},
    _KEY: {"change_key"},
    f"{_KEY}/preferences": {"change_preferences"},
    f"{_KEY}/rotate": {"rotate"},
    f"{_KEY}/revoke": {"revoke"},
    "enterprise-router/preferences/<slug:scope>/<slug:name>": {
        "change_organization_preferences",
        "change_user_preferences",
    },
    "get-started/key": {"new_key"},
    "get-started/send": {"chat_completions"},
    "members/invite": {"invite"},
    f"{_MEMBER}/role": {"change_role"},
    f"{_MEMBER}/remove": {"remove_member"},
    f"{_INVITATION}/resend": {"resend"},
    f"{_INVITATION}/withdraw": {"withdraw"},
    "organization": {"patch_organization"},
    "organization/security": {"change_security"},
    _SSO: {"create_connection"},
    _CONNECTION: {"change_connection"},
    f"{_CONNECTION}/delete": {"delete_connection"},
    f"{_CONNECTION}/domains": {"add_domain"},
    f"{_DOMAIN}/verify": {"verify_domain"},
    f"{_DOMAIN}/remove": {"remove_domain"},
    # Why it went where it went is told by the other one.
    "playground": {"chat_completions", "show_call"},
    "playground/run": {"chat_completions", "show_call"},
    "providers/new": {"connect"},
    _ONE: {"change_provider"},
    f"{_ONE}/credential": {"replace_credential"},
    f"{_ONE}/address": {"move_provider"},
    f"{_ONE}/test": {"test_provider"},
    f"{_ONE}/remove": {"remove_provider"},
    f"{_ONE}/models/new": {"create_deployment"},
    _MODEL: {"change_deployment"},
    f"{_MODEL}/price": {"override_price", "forget_price"},
    f"{_MODEL}/active": {"change_deployment"},
    f"{_MODEL}/remove": {"remove_deployment"},
}
OWNERS = "an owner's alone, and a key has an admin's rights"
OWN = "about the person who is signed in, and a key is nobody"
IN_THE_BROWSER = {
    "organization/delete": OWNERS,
    f"{_MEMBER}/transfer": OWNERS,
    "members/leave": OWN,
    "invitations/<slug:token>": OWN,
    "enterprise-router/organization": OWN,
    "enterprise-router/organization/new": OWN,
    "enterprise-router/theme": OWN,
    "enterprise-router/keys": OWN,
    "get-started/dismiss": OWN,
}
# What a page hands out as a file.
FILES = {
    "enterprise-router/analytics/export": {"export_matching_calls"},
    "audit-log/export": {"export_changes"},
    "organization/export": {"export_everything"},
    "requests/<uuid:call_id>/request": {"show_bodies"},
    "requests/<uuid:call_id>/answer": {"show_bodies"},
}


def operation_ids() -> set[str]:
    return {
        operation["operationId"].rpartition("routing_api_")[2]
        for schema in (api.get_openapi_schema(), v1.get_openapi_schema())
        for found in schema["paths"].values()
        for operation in found.values()
    }


def test_every_form_has_its_operation_or_says_why_not() -> None:
    forms = {
        row.pattern
        for row in ROWS
        if row.method == "POST"
        and not row.pattern.startswith(("accounts/", "api/"))
        and set(row.statuses.split()) != {"405"}
    }
    assert forms == BY_REST.keys() | IN_THE_BROWSER.keys()
    assert not BY_REST.keys() & IN_THE_BROWSER.keys()


def test_the_operations_are_there() -> None:
    named = set().union(*BY_REST.values(), *FILES.values())
    assert named <= operation_ids()


def test_every_file_of_a_page_has_its_operation() -> None:
    files = {
        row.pattern for row in ROWS if row.pattern.endswith(("/export", "/request", "/answer"))
    }
    assert {one for one in files if not one.startswith("api/")} == FILES.keys()
