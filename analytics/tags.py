"""What senders said of their calls: in which hours a tag occurs, and letting old ones go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection

from analytics.filters import Filters
from analytics.guide import Slot
from analytics.sql import ask
from lib.ids import uuid7_time_ms
from tenancy.scope import tenant_scope

DELETED_AT_ONCE_MAX = 5_000
_HOURS = """
SELECT value, name, hour, sum(calls)::bigint, sum(calls - successes)::bigint FROM router_tags
WHERE organization_id = %(organization)s AND value = ANY(%(values)s)
  AND (%(start)s::timestamptz IS NULL OR hour > %(start)s::timestamptz - interval '1 hour')
  AND (%(until)s::timestamptz IS NULL OR hour < %(until)s)
GROUP BY value, name, hour
"""
# From name to name along the index, and never over the hours in between.
_NAMES = """
WITH RECURSIVE found AS (
  (SELECT name FROM router_tags WHERE organization_id = %(organization)s AND value = %(value)s
    ORDER BY name LIMIT 1)
  UNION ALL SELECT next.name FROM found CROSS JOIN LATERAL (
    SELECT name FROM router_tags WHERE organization_id = %(organization)s AND value = %(value)s
      AND name > found.name ORDER BY name LIMIT 1) AS next
) SELECT name FROM found LIMIT 2
"""


def with_name(organization_id: UUID, filters: Filters) -> Filters:
    """The same filters with a looked-for value as the tag that it is; one query where one is.

    A value that several tags have, or one that may be a call's id, stays what it was.
    """
    if not filters.q or filters.tags:
        return filters
    rows = ask(_NAMES, {"organization": organization_id, "value": filters.q})
    names = [name for (name,) in rows]
    if len(names) > 1 or _hour_of_call(filters.q):
        return filters
    return filters.but(q="", tags=(((*names, "")[0], filters.q),))


def are_all(filters: Filters) -> bool:
    """Whether one tag, or one value, is all that calls are filtered by but time."""
    others = filters.but(tags=(), q="").narrowed
    return not others and len(filters.tags) + bool(filters.q) == 1


def tag_slots(organization_id: UUID, filters: Filters) -> list[Slot]:
    """The hours in which all tags and values of the filters occur, ascending; one query.

    Each with the calls of the rarest: of several tags it says how many calls there are at most.
    """
    rows = ask(
        _HOURS,
        {
            "organization": organization_id,
            "values": list({value for _, value in filters.tags} | {filters.q} - {""}),
            "start": filters.start,
            "until": filters.until,
        },
    )
    found: dict[datetime, Slot] | None = None
    for wanted in [*filters.tags, *([("", filters.q)] if filters.q else [])]:
        hours = _hours(rows, *wanted)
        if wanted[0] == "":
            hours |= _hour_of_call(filters.q)
        found = hours if found is None else _both(found, hours)
    return [slot for _, slot in sorted((found or {}).items())]


def both(first: list[Slot], second: list[Slot]) -> list[Slot]:
    """The hours of two counts, each with the smaller one."""
    merged = _both({s.start: s for s in first}, {s.start: s for s in second})
    return [slot for _, slot in sorted(merged.items())]


def expire_tags(now: datetime, *, kept_days: int) -> int:
    """Deletes what is older than the ledger itself; how many rows went."""
    rows = ask("SELECT organization_id FROM app.organizations_changed_since('-infinity')")
    everybody = [row[0] for row in rows]
    return sum(_expire(one, now - timedelta(days=kept_days)) for one in everybody)


def _expire(organization_id: UUID, before: datetime) -> int:
    deleted = 0
    while True:
        with tenant_scope(organization_id), connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM router_tags WHERE ctid = ANY(ARRAY(SELECT ctid FROM router_tags"
                " WHERE organization_id = %s AND hour < %s LIMIT %s))",
                [organization_id, before, DELETED_AT_ONCE_MAX],
            )
            count: int = cursor.rowcount
        deleted += count
        if count < DELETED_AT_ONCE_MAX:
            return deleted


def _hours(
    rows: list[tuple[str, str, datetime, int, int]], name: str, value: str
) -> dict[datetime, Slot]:
    """The hours of one tag, or of a value whatever its name."""
    hours: dict[datetime, Slot] = {}
    for said, called, hour, calls, failed in rows:
        if said == value and name in ("", called):
            known = hours.get(hour, Slot(hour, 0))
            hours[hour] = Slot(hour, known.calls + calls, known.failed + failed)
    return hours


def _hour_of_call(text: str) -> dict[datetime, Slot]:
    """The hour that a call's id tells, if the text is one."""
    try:
        seconds = uuid7_time_ms(UUID(text).int) / 1000
        hour = datetime.fromtimestamp(seconds // 3600 * 3600, UTC)
    except (ValueError, OverflowError, OSError):
        return {}
    return {hour: Slot(hour, 1)}


def _both(first: dict[datetime, Slot], second: dict[datetime, Slot]) -> dict[datetime, Slot]:
    return {
        hour: min(slot, second[hour], key=lambda one: one.calls)
        for hour, slot in first.items()
        if hour in second
    }
