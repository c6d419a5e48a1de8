"""The OCA's test cases of block E (transactions): offline, sending again, the status asked for (E08, E11 to E14)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.bench import MEASURANDS, Bench
from tests.csms import Error
from tests.octt.memory import cached
from tests.octt.session import Session
from tests.octt.states import GROUP, VALID2, id_token
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.variables import get

POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]
BACK_OFF_S = 120
INTERVAL_S = 50
UNTIL_BACK = {
    "OCPPCommCtrlr.OfflineThreshold": str(BACK_OFF_S + 60),
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": str(BACK_OFF_S),
    "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
    "SampledDataCtrlr.Enabled": "true",
    "SampledDataCtrlr.TxUpdatedMeasurands": ",".join(MEASURANDS[1:3]),
    "SampledDataCtrlr.TxUpdatedInterval": str(INTERVAL_S),
}

each_stop = pytest.mark.parametrize("stop", POINTS)
each_scenario = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


def status_of(bench: Bench, transaction_id: str | None = None) -> dict[str, Any]:
    """GetTransactionStatus of one transaction, or of all."""
    return bench.csms.call("GetTransactionStatus", {"transactionId": transaction_id} if transaction_id else {})


def cut_while_charging(path: Path, stop: str = "EVConnected,Authorized", *, remote: bool = False) -> Session:
    """EnergyTransferStarted; then the link is lost."""
    session = Session(station(path, "EVConnected", stop, variables=UNTIL_BACK), remote=remote)
    session.energy_transfer_started()
    session.bench.csms.disconnect()
    return session


def back_with_the_question(session: Session, transaction_id: str | None) -> dict[str, Any]:
    """The link is restored, and the CSMS asks before it has answered any of what was queued."""
    session.bench.csms.hold()
    session.bench.csms.connect()
    answer = status_of(session.bench, transaction_id)
    session.bench.csms.release()
    session.bench.advance(2)
    return answer


def only_readings(queue: list[dict[str, Any]]) -> None:
    """All that happened while the link was down is that the meter was read."""
    assert len(queue) == BACK_OFF_S // INTERVAL_S
    for event in queue:
        assert (event["eventType"], event["offline"]) == ("Updated", True)
        for value in event["meterValue"]:
            assert {sampled["measurand"] for sampled in value["sampledValue"]} == set(MEASURANDS[1:3])


# --- the status of a transaction


@pytest.mark.octt("TC_E_28_CS")
def test_tc_e_28(bench: Bench) -> None:
    """Check Transaction status - TransactionId unknown."""
    assert status_of(bench, "4711") == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.octt("TC_E_29_CS")
def test_tc_e_29(tmp_path: Path) -> None:
    """Check Transaction status - Transaction with id ongoing - with message in queue."""
    session = cut_while_charging(tmp_path)
    session.bench.advance(BACK_OFF_S)

    answer = back_with_the_question(session, session.transaction_id)

    assert answer == {"ongoingIndicator": True, "messagesInQueue": True}
    only_readings(session.queued())


@pytest.mark.octt("TC_E_30_CS")
def test_tc_e_30(bench: Bench) -> None:
    """Check Transaction status - Transaction with id ongoing - without message in queue."""
    session = Session(bench)
    session.energy_transfer_started()

    assert status_of(bench, session.transaction_id) == {"ongoingIndicator": True, "messagesInQueue": False}


@pytest.mark.octt("TC_E_31_CS")
@each_stop
@each_scenario
def test_tc_e_31(tmp_path: Path, stop: str, *, remote: bool) -> None:
    """Check Transaction status - Transaction with id ended - with message in queue."""
    session = cut_while_charging(tmp_path, stop, remote=remote)
    if remote:
        session.pause()
    else:
        session.present()
    session.unplug()
    session.bay_is(occupied=False)
    session.bench.advance(BACK_OFF_S)

    answer = back_with_the_question(session, session.transaction_id)

    assert answer == {"ongoingIndicator": False, "messagesInQueue": True}
    assert all(event["offline"] for event in session.unread())
    if remote:
        session.told_suspended()
    else:
        session.told_stop_authorized()
    while session.running:
        session.next(chargingState="Idle", triggerReason={"EVCommunicationLost", "EVDeparted"})
    session.nothing_else()


@pytest.mark.octt("TC_E_32_CS")
@each_stop
def test_tc_e_32(tmp_path: Path, stop: str) -> None:
    """Check Transaction status - Transaction with id ended - without message in queue."""
    session = Session(station(tmp_path, "EVConnected", stop))
    session.energy_transfer_started()
    session.parking_bay_unoccupied()

    answer = status_of(session.bench, session.transaction_id)

    assert answer == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.octt("TC_E_33_CS")
def test_tc_e_33(tmp_path: Path) -> None:
    """Check Transaction status - Without transactionId - with message in queue."""
    session = cut_while_charging(tmp_path)
    session.bench.advance(BACK_OFF_S)

    assert back_with_the_question(session, None) == {"messagesInQueue": True}
    only_readings(session.queued())


@pytest.mark.octt("TC_E_34_CS")
def test_tc_e_34(bench: Bench) -> None:
    """Check Transaction status - Without transactionId - without message in queue."""
    assert status_of(bench) == {"messagesInQueue": False}


# --- offline


@pytest.mark.octt("TC_E_40_CS")
def test_tc_e_40(tmp_path: Path) -> None:
    """Offline Behaviour - Connection loss during transaction."""
    session = cut_while_charging(tmp_path)
    session.bench.advance(BACK_OFF_S)
    session.bench.csms.connect()
    session.bench.advance(2)

    only_readings(session.queued())


@pytest.mark.octt("TC_E_43_CS")
@pytest.mark.parametrize("start", POINTS)
@each_stop
def test_tc_e_43(tmp_path: Path, start: str, stop: str) -> None:
    """Offline Behaviour - Transaction during offline period."""
    bench = station(tmp_path, start, stop, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    session = Session(bench)
    bench.csms.disconnect()
    session.bay_is(occupied=True)
    session.plug()
    session.present()
    bench.advance(BACK_OFF_S)
    session.present()
    session.unplug()
    session.bay_is(occupied=False)
    bench.csms.connect()
    bench.advance(2)

    assert session.queued() == bench.events()
    assert bench.events()[0]["eventType"] == "Started"
    assert bench.events()[-1]["eventType"] == "Ended"
    assert len({event["transactionInfo"]["transactionId"] for event in bench.events()}) == 1


def check_ended_offline(session: Session, stopped_by: str) -> None:
    """The driver has gone, then the link is restored: all was queued, and the last says that it has ended."""
    session.unplug()
    session.bay_is(occupied=False)
    session.bench.advance(BACK_OFF_S)
    session.bench.csms.connect()
    session.bench.advance(2)
    queue = session.queued()

    (stop,) = [event for event in queue if event["triggerReason"] == "StopAuthorized"]
    assert stop["idToken"] == id_token(stopped_by)
    assert queue[-1]["eventType"] == "Ended"
    assert queue[-1]["transactionInfo"].get("stoppedReason") in {"Local", None}
    session.nothing_else()


@pytest.mark.octt("TC_E_44_CS")
@each_stop
def test_tc_e_44(tmp_path: Path, stop: str) -> None:
    """Offline Behaviour - Stop transaction during offline period."""
    session = cut_while_charging(tmp_path, stop)

    session.present()

    check_ended_offline(session, session.token)


@pytest.mark.octt("TC_E_45_CS")
@pytest.mark.req("E08.FR.02", "E08.FR.04")
@each_stop
def test_tc_e_45(tmp_path: Path, stop: str) -> None:
    """Offline Behaviour - Stop transaction during offline period - Same GroupId."""
    variables = {**UNTIL_BACK, "AuthCacheCtrlr.Enabled": "true"}
    bench = station(tmp_path, "PowerPathClosed", stop, variables=variables)
    cached(bench, VALID2, groupIdToken=GROUP)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", "groupIdToken": GROUP}})
    session = Session(bench)
    session.energy_transfer_started()
    bench.csms.disconnect()

    session.present(VALID2)

    assert not bench.evse(1).contactor_closed
    check_ended_offline(session, VALID2)


# --- sending again

ATTEMPTS = 3
RETRY_S = 10
TRIES = {
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": str(ATTEMPTS),
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": str(RETRY_S),
    "SampledDataCtrlr.TxUpdatedInterval": "0",
}

Answer = dict[str, Any] | Error | None


def try_again(path: Path, *answers: Answer) -> list[float]:
    """Authorized and connected, and the next event is answered so; gives the seconds between its transmissions.

    The last answer stays. Longer is waited than one more attempt would take.
    """
    given = iter(answers)
    bench = station(path, "Authorized", "Authorized", variables=TRIES)
    bench.csms.on(
        "TransactionEvent",
        lambda event: next(given, answers[-1]) if event["transactionInfo"]["chargingState"] == "Charging" else {},
    )
    session = Session(bench)
    session.authorized()
    session.ev_connected_pre_session()
    bench.advance(minutes=15)

    charging = bench.csms.frames("TransactionEvent")[2:]
    assert {frame.message_id for frame in charging} == {charging[0].message_id}
    assert {frame.content["triggerReason"] for frame in charging} == {"ChargingStateChanged"}
    return [(later.at - earlier.at).total_seconds() for earlier, later in itertools.pairwise(charging)]


def timeout_s(bench: Bench) -> float:
    """How long the station waits for an answer."""
    return float(get(bench, "OCPPCommCtrlr.MessageTimeout[Default]"))


@pytest.mark.octt("TC_E_41_CS")
@pytest.mark.req("E13.FR.01", "E13.FR.02", "E13.FR.03")
def test_tc_e_41(tmp_path: Path, bench: Bench) -> None:
    """Retry sending transaction message when failed - Max retry count reached."""
    waited = try_again(tmp_path / "another", None)

    assert waited == pytest.approx([timeout_s(bench) + RETRY_S, timeout_s(bench) + 2 * RETRY_S], abs=1)


@pytest.mark.octt("TC_E_50_CS")
@pytest.mark.req("E13.FR.01", "E13.FR.02", "E13.FR.03")
def test_tc_e_50(tmp_path: Path) -> None:
    """Retry sending transaction message when failed - Max retry count reached - CallError."""
    waited = try_again(tmp_path, Error("InternalError"))

    assert waited == pytest.approx([RETRY_S, 2 * RETRY_S], abs=1)


@pytest.mark.octt("TC_E_42_CS")
@pytest.mark.req("E13.FR.01", "E13.FR.02", "E13.FR.03")
def test_tc_e_42(tmp_path: Path, bench: Bench) -> None:
    """Retry sending transaction message when failed - Success before reaching the max retry count."""
    waited = try_again(tmp_path / "another", None, {})

    assert waited == pytest.approx([timeout_s(bench) + RETRY_S], abs=1)


@pytest.mark.octt("TC_E_51_CS")
@pytest.mark.req("E13.FR.01", "E13.FR.02", "E13.FR.03")
def test_tc_e_51(tmp_path: Path) -> None:
    """Retry sending transaction message when failed - Success before reaching the max retry count - CallError."""
    waited = try_again(tmp_path, Error("InternalError"), {})

    assert waited == pytest.approx([RETRY_S], abs=1)
