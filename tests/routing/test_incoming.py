"""What the headers of a request mean, who the client is, and whether its key may be used."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import RouterError
from preferences.core import Preferences, Priority
from routing.incoming import check_key, client_address, preferences_of, read_headers
from routing.snapshot import Key


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ([(b"authorization", b"Bearer er_live_x")], b"er_live_x"),
        ([(b"authorization", b"bearer  er_live_x ")], b"er_live_x"),
        ([(b"authorization", b"BEARER er_live_x")], b"er_live_x"),
        ([(b"x-api-key", b"er_live_x")], b"er_live_x"),
        ([(b"api-key", b" er_live_x")], b"er_live_x"),
        ([(b"x-api-key", b"one"), (b"authorization", b"Bearer two")], b"two"),
        ([(b"authorization", b"Bearer two"), (b"api-key", b"one")], b"two"),
        ([(b"authorization", b"Basic er_live_x")], b""),
        ([(b"authorization", b"er_live_x")], b""),
        ([(b"authorization", b"Bearer ")], b""),
        ([], b""),
    ],
)
def test_the_key_is_read_from_where_clients_put_it(
    headers: list[tuple[bytes, bytes]], secret: bytes
) -> None:
    assert read_headers(headers).secret == secret


def test_forwarded_addresses_of_several_lines_are_one_list() -> None:
    wanted = read_headers([(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2")])
    assert client_address("9.9.9.9", wanted.forwarded, 2) == "1.1.1.1"


def _headers(**values: bytes) -> dict[bytes, bytes]:
    return {b"x-router-" + name.replace("_", "-").encode(): v for name, v in values.items()}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("priority", b"Cost", Preferences(priority=Priority.COST)),
        ("priority", b" privacy ", Preferences(priority=Priority.PRIVACY)),
        ("max_cost", b"0.05", Preferences(max_cost_nano=50_000_000)),
        ("max_cost", b"$1", Preferences(max_cost_nano=10**9)),
        ("max_cost", b"0.000000001", Preferences(max_cost_nano=1)),
        ("max_latency_ms", b"50", Preferences(max_latency_ms=50)),
        ("max_latency_ms", b"600000", Preferences(max_latency_ms=600_000)),
        ("providers", b"openai", Preferences(allowed_providers=frozenset({"openai"}))),
        ("providers", b"a, b,,", Preferences(allowed_providers=frozenset({"a", "b"}))),
        ("metadata", b'{"team":"legal"}', Preferences()),
    ],
)
def test_a_header_becomes_a_wish(name: str, value: bytes, expected: Preferences) -> None:
    wishes, metadata = preferences_of(_headers(**{name: value}))
    assert wishes == expected
    assert metadata == ({"team": "legal"} if name == "metadata" else {})


BAD = {
    "priority": [b"", b"fast", b"balanced,cost", b"\xff"],
    "max_cost": [b"", b"0", b"-1", b"free", b"nan", b"inf", b"1e999999", b"1e-10", b"$$1", b"\xb2"],
    "max_latency_ms": [b"", b"49", b"600001", b"1.5", b"-50", b"1e3", b"\xb2", b"9" * 30],
    "providers": [b"", b" , "],
    "metadata": [
        b"",
        b"[]",
        b"1",
        b'{"a":1}',
        b'{"a":null}',
        b'{"a":',
        b"\xff",
        b'{"' + b"n" * 65 + b'":"v"}',
        b'{"n":"' + b"v" * 513 + b'"}',
        b"{" + b",".join(b'"%d":"v"' % n for n in range(17)) + b"}",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_a_bad_value_is_refused_by_name(name: str, value: bytes) -> None:
    with pytest.raises(RouterError) as refused:
        preferences_of(_headers(**{name: value}))
    header = "x-router-" + name.replace("_", "-")
    assert (refused.value.status, refused.value.code) == (400, "invalid_header")
    assert refused.value.param == header
    assert refused.value.message.startswith(header)
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"' + b"n" * 64 + b'":"' + b"v" * 512 + b'"}',
        b"{" + b",".join(b'"%d":"v"' % n for n in range(16)) + b"}",
        b"{}",
    ],
)
def test_metadata_up_to_its_bounds_is_taken(metadata: bytes) -> None:
    assert preferences_of(_headers(metadata=metadata))[1].keys() is not None


def test_a_header_that_the_router_does_not_know_is_refused() -> None:
    with pytest.raises(RouterError) as refused:
        preferences_of({b"x-router-prority": b"cost"})
    assert (refused.value.status, refused.value.code) == (400, "unknown_header")
    assert refused.value.param == "x-router-prority"
    assert "priority, max-cost" in refused.value.message


_NAMES = [b"x-router-" + n.replace("_", "-").encode() for n in BAD] + [b"x-router-\xff"]


@given(st.dictionaries(st.sampled_from(_NAMES), st.binary(max_size=40)))
def test_no_header_whatever_its_bytes_breaks_the_router(router: dict[bytes, bytes]) -> None:
    refused = None
    wishes = Preferences()
    try:
        wishes, _ = preferences_of(router)
    except RouterError as why:
        refused = why
    assert refused is None or (refused.status == 400 and refused.body()["error"]["message"])
    assert wishes.max_cost_nano is None or wishes.max_cost_nano > 0


@pytest.mark.parametrize(
    ("forwarded", "proxies", "expected"),
    [
        (b"", 0, "9.9.9.9"),
        (b"1.1.1.1", 0, "9.9.9.9"),  # whoever calls may write what they like
        (b"", 1, "9.9.9.9"),
        (b"1.1.1.1", 1, "1.1.1.1"),
        (b"6.6.6.6, 1.1.1.1", 1, "1.1.1.1"),  # 6.6.6.6 is the client's own claim
        (b"6.6.6.6, 1.1.1.1, 2.2.2.2", 2, "1.1.1.1"),
        (b"1.1.1.1", 2, "1.1.1.1"),
        (b" 1.1.1.1 ", 1, "1.1.1.1"),
        (b"2001:db8::1", 1, "2001:db8::1"),
    ],
)
def test_the_client_is_whom_the_trusted_proxies_saw(
    forwarded: bytes, proxies: int, expected: str
) -> None:
    assert client_address("9.9.9.9", forwarded, proxies) == expected


def _key(**fields: Any) -> Key:
    values: dict[str, Any] = {
        "id": "k",
        "name": "billing app",
        "user_id": None,
        "scopes": frozenset({"gateway"}),
        "networks": (),
        "expires_at_s": None,
        "revoked": False,
        "wanted": Preferences(),
    }
    return Key(**(values | fields))


NETWORKS = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({}, "1.2.3.4"),
        ({}, ""),
        ({"expires_at_s": 100.1}, "1.2.3.4"),
        ({"networks": NETWORKS}, "10.255.0.1"),
        ({"networks": NETWORKS}, "2001:db8:1::1"),
        ({"networks": NETWORKS}, "::ffff:10.0.0.1"),
        ({"scopes": frozenset({"admin", "gateway"})}, "1.2.3.4"),
    ],
)
def test_a_key_that_may_be_used(fields: dict[str, Any], address: str) -> None:
    check_key(_key(**fields), scope="gateway", address=address, now_s=100.0)


@pytest.mark.parametrize(
    ("fields", "address", "status", "code"),
    [
        ({"revoked": True}, "1.2.3.4", 401, "key_revoked"),
        ({"expires_at_s": 100.0}, "1.2.3.4", 401, "key_expired"),
        ({"scopes": frozenset({"admin"})}, "1.2.3.4", 403, "scope_missing"),
        ({"networks": NETWORKS}, "11.0.0.1", 403, "network_not_allowed"),
        ({"networks": NETWORKS}, "2001:db9::1", 403, "network_not_allowed"),
        ({"networks": NETWORKS}, "::ffff:11.0.0.1", 403, "network_not_allowed"),
        ({"networks": NETWORKS}, "", 403, "network_not_allowed"),
        ({"networks": NETWORKS}, "10.0.0.1, 6.6.6.6", 403, "network_not_allowed"),
        # Revoked goes first: it tells most.
        ({"revoked": True, "expires_at_s": 1.0, "scopes": frozenset()}, "", 401, "key_revoked"),
    ],
)
def test_a_key_that_may_not(fields: dict[str, Any], address: str, status: int, code: str) -> None:
    with pytest.raises(RouterError) as refused:
        check_key(_key(**fields), scope="gateway", address=address, now_s=100.0)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert re.search('"billing app"', refused.value.message)
