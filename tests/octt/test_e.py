"""The OCA's test cases of block E (transactions), Core profile (part 6, 2.6), and the one for ISO 15118."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from station.facts import VehicleStopped
from tests.bench import Bench
from tests.csms import Error
from tests.octt.signed import have_signing_meters, let_meters_sign, signed_values
from tests.octt.states import GROUP, VALID, VALID2, authorizes, cached, status
from tests.scenarios.e_transactions.story import bay, invalid, line, values
from tests.scenarios.e_transactions.story import bench as station

BACK_OFF_S = 120
DURATION_S = 20
UNTIL_BACK = {
    "OCPPCommCtrlr.OfflineThreshold": str(BACK_OFF_S + 60),
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
}


def told(bench: Bench) -> list[str]:
    return [line(event) for event in bench.events()]


def swipe(bench: Bench, card: str = VALID) -> None:
    bench.evse(1).present_token(card)
    bench.advance(2)


def plug(bench: Bench) -> None:
    """Connect the vehicle: the connector is told Occupied."""
    bench.evse(1).plug_in()
    bench.advance(2)
    assert status(bench)["connectorStatus"] == "Occupied"


def unplug(bench: Bench) -> None:
    """Disconnect it: the connector is told Available."""
    bench.evse(1).unplug()
    bench.advance(2)
    assert status(bench)["connectorStatus"] == "Available"


def charging(bench: Bench, card: str = VALID) -> None:
    """EnergyTransferStarted, the driver first."""
    swipe(bench, card)
    plug(bench)
    bench.advance(DURATION_S)
    assert bench.evse(1).charging
    assert bench.events()[-1]["transactionInfo"]["chargingState"] == "Charging"


def suspended(bench: Bench) -> None:
    """EnergyTransferSuspended: the vehicle pauses."""
    charging(bench)
    bench.evse(1).ev("pause")
    bench.advance(2)
    assert told(bench)[-1] == "Updated/ChargingStateChanged/SuspendedEV"


def stop_remotely(bench: Bench) -> None:
    transaction_id = bench.events()[-1]["transactionInfo"]["transactionId"]
    assert bench.csms.call("RequestStopTransaction", {"transactionId": transaction_id}) == {"status": "Accepted"}
    bench.advance(2)


# --- start points


@pytest.mark.octt("TC_E_01_CS")
def test_tc_e_01(tmp_path: Path) -> None:
    """Start transaction options - PowerPathClosed."""
    bench = station(tmp_path, "PowerPathClosed", "PowerPathClosed")
    swipe(bench)
    assert told(bench) == []
    plug(bench)

    first, *_ = bench.events()

    assert first["eventType"] == "Started"
    assert first["triggerReason"] in {"CablePluggedIn", "ChargingStateChanged"}
    assert first["transactionInfo"]["chargingState"] in {"EVConnected", "SuspendedEVSE", "Charging"}
    assert (first["seqNo"], first["evse"]) == (0, {"id": 1, "connectorId": 1})
    assert first["idToken"]["idToken"] == VALID


@pytest.mark.octt("TC_E_02_CS")
def test_tc_e_02(tmp_path: Path) -> None:
    """Start transaction options - EnergyTransfer."""
    bench = station(tmp_path, "EnergyTransfer", "PowerPathClosed")
    swipe(bench)
    plug(bench)
    bench.advance(5)

    (first,) = bench.events()

    assert line(first) == "Started/ChargingStateChanged/Charging +token +evse"
    assert first["evse"] == {"id": 1, "connectorId": 1}
    assert first["idToken"] == {"idToken": VALID, "type": "ISO14443"}


@pytest.mark.octt("TC_E_03_CS")
def test_tc_e_03(tmp_path: Path) -> None:
    """Local start transaction - Cable plugin first - Success."""
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized")
    plug(bench)
    swipe(bench)
    bench.advance(5)

    assert authorizes(bench) == [VALID]
    assert told(bench) == [
        "Started/CablePluggedIn/EVConnected +evse",
        "Updated/Authorized/EVConnected +token",
        "Updated/ChargingStateChanged/Charging",
    ]


@pytest.mark.octt("TC_E_04_CS")
def test_tc_e_04(tmp_path: Path) -> None:
    """Local start transaction - Authorization first - Success."""
    bench = station(tmp_path, "Authorized", "EVConnected,Authorized")
    swipe(bench)
    plug(bench)
    bench.advance(5)

    assert authorizes(bench) == [VALID]
    assert told(bench) == [
        "Started/Authorized/Idle +token",
        "Updated/CablePluggedIn/EVConnected +evse",
        "Updated/ChargingStateChanged/Charging",
    ]


@pytest.mark.octt("TC_E_05_CS")
def test_tc_e_05(tmp_path: Path) -> None:
    """Local start transaction - Authorization first - Cable plugin timeout."""
    bench = station(tmp_path, "Authorized", "Authorized", variables={"TxCtrlr.EVConnectionTimeOut": "30"})
    swipe(bench)
    bench.advance(31)

    assert told(bench)[-1] == "Ended/EVConnectTimeout/Idle =Timeout"

    bench.csms.forget()
    charging(bench)

    assert authorizes(bench) == [VALID]
    assert told(bench)[0] == "Started/Authorized/Idle +token"


@pytest.mark.octt("TC_E_09_CS")
def test_tc_e_09(tmp_path: Path) -> None:
    """Start transaction options - EVConnected."""
    bench = station(tmp_path, "EVConnected", "EVConnected")
    plug(bench)

    assert told(bench) == ["Started/CablePluggedIn/EVConnected +evse"]
    assert bench.events()[0]["evse"] == {"id": 1, "connectorId": 1}


@pytest.mark.octt("TC_E_10_CS")
def test_tc_e_10(tmp_path: Path) -> None:
    """Start transaction options - Authorized - Local."""
    bench = station(tmp_path, "Authorized", "Authorized")
    swipe(bench)

    assert authorizes(bench) == [VALID]
    assert told(bench) == ["Started/Authorized/Idle +token"]
    assert bench.events()[0]["idToken"] == {"idToken": VALID, "type": "ISO14443"}


@pytest.mark.octt("TC_E_11_CS")
def test_tc_e_11(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start transaction options - DataSigned."""
    variables = {
        "SampledDataCtrlr.SignReadings": "true",
        "OCPPCommCtrlr.PublicKeyWithSignedMeterValue": "EveryMeterValue",
    }
    have_signing_meters(monkeypatch)
    bench = station(tmp_path, "DataSigned", "EVConnected,Authorized", variables=variables)
    let_meters_sign(bench, monkeypatch)
    bench.evse(1).present_token(VALID)
    bench.advance(2)
    bench.evse(1).plug_in()
    bench.advance(5)
    first, second, *_ = bench.events()
    (begin,) = first["meterValue"]

    assert line(first) == "Started/SignedDataReceived/EVConnected +token +evse"
    assert {v["context"] for v in begin["sampledValue"]} == {"Transaction.Begin"}
    assert set(signed_values(begin)[0]) == {"encodingMethod", "publicKey", "signedMeterData", "signingMethod"}
    assert line(second) == "Updated/ChargingStateChanged/Charging"


