"""The banner about today's spend, for any page of a member."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils import timezone

from preferences.overspend import overspends

register = template.Library()


@register.inclusion_tag("preferences/_overspend.html", takes_context=True)
def overspend(context: dict[str, Any], out_of_band: bool = False) -> dict[str, Any]:
    """Says what threshold today's spend is over; nothing visible while it is over none.

    ``out_of_band`` replaces the banner of a page that stands already.
    """
    member = context["request"].member
    return {"overspends": overspends(member, timezone.now()), "out_of_band": out_of_band}
