"""B11, B12: the CSMS resets the station, or one EVSE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from station.facts import StoreDegraded, StoreRecovered
from station.inputs import Happened
from tests.bench import Bench
from tests.scenarios.variables import get

CARD, CARD_2 = "04AABBCC", "04DDEEFF"


def reset(bench: Bench, kind: str, evse: int | None = None) -> str:
    request: dict[str, Any] = {"type": kind} | ({"evseId": evse} if evse is not None else {})
    return str(bench.csms.call("Reset", request)["status"])


def charge(bench: Bench, evse: int = 1, card: str = CARD) -> None:
    bench.evse(evse).plug_in()
    bench.evse(evse).present_token(card)
    bench.advance(seconds=30)
    assert bench.evse(evse).charging
    bench.csms.forget()


def statuses(bench: Bench) -> dict[int, str]:
    """The last status told of each EVSE."""
    return {each["evseId"]: each["connectorStatus"] for each in bench.csms.received("StatusNotification")}


def reasons(bench: Bench) -> list[str]:
    return [boot["reason"] for boot in bench.csms.received("BootNotification")]


# --- B11: nobody is there


@pytest.mark.req("B11.FR.01", "B11.FR.03", "B11.FR.04", "B01.FR.03", "B01.FR.09")
@pytest.mark.parametrize("kind", ["Immediate", "OnIdle"])
def test_an_idle_station_restarts_at_once(bench: Bench, kind: str) -> None:
    """The answer leaves first; the new start says why."""
    bench.csms.forget()

    assert reset(bench, kind) == "Accepted"
    bench.settle()

    assert reasons(bench) == ["RemoteReset"]
    assert statuses(bench) == {1: "Available", 2: "Available"}


@pytest.mark.req("B11.FR.04")
def test_a_vehicle_that_does_not_charge_holds_up_no_reset(bench: Bench) -> None:
    """A plugged cable without a transaction is idle; it is Occupied after the start."""
    bench.evse(1).plug_in()
    bench.csms.forget()

    assert reset(bench, "OnIdle") == "Accepted"
    bench.settle()

    assert statuses(bench) == {1: "Occupied", 2: "Available"}


@pytest.mark.req("B11.FR.02", "B12.FR.06")
def test_what_is_out_of_service_stays_so(bench: Bench) -> None:
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}})
    bench.csms.forget()

    reset(bench, "Immediate")
    bench.settle()

    assert statuses(bench) == {1: "Available", 2: "Unavailable"}


@pytest.mark.req("B11.FR.07")
def test_a_driver_who_is_about_to_charge_is_waited_for(bench: Bench) -> None:
    """Authorized, not yet plugged in: Scheduled, and done when he has gone away (EVConnectionTimeOut)."""
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=1)
    bench.csms.forget()

    assert reset(bench, "OnIdle") == "Scheduled"
    assert reasons(bench) == []

    bench.advance(minutes=3)
    assert reasons(bench) == ["ScheduledReset"]


@pytest.mark.req("B11.FR.06", "B12.FR.10")
@pytest.mark.parametrize("busy", [False, True])
def test_a_station_whose_disk_fails_does_not_restart(bench: Bench, busy: bool) -> None:  # noqa: FBT001 - a parameter
    """What is kept in memory only would be lost."""
    if busy:
        charge(bench)
    bench._do(bench.station.exchange.give(Happened((StoreDegraded(kind="FULL"),)), bench.now))

    assert reset(bench, "Immediate") == "Rejected"
    assert bench.reboots == []

    bench._do(bench.station.exchange.give(Happened((StoreRecovered(),)), bench.now))
    assert reset(bench, "Immediate") == "Accepted"


# --- B12: somebody charges


@pytest.mark.req("B12.FR.01", "B12.FR.03")
def test_on_idle_waits_for_the_transaction_to_end(bench: Bench) -> None:
    """It goes on; what is free becomes Unavailable at once; the restart follows the delivered Ended."""
    charge(bench)

    assert reset(bench, "OnIdle") == "Scheduled"
    bench.advance(hours=2)
    assert bench.evse(1).charging
    assert statuses(bench) == {2: "Unavailable"}
    assert reasons(bench) == []

    bench.evse(1).present_token(CARD)
    bench.advance(seconds=20)
    ended = bench.events()[-1]
    assert (ended["eventType"], ended["transactionInfo"]["stoppedReason"]) == ("Ended", "Local")
    assert reasons(bench) == ["ScheduledReset"]
    actions = bench.csms.actions()
    assert actions.index("TransactionEvent/Ended") < actions.index("BootNotification")
    assert statuses(bench) == {1: "Occupied", 2: "Available"}


@pytest.mark.req("B12.FR.03")
def test_on_idle_waits_for_the_last_of_several(bench: Bench) -> None:
    charge(bench, 1, CARD)
    charge(bench, 2, CARD_2)

    assert reset(bench, "OnIdle") == "Scheduled"
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=10)
    assert reasons(bench) == []

    bench.evse(2).present_token(CARD_2)
    bench.advance(seconds=20)
    assert reasons(bench) == ["ScheduledReset"]


@pytest.mark.req("B12.FR.01")
def test_nobody_starts_while_a_reset_waits(bench: Bench) -> None:
    """Neither at the free EVSE nor, after the end, at the busy one."""
    charge(bench)
    reset(bench, "OnIdle")
    start = {"remoteStartId": 1, "evseId": 2, "idToken": {"idToken": CARD_2, "type": "ISO14443"}}

    bench.evse(2).plug_in()
    bench.evse(2).present_token(CARD_2)
    remote = bench.csms.call("RequestStartTransaction", start)
    bench.advance(minutes=1)

    assert remote["status"] == "Rejected"
    assert not bench.evse(2).charging
    assert len({event["transactionInfo"]["transactionId"] for event in bench.events()}) == 1


@pytest.mark.req("B12.FR.02", "B12.FR.04")
def test_immediate_ends_each_transaction_first(bench: Bench) -> None:
    """Ended by ResetCommand with ImmediateReset, answered; then the restart."""
    charge(bench, 1, CARD)
    charge(bench, 2, CARD_2)

    assert reset(bench, "Immediate") == "Accepted"
    bench.advance(seconds=20)

    ends = [event for event in bench.events() if event["eventType"] == "Ended"]
    assert {(end["triggerReason"], end["transactionInfo"]["stoppedReason"]) for end in ends} == {
        ("ResetCommand", "ImmediateReset")
    }
    assert len(ends) == 2
    assert reasons(bench) == ["RemoteReset"]
    actions = bench.csms.actions()
    assert max(i for i, each in enumerate(actions) if each == "TransactionEvent/Ended") < actions.index(
        "BootNotification"
    )
    assert statuses(bench) == {1: "Occupied", 2: "Occupied"}
    assert not bench.evse(1).contactor_closed


@pytest.mark.req("B12.FR.05")
def test_a_csms_that_does_not_answer_holds_up_no_reset(bench: Bench) -> None:
    """The Ended is queued, and comes again after the restart."""
    charge(bench)
    bench.csms.silent("TransactionEvent")

    reset(bench, "Immediate")
    bench.advance(minutes=2)
    assert reasons(bench) == ["RemoteReset"]

    bench.csms.forget()
    bench.csms.default("TransactionEvent")
    bench.advance(minutes=10)
    (ended,) = [event for event in bench.csms.transmissions("TransactionEvent") if event["eventType"] == "Ended"]
    assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"


@pytest.mark.req("B12.FR.05")
def test_offline_nobody_is_waited_for(bench: Bench) -> None:
    """The line drops after the answer: the restart comes at once, the events later."""
    charge(bench)
    bench.csms.hold()
    reset(bench, "Immediate")

    bench.csms.disconnect()
    bench.csms.release()
    bench.advance(seconds=20)

    assert bench.reboots == ["RemoteReset"]


def test_a_second_request_may_be_more_urgent(bench: Bench) -> None:
    """OnIdle waits; Immediate does not."""
    charge(bench)
    assert reset(bench, "OnIdle") == "Scheduled"

    assert reset(bench, "Immediate") == "Accepted"
    bench.advance(seconds=20)

    assert reasons(bench) == ["RemoteReset"]


def test_a_power_cut_does_what_the_reset_wanted(bench: Bench) -> None:
    """After it nothing waits any more."""
    charge(bench)
    reset(bench, "OnIdle")

    bench.crash()
    bench.advance(minutes=10)

    assert reasons(bench) == ["PowerUp"]
    assert statuses(bench) == {1: "Occupied", 2: "Available"}


def test_a_station_that_fails_to_restart_tries_again_and_then_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ResetRetries; in the end it serves drivers again."""
    bench = Bench(tmp_path, variables={"OCPPCommCtrlr.ResetRetries": "2"})
    monkeypatch.setattr(bench, "_carry_out", bench.intents.append)  # a shell that fails
    charge(bench)
    reset(bench, "Immediate")

    bench.advance(minutes=30)

    assert len(bench.intents) == 3
    assert statuses(bench) == {1: "Occupied", 2: "Available"}
    charge(bench, 2, CARD_2)