@pytest.mark.octt("TC_E_12_CS")
def test_tc_e_12(tmp_path: Path) -> None:
    """Start transaction options - ParkingBayOccupied."""
    bench = station(tmp_path, "ParkingBayOccupancy", "ParkingBayOccupancy")
    bay(bench, occupied=True)

    assert told(bench) == ["Started/EVDetected/Idle"]


@pytest.mark.octt("TC_E_13_CS")
@pytest.mark.parametrize("authorize", ["true", "false"])
def test_tc_e_13(tmp_path: Path, authorize: str) -> None:
    """Start transaction options - Authorized - Remote."""
    variables = {"AuthCtrlr.AuthorizeRemoteStart": authorize}
    bench = station(tmp_path, "Authorized", "Authorized", variables=variables)
    token = {"idToken": VALID, "type": "ISO14443"}
    answer = bench.csms.call("RequestStartTransaction", {"idToken": token, "evseId": 1, "remoteStartId": 9})
    bench.advance(2)
    (first,) = bench.events()

    assert answer["status"] == "Accepted"
    assert authorizes(bench) == ([VALID] if authorize == "true" else [])
    assert line(first) == "Started/RemoteStart/Idle +token +remote"
    assert (first["idToken"], first["transactionInfo"]["remoteStartId"]) == (token, 9)


