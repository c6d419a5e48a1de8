"""UpdateFirmware with RAUC: an agent, a CSMS, a server of files, a machine with two slots that restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest

from certs.trust import TrustStore
from tests.agent import PASSWORD, Agent
from tests.fileservers import HttpServer
from tests.live_csms import LiveCsms
from tests.scenarios.l_firmware.updates import Manufacturer
from tests.scenarios.m_certificates.roots import MANUFACTURER
from tests.system.images import Machine, missing

NO_RAUC = missing("rauc", "dbus-daemon", "busctl", "openssl")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(NO_RAUC), reason=f"updates by RAUC NOT TESTED: {NO_RAUC}"),
]

NEW = bytes(range(256)) * 2000
PLACE = "/firmware/new.raucb"
MORE = """\
reboot_command: ["true"]
transfers: {this_machine: true}
firmware:
  rauc: {healthy_within_s: 4}
"""


class Site:
    """A station on such a machine."""

    def __init__(self, folder: Path, csms: LiveCsms, web: HttpServer) -> None:
        self.csms, self.web = csms, web
        self.machine = Machine(folder / "machine")
        self.maker = Manufacturer(folder / "maker")
        self.agent = Agent(folder, csms.url, more=MORE)
        TrustStore(folder / "state" / "roots").add(MANUFACTURER, self.maker.root.root_pem)
        self._rauc = ExitStack()

    def start(self) -> str:
        """The machine, and the agent on it; the copy that runs."""
        self._rauc.close()
        booted = self.machine.restart()
        self.agent.environment = dict(self._rauc.enter_context(self.machine.rauc()))
        self.agent.start()
        return booted

    def end(self) -> None:
        """The power is off."""
        self.agent.kill()
        self._rauc.close()

    def update(self, version: str) -> None:
        """UpdateFirmware, up to the restart."""
        content = self.machine.rauc_bundle(version, NEW).read_bytes()
        self.web.files[PLACE] = content
        firmware = {
            "location": self.web.url(PLACE),
            "retrieveDateTime": (datetime.now(UTC) - timedelta(hours=2)).isoformat(),
            "signingCertificate": self.maker.certificate,
            "signature": self.maker.sign(content),
        }
        assert self.csms.call("UpdateFirmware", {"requestId": 1, "firmware": firmware})["status"] == "Accepted"
        self.until("InstallRebooting")
        self.agent.wait()

    def until(self, status: str) -> None:
        """It is told."""
        self.csms.until(lambda: self.statuses()[-1:] == [status], status, timeout_s=60.0)

    def statuses(self) -> list[str]:
        """What was told of the update."""
        return [each["status"] for each in self.csms.script.received("FirmwareStatusNotification")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with LiveCsms(password=PASSWORD) as csms, HttpServer() as web:
        made = Site(tmp_path, csms, web)
        try:
            assert made.start() == "A"
            csms.wait_for("BootNotification")
            yield made
        finally:
            made.end()


def test_the_boot_loader_is_told_that_what_has_proven_itself_has_started(site: Site) -> None:
    """Without any update, and without any CSMS: power is cut more often than a boot loader counts."""
    site.csms.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
    site.csms.disconnect()
    site.machine.run("./boot", "set-primary", "A")
    site.agent.kill()
    assert site.start() == "A"
    assert site.machine.environment["left_A"] == "1"

    site.machine.until(lambda: site.machine.environment["left_A"] == "kept", "the mark")


TOLD = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting"]


@pytest.mark.req("L01.FR.28", "L01.FR.31", "L01.FR.32")
def test_a_new_system_is_made_permanent_when_the_csms_has_accepted_it(site: Site) -> None:
    site.update("2026.11")
    assert (site.machine.folder / "b.img").read_bytes()[: len(NEW)] == NEW

    assert site.start() == "B"
    site.until("Installed")

    assert site.statuses() == [*TOLD, "Installed"]
    assert site.machine.said("marks").endswith("B good")
    assert site.csms.script.received("BootNotification")[-1]["reason"] == "FirmwareUpdate"
    site.csms.until(
        lambda: "FirmwareUpdated" in [each["type"] for each in site.csms.script.received("SecurityEventNotification")],
        "FirmwareUpdated",
    )


@pytest.mark.req("L01.FR.29")
def test_a_new_system_that_the_csms_does_not_accept_is_left_again(site: Site) -> None:
    """It has marked itself as bad, and restarted; the other one tells."""
    site.update("2026.11")
    site.csms.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE

    assert site.start() == "B"
    site.agent.wait()
    site.csms.refuse_with = None
    assert site.start() == "A"
    site.until("InstallVerificationFailed")

    assert site.statuses() == [*TOLD, "InstallVerificationFailed"]
    assert "B bad" in site.machine.said("marks")
    (told,) = site.agent.until_logged("firmware.ended", status="InstallVerificationFailed")
    assert "2026.11 does not run: rootfs.0 was started again" in told
