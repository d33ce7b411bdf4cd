"""Whatever can be changed by REST has versions: no change is built on what is no more."""

from __future__ import annotations

import re
from typing import Any

import pytest

from project.api import api
from tests.conftest import Cast
from tests.project.test_openapi import operations
from tests.project.test_urls import People, people  # noqa: F401  (a fixture)
from tests.project.url_row import Row
from tests.project.url_table import ROWS

pytestmark = pytest.mark.django_db

CHANGES = {"PATCH", "PUT"}
# Where a change has no answer of its own to read, what it changes stands here.
READ = {
    "/api/providers/far/address": "/api/providers/far",
    "/api/providers/far/deployments/{model}/price": "/api/providers/far/deployments/{model}",
}


def changing_rows() -> list[Row]:
    """One row for each operation that changes and that a key may use."""
    rows = {
        (row.method, row.pattern): row
        for row in reversed(ROWS)
        if row.method in CHANGES and row.expected()["key"] == "200"
    }
    return list(rows.values())


def test_every_change_takes_a_version() -> None:
    without = [
        f"{method} {path}"
        for method, path, operation in operations("patch", "put")
        if "If-Match" not in {one["name"] for one in operation["parameters"]}
    ]
    assert without == []
    described = {
        (m.upper(), re.sub(r"{\w+}", "{}", p[1:])) for m, p, _ in operations("patch", "put")
    }
    known = {(row.method, re.sub(r"<\w+:\w+>", "{}", row.pattern)) for row in changing_rows()}
    # A key cannot require second factors while no owner has one, and SSO needs a provider.
    assert {path for _, path in described - known} <= {
        "api/organization/security",
        "api/organization/sso/{}",
    }


@pytest.mark.parametrize("row", changing_rows(), ids=str)
def test_a_change_of_an_older_version_is_refused(people: People, row: Row) -> None:  # noqa: F811
    known = {"alice": str(people.cast.alice.id), "key": people.key, **people.ids}
    client = people.clients["key"]
    path = row.path.format(**known)
    read = READ.get(row.path, row.path).format(**known)

    def change(tag: str) -> Any:
        ask = getattr(client, row.method.lower())
        return ask(path, row.data, content_type="application/json", headers={"If-Match": tag})

    before = client.get(read)
    refused = change('"another"')
    assert refused.status_code == 412
    told = refused.json()
    assert (told["code"], told["field"]) == ("changed_meanwhile", "If-Match")
    assert told["current"] == before.json()
    assert client.get(read)["ETag"] == before["ETag"]
    done = change(before["ETag"])
    assert done.status_code == 200
    assert done["ETag"] == client.get(read)["ETag"]
    if row.data:
        assert done["ETag"] != before["ETag"] or client.get(read).json() == before.json()


def test_what_members_need_to_sign_in_has_versions(cast: Cast, client: Any) -> None:
    path, key = "/api/organization/security", {"Authorization": f"Bearer {cast.acme_key}"}
    tag = client.get(path, headers=key)["ETag"]
    for sent, status in (('"another"', 412), (tag, 200)):
        answer = client.patch(
            path,
            {"require_mfa": False},
            content_type="application/json",
            headers=key | {"If-Match": sent},
        )
        assert answer.status_code == status, answer.content


def test_versions_are_described() -> None:
    for path, found in api.get_openapi_schema()["paths"].items():
        for method in {"patch", "put"} & set(found):
            assert "412" in found[method]["responses"], path
            assert "ETag" in found[method]["responses"]["200"]["headers"], path
