"""What was asked and answered, on the page of a call."""

from __future__ import annotations

from typing import Any

from django import template

from analytics.bodies import Body, may_read, readable
from analytics.core import ANSWER, REQUEST
from analytics.models import Call
from tenancy.core import Role
from tenancy.selectors import organization

register = template.Library()

SHOWN_CHARS_MAX = 20_000


@register.inclusion_tag("analytics/_said.html", takes_context=True)
def said(context: dict[str, Any], call: Call) -> dict[str, Any]:
    """The request and the answer of a call, their beginnings at least, or why they are not here."""
    member = context["request"].member
    found = context["found"]
    told: dict[str, Any] = {
        "call": call,
        "is_admin": member.may(Role.ADMIN),
        "is_interrupted": context["is_interrupted"],
        "is_stored": found is not None,
        "may_read": may_read(member, call),
    }
    if found is None:
        settings = organization(member.organization_id)
        told["stores"] = bool(settings and settings.store_bodies)
        told["days"] = settings.bodies_retention_days if settings else 0
    elif told["may_read"]:
        told["parts"] = [
            _part(REQUEST, "Request", found.request),
            _part(ANSWER, "Answer", found.answer),
        ]
    return told


def _part(name: str, label: str, body: Body) -> dict[str, Any]:
    text = readable(body)
    return {
        "name": name,
        "label": label,
        "text": text[:SHOWN_CHARS_MAX],
        "is_short": len(text) > SHOWN_CHARS_MAX,
        "is_cut": body.is_cut,
        "size": body.size,
    }
