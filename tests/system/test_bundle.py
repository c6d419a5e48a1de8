"""The agent updates itself: real versions of it, a launcher, a CSMS that orders the update and a server that has it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from certs.trust import TrustStore
from station.commands.installers.archive import Reader
from station.commands.installers.bundle import here
from station.commands.installers.make import Made, make, show
from station.commands.installers.slots import Slots
from station.version import VERSION
from tests.agent import PASSWORD, PATIENCE_S, Agent
from tests.bundles import START, Place, bundle
from tests.fileservers import HttpServer
from tests.live_csms import LiveCsms
from tests.scenarios.l_firmware.updates import Manufacturer
from tests.scenarios.m_certificates.roots import MANUFACTURER

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
NEW = "9.0.0"
PLACE = "/firmware/new.bundle"
PACKAGED = '#!/bin/sh\nexec {python} -m station "$@"\n'
MORE = """\
- {{component: TxCtrlr, variable: TxStartPoint, value: EVConnected}}
- {{component: TxCtrlr, variable: TxBeforeAcceptedEnabled, value: true}}
transfers: {{this_machine: true}}
reboot_command: [touch, rebooted]
firmware:
  bundle: {{healthy_within_s: {within_s}}}
"""


@pytest.fixture(scope="module")
def new_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of these very sources under another number, and with a migration more. Libraries are this Python's."""
    folder = tmp_path_factory.mktemp("new")
    lib = folder / "lib"
    for package in ("station", "hal", "device_model", "certs"):
        shutil.copytree(ROOT / package, lib / package, ignore=shutil.ignore_patterns("__pycache__"))
    version = lib / "station" / "version.py"
    version.write_text(version.read_text("utf-8").replace(f'"{VERSION}"', f'"{NEW}"'), "utf-8")
    first = lib / "station" / "cli.py"
    here = sysconfig.get_path("purelib")
    text = first.read_text("utf-8").replace(
        "import contextlib", f"import sys; sys.path.append({here!r})\nimport contextlib", 1
    )
    first.write_text(text, "utf-8")
    (lib / "station" / "store" / "schema" / "9000_new.sql").write_text(
        "CREATE TABLE new_things (id INTEGER PRIMARY KEY);"
    )
    make(lib, folder / "bundle", Made(min_previous="0.0.1"))
    return folder / "bundle"