# --- one EVSE


@pytest.mark.req("B11.FR.08")
@pytest.mark.parametrize("kind", ["Immediate", "OnIdle"])
def test_an_idle_evse_is_reset_without_a_restart(bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The station goes on; the EVSE's hardware tells its whole state again."""
    bench.csms.forget()
    asked: list[bool] = []
    monkeypatch.setattr(bench.hardware, "snapshot_again", lambda: asked.append(True))

    assert reset(bench, kind, 1) == "Accepted"
    bench.advance(seconds=10)

    assert asked == [True]
    assert reasons(bench) == []
    charge(bench, 1)


@pytest.mark.req("B12.FR.01", "B12.FR.07")
def test_an_evse_on_idle_waits_for_its_own_transaction_only(bench: Bench) -> None:
    charge(bench, 1, CARD)
    charge(bench, 2, CARD_2)

    assert reset(bench, "OnIdle", 1) == "Scheduled"
    bench.advance(minutes=5)
    assert bench.evse(1).charging

    bench.evse(1).present_token(CARD)
    bench.advance(seconds=20)
    assert statuses(bench)[1] == "Occupied"
    assert bench.evse(2).charging
    assert reasons(bench) == []


@pytest.mark.req("B12.FR.02", "B12.FR.08")
def test_an_evse_at_once_ends_its_own_transaction_only(bench: Bench) -> None:
    charge(bench, 1, CARD)
    charge(bench, 2, CARD_2)

    assert reset(bench, "Immediate", 1) == "Accepted"
    bench.advance(seconds=20)

    (ended,) = [event for event in bench.events() if event["eventType"] == "Ended"]
    assert (ended["triggerReason"], ended["transactionInfo"]["stoppedReason"]) == ("ResetCommand", "ImmediateReset")
    assert not bench.evse(1).contactor_closed
    assert bench.evse(2).charging
    assert reasons(bench) == []


@pytest.mark.req("B11.FR.09", "B12.FR.09")
@pytest.mark.parametrize("busy", [False, True])
def test_a_station_that_cannot_reset_single_evses_says_so(tmp_path: Path, busy: bool) -> None:  # noqa: FBT001 - a parameter
    """EVSE.AllowReset is false then."""
    bench = Bench(tmp_path, layout={"evse_reset": False})
    if busy:
        charge(bench)

    assert reset(bench, "OnIdle", 1) == "Rejected"
    assert get(bench, "EVSE.AllowReset", evse=1) == "false"
    assert bench.evse(1).charging is busy


@pytest.mark.req("B11.FR.10")
def test_a_station_that_can_reset_single_evses_says_so(bench: Bench) -> None:
    assert get(bench, "EVSE.AllowReset", evse=1) == "true"


def test_an_evse_that_is_not_there_is_not_reset(bench: Bench) -> None:
    assert reset(bench, "Immediate", 9) == "Rejected"
    assert bench.reboots == []