@pytest.mark.octt("TC_E_38_CS")
def test_tc_e_38(tmp_path: Path) -> None:
    """Local start transaction - EV not ready."""
    bench = station(tmp_path, "Authorized", "Authorized")
    swipe(bench)
    bench.evse(1).plug_in(charge=False)
    bench.advance(30)

    assert told(bench)[1:] == [
        "Updated/CablePluggedIn/EVConnected +evse",
        "Updated/ChargingStateChanged/SuspendedEV",
    ]


@pytest.mark.octt("TC_E_39_CS")
@pytest.mark.parametrize("start", ["Authorized", "PowerPathClosed", "EVConnected"])
def test_tc_e_39(tmp_path: Path, start: str) -> None:
    """Stop transaction options - Deauthorized - timeout."""
    bench = station(tmp_path, start, "Authorized", variables={"TxCtrlr.EVConnectionTimeOut": "30"})
    swipe(bench)
    bench.advance(31)
    ended = [text for text in told(bench) if "EVConnectTimeout" in text]
    bench.evse(1).plug_in()
    bench.advance(30)

    assert ended == (["Ended/EVConnectTimeout/Idle =Timeout"] if start == "Authorized" else [])
    assert all("Charging" not in text.split(" ")[0].split("/")[2] for text in told(bench))
    assert bench.evse(1).energy_wh == 0


@pytest.mark.octt("TC_E_52_CS")
def test_tc_e_52(tmp_path: Path) -> None:
    """Local start transaction - Authorization first - DisableRemoteAuthorization."""
    variables = {"AuthCtrlr.DisableRemoteAuthorization": "true"}
    bench = station(tmp_path, "Authorized", "Authorized", variables=variables)
    swipe(bench)
    bench.advance(40)

    assert authorizes(bench) == []
    assert told(bench) == []


# --- stop points


@pytest.mark.octt("TC_E_06_CS")
def test_tc_e_06(tmp_path: Path) -> None:
    """Local Stop Transaction - Accepted."""
    bench = station(tmp_path, "EVConnected", "EVConnected")
    charging(bench)
    before = len(told(bench))
    swipe(bench)
    unplug(bench)

    assert told(bench)[before:] == [
        "Updated/StopAuthorized/Charging +token",
        "Updated/ChargingStateChanged/EVConnected",
        "Ended/EVCommunicationLost/Idle =Local",
    ]


def check_local_stop(path: Path, stop: str) -> None:
    """The same token as started it: Ended, StopAuthorized, Local, and EVConnected."""
    bench = station(path, "Authorized", stop)
    charging(bench)
    swipe(bench)

    assert told(bench)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"
    assert bench.events()[-1]["idToken"]["idToken"] == VALID


@pytest.mark.octt("TC_E_07_CS")
def test_tc_e_07(tmp_path: Path) -> None:
    """Stop transaction options - PowerPathClosed - Local stop."""
    check_local_stop(tmp_path, "PowerPathClosed")


@pytest.mark.octt("TC_E_08_CS")
def test_tc_e_08(tmp_path: Path) -> None:
    """Stop transaction options - EnergyTransfer stopped - StopAuthorized."""
    check_local_stop(tmp_path, "EnergyTransfer")


@pytest.mark.octt("TC_E_15_CS")
def test_tc_e_15(tmp_path: Path) -> None:
    """Stop transaction options - StopAuthorized - Local."""
    check_local_stop(tmp_path, "Authorized")


