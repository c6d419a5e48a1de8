"""The OCA's test cases of block C about contract certificates (part 6, 2.3 with its errata): C07.

The emulated vehicle and the tool's authorities are `tests/scenarios/vehicles.py`. The errata want V2G certificates to
be there before; so the SECC gets one first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.vehicle import CENTRAL, CONFIGURED, Tool
from tests.scenarios.vehicles import EMAID, Pki, hashes_of

Payload = dict[str, Any]
E_MAID = {"idToken": EMAID, "type": "eMAID"}
STARTS = ["PowerPathClosed", "Authorized", "EVConnected", "ParkingBayOccupancy"]
each_start = pytest.mark.parametrize("start", STARTS)
OFFLINE = {
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
    "AuthCtrlr.LocalAuthorizeOffline": "true",
    "LocalAuthListCtrlr.Enabled": "true",
    "AuthCacheCtrlr.Enabled": "true",
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """The tool's authorities."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def make(tmp_path: Path, pki: Pki) -> Callable[..., Tool]:
    """Makes a tool with a station."""
    return lambda variables, **more: Tool(tmp_path, pki, {**CONFIGURED, **variables}, **more)


def is_not_authorized(tool: Tool) -> None:
    """The post-validation: the vehicle does not charge, and nothing is told of it."""
    tool.bench.advance(minutes=1)
    events = tool.bench.events()
    assert not [each for each in events if each["triggerReason"] == "Authorized"]
    assert not [each for each in events if each["transactionInfo"].get("chargingState") == "Charging"]
    assert not tool.bench.evse(1).charging


def is_authorized(tool: Tool, start: str) -> None:
    """The TransactionEvent of authorization, then EnergyTransferStarted."""
    tool.bench.advance(seconds=10)
    authorized = [each for each in tool.bench.events() if each.get("idToken") == E_MAID]
    assert [each["triggerReason"] for each in authorized] == ["Authorized"]
    assert authorized[0]["eventType"] == ("Updated" if start in {"EVConnected", "ParkingBayOccupancy"} else "Started")
    assert tool.bench.events()[-1]["transactionInfo"]["chargingState"] == "Charging"
    assert tool.bench.evse(1).charging


@pytest.mark.octt("TC_C_50_CS")
@pytest.mark.req("C07.FR.01", "C07.FR.02")
@each_start
def test_tc_c_50_cs(make: Callable[..., Tool], pki: Pki, start: str) -> None:
    tool = make({"TxCtrlr.TxStartPoint": start})
    tool.bay()

    chain = tool.presents()

    (request,) = tool.authorizes()
    assert request["idToken"] == E_MAID
    assert request["iso15118CertificateHashData"] == hashes_of(chain, pki.mo.root_pem)
    assert "certificate" not in request
    is_authorized(tool, start)


@pytest.mark.octt("TC_C_51_CS")
@pytest.mark.req("C07.FR.01", "C07.FR.02")
@each_start
def test_tc_c_51_cs(make: Callable[..., Tool], start: str) -> None:
    tool = make({"TxCtrlr.TxStartPoint": start})
    tool.judges("Invalid", "ContractCancelled")
    tool.bay()

    tool.presents()

    (request,) = tool.authorizes()
    assert request["idToken"]["type"] == "eMAID"
    assert request["iso15118CertificateHashData"]
    is_not_authorized(tool)


@pytest.mark.octt("TC_C_52_CS")
@pytest.mark.req("C07.FR.01", "C07.FR.06")
@each_start
def test_tc_c_52_cs(make: Callable[..., Tool], start: str) -> None:
    tool = make({"TxCtrlr.TxStartPoint": start, **CENTRAL}, roots=False)
    tool.judges("Accepted", "Accepted")
    tool.bay()

    chain = tool.presents()

    (request,) = tool.authorizes()
    assert request["idToken"] == E_MAID
    assert request["certificate"] == chain
    is_authorized(tool, start)


