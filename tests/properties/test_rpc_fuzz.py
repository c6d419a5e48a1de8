"""No text whatever makes the RPC framework raise, hang or grow (part 4, 4.2.3)."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.rpc import Busy, CallReceived, CallRepeated, Endpoint, Event, Violation

IDS = st.sampled_from(["1", "2", "3", "", "-1", "x" * 36, "x" * 37])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | IDS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
FRAMES = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200),
    JSON.map(json.dumps),
    st.tuples(st.integers(1, 7), IDS, JSON, JSON).map(json.dumps),
    st.tuples(st.sampled_from([3, 4]), IDS).map(json.dumps),
    st.builds(
        lambda frame, cut: frame[:cut], st.tuples(st.just(2), IDS, JSON, JSON).map(json.dumps), st.integers(0, 60)
    ),
    st.builds(
        lambda bracket, times: bracket * times, st.sampled_from(["[", '{"a":', '["', "]", '\\"[']), st.integers(1, 3000)
    ),
    st.builds(lambda name, n: f'[2,"{n}","{name}",{{}}]', st.sampled_from(["Reset", "GetLog"]), st.integers(1, 60)),
)
DEEDS = st.one_of(
    st.tuples(st.just("receive"), FRAMES),
    st.tuples(st.sampled_from(["call", "result", "error"]), st.sampled_from(["1", "2", "3"])),
    st.tuples(st.sampled_from(["time", "cut"]), st.none()),
)


def check_reply(reply: str | None) -> None:
    """Whatever we send is a valid frame: right type, an id that fits, the right number of elements."""
    if reply is None:
        return
    kind, message_id, *rest = json.loads(reply)
    assert (kind, len(rest)) in {(3, 1), (4, 3)}
    assert 0 < len(message_id) <= 36
    if kind == 4:
        assert len(rest[1]) <= 255
        assert isinstance(rest[2], dict)


def check_event(event: Event) -> None:
    """One event, and its reply is sound."""
    if isinstance(event, (Violation, CallRepeated)):
        check_reply(event.reply)
    if isinstance(event, CallReceived):
        assert 0 < len(event.id) <= 36
        assert isinstance(json.loads(event.payload), dict)


@settings(max_examples=400, deadline=None)
@given(st.lists(DEEDS, max_size=40))
def test_any_sequence_of_messages_and_deeds_leaves_a_sound_endpoint(deeds: list[tuple[str, str | bytes]]) -> None:
    """The tables keep their bounds and every reply is a valid frame."""
    end = Endpoint(max_message_bytes=2048, max_depth=16, call_timeout_s=30)
    now = 0.0
    for deed, what in deeds:
        now += 7
        if deed == "receive":
            check_event(end.receive(what, now))
        elif deed == "call":
            try:
                end.send_call(str(what), "Heartbeat", b"{}", now)
            except Busy:
                assert end.in_flight
        elif deed == "result":
            check_reply(end.result(str(what), b"{}", now))
        elif deed == "error":
            check_reply(end.error(str(what), RpcError(ErrorCode.INTERNAL, "x" * 300), now))
        elif deed == "time":
            end.timed_out(now)
        else:
            end.disconnected(now)
        assert len(end._owed) <= 32
        assert len(end._kept) <= 16
        assert len(end._ended) <= 64
        assert end._kept_chars == sum(len(kept.reply) for kept in end._kept.values())


def test_the_tables_stay_small_in_a_flood() -> None:
    """Ten thousand requests with large replies, and as many requests of ours without an answer."""
    end = Endpoint(call_timeout_s=30)

    for number in range(10_000):
        now = float(number)
        end.receive(f'[2,"{number}","GetLog",{{}}]', now)
        end.result(str(number), b'{"a":"' + b"x" * 50_000 + b'"}' if number % 100 == 0 else b"{}", now)
        if not end.in_flight:
            end.send_call(f"our {number}", "Heartbeat", b"{}", now)
        end.timed_out(now)

    assert len(end._owed) == 0
    assert len(end._kept) <= 16
    assert end._kept_chars <= 262_144
    assert len(end._ended) <= 64
