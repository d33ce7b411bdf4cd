"""A provider fails: another answers, unless the client has seen content; and the client leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routing import attempt
from tests.routing.gateway_house import (
    COST_FIRST,
    Answer,
    House,
    firm,
    house,
    sandbox,
)

__all__ = ["firm", "house", "sandbox"]
FAST, BALANCED, SMART = "sandbox-fast", "sandbox-balanced", "sandbox-smart"

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429},
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503},
    "529": {"status": 529},
    "401": {"status": 401},
    "404": {"status": 404},
    "an error inside a 200": {"inband_error": True},
    "garbage": {"garbage": True},
}


async def trio(house: House, **fields: Any) -> Answer:
    """A chat that goes to one, then two, then three."""
    return await house.chat("trio", headers=COST_FIRST, **fields)


async def models_asked(house: House) -> list[str]:
    return [call["model"] for call in await house.upstream_calls()]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_another_deployment_answers(house: House, fault: str, stream: bool) -> None:
    await house.fault(FAST, **FAULTS[fault])
    answer = await trio(house, stream=stream)
    assert answer.status == 200
    assert await models_asked(house) == [FAST, BALANCED]
    assert answer.headers["x-router-provider"] == "two"
    assert answer.headers["x-router-attempts"] == "2"
    if stream:
        assert answer.data[-1] == "[DONE]"
        assert answer.text
    row = house.last
    assert (row["status"], row["fallback_used"], row["attempts"]) == (200, True, 2)
    first, second = row["decision"]["attempts"]
    assert (first["provider"], second["provider"], second["status"]) == ("one", "two", 200)
    assert first["error"]
    assert first["message"]
    # Where each lies on the call's time axis.
    assert 0 <= first["at_ms"] <= first["at_ms"] + first["ms"] <= second["at_ms"] + 1


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_cut_before_any_content_goes_unseen(house: House, stream: bool) -> None:
    await house.fault(FAST, cut_after_chunks=1 if stream else 0)
    answer = await trio(house, stream=stream)
    assert (answer.status, answer.headers["x-router-provider"]) == (200, "two")
    assert await models_asked(house) == [FAST, BALANCED]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_stall_is_given_up_and_not_tried_again(
    house: House, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "WHOLE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(attempt, "FIRST_EVENT_TIMEOUT_S", 0.3)
    await house.fault(FAST, stall_ms=3000)
    answer = await trio(house, stream=stream)
    assert (answer.status, answer.headers["x-router-provider"]) == (200, "two")
    assert house.last["decision"]["attempts"][0]["error"] == "upstream_timeout"
    pinned = await house.chat("one/trio", stream=stream)
    assert (pinned.status, pinned.code) == (504, "upstream_timeout")
    assert await models_asked(house) == [FAST, BALANCED, FAST]


async def test_three_failures_end_it_with_the_last_ones_error(house: House) -> None:
    await house.fault(FAST, status=500)
    await house.fault(BALANCED, status=503)
    await house.fault(SMART, status=429, retry_after_s=30)
    answer = await trio(house)
    assert answer.status == 429
    assert answer.headers["retry-after"] == "30"
    assert await models_asked(house) == [FAST, BALANCED, SMART]
    row = house.last
    assert (row["status"], row["success"], row["cost_nano"], row["attempts"]) == (429, False, 0, 3)


async def test_an_attempt_keeps_what_the_provider_said_beside_what_the_client_got(
    house: House,
) -> None:
    await house.fault(FAST, status=503)
    assert (await house.chat(f"sandbox/{FAST}")).status == 502
    assert house.last["status"] == 502
    assert {one["status"] for one in house.last["decision"]["attempts"]} == {503}


async def test_a_lone_deployment_is_tried_once_more(house: House) -> None:
    await house.fault(FAST, status=503)
    await house.chat("nope")
    answer = await house.chat(FAST)
    assert (answer.status, answer.code) == (502, "upstream_error")
    assert await models_asked(house) == [FAST, FAST]
    assert house.last["fallback_used"] is False
    # Waiting for the provider is not the router's own time.
    assert house.last["overhead_us"] < (house.last["latency_ms"] - 150) * 1000


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_clients_own_fault_is_told_and_not_tried_elsewhere(
    house: House, status: int
) -> None:
    await house.fault(FAST, status=status)
    answer = await trio(house)
    assert answer.status == status
    assert await models_asked(house) == [FAST]


async def test_a_limited_deployment_rests_and_the_next_call_goes_elsewhere(house: House) -> None:
    await house.fault(FAST, status=429, retry_after_s=30)
    await trio(house)
    await asyncio.sleep(0.2)
    answer = await trio(house)
    assert answer.headers["x-router-attempts"] == "1"
    assert await models_asked(house) == [FAST, BALANCED, BALANCED]
    assert house.last["decision"]["candidates"][-1]["resting"] is True


async def test_a_refused_credential_is_not_tried_at_the_providers_other_models(
    house: House,
) -> None:
    for model in ("sandbox-fast", "sandbox-flaky"):
        await house.fault(model, status=401, error_rate=1)
    headers = COST_FIRST | {"x-router-providers": "sandbox,two"}
    answer = await house.chat("auto", headers=headers)
    assert answer.status == 200
    assert (await models_asked(house))[0] == "sandbox-fast"
    providers = [a["provider"] for a in house.last["decision"]["attempts"]]
    assert providers == ["sandbox", "two"]
    (first, *_) = house.last["decision"]["passed_over"]
    assert first["message"] == "Its provider had failed once."


async def test_who_is_left_out_since_its_provider_failed_is_written_down(house: House) -> None:
    headers = COST_FIRST | {"x-router-providers": "sandbox,two"}
    await house.chat("auto", headers=headers)
    ranked = [(c["provider"], c["model"]) for c in house.last["decision"]["candidates"]]
    assert "passed_over" not in house.last["decision"]
    two = next(place for place, (provider, _) in enumerate(ranked) if provider == "two")
    for _, model in ranked[:2]:
        await house.fault(model, status=429, error_rate=1)
    assert (await house.chat("auto", headers=headers)).headers["x-router-provider"] == "two"
    left_out = house.last["decision"]["passed_over"]
    assert [(one["provider"], one["model"]) for one in left_out] == ranked[2:two] != []
    assert {one["message"] for one in left_out} == {"Its provider had failed twice."}


CUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "cut": (FAST, {"cut_after_chunks": 4}),
    "an error event": (FAST, {"error_after_chunks": 4}),
    "cut, another wire": ("sandbox-claude", {"cut_after_chunks": 6}),
    "an error event, another wire": ("sandbox-claude", {"error_after_chunks": 6}),
}


@pytest.mark.parametrize("name", CUTS)
async def test_after_the_first_content_a_failure_is_told_and_nothing_tried_again(
    house: House, name: str
) -> None:
    model, fault = CUTS[name]
    await house.fault(model, tokens=40, ms_per_token=20, **fault)
    answer = await house.chat(model, stream=True, max_tokens=100)
    assert answer.status == 200
    assert "[DONE]" not in answer.data
    assert [event for event in answer.events if "error" in event] == [answer.events[-1]]
    assert answer.text
    assert answer.events[-1]["error"]["code"]
    assert await models_asked(house) == [model]
    row = house.last
    assert row["status"] in (502, 500, 503, 529)
    assert (row["success"], row["attempts"], row["cost_estimated"]) == (False, 1, True)
    assert row["cost_nano"] > 0
    assert row["output_tokens"] > 0


async def test_a_stall_in_the_middle_of_a_stream_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "IDLE_TIMEOUT_S", 0.3)
    await house.fault(FAST, tokens=40, stall_ms=3000, stall_after_chunks=4)
    answer = await trio(house, stream=True)
    assert answer.events[-1]["error"]["code"] == "upstream_timeout"
    assert answer.text
    assert await models_asked(house) == [FAST]
    assert house.last["status"] == 504


async def _until_closed(house: House) -> dict[str, Any]:
    """The sandbox's own view of its only call, once it noticed that nobody listens."""
    await asyncio.sleep(0.3)
    (call,) = await house.upstream_calls()
    return call


