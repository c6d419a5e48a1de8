"""UpdateFirmware with a RAUC bundle of a whole system, on a machine that boots: into the other copy, or back again.

RAUC runs as a service on the machine's own bus and writes a slot that is a file; the agent asks it out of the shipped
unit, and has the machine restarted by the unit that the package brings for it. Not shown: format=verity, which needs
device-mapper, and a real boot loader.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.version import VERSION
from tests.agent import PASSWORD
from tests.fileservers import HttpServer
from tests.live_csms import LiveCsms
from tests.system import two_copies
from tests.system.machine import installed, needs_machine
from tests.system.two_copies import MOST_ATTEMPTS, TwoCopies
from tests.system.wallbox import HARDWARE, Around, Wallbox, charges_once

NO_RAUC = two_copies.missing()
pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    needs_machine,
    pytest.mark.skipif(bool(NO_RAUC), reason=f"system images in a booted machine NOT TESTED: {NO_RAUC}"),
]

MORE = """\
simulator: {evses: 1}
reboot_command: [touch, /var/lib/ocpp-station/reboot]
firmware:
  rauc: {healthy_within_s: 300}
"""
TOLD = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting"]


@pytest.fixture
def copies(fast: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoCopies]:
    """Off."""
    layer = installed(tmp_path_factory)
    with LiveCsms(password=PASSWORD) as csms, HttpServer() as web:
        box = Wallbox(fast, Around(csms, web), layer)
        try:
            yield TwoCopies(box, fast, layer)
        finally:
            box.machine.end()


@pytest.mark.timeout(400)  # seven starts of a machine
@pytest.mark.req("L01.FR.15", "L01.FR.28", "L01.FR.29", "L01.FR.32")
def test_a_system_that_does_not_work_is_left_again_and_one_that_does_stays(copies: TwoCopies) -> None:
    """Power is cut while RAUC writes, too; whoever charges before and after it is billed by the system that runs."""
    box = set_up(copies)
    sessions = [charges_once(box)]

    goes_back_from_a_system_without_an_agent(copies)
    sessions += [charges_once(box)]

    comes_to_the_new_system_through_a_power_cut(copies)
    sessions += [charges_once(box)]
    box.until_complete(*sessions)


def set_up(copies: TwoCopies) -> Wallbox:
    """As docs/update.md says: RAUC is a service, and the machine restarts when the agent asks for it."""
    assert copies.boot() == "A"
    copies.box.machine.run("systemctl", "enable", "--now", "rauc.service", "ocpp-station-reboot.path")
    copies.box.commission(HARDWARE.format(more=MORE))
    copies.box.start()
    return copies.box


def goes_back_from_a_system_without_an_agent(copies: TwoCopies) -> None:
    """Nobody finds it good, so the boot loader gives it up."""
    box = copies.box
    box.order(copies.system_without_agent("9.1.0"))
    box.machine.until_off("the restart")
    for _ in range(MOST_ATTEMPTS):
        assert copies.boot() == "B"
        box.machine.until(lambda: int(box.machine.show("NRestarts")) > 0, "an attempt")
        box.machine.cut_power()  # what a watchdog of the hardware does

    assert copies.boot() == "A"

    assert box.until_told("InstallVerificationFailed") == [*TOLD, "InstallVerificationFailed"]
    assert box.boots()[-1] == ("FirmwareUpdate", VERSION)


def comes_to_the_new_system_through_a_power_cut(copies: TwoCopies) -> None:
    """RAUC writes once more what it had not come to the end of."""
    box = copies.box
    box.order(copies.system("9.2.0"))
    box.cut_power_when(lambda: "Installing" in box.statuses(), "RAUC")

    assert copies.boot() == "A"
    box.machine.until_off("the restart")
    assert copies.boot() == "B"

    assert list(dict.fromkeys(box.until_told("Installed"))) == [*TOLD, "Installed"]
    assert box.boots()[-1] == ("FirmwareUpdate", "9.2.0")
    box.until(lambda: copies.proven, "the mark")
