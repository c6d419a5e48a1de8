"""The OCA's test cases of firmware (block L; part 6, 2.13, with its errata).

File servers and installers are played: jobs end as they would let them end. Certificates and signatures are real. The
installer here asks for a restart to put the new firmware in place, unless a test case wants another one.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from certs.throwaway import Wish
from station.blocks.firmware.jobs import DownloadFirmware, InstallFirmware
from station.blocks.firmware.terms import FirmwareTerms
from tests.octt.session import Session
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.l_firmware.updates import (
    Manufacturer,
    confirmed,
    downloaded,
    events,
    installed,
    status_of,
    statuses,
    trigger,
    update,
    verified,
    waits,
)

ALLOW = "ChargingStation.AllowNewSessionsPendingFirmwareUpdate"
FETCHED = ["Downloading", "Downloaded", "SignatureVerified"]
DONE = ["Installing", "InstallRebooting", "Installed"]


class Tool:
    """The test tool with a station that trusts its manufacturer."""

    def __init__(self, folder: Path, beside: str = "download", allow: str = "false") -> None:
        terms = FirmwareTerms(while_charging=beside)  # type: ignore[arg-type]  # one of the three words
        self.bench = station(
            folder, "PowerPathClosed", "EVConnected,Authorized", evses=2, firmware=terms, variables={ALLOW: allow}
        )
        self.maker = Manufacturer(folder / "maker")
        self.maker.is_trusted_by(self.bench)

    def fetched(self) -> None:
        """The file comes, and is as it was signed."""
        downloaded(self.bench)
        verified(self.bench)

    def installed(self) -> None:
        """The installer is ready, the station restarts, and the new firmware is what runs."""
        self.bench.advance(seconds=3)
        installed(self.bench)
        assert self.bench.csms.received("BootNotification")[-1]["reason"] == "FirmwareUpdate"
        confirmed(self.bench)
        self.bench.advance(seconds=3)
        assert [status_of(self.bench, number) for number in (1, 2)] == ["Available", "Available"]
        assert events(self.bench) == ["FirmwareUpdated"]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


@pytest.mark.octt("TC_L_01_CS")
@pytest.mark.req(
    *("L01.FR.01", "L01.FR.04", "L01.FR.05", "L01.FR.10", "L01.FR.12", "L01.FR.20"),
    *("L01.FR.21", "L01.FR.28", "L01.FR.31", "L01.FR.32"),
)
def test_tc_l_01_cs_installation_successful(tool: Tool) -> None:
    assert update(tool.bench, tool.maker, 7, install_h=-2)["status"] == "Accepted"
    tool.fetched()
    tool.installed()

    assert statuses(tool.bench, 7) == [*FETCHED, *DONE]


@pytest.mark.octt("TC_L_02_CS")
@pytest.mark.req("L01.FR.16")
def test_tc_l_02_cs_install_scheduled(tool: Tool) -> None:
    assert update(tool.bench, tool.maker, install_h=1)["status"] == "Accepted"
    tool.fetched()
    tool.bench.advance(minutes=59)
    assert statuses(tool.bench) == [*FETCHED, "InstallScheduled"]
    assert not waits(tool.bench, InstallFirmware)

    tool.bench.advance(minutes=1)
    tool.installed()

    assert statuses(tool.bench) == [*FETCHED, "InstallScheduled", *DONE]


@pytest.mark.octt("TC_L_03_CS")
@pytest.mark.req("L01.FR.13")
def test_tc_l_03_cs_download_scheduled(tool: Tool) -> None:
    assert update(tool.bench, tool.maker, retrieve_h=1, install_h=1)["status"] == "Accepted"
    tool.bench.advance(minutes=59)
    assert statuses(tool.bench) == ["DownloadScheduled"]
    assert not waits(tool.bench, DownloadFirmware)

    tool.bench.advance(minutes=1)
    tool.fetched()
    tool.installed()

    assert statuses(tool.bench) == ["DownloadScheduled", *FETCHED, *DONE]


@pytest.mark.octt("TC_L_05_CS")
@pytest.mark.req("L01.FR.02", "L01.FR.21", "L01.FR.22")
def test_tc_l_05_cs_invalid_certificate(tool: Tool) -> None:
    """Of the same root, but no certificate to sign code with."""
    invalid = tool.maker.signer(Wish(valid=(-timedelta(days=9000), -timedelta(days=8000)), key=tool.maker.key))

    answer = update(tool.bench, tool.maker, install_h=-2, firmware={"signingCertificate": invalid})
    tool.bench.settle()

    assert answer["status"] == "InvalidCertificate"
    assert events(tool.bench) == ["InvalidFirmwareSigningCertificate"]
    assert statuses(tool.bench) == []
    assert not tool.bench.jobs


@pytest.mark.octt("TC_L_06_CS")
@pytest.mark.req("L01.FR.03", "L01.FR.04")
def test_tc_l_06_cs_invalid_signature(tool: Tool) -> None:
    """A real signature, of another file."""
    signature = tool.maker.sign(b"another file")

    assert update(tool.bench, tool.maker, firmware={"signature": signature})["status"] == "Accepted"
    tool.fetched()

    assert statuses(tool.bench) == ["Downloading", "Downloaded", "InvalidSignature"]
    assert events(tool.bench) == ["InvalidFirmwareSignature"]
    assert not waits(tool.bench, InstallFirmware)


@pytest.mark.octt("TC_L_07_CS")
@pytest.mark.req("L01.FR.30")
def test_tc_l_07_cs_download_failed(tool: Tool) -> None:
    assert update(tool.bench, tool.maker, retries=2, retryInterval=30)["status"] == "Accepted"

    for _ in range(2):
        downloaded(tool.bench, reason="404")
        assert statuses(tool.bench) == ["Downloading"]
        tool.bench.advance(seconds=30)
    downloaded(tool.bench, reason="404")

    assert statuses(tool.bench) == ["Downloading", "DownloadFailed"]


@pytest.mark.octt("TC_L_08_CS")
@pytest.mark.req("L01.FR.29")
def test_tc_l_08_cs_install_verification_failed(tool: Tool) -> None:
    """Signed well, but no firmware for this station."""
    assert update(tool.bench, tool.maker, install_h=-2)["status"] == "Accepted"
    tool.fetched()
    assert [status_of(tool.bench, number) for number in (1, 2)] == ["Unavailable", "Unavailable"]

    installed(tool.bench, "unverified")

    assert statuses(tool.bench) == [*FETCHED, "Installing", "InstallVerificationFailed"]
    assert [status_of(tool.bench, number) for number in (1, 2)] == ["Available", "Available"]
    assert events(tool.bench) == []


@pytest.mark.octt("TC_L_10_CS")
@pytest.mark.req("L01.FR.24")
def test_tc_l_10_cs_accepted_canceled(tool: Tool) -> None:
    assert update(tool.bench, tool.maker, 1, install_h=-2)["status"] == "Accepted"
    assert statuses(tool.bench) == ["Downloading"]

    assert update(tool.bench, tool.maker, 2, install_h=-2)["status"] == "AcceptedCanceled"
    assert len([each for each in tool.bench.jobs if isinstance(each.job, DownloadFirmware)]) == 1
    tool.fetched()
    tool.installed()

    assert statuses(tool.bench, 1) == ["Downloading", "DownloadFailed"]
    assert statuses(tool.bench, 2) == [*FETCHED, *DONE]


def another_session(tool: Tool, allow: str) -> Session | None:
    """At the other EVSE: it charges where new sessions are allowed; else there is none."""
    if allow == "false":
        assert status_of(tool.bench, 2) == "Unavailable"
        return None
    assert status_of(tool.bench, 2) == "Available"
    session = Session(tool.bench, evse=2)
    session.energy_transfer_started()
    return session


@pytest.mark.octt("TC_L_12_CS", "TC_L_13_CS")
@pytest.mark.req("L01.FR.06", "L01.FR.07", "L01.FR.13")
@pytest.mark.parametrize("allow", ["true", "false"])
def test_nothing_is_done_beside_a_transaction(tmp_path: Path, allow: str) -> None:
    tool = Tool(tmp_path, "nothing", allow)
    first = Session(tool.bench)
    first.energy_transfer_started()

    assert update(tool.bench, tool.maker, install_h=-2)["status"] == "Accepted"
    tool.bench.settle()
    assert statuses(tool.bench) == ["DownloadScheduled"]
    second = another_session(tool, allow)
    first.parking_bay_unoccupied("Unavailable" if second is None else "Available")
    if second is not None:
        assert statuses(tool.bench) == ["DownloadScheduled"]
        second.parking_bay_unoccupied()
    tool.fetched()
    tool.installed()

    assert statuses(tool.bench) == ["DownloadScheduled", *FETCHED, *DONE]


@pytest.mark.octt("TC_L_14_CS", "TC_L_15_CS")
@pytest.mark.req("L01.FR.06", "L01.FR.07", "L01.FR.34")
@pytest.mark.parametrize("allow", ["true", "false"])
def test_installation_waits_for_transactions(tmp_path: Path, allow: str) -> None:
    tool = Tool(tmp_path, "download", allow)
    first = Session(tool.bench)
    first.energy_transfer_started()

    assert update(tool.bench, tool.maker, install_h=-2)["status"] == "Accepted"
    tool.fetched()
    assert statuses(tool.bench) == [*FETCHED, "InstallScheduled"]
    second = another_session(tool, allow)
    first.parking_bay_unoccupied("Unavailable" if second is None else "Available")
    if second is not None:
        assert not waits(tool.bench, InstallFirmware)
        second.parking_bay_unoccupied("Unavailable")
    tool.installed()

    assert statuses(tool.bench) == [*FETCHED, "InstallScheduled", *DONE]


@pytest.mark.octt("TC_L_16_CS")
@pytest.mark.req("L01.FR.05", "L01.FR.28", "L01.FR.31")
def test_tc_l_16_cs_beside_a_transaction(tmp_path: Path) -> None:
    """The installer needs no restart: the connection is made anew, and the transaction goes on."""
    tool = Tool(tmp_path, "install")
    session = Session(tool.bench)
    session.energy_transfer_started()

    assert update(tool.bench, tool.maker, install_h=-2)["status"] == "Accepted"
    tool.fetched()
    assert statuses(tool.bench) == [*FETCHED, "Installing"]
    installed(tool.bench, "active")
    confirmed(tool.bench)

    assert [each.intent.kind for each in tool.bench.intents] == ["reconnect"]
    assert statuses(tool.bench) == [*FETCHED, "Installing", "Installed"]
    assert events(tool.bench) == ["FirmwareUpdated"]
    assert status_of(tool.bench, 1) == "Occupied"
    assert tool.bench.events()[-1]["eventType"] != "Ended"


@pytest.mark.octt("TC_L_18_CS")
def test_tc_l_18_cs_missing_certificate_and_signature(tool: Tool) -> None:
    assert update(tool.bench, None, install_h=-2)["status"] == "Rejected"

    assert not tool.bench.jobs
    assert statuses(tool.bench) == []


@pytest.mark.octt("TC_F_19_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.10", "L01.FR.26")
def test_tc_f_19_cs_trigger_while_downloading(tool: Tool) -> None:
    signature = tool.maker.sign(b"another file")
    assert update(tool.bench, tool.maker, 19, firmware={"signature": signature})["status"] == "Accepted"
    assert statuses(tool.bench, 19) == ["Downloading"]

    assert trigger(tool.bench) == {"status": "Downloading", "requestId": 19}

    tool.fetched()
    assert statuses(tool.bench, 19) == ["Downloading", "Downloaded", "InvalidSignature"]