def check_remote_stop(path: Path, stop: str) -> None:
    """RequestStopTransaction: Ended, RemoteStop, Remote."""
    bench = station(path, "Authorized", stop)
    charging(bench)
    stop_remotely(bench)

    assert told(bench)[-1] == "Ended/RemoteStop/EVConnected =Remote"


@pytest.mark.octt("TC_E_21_CS")
def test_tc_e_21(tmp_path: Path) -> None:
    """Stop transaction options - StopAuthorized - Remote."""
    check_remote_stop(tmp_path, "Authorized")


@pytest.mark.octt("TC_E_35_CS")
def test_tc_e_35(tmp_path: Path) -> None:
    """Stop transaction options - PowerPathClosed - Remote stop."""
    check_remote_stop(tmp_path, "PowerPathClosed")


@pytest.mark.octt("TC_E_14_CS")
@pytest.mark.parametrize("how", ["local", "remote"])
def test_tc_e_14(tmp_path: Path, how: str) -> None:
    """Stop transaction options - EVDisconnected - Charging Station side."""
    bench = station(tmp_path, "EVConnected", "EVConnected", lock=True)
    charging(bench)
    if how == "local":
        swipe(bench)
    else:
        stop_remotely(bench)
    unplug(bench)

    reason = {"local": "Local", "remote": "Remote"}[how]
    assert told(bench)[-1] == f"Ended/EVCommunicationLost/Idle ={reason}"


@pytest.mark.octt("TC_E_16_CS")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed"])
def test_tc_e_16(tmp_path: Path, stop: str) -> None:
    """Stop transaction options - Deauthorized - Invalid idToken."""
    variables = {**UNTIL_BACK, "TxCtrlr.StopTxOnInvalidId": "true"}
    bench = station(tmp_path, "Authorized", stop, variables=variables)
    bench.csms.disconnect()
    swipe(bench)
    bench.evse(1).plug_in()
    bench.advance(60)
    bench.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    bench.csms.connect()
    bench.advance(5)

    *queued, last = bench.events()

    assert all(event["offline"] for event in queued)
    assert line(last) == "Ended/Deauthorized/EVConnected =DeAuthorized"
    assert "offline" not in last