async def test_a_client_that_leaves_in_mid_stream_ends_the_providers_work(house: House) -> None:
    await house.fault(FAST, tokens=400, ms_per_token=20)
    answer = await house.chat(FAST, stream=True, leave=lambda pieces: pieces >= 3)
    assert 0 < len(answer.pieces) < 100
    call = await _until_closed(house)
    assert not call["finished"]
    assert call["output_tokens"] < 400
    assert house.runtime.upstream._connections == set()
    row = house.last
    assert (row["status"], row["error_code"], row["success"]) == (499, "client_left", False)
    assert (row["cost_estimated"], row["attempts"]) == (True, 1)
    # What went by is paid for: at least the input, at most all of it.
    assert 0 < row["output_tokens"] < 400
    assert row["cost_nano"] == row["input_tokens"] * 100 + row["output_tokens"] * 400
    assert house.runtime.door.open_calls == 0


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_client_that_leaves_before_the_answer_is_written_down(
    house: House, stream: bool
) -> None:
    assert (await house.chat("nope")).status == 404  # the configuration is in memory now
    await house.fault(FAST, latency_ms=5000)
    answer = await house.chat(FAST, stream=stream, leave=lambda pieces: True)
    assert answer.status == 0
    call = await _until_closed(house)
    assert not call["finished"]
    assert house.runtime.upstream._connections == set()
    row = house.last
    assert (row["status"], row["error_code"]) == (499, "client_left")
    assert (row["cost_estimated"], row["provider"], row["attempts"]) == (True, "sandbox", 1)
    assert row["cost_nano"] > 0


async def test_a_client_that_leaves_while_the_router_waits_pays_nothing(house: House) -> None:
    await house.chat("nope")
    await house.fault(FAST, status=429, retry_after_s=5)
    answer = await house.chat(FAST, leave=lambda pieces: True)
    assert answer.status == 0
    row = house.last
    assert (row["status"], row["cost_nano"], row["attempts"]) == (499, 0, 1)
    assert row["decision"]["attempts"][0]["status"] == 429


async def test_a_stream_that_nobody_began_to_read_is_ended_and_written_down(house: House) -> None:
    from routing.incoming import Incoming

    await house.fault(FAST, tokens=400, ms_per_token=20)
    body = b'{"model":"sandbox-fast","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
    headers = [(n.encode(), v.encode()) for n, v in house.firm.auth.items()]
    reply = await house.runtime.gateway.call(Incoming(headers, body, "127.0.0.1"), "chat")
    assert reply.stream is not None
    await reply.stream.aclose()
    assert (house.last["status"], house.last["error_code"]) == (499, "client_left")
    assert not (await _until_closed(house))["finished"]
    assert house.runtime.upstream._connections == set()
