"""Time zones to choose from: one name for each, by region, with what they are from UTC now.

Other names of the same zones, such as US/Pacific, are taken where they are typed or stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from lib.figures import MINUS

# The table of the tz database with a zone for each place of each country, and without old names.
_TABLE = "zone.tab"
_REGIONS = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe"}
    | {"Indian", "Pacific"}
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A zone by its name, and as a list shows it: ``Kolkata (UTC+05:30)``."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Region:
    """The zones of one part of the world."""

    label: str
    choices: Sequence[Choice]


def regions(chosen: str, now: datetime) -> list[Region]:
    """All zones by region, UTC first; one that is chosen by another name stands there too."""
    known = _regions(now.replace(minute=0, second=0, microsecond=0).astimezone(UTC))
    first = [Choice("UTC", "UTC")]
    every = {choice.name for region in known for choice in region.choices} | {"UTC"}
    if chosen not in every and chosen in available_timezones():
        first.append(Choice(chosen, f"{chosen} ({_offset(chosen, now)})"))
    return [Region("UTC" if len(first) == 1 else "UTC and the present one", first), *known]


@lru_cache(maxsize=2)
def _regions(hour: datetime) -> list[Region]:
    """Four hundred small files are read for this, so that an hour's offsets are kept."""
    named = sorted(_names())
    return [
        Region(
            label,
            [
                Choice(
                    name, f"{place.replace('/', ', ').replace('_', ' ')} ({_offset(name, hour)})"
                )
                for name in names
                for place in [name.partition("/")[2]]
            ],
        )
        for label, names in groupby(named, key=lambda name: name.partition("/")[0])
    ]


def _names() -> set[str]:
    """The names that the table knows; without one all that name a place."""
    every = {name for name in available_timezones() if name.partition("/")[0] in _REGIONS}
    folders = [Path(folder) for folder in TZPATH]
    package = find_spec("tzdata")
    if package is not None and package.origin:
        folders.append(Path(package.origin).parent / "zoneinfo")
    for table in (folder / _TABLE for folder in folders):
        if table.exists():
            lines = table.read_text(encoding="utf-8").splitlines()
            found = {line.split("\t")[2] for line in lines if line and not line.startswith("#")}
            return every & found
    return every


def _offset(name: str, now: datetime) -> str:
    said = now.astimezone(ZoneInfo(name)).strftime("%z")
    return f"UTC{said[:3].replace('-', MINUS)}:{said[3:5]}"