@pytest.mark.octt("TC_E_17_CS")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed"])
def test_tc_e_17(tmp_path: Path, stop: str) -> None:
    """Stop transaction options - Deauthorized - EV side disconnect."""
    variables = {"TxCtrlr.StopTxOnEVSideDisconnect": "true", "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "false"}
    bench = station(tmp_path, "Authorized", stop, variables=variables)
    suspended(bench)
    unplug(bench)

    assert told(bench)[-1] == "Ended/EVCommunicationLost/Idle =EVDisconnected"


@pytest.mark.octt("TC_E_19_CS")
@pytest.mark.parametrize("how", ["local", "remote"])
def test_tc_e_19(tmp_path: Path, how: str) -> None:
    """Stop transaction options - ParkingBayUnoccupied."""
    bench = station(tmp_path, "ParkingBayOccupancy", "ParkingBayOccupancy")
    bay(bench, occupied=True)
    charging(bench)
    if how == "local":
        swipe(bench)
    else:
        stop_remotely(bench)
    unplug(bench)
    bay(bench, occupied=False)
    bench.advance(2)

    assert told(bench)[-1] == f"Ended/EVDeparted/Idle ={'Local' if how == 'local' else 'Remote'}"


@pytest.mark.octt("TC_E_54_CS")
def test_tc_e_54(tmp_path: Path) -> None:
    """Stop transaction options - EVDisconnected - EV side (not able to charge IEC 61851-1 EV)."""
    variables = {"TxCtrlr.StopTxOnEVSideDisconnect": "false"}
    bench = station(tmp_path, "EVConnected", "EVConnected", variables=variables)
    suspended(bench)
    bench.hardware.tell(VehicleStopped(evse_id=1, at=bench.now.instant))
    bench.evse(1).unplug()
    bench.advance(2)

    assert told(bench)[-1] == "Ended/EVCommunicationLost/Idle =StoppedByEV"


@pytest.mark.octt("TC_E_20_CS")
def test_tc_e_20(tmp_path: Path) -> None:
    """Stop transaction options - EVDisconnected - EV side (able to charge IEC 61851-1 EV)."""
    variables = {"TxCtrlr.StopTxOnEVSideDisconnect": "false"}
    bench = station(tmp_path, "EVConnected", "EVConnected", variables=variables)
    suspended(bench)
    bench.evse(1).unplug()
    bench.advance(2)

    assert told(bench)[-1] == "Ended/EVCommunicationLost/Idle =EVDisconnected"


@pytest.mark.octt("TC_E_22_CS")
def test_tc_e_22(tmp_path: Path) -> None:
    """Stop transaction options - EnergyTransfer stopped - SuspendedEV."""
    bench = station(tmp_path, "Authorized", "EnergyTransfer")
    charging(bench)
    bench.evse(1).ev("pause")
    bench.advance(2)

    assert told(bench)[-1] == "Ended/ChargingStateChanged/EVConnected =StoppedByEV"


@pytest.mark.octt("TC_E_37_CS")
def test_tc_e_37(tmp_path: Path) -> None:
    """Stop transaction options - PowerPathClosed - EV side disconnect."""
    variables = {"TxCtrlr.StopTxOnEVSideDisconnect": "false"}
    bench = station(tmp_path, "Authorized", "PowerPathClosed", variables=variables)
    suspended(bench)
    bench.evse(1).unplug()
    bench.advance(2)

    assert told(bench)[-1] == "Ended/EVCommunicationLost/Idle =EVDisconnected"


# --- the cable is disconnected on the vehicle's side


def ev_side(path: Path, *, stops: str, unlocks: str, lock: bool, stop: str = "Authorized") -> Bench:
    variables = {
        "TxCtrlr.StopTxOnEVSideDisconnect": stops,
        "OCPPCommCtrlr.UnlockOnEVSideDisconnect": unlocks,
        "TxCtrlr.EVConnectionTimeOut": "60",
    }
    bench = station(path, "Authorized", stop, variables=variables, lock=lock)
    suspended(bench)
    return bench


@pytest.mark.octt("TC_E_24_CS")
def test_tc_e_24(tmp_path: Path) -> None:
    """Disconnect cable on EV-side - Deauthorize transaction - UnlockEVSideDisconnect is true."""
    bench = ev_side(tmp_path, stops="true", unlocks="true", lock=True)
    bench.evse(1).unplug()
    bench.advance(2)
    last = bench.events()[-1]

    assert (last["triggerReason"], last["transactionInfo"]["chargingState"]) == ("EVCommunicationLost", "Idle")
    assert bench.world.evse(1).snapshot().lock.value == "unlocked"
    assert status(bench)["connectorStatus"] == "Available"


@pytest.mark.octt("TC_E_25_CS")
@pytest.mark.parametrize("lock", [True, False])
def test_tc_e_25(tmp_path: Path, *, lock: bool) -> None:
    """Disconnect cable on EV-side - Deauthorize transaction - UnlockOnEVSideDisconnect is false."""
    bench = ev_side(tmp_path, stops="true", unlocks="false", lock=lock)
    bench.evse(1).unplug()
    bench.advance(2)
    last = bench.events()[-1]
    held = bench.world.evse(1).snapshot().lock.value
    if lock:
        swipe(bench)

    assert (last["triggerReason"], last["transactionInfo"]["chargingState"]) == ("EVCommunicationLost", "Idle")
    assert held == ("locked" if lock else "absent")
    assert bench.world.evse(1).snapshot().lock.value == ("unlocked" if lock else "absent")
    assert status(bench)["connectorStatus"] == "Available"


@pytest.mark.octt("TC_E_26_CS")
@pytest.mark.parametrize("lock", [True, False])
def test_tc_e_26(tmp_path: Path, *, lock: bool) -> None:
    """Disconnect cable on EV-side - Suspend transaction."""
    bench = ev_side(tmp_path, stops="false", unlocks="false", lock=lock)
    before = len(told(bench))
    bench.evse(1).unplug()
    bench.advance(5)
    unplugged = status(bench)["connectorStatus"]
    bench.evse(1).plug_in()
    bench.advance(5)

    assert told(bench)[before:] == [
        "Updated/EVCommunicationLost/Idle",
        "Updated/CablePluggedIn/EVConnected +evse",
        "Updated/ChargingStateChanged/Charging",
    ]
    assert lock or unplugged == "Available"


@pytest.mark.octt("TC_E_27_CS")
def test_tc_e_27(tmp_path: Path) -> None:
    """Disconnect cable on EV-side - Suspend transaction - Fixed cable connection timeout."""
    bench = ev_side(tmp_path, stops="false", unlocks="false", lock=False)
    before = len(told(bench))
    unplug(bench)
    bench.advance(61)

    lines = [text for text in told(bench)[before:] if "MeterValue" not in text]
    assert lines == ["Updated/EVCommunicationLost/Idle", "Ended/EVConnectTimeout/Idle =Timeout"]


# --- the status of a transaction


def status_of(bench: Bench, transaction_id: str | None) -> dict[str, Any]:
    return bench.csms.call("GetTransactionStatus", {"transactionId": transaction_id} if transaction_id else {})


def offline_while_charging(path: Path) -> tuple[Bench, str, int]:
    """EnergyTransferStarted, then the link is lost for longer than a sampling interval."""
    bench = station(path, "EVConnected", "EVConnected,Authorized", variables=UNTIL_BACK)
    charging(bench)
    transaction_id = bench.events()[-1]["transactionInfo"]["transactionId"]
    before = len(bench.events())
    bench.csms.disconnect()
    bench.advance(BACK_OFF_S)
    return bench, transaction_id, before


@pytest.mark.octt("TC_E_28_CS")
def test_tc_e_28(tmp_path: Path) -> None:
    """Check Transaction status - TransactionId unknown."""
    bench = station(tmp_path, "EVConnected", "EVConnected")

    assert status_of(bench, "4711") == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.octt("TC_E_29_CS")
def test_tc_e_29(tmp_path: Path) -> None:
    """Check Transaction status - Transaction with id ongoing - with message in queue."""
    bench, transaction_id, before = offline_while_charging(tmp_path)
    bench.csms.hold()
    bench.csms.connect()
    answer = status_of(bench, transaction_id)
    bench.csms.release()
    bench.advance(2)

    assert answer == {"ongoingIndicator": True, "messagesInQueue": True}
    queued = bench.events()[before:]
    assert queued
    assert all(e["eventType"] == "Updated" and e["offline"] and e["meterValue"] for e in queued)


@pytest.mark.octt("TC_E_30_CS")
def test_tc_e_30(tmp_path: Path) -> None:
    """Check Transaction status - Transaction with id ongoing - without message in queue."""
    bench = station(tmp_path, "EVConnected", "EVConnected")
    charging(bench)
    transaction_id = bench.events()[-1]["transactionInfo"]["transactionId"]

    assert status_of(bench, transaction_id) == {"ongoingIndicator": True, "messagesInQueue": False}


@pytest.mark.octt("TC_E_31_CS")
def test_tc_e_31(tmp_path: Path) -> None:
    """Check Transaction status - Transaction with id ended - with message in queue."""
    bench, transaction_id, _ = offline_while_charging(tmp_path)
    swipe(bench)
    bench.evse(1).unplug()
    bench.advance(10)
    bench.csms.hold()
    bench.csms.connect()
    answer = status_of(bench, transaction_id)
    bench.csms.release()
    bench.advance(2)

    assert answer == {"ongoingIndicator": False, "messagesInQueue": True}
    assert told(bench)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"


@pytest.mark.octt("TC_E_32_CS")
def test_tc_e_32(tmp_path: Path) -> None:
    """Check Transaction status - Transaction with id ended - without message in queue."""
    bench = station(tmp_path, "EVConnected", "EVConnected")
    charging(bench)
    transaction_id = bench.events()[-1]["transactionInfo"]["transactionId"]
    swipe(bench)
    unplug(bench)

    assert status_of(bench, transaction_id) == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.octt("TC_E_33_CS")
def test_tc_e_33(tmp_path: Path) -> None:
    """Check Transaction status - Without transactionId - with message in queue."""
    bench, _, before = offline_while_charging(tmp_path)
    bench.csms.hold()
    bench.csms.connect()
    answer = status_of(bench, None)
    bench.csms.release()
    bench.advance(2)

    assert answer == {"messagesInQueue": True}
    assert all(e["eventType"] == "Updated" and e["offline"] for e in bench.events()[before:])


@pytest.mark.octt("TC_E_34_CS")
def test_tc_e_34(tmp_path: Path) -> None:
    """Check Transaction status - Without transactionId - without message in queue."""
    bench = station(tmp_path, "EVConnected", "EVConnected")

    assert status_of(bench, None) == {"messagesInQueue": False}


# --- offline


@pytest.mark.octt("TC_E_40_CS")
def test_tc_e_40(tmp_path: Path) -> None:
    """Offline Behaviour - Connection loss during transaction."""
    bench, _, before = offline_while_charging(tmp_path)
    bench.csms.connect()
    bench.advance(2)
    queued = bench.events()[before:]

    assert len(queued) == 2
    assert all(e["eventType"] == "Updated" and e["offline"] and e["meterValue"] for e in queued)


@pytest.mark.octt("TC_E_43_CS")
def test_tc_e_43(tmp_path: Path) -> None:
    """Offline Behaviour - Transaction during offline period."""
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=UNTIL_BACK)
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    swipe(bench)
    bench.advance(DURATION_S)
    swipe(bench)
    bench.evse(1).unplug()
    bench.advance(5)
    bench.csms.connect()
    bench.advance(2)
    kinds = [event["eventType"] for event in bench.events()]

    assert all(event["offline"] for event in bench.events())
    assert (kinds.count("Started"), kinds.count("Ended")) == (1, 1)


