"""Whether today's spend is over a daily threshold; the pages that show spend say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Q

from analytics.selectors import spend_since
from lib.money import format_usd
from preferences.models import UserRouterPreferences
from tenancy.pages import Member


@dataclass(frozen=True, slots=True)
class Overspend:
    """A threshold that today's spend is over, in words, and the address of today's requests."""

    text: str
    requests: str


def overspends(member: Member, now: datetime) -> list[Overspend]:
    """The organization's and the member's own daily thresholds that are passed; two queries.

    The day is the organization's. A member's own threshold is about calls of their own keys.
    """
    rows = UserRouterPreferences.objects.filter(
        Q(user=None) | Q(user=member.user.id), organization_id=member.organization_id
    )
    held = {row.user_id: row.cost_alert_threshold_nano for row in rows}
    whole, own = held.get(None), held.get(member.user.id)
    if whole is None and own is None:
        return []
    (today,) = member.midnights(now)
    spent = spend_since(member.organization_id, today, member.user.id)
    found = []
    if whole is not None and spent.total_nano > whole:
        said = f"Today's spend is {_pair(spent.total_nano, 'the', whole)}"
        found.append(Overspend(said, _requests()))
    if own is not None and spent.own_nano > own:
        said = f"Your own spend today is {_pair(spent.own_nano, 'your', own)}"
        found.append(Overspend(said, _requests(member=str(member.user.id))))
    return found


def _pair(spent_nano: int, whose: str, threshold_nano: int) -> str:
    """Both amounts: the threshold as it was typed, the spend rounded unless they read alike."""
    spent, threshold = format_usd(spent_nano), format_usd(threshold_nano, exact=True)
    if spent == threshold:
        spent = format_usd(spent_nano, exact=True)
    return f"{spent}, over {whose} daily threshold of {threshold}."


def _requests(**filters: str) -> str:
    return "/requests?" + urlencode({"range": "today", **filters})
