"""The OCA's test cases of a master pass where the station has a display and keys (part 6, 2.4; C16)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.api import TokenType
from station.blocks.authorization.master import CHOICE_S
from station.blocks.authorization.words import WORDS
from tests.bench import Bench
from tests.octt.memory import in_local_list, listed, verdict
from tests.octt.session import Session
from tests.octt.states import VALID, VALID2, authorizes
from tests.octt.stations import POINTS
from tests.octt.test_c import MASTER, MASTERS, stopped_by_master
from tests.scenarios.e_transactions.story import bench as station

INFO = verdict(**MASTERS)


def charging(path: Path, stop: str = "EVConnected,Authorized") -> tuple[Session, Session]:
    """EnergyTransferStarted for all EVSEs; whoever comes next belongs to the masters."""
    variables = {"AuthCtrlr.MasterPassGroupId": "masters"}
    bench = station(path, "PowerPathClosed", stop, evses=2, variables=variables, keypad=True)
    first = Session(bench, evse=1, token=VALID)
    first.energy_transfer_started()
    second = Session(bench, evse=2, token=VALID2)
    second.energy_transfer_started()
    bench.csms.on("Authorize", INFO)
    bench.csms.forget()
    return first, second


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A station that charges on both EVSEs."""
    return charging(tmp_path)[0].bench


def present(bench: Bench) -> None:
    bench.evse(1).present_token(MASTER)
    assert bench.evse(1).charging
    assert bench.evse(2).charging
    assert bench.shown[-1] == WORDS["en"]["choose"].format(evses="1, 2")


def choose(bench: Bench, digits: str) -> None:
    bench.evse(1).present_token(digits, TokenType.KEY_CODE)
    bench.advance(seconds=10)


def ended(bench: Bench) -> list[tuple[str, str | None]]:
    """(stoppedReason, token) of the transactions that are over."""
    return [
        (event["transactionInfo"]["stoppedReason"], event.get("idToken", {}).get("idToken"))
        for event in bench.events()
        if event["eventType"] == "Ended"
    ]


@pytest.mark.octt("TC_C_47_CS")
@pytest.mark.req("C16.FR.01", "C16.FR.07", "C16.FR.08")
@pytest.mark.parametrize("stop", POINTS)
def test_tc_c_47_cs_all_transactions_are_chosen(tmp_path: Path, stop: str) -> None:
    first, second = charging(tmp_path, stop)
    present(first.bench)

    choose(first.bench, "0")

    assert authorizes(first.bench) == [MASTER]
    stopped_by_master(first)
    stopped_by_master(second)


@pytest.mark.octt("TC_C_48_CS")
@pytest.mark.req("C16.FR.01", "C16.FR.07", "C16.FR.08")
@pytest.mark.parametrize("stop", POINTS)
def test_tc_c_48_cs_one_transaction_is_chosen(tmp_path: Path, stop: str) -> None:
    first, second = charging(tmp_path, stop)
    present(first.bench)

    choose(first.bench, "1")

    assert authorizes(first.bench) == [MASTER]
    stopped_by_master(first)
    second.nothing_else()
    assert second.bench.evse(2).charging


@pytest.mark.req("C16.FR.01")
def test_without_a_choice_everything_goes_on(bench: Bench) -> None:
    present(bench)
    bench.advance(seconds=CHOICE_S + 1)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})

    choose(bench, "0")

    assert ended(bench) == []
    assert authorizes(bench) == [MASTER, "0"]  # by now it is a key code like any other
    assert bench.evse(1).charging


@pytest.mark.req("C16.FR.01")
def test_a_wrong_choice_may_be_corrected(bench: Bench) -> None:
    present(bench)

    choose(bench, "7")
    assert bench.shown[-1] == WORDS["en"]["not_there"]
    assert ended(bench) == []
    choose(bench, "2")

    assert ended(bench) == [("MasterPass", MASTER)]
    assert bench.evse(1).charging


@pytest.mark.req("C16.FR.03")
def test_where_nobody_charges_a_master_pass_does_nothing(bench: Bench) -> None:
    present(bench)
    choose(bench, "0")
    bench.evse(1).unplug()
    bench.advance(2)
    bench.evse(1).plug_in()

    bench.evse(1).present_token(MASTER)
    bench.advance(seconds=30)

    assert not bench.evse(1).contactor_closed
    assert bench.shown[-2:] == [WORDS["en"]["not_there"], ""]


@pytest.mark.req("C16.FR.05", "C16.FR.03")
@pytest.mark.parametrize("connected", [True, False])
def test_a_listed_master_pass_ends_transactions_without_asking(tmp_path: Path, *, connected: bool) -> None:
    variables = {
        "AuthCtrlr.MasterPassGroupId": "MASTERS",
        "AuthCtrlr.LocalPreAuthorize": "true",
        "TxCtrlr.TxStopPoint": "Authorized",
    }
    bench = Bench(tmp_path, variables=variables)
    in_local_list(bench, listed(MASTER, **MASTERS), listed(VALID))
    bench.evse(1).plug_in()
    bench.evse(1).present_token(MASTER)
    bench.advance(seconds=10)
    assert not bench.evse(1).contactor_closed
    bench.evse(1).present_token(VALID)
    bench.advance(seconds=10)
    assert bench.evse(1).charging
    if not connected:
        bench.csms.disconnect()

    bench.evse(2).present_token(MASTER)
    bench.advance(seconds=10)
    if not connected:
        bench.csms.connect()
        bench.advance(seconds=10)

    assert authorizes(bench) == []
    assert ended(bench) == [("MasterPass", MASTER)]


@pytest.mark.req("C16.FR.04", "C12.FR.09")
def test_a_cached_master_pass_ends_transactions_offline(tmp_path: Path) -> None:
    variables = {"AuthCtrlr.MasterPassGroupId": "masters", "TxCtrlr.TxStopPoint": "Authorized"}
    bench = Bench(tmp_path, variables=variables)
    bench.csms.on("Authorize", INFO)
    bench.evse(1).present_token(MASTER)
    bench.csms.default("Authorize")
    Session(bench).energy_transfer_started()
    bench.csms.disconnect()

    bench.evse(1).present_token(MASTER)
    bench.advance(seconds=10)

    assert not bench.evse(1).contactor_closed


@pytest.mark.req("C16.FR.03")
def test_a_master_pass_that_was_not_known_as_one_has_started_nothing(tmp_path: Path) -> None:
    """Offline as an unknown token, or by a remote start: the CSMS or the request tells the group."""
    variables = {
        "AuthCtrlr.MasterPassGroupId": "masters",
        "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
        "TxCtrlr.StopTxOnInvalidId": "true",
        "TxCtrlr.TxStopPoint": "Authorized",
    }
    bench = Bench(tmp_path, variables=variables)
    remote = {"remoteStartId": 1, "evseId": 2, "idToken": {"idToken": MASTER, "type": "Central"}, **MASTERS}
    bench.evse(2).plug_in()
    bench.csms.call("RequestStartTransaction", remote)
    bench.advance(seconds=10)
    assert not bench.evse(2).contactor_closed

    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token(MASTER)
    bench.advance(seconds=10)
    bench.csms.on("TransactionEvent", lambda sent: INFO if "idToken" in sent else {})
    bench.csms.connect()
    bench.advance(seconds=10)

    assert ended(bench) == [("DeAuthorized", None)]
    assert not bench.evse(1).contactor_closed