@pytest.mark.octt("TC_E_44_CS")
def test_tc_e_44(tmp_path: Path) -> None:
    """Offline Behaviour - Stop transaction during offline period."""
    bench, _, before = offline_while_charging(tmp_path)
    swipe(bench)
    bench.evse(1).unplug()
    bench.advance(5)
    bench.csms.connect()
    bench.advance(2)
    queued = bench.events()[before:]

    assert all(event["offline"] for event in queued)
    assert line(queued[-1]) == "Ended/StopAuthorized/EVConnected +token =Local"


@pytest.mark.octt("TC_E_45_CS")
def test_tc_e_45(tmp_path: Path) -> None:
    """Offline Behaviour - Stop transaction during offline period - Same GroupId."""
    variables = {**UNTIL_BACK, "AuthCacheCtrlr.Enabled": "true", "AuthCtrlr.LocalAuthorizeOffline": "true"}
    bench = station(tmp_path, "PowerPathClosed", "EVConnected,Authorized", variables=variables)
    cached(bench, VALID2, groupIdToken=GROUP)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", "groupIdToken": GROUP}})
    charging(bench)
    before = len(bench.events())
    bench.csms.disconnect()
    swipe(bench, VALID2)
    stopped = not bench.evse(1).contactor_closed
    bench.evse(1).unplug()
    bench.advance(5)
    bench.csms.connect()
    bench.advance(2)
    queued = bench.events()[before:]

    assert stopped
    assert all(event["offline"] for event in queued)
    assert line(queued[-1]) == "Ended/StopAuthorized/EVConnected +token =Local"
    assert queued[-1]["idToken"]["idToken"] == VALID2


