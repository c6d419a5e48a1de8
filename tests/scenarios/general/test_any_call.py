"""Whatever a CSMS asks or answers, a whole station that is charging goes on, and no mistake of its own is met.

The contents come from the official schemas (`tests/unit/ocpp/documents.py`), not from what the station expects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import schema
from tests.bench import Bench
from tests.csms import Call
from tests.unit.ocpp import documents

ACTIONS = [message.removesuffix("Request") for message in schema.messages() if message.endswith("Request")]

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)

TOLD = [
    "Authorize",
    "BootNotification",
    "Heartbeat",
    "SecurityEventNotification",
    "StatusNotification",
    "TransactionEvent",
]
"""What a station that charges tells and asks."""

TEXTS = st.one_of(
    st.text(max_size=200),
    st.builds(
        lambda kind, action, content, cut: json.dumps([kind, "-1", action, content])[:cut],
        st.integers(0, 9),
        st.sampled_from(ACTIONS),
        ANYTHING,
        st.integers(1, 300),
    ),
)
"""Frames whose id is the one of an answer to nothing, mostly broken or cut short; and anything."""


@pytest.fixture(scope="module")
def charging(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A station with a session on one EVSE and a cable in the other."""
    return busy(tmp_path_factory.mktemp("station"))


def busy(path: Path) -> Bench:
    """The same, made anew."""
    bench = Bench(path)
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.evse(2).plug_in()
    bench.advance(minutes=1)
    return bench


def answered(bench: Bench, call: Call) -> str:
    """The code of the answer, empty for a CALLRESULT. A reply that waits for something has its deadline."""
    for _ in range(10):
        if call.done:
            break
        bench.advance(seconds=10)
    assert call.done, f"{call.action} was never answered"
    return call.error.code if call.error is not None else ""


@pytest.mark.req("FR.02")
@pytest.mark.parametrize("action", ACTIONS)
def test_every_valid_request_is_answered(tmp_path: Path, action: str) -> None:
    """With the least and with everything in it: a CALLRESULT; NotImplemented for what this station does not have."""
    bench = busy(tmp_path)
    allowed = {"", "OccurrenceConstraintViolation"}  # ItemsPerMessage may be less than the schema's
    if action not in {request.__name__.removesuffix("Request") for request in bench.station.engine.actions}:
        allowed = {"NotImplemented"}

    least = documents.document(f"{action}Request", "least")
    for content in (least, *(documents.document(f"{action}Request", "most", turn=turn) for turn in range(5))):
        assert answered(bench, bench.csms.send(action, content)) in allowed


@pytest.mark.req("FR.03")
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ACTIONS), st.randoms(use_true_random=False), ANYTHING)
def test_no_content_whatever_meets_a_mistake_of_the_station(
    charging: Bench, action: str, chance: Any, anything: Any
) -> None:
    """One value anywhere in a request is replaced by any other, or left out: it is answered, and the cause is told."""
    full = documents.document(f"{action}Request", "most")
    places = list(documents.walk(documents.schemas(f"{action}Request"), full))
    content = full
    if places:
        content = documents.changed(full, chance.choice(places).path, documents.to(anything))

    call = charging.csms.send(action, content, valid=False)

    assert answered(charging, call) not in {"InternalError", "GenericError"}
    charging.advance(seconds=10)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_no_text_whatever_brings_a_station_out_of_order(charging: Bench, text: str) -> None:
    """At most one answer, and the next request is served as ever."""
    assert len(charging.csms.send_text(text)) <= 1

    assert answered(charging, charging.csms.send("ClearCache")) == ""


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(TOLD), ANYTHING), max_size=6))
def test_no_answer_whatever_costs_a_transaction(
    tmp_path_factory: pytest.TempPathFactory, answers: list[tuple[str, Any]]
) -> None:
    """Answers that are wrong in one place count as refusals: what is durable is told again, and all of it is billed."""
    bench = busy(tmp_path_factory.mktemp("station"))
    bench.csms.valid_answers = False
    for action, anything in answers:
        full = documents.document(f"{action}Response", "most")
        places = [place.path for place in documents.walk(documents.schemas(f"{action}Response"), full)]
        for path in places[:1]:
            bench.csms.on(action, documents.changed(full, path, documents.to(anything)))
        bench.advance(minutes=2)

    for action in TOLD:
        bench.csms.default(action)
    bench.evse(1).unplug()
    bench.advance(minutes=30)

    assert answered(bench, bench.csms.send("ClearCache")) == ""
    assert not bench.evse(1).contactor_closed
    assert bench.events()[-1]["eventType"] == "Ended"
    assert not bench.station.csms.queued()
