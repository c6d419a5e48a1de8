"""UpdateFirmware with real parts: an agent, a CSMS, a file server that breaks off, an installer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from certs.trust import TrustStore
from tests.agent import PASSWORD, Agent
from tests.fileservers import Answer, HttpServer, Seen
from tests.live_csms import LiveCsms
from tests.scenarios.l_firmware.updates import Manufacturer
from tests.scenarios.m_certificates.roots import MANUFACTURER

pytestmark = pytest.mark.system

CONTENT = bytes(range(256)) * 20_000
PLACE = "/firmware/2.bin"
INSTALLER = """\
import pathlib, sys, time
task, file = sys.argv[1:]
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(task + "\\n")
if task == "install":
    (here / "installed").write_bytes(pathlib.Path(file).read_bytes())
    print("written\\nnow restart")
    sys.exit(10)
sys.exit(0 if (here / "installed").exists() else "nothing is installed")
"""
MORE = """\
transfers: {{this_machine: true}}
firmware:
  command: ["{python}", "{script}"]
"""


class Depot:
    """What the tests share."""

    def __init__(self, folder: Path, csms: LiveCsms, web: HttpServer) -> None:
        self.csms, self.web = csms, web
        self.script = folder / "installer.py"
        self.script.write_text(INSTALLER, "utf-8")
        self.maker = Manufacturer(folder / "maker")
        self.agent = Agent(folder, csms.url, more=MORE.format(python=sys.executable, script=self.script))
        TrustStore(folder / "state" / "roots").add(MANUFACTURER, self.maker.root.root_pem)
        web.files[PLACE] = CONTENT

    @property
    def calls(self) -> list[str]:
        """What the installer was told to do."""
        calls = self.script.with_name("calls")
        return calls.read_text("utf-8").split() if calls.exists() else []

    def update(self, **more: Any) -> str:
        """UpdateFirmware; the status of the answer."""
        firmware = {
            "location": self.web.url(PLACE),
            "retrieveDateTime": (datetime.now(UTC) - timedelta(hours=2)).isoformat(),
            "signingCertificate": self.maker.certificate,
            "signature": self.maker.sign(CONTENT),
        }
        answer = self.csms.call("UpdateFirmware", {"requestId": 1, "firmware": firmware, "retryInterval": 2, **more})
        status: str = answer["status"]
        return status

    def statuses(self) -> list[str]:
        """What was told."""
        return [each["status"] for each in self.csms.script.received("FirmwareStatusNotification")]

    def until(self, status: str) -> None:
        """It is told."""
        self.csms.until(lambda: status in self.statuses(), status, timeout_s=60.0)


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with LiveCsms(password=PASSWORD) as csms, HttpServer() as web:
        made = Depot(tmp_path, csms, web)
        with made.agent:
            csms.wait_for("BootNotification")
            yield made


def breaks_off(at: int) -> Callable[[Seen], Answer | None]:
    """The first time the server ends in the middle of the file."""
    told: list[Seen] = []

    def script(seen: Seen) -> Answer | None:
        told.append(seen)
        if len(told) > 1:
            return None
        return Answer(200, {"ETag": '"1"', "Content-Length": str(len(CONTENT))}, CONTENT[:at])

    return script


@pytest.mark.req("L01.FR.01", "L01.FR.04", "L01.FR.28", "L01.FR.31", "L01.FR.32")
def test_new_firmware_gets_in_through_a_broken_download_and_a_kill(depot: Depot) -> None:
    """The second part is fetched by the next run of the agent; nothing is fetched twice."""
    half = len(CONTENT) // 2
    depot.web.script = breaks_off(half)

    assert depot.update(retries=3, retryInterval=30) == "Accepted"
    depot.until("Downloading")
    depot.agent.until(lambda _: "firmware.not_downloaded" in depot.agent.log, "an attempt that failed")
    depot.agent.kill()
    depot.agent.start()
    depot.until("InstallRebooting")
    depot.agent.wait()
    depot.agent.start()
    depot.until("Installed")

    assert [seen.headers.get("Range") for seen in depot.web.seen] == [None, f"bytes={half}-"]
    assert depot.script.with_name("installed").read_bytes() == CONTENT
    assert depot.calls == ["install", "confirm"]
    assert depot.statuses() == [
        *("Downloading", "Downloaded", "SignatureVerified"),
        *("Installing", "InstallRebooting", "Installed"),
    ]
    assert depot.csms.script.received("BootNotification")[-1]["reason"] == "FirmwareUpdate"
    depot.csms.until(
        lambda: "FirmwareUpdated" in [each["type"] for each in depot.csms.script.received("SecurityEventNotification")],
        "FirmwareUpdated",
    )


@pytest.mark.req("L01.FR.03", "L01.FR.04")
def test_a_file_that_nobody_has_signed_reaches_no_installer(depot: Depot) -> None:
    depot.web.files[PLACE] = CONTENT[:-1] + b"!"

    assert depot.update() == "Accepted"
    depot.until("InvalidSignature")

    assert depot.calls == []