# --- sending again

ATTEMPTS = 3
INTERVAL_S = 10
TIMEOUT_S = 35.0
TRIES = {
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": str(ATTEMPTS),
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": str(INTERVAL_S),
    "SampledDataCtrlr.TxUpdatedInterval": "0",
}
AFTER_TIMEOUT = [TIMEOUT_S + INTERVAL_S, TIMEOUT_S + 2 * INTERVAL_S]
AFTER_ERROR = [INTERVAL_S, 2 * INTERVAL_S]


def transmissions(bench: Bench, number: int = 0) -> list[float]:
    """Seconds between the transmissions of the first event."""
    frames = bench.csms.frames("TransactionEvent")
    ids = list(dict.fromkeys(frame.message_id for frame in frames))
    times = [frame.at for frame in frames if frame.message_id == ids[number]]
    return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]


def try_again(path: Path, answer: Callable[[Any], Any]) -> Bench:
    """Authorized, then plugged in without asking for energy: one event, answered as given."""
    bench = station(path, "EVConnected", "EVConnected", variables=TRIES)
    bench.csms.on("TransactionEvent", answer)
    bench.evse(1).plug_in(charge=False)
    bench.advance(600)
    return bench


@pytest.mark.octt("TC_E_41_CS")
def test_tc_e_41(tmp_path: Path) -> None:
    """Retry sending transaction message when failed - Max retry count reached."""
    bench = try_again(tmp_path, lambda _: None)

    assert len(bench.csms.transmissions("TransactionEvent")) == ATTEMPTS
    assert transmissions(bench) == pytest.approx(AFTER_TIMEOUT, abs=1)


