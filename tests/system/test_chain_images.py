"""UpdateFirmware with a RAUC bundle of a whole system, on a machine that boots: what test_chain.py does for the agent.

RAUC runs as a service on the machine's own bus and writes a slot that is a file; the agent asks it out of the shipped
unit, and has the machine restarted by the unit that the package brings for it. Not shown: format=verity, which needs
device-mapper, and a real boot loader.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from station.version import VERSION
from tests.agent import PASSWORD
from tests.fileservers import HttpServer
from tests.live_csms import LiveCsms
from tests.system import two_copies
from tests.system.images import ATTEMPTS
from tests.system.machine import installed, needs_machine
from tests.system.two_copies import TwoCopies
from tests.system.updating import (
    FETCHED,
    comes_to_be_installed,
    is_cut_off_in_its_first_run,
    is_fetched_through_power_cuts,
    is_refused_by_the_installer,
    refuses_what_is_not_signed,
    waits_through_a_power_cut,
)
from tests.system.wallbox import HARDWARE, Around, Wallbox, charges_once

NO_RAUC = two_copies.missing()
pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    needs_machine,
    pytest.mark.skipif(bool(NO_RAUC), reason=f"system images in a booted machine NOT TESTED: {NO_RAUC}"),
]

NEW = "9.2.0"
SHORT_S, LONG_S = 12, 300
MORE = f"""\
simulator: {{evses: 1}}
reboot_command: [touch, /var/lib/ocpp-station/reboot]
firmware:
  rauc: {{healthy_within_s: {SHORT_S}}}
"""
TOLD = [*FETCHED, "Installing", "InstallRebooting"]


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


@pytest.mark.timeout(400)  # thirteen starts of a machine
@pytest.mark.req("L01.FR.01", "L01.FR.03", "L01.FR.15", "L01.FR.28", "L01.FR.29", "L01.FR.31", "L01.FR.32")
def test_a_system_gets_newer_whatever_happens_and_its_account_is_complete(copies: TwoCopies) -> None:
    """As test_chain.py for the agent alone; what the CSMS was told of transactions has no gap over all of it."""
    box = set_up(copies)
    sessions = [charges_once(box)]
    new, dead = copies.system(NEW), copies.system_without_agent("9.1.0")

    goes_back_from_a_system_without_an_agent(copies, dead)
    sessions += goes_back_from_a_system_that_the_csms_refuses(copies, new)

    box.restart(f"within_s: {SHORT_S}", f"within_s: {LONG_S}")
    sessions += [comes_to_the_new_system_through_power_cuts(copies, new)]

    refuses_what_is_not_signed(box, new)
    is_refused_by_the_installer(box, copies.system_of_a_stranger("9.3.0"))
    is_refused_by_the_installer(box, dead)  # older by now
    assert copies.runs_for_good("B")

    sessions += [charges_once(box)]
    box.until_complete(*sessions)
    bad = "InstallVerificationFailed"
    assert box.ends() == [bad, bad, "Installed", "InvalidSignature", bad, bad]


def set_up(copies: TwoCopies) -> Wallbox:
    """As docs/update.md says: RAUC is a service, and the machine restarts when the agent asks for it."""
    assert copies.boot() == "A"
    copies.box.machine.run("systemctl", "enable", "--now", "rauc.service", "ocpp-station-reboot.path")
    copies.box.commission(HARDWARE.format(more=MORE))
    copies.box.start()
    return copies.box


def goes_back_from_a_system_without_an_agent(copies: TwoCopies, dead: bytes) -> None:
    """Nobody finds it good, so the boot loader gives it up."""
    box = copies.box
    box.order(dead)
    box.machine.until_off("the restart")
    for _ in range(ATTEMPTS):
        assert copies.boot() == "B"
        box.machine.until(lambda: int(box.machine.show("NRestarts")) > 0, "an attempt")
        box.machine.cut_power()  # what a watchdog of the hardware does

    assert copies.boot() == "A"

    assert box.until_told("InstallVerificationFailed") == [*TOLD, "InstallVerificationFailed"]
    assert box.boots()[-1] == ("FirmwareUpdate", VERSION)


def goes_back_from_a_system_that_the_csms_refuses(copies: TwoCopies, new: bytes) -> list[str]:
    """Nobody gets through to the CSMS meanwhile. It goes when whoever has come in that time has left."""
    box = copies.box
    sessions = [waits_through_a_power_cut(box, new, copies.switch_on)]
    box.until_told("InstallRebooting")
    box.csms.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
    box.machine.until_off("the restart")

    assert copies.boot() == "B"
    sessions += [box.plug_in()]
    assert box.version == NEW
    box.leave()
    box.machine.until_off("the way back")
    box.csms.refuse_with = None
    assert copies.boot() == "A"

    assert box.until_told("InstallVerificationFailed") == [
        *FETCHED,
        *("InstallScheduled", "Installing", "InstallRebooting", "InstallVerificationFailed"),
    ]
    assert box.boots()[-1] == ("FirmwareUpdate", VERSION)
    box.until(lambda: copies.runs_for_good("A"), "the mark")
    return sessions


def comes_to_the_new_system_through_power_cuts(copies: TwoCopies, new: bytes) -> str:
    """One in each phase. RAUC writes once more what it had not come to the end of, and nothing that it had."""
    box = copies.box
    session = is_fetched_through_power_cuts(box, new, copies.switch_on)
    copies.empty()

    copies.take(NEW, 0.1)
    assert copies.switch_on() == "A"
    box.cut_power_when(lambda: copies.filled(NEW, 0.05), "the beginning of it")
    assert not copies.filled(NEW, 0.2)
    copies.take(NEW, 0.9)
    assert copies.switch_on() == "A"
    box.cut_power_when(lambda: copies.filled(NEW, 0.85), "most of it")
    assert not copies.filled(NEW, 0.95)
    copies.take_all()
    with copies.only_the_boot_loader_knows():
        assert copies.switch_on() == "A"
        box.cut_power_when(lambda: copies.first_choice == "B", "the switch")

    is_cut_off_in_its_first_run(box, NEW, copies.switch_on)
    assert copies.boot() == "B"

    comes_to_be_installed(box, NEW, *FETCHED, "Installing")
    assert copies.runs_for_good("B")
    return session