class Kept(Agent):
    """An agent under its launcher, started again whenever it ends, as the service does."""

    def __init__(self, folder: Path, url: str, within_s: float) -> None:
        super().__init__(folder, url, more=MORE.format(within_s=within_s).replace("rebooted", str(folder / "rebooted")))
        place = Place(folder, folder / "state" / "slots")
        (place.bin / "ocpp-station").write_text(PACKAGED.format(python=sys.executable), "utf-8")
        self.slots = Slots(place.root)
        self.environment = {"OCPP_STATION_SLOTS": str(place.root), "OCPP_STATION_PYTHON": sys.executable}
        self.program = (str(place.bin / "ocpp-station-launch"),)
        self.ended = 0
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep)

    def __enter__(self) -> Self:
        super().__enter__()
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        super().__exit__(kind, value, trace)
        self._keeper.join()
        super().kill()

    def ask(self, line: bytes) -> dict[str, Any]:
        """Once more where one was asked that ended just then."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return super().ask(line)
            except (json.JSONDecodeError, ConnectionError):
                assert time.monotonic() < end
                time.sleep(0.1)

    def _keep(self) -> None:
        while not self._over.is_set():
            assert self.process is not None
            self.process.wait()
            self.ended += 1
            if not self._over.wait(0.2):
                self.start()


class Field:
    """What the tests share."""

    def __init__(self, folder: Path, csms: LiveCsms, web: HttpServer, within_s: float = 300.0) -> None:
        self.csms, self.web = csms, web
        self.maker = Manufacturer(folder / "maker")
        self.agent = Kept(folder, csms.url, within_s)
        self.database = folder / "state" / "station.db"
        self._updates = 0
        TrustStore(folder / "state" / "roots").add(MANUFACTURER, self.maker.root.root_pem)

    def update(self, file: Path) -> None:
        """UpdateFirmware, accepted."""
        content = file.read_bytes()
        self._updates += 1
        self.web.files[PLACE] = content
        self.csms.script.forget()
        firmware = {
            "location": self.web.url(PLACE),
            "retrieveDateTime": (datetime.now(UTC) - timedelta(hours=2)).isoformat(),
            "signingCertificate": self.maker.certificate,
            "signature": self.maker.sign(content),
        }
        answer = self.csms.call("UpdateFirmware", {"requestId": self._updates, "firmware": firmware})
        assert answer["status"] == "Accepted"

    def until(self, status: str) -> list[str]:
        """It is told; all that was told since the request."""
        self.csms.until(lambda: status in self.statuses(), status, timeout_s=90.0)
        return self.statuses()

    def statuses(self) -> list[str]:
        """What was told of updates."""
        return [each["status"] for each in self.csms.script.received("FirmwareStatusNotification")]

    def boots(self) -> list[tuple[str, str]]:
        """Each start that reached the CSMS: its reason, and the version."""
        told: list[dict[str, Any]] = self.csms.script.received("BootNotification")
        return [(each["reason"], each["chargingStation"]["firmwareVersion"]) for each in told]


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def test_the_agent_itself_can_be_packed_and_says_its_version(new_version: Path) -> None:
    """Nothing of the machine that made it is in it."""
    told = show(new_version)

    assert (told.version, told.min_previous, told.schema, told.min_reader) == (NEW, "0.0.1", 9000, 1)
    assert (told.python, told.machine) == ("any", "any")
    assert here().schema < told.schema
    with new_version.open("rb") as raw:
        reader = Reader(raw)
        while (member := reader.member()) is not None:
            assert str(new_version.parent).encode() not in b"".join(reader.content()), member.name


FETCHED = ("Downloading", "Downloaded", "SignatureVerified")


@pytest.mark.req("L01.FR.01", "L01.FR.28", "L01.FR.31", "L01.FR.32")
def test_a_new_version_stays_when_the_csms_has_accepted_it(
    tmp_path: Path, csms: LiveCsms, web: HttpServer, new_version: Path
) -> None:
    """Its migration is done, its number told, an older one refused from then on."""
    field = Field(tmp_path, csms, web)
    with field.agent as agent:
        csms.wait_for("BootNotification")
        field.update(new_version)

        assert field.until("Installed") == [*FETCHED, "Installing", "InstallRebooting", "Installed"]
        assert field.boots() == [("FirmwareUpdate", NEW)]
        csms.until(
            lambda: "FirmwareUpdated" in [each["type"] for each in csms.script.received("SecurityEventNotification")],
            "FirmwareUpdated",
        )
        assert agent.command("status")["version"] == NEW
        assert agent.slots.current.startswith(f"{NEW}-")
        assert not agent.slots.trial
        assert not (tmp_path / "rebooted").exists()  # the machine was left alone
        assert sqlite3.connect(field.database).execute("SELECT count(*) FROM new_things").fetchone() == (0,)

        field.update(bundle(tmp_path / "older", "8.0.0"))

        assert field.until("InstallVerificationFailed") == [*FETCHED, "Installing", "InstallVerificationFailed"]
        assert agent.until_logged("firmware.installer", outcome="unverified")
        assert agent.ended == 1

        agent.command("allow_firmware", version="8.0.0")
        field.update(bundle(tmp_path / "older", "8.0.0", schema=9000))
        field.until("InstallRebooting")


@pytest.mark.req("L01.FR.28")
def test_a_power_cut_in_each_phase_only_delays_it(
    tmp_path: Path, csms: LiveCsms, web: HttpServer, new_version: Path
) -> None:
    """While it is fetched, unpacked, and tried."""
    field = Field(tmp_path, csms, web)
    with field.agent as agent:
        csms.wait_for("BootNotification")
        field.update(new_version)
        for phase in ("Downloading", "Installing"):
            field.until(phase)
            agent.kill()
        end = time.monotonic() + 90.0
        while not (agent.slots.root / "trial-1").exists():
            assert time.monotonic() < end, agent.log
            time.sleep(0.01)
        agent.kill()

        told = field.until("Installed")

        assert (told[-1], told.count("Installed")) == ("Installed", 1)
        assert field.boots()[-1][1] == NEW
        assert agent.slots.current.startswith(f"{NEW}-")
        assert agent.ended >= 4


@pytest.mark.req("L01.FR.29", "L01.FR.32")
def test_a_version_that_cannot_start_is_taken_back(tmp_path: Path, csms: LiveCsms, web: HttpServer) -> None:
    """It knows its number, and dies at everything else: three times."""
    field = Field(tmp_path, csms, web)
    dies = START.format(version=NEW) + "    import os; os.abort()\n"
    with field.agent as agent:
        csms.wait_for("BootNotification")
        field.update(bundle(tmp_path / "new", NEW, start=dies))

        assert field.until("InstallVerificationFailed")[-2:] == ["InstallRebooting", "InstallVerificationFailed"]
        assert field.boots() == [("FirmwareUpdate", VERSION)]
        assert agent.ended == 1 + 3
        assert agent.command("status")["version"] == VERSION
        assert agent.slots.failed.startswith(f"{NEW}-")
        (told,) = agent.until_logged("firmware.ended", status="InstallVerificationFailed")
        assert "it was started 3 times and has never got well" in told


@pytest.mark.req("L01.FR.29", "E04.FR.01")
def test_what_a_version_did_that_was_taken_back_is_not_lost(
    tmp_path: Path, csms: LiveCsms, web: HttpServer, new_version: Path
) -> None:
    """It migrates the database and serves a driver, but the CSMS refuses it: what it owes is told by the former one."""
    field = Field(tmp_path, csms, web, within_s=15.0)
    with field.agent as agent:
        csms.wait_for("BootNotification")
        field.update(new_version)
        field.until("InstallRebooting")
        csms.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
        agent.until(lambda status: status["version"] == NEW, "the new version")
        agent.command("plug_in", evse=1)  # serves a driver without the CSMS
        agent.until(lambda status: "transaction" in status["evses"][0], "a transaction")
        csms.until(lambda: agent.slots.failed, "the launcher to go back", timeout_s=60.0)
        agent.until(lambda status: status["version"] == VERSION, "the former version")
        csms.refuse_with = None

        assert field.until("InstallVerificationFailed")[-1] == "InstallVerificationFailed"
        assert sqlite3.connect(field.database).execute("SELECT count(*) FROM new_things").fetchone() == (0,)
        csms.until(lambda: "Ended" in [each["eventType"] for each in events(csms)], "the end")
        assert events(csms)[0]["eventType"] == "Started"
        assert [each["seqNo"] for each in events(csms)] == list(range(len(events(csms))))
        assert events(csms)[0]["offline"]


def events(csms: LiveCsms) -> list[dict[str, Any]]:
    """TransactionEvents in the order in which they came."""
    found: list[dict[str, Any]] = csms.script.received("TransactionEvent")
    return found