@pytest.mark.octt("TC_E_50_CS")
def test_tc_e_50(tmp_path: Path) -> None:
    """Retry sending transaction message when failed - Max retry count reached - CallError."""
    bench = try_again(tmp_path, lambda _: Error("InternalError"))

    assert len(bench.csms.transmissions("TransactionEvent")) == ATTEMPTS
    assert transmissions(bench) == pytest.approx(AFTER_ERROR, abs=1)


@pytest.mark.octt("TC_E_42_CS")
def test_tc_e_42(tmp_path: Path) -> None:
    """Retry sending transaction message when failed - Success before reaching the max retry count."""
    given: Iterator[Any] = iter([None])
    bench = try_again(tmp_path, lambda _: next(given, {}))

    assert len(bench.csms.transmissions("TransactionEvent")) == 2
    assert transmissions(bench) == pytest.approx(AFTER_TIMEOUT[:1], abs=1)


@pytest.mark.octt("TC_E_51_CS")
def test_tc_e_51(tmp_path: Path) -> None:
    """Retry sending transaction message when failed - Success before reaching the max retry count - CallError."""
    given: Iterator[Any] = iter([Error("InternalError")])
    bench = try_again(tmp_path, lambda _: next(given, {}))

    assert len(bench.csms.transmissions("TransactionEvent")) == 2
    assert transmissions(bench) == pytest.approx(AFTER_ERROR[:1], abs=1)


# --- ISO 15118


@pytest.mark.octt("TC_E_46_CS")
@pytest.mark.parametrize(
    "stop,last",
    [
        ("Authorized", "Ended/StopAuthorized/EVConnected =StoppedByEV"),
        ("EVConnected", "Updated/ChargingStateChanged/EVConnected"),
    ],
)
def test_tc_e_46(tmp_path: Path, stop: str, last: str) -> None:
    """End of charging process 15118."""
    bench = station(tmp_path, "Authorized", stop)
    charging(bench)
    before = len(told(bench))
    bench.hardware.tell(VehicleStopped(evse_id=1, at=bench.now.instant))
    bench.advance(3)
    lines = told(bench)[before:]

    assert "StopAuthorized" in lines[0]
    assert lines[-1] == last
    assert values(bench.events()[-1], "Transaction.End") or stop == "EVConnected"