@pytest.mark.octt("TC_C_53_CS")
@each_start
def test_tc_c_53_cs(make: Callable[..., Tool], start: str) -> None:
    tool = make({"TxCtrlr.TxStartPoint": start, **CENTRAL}, roots=False)
    tool.judges("Invalid", "CertificateRevoked")
    tool.bay()

    tool.presents()

    (request,) = tool.authorizes()
    assert request["idToken"] == E_MAID
    assert request["certificate"]
    is_not_authorized(tool)


def cached(tool: Tool) -> None:
    """IdTokenCached15118."""
    tool.bay()
    tool.presents()
    tool.bench.advance(seconds=30)
    transaction = tool.bench.events()[-1]["transactionInfo"]["transactionId"]
    tool.bench.csms.call("RequestStopTransaction", {"transactionId": transaction})
    tool.bench.advance(seconds=5)
    tool.leaves()


def listed(tool: Tool) -> None:
    """IdTokenLocalAuthList."""
    entry = {"idToken": E_MAID, "idTokenInfo": {"status": "Accepted"}}
    update = {"updateType": "Full", "versionNumber": 1, "localAuthorizationList": [entry]}
    assert tool.bench.csms.call("SendLocalList", update) == {"status": "Accepted"}


def unknown(tool: Tool) -> None:
    """Neither is implemented: OfflineTxForUnknownIdEnabled alone."""


MEMORIES = [
    pytest.param(cached, marks=pytest.mark.req("C07.FR.11")),
    pytest.param(listed, marks=pytest.mark.req("C07.FR.10")),
    pytest.param(unknown, marks=pytest.mark.req("C07.FR.12")),
]


def offline_visit(tool: Tool) -> Bench:
    """The tool closes the connection, a vehicle comes, and after a while the station may connect again."""
    bench = tool.bench
    bench.csms.forget()
    bench.csms.disconnect()
    tool.bay()
    tool.presents(at_any_rate=True)
    bench.advance(seconds=30)
    bench.csms.connect()
    bench.advance(seconds=5)
    statuses = [each["connectorStatus"] for each in bench.csms.received("StatusNotification") if each["evseId"] == 1]
    assert statuses[-1] == "Occupied"
    return bench


@pytest.mark.octt("TC_C_54_CS")
@pytest.mark.req("C07.FR.08", "C07.FR.09")
@pytest.mark.parametrize("memory", MEMORIES)
@each_start
def test_tc_c_54_cs(make: Callable[..., Tool], start: str, memory: Callable[[Tool], None]) -> None:
    tool = make({"TxCtrlr.TxStartPoint": start, **OFFLINE, "ISO15118Ctrlr.ContractValidationOffline": "true"})
    memory(tool)

    bench = offline_visit(tool)

    assert tool.authorizes() == []
    if start in {"EVConnected", "ParkingBayOccupancy"}:
        plugged = next(each for each in bench.events() if each["triggerReason"] == "CablePluggedIn")
        assert plugged["transactionInfo"]["chargingState"] == "EVConnected"
        assert plugged["offline"]
    (authorized,) = [each for each in bench.events() if each.get("idToken") == E_MAID]
    assert authorized["triggerReason"] == "Authorized"
    assert authorized["offline"]
    assert bench.evse(1).charging


@pytest.mark.octt("TC_C_55_CS")
@pytest.mark.req("C07.FR.07")
@pytest.mark.parametrize("memory", MEMORIES)
@each_start
def test_tc_c_55_cs(make: Callable[..., Tool], start: str, memory: Callable[[Tool], None]) -> None:
    tool = make({"TxCtrlr.TxStartPoint": start, **OFFLINE, "ISO15118Ctrlr.ContractValidationOffline": "false"})
    memory(tool)

    offline_visit(tool)

    assert tool.authorizes() == []
    is_not_authorized(tool)
