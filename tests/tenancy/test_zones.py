"""Time zones are offered once each, by region; other names of them are taken."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import available_timezones

import pytest
from django.test import Client

from tenancy import zones
from tenancy.checks import checked_time_zone
from tenancy.models import Organization
from tenancy.scope import tenant_scope
from tests.conftest import Cast

WINTER = datetime(2026, 1, 15, 12, tzinfo=UTC)
SUMMER = datetime(2026, 7, 15, 12, tzinfo=UTC)


def labels(chosen: str = "UTC", now: datetime = WINTER) -> dict[str, str]:
    found = zones.regions(chosen, now)
    return {choice.name: choice.label for region in found for choice in region.choices}


def test_each_zone_is_offered_by_one_name_with_its_offset_now() -> None:
    winter, summer = labels(), labels(now=SUMMER)
    assert winter["Europe/Berlin"] == "Berlin (UTC+01:00)"
    assert summer["Europe/Berlin"] == "Berlin (UTC+02:00)"
    assert winter["Asia/Kolkata"] == "Kolkata (UTC+05:30)"
    assert winter["America/Argentina/Salta"] == "Argentina, Salta (UTC\N{MINUS SIGN}03:00)"
    assert not {"US/Pacific", "Asia/Calcutta", "EST5EDT", "Etc/GMT+3", "GB"} & winter.keys()
    regions = [region.label for region in zones.regions("UTC", WINTER)][1:]
    assert regions == sorted(set(regions))


def test_another_name_stays_where_it_is_stored() -> None:
    assert labels("US/Pacific")["US/Pacific"] == "US/Pacific (UTC\N{MINUS SIGN}08:00)"
    assert checked_time_zone("Asia/Calcutta") == "Asia/Calcutta"
    assert "Mars/Olympus" not in labels("Mars/Olympus")


def test_without_the_table_every_zone_of_a_place_is_offered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(zones, "TZPATH", (str(tmp_path),))
    monkeypatch.setattr(zones, "find_spec", lambda name: None)
    found = zones._names()
    assert {"Europe/Berlin", "Asia/Kolkata"} <= found <= available_timezones()
    assert "US/Pacific" not in found


@pytest.mark.django_db
def test_a_stored_name_survives_a_save_of_the_settings(as_alice: Client, cast: Cast) -> None:
    with tenant_scope(cast.acme.id):
        Organization.objects.filter(id=cast.acme.id).update(time_zone="Asia/Calcutta")
    html = as_alice.get("/organization").content.decode()
    assert '<option value="Asia/Calcutta" selected>Asia/Calcutta (UTC+05:30)</option>' in html
    assert html.count(" selected>Asia/") == 1
