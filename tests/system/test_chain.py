"""A station from its package to a newer version, on a machine that boots, and past all that can go wrong on the way.

What docs/install.md, docs/commission.md and docs/update.md promise, in the order in which it happens in the field. The
new version is a whole agent with its libraries, tried by the launcher in the unit as it is shipped, with the drop-in
that the product writes; only the pauses between two starts are shorter. Power is cut by SIGKILL to the machine's init.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from station.version import VERSION
from tests.agent import PASSWORD
from tests.bundles import START, bundle
from tests.fileservers import HttpServer
from tests.live_csms import LiveCsms
from tests.system import packages
from tests.system.machine import UNIT, installed, needs_machine
from tests.system.releases import release
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

pytestmark = [pytest.mark.system, pytest.mark.slow, needs_machine]

NEW = "9.0.0"
SHORT_S, LONG_S = 8, 300
MORE = f"""\
simulator: {{evses: 1}}
firmware:
  bundle: {{healthy_within_s: {SHORT_S}}}
"""
CANNOT_BE_IMPORTED = "import nothing_of_this_name\n"
DIES = START.format(version="9.1.0") + "    import os; os.abort()\n"
HANGS = START.format(version="9.1.0") + "    import time; time.sleep(600)\n"


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this machine."""
    return packages.package(tmp_path_factory)


@pytest.fixture
def box(fast: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wallbox]:
    """The package was installed on its machine. In memory: what a disk costs is measured elsewhere."""
    with LiveCsms(password=PASSWORD) as csms, HttpServer() as web:
        made = Wallbox(fast, Around(csms, web), installed(tmp_path_factory))
        try:
            yield made
        finally:
            made.machine.end()


@pytest.mark.timeout(400)  # nine starts of a machine, twelve of an agent
@pytest.mark.req("L01.FR.01", "L01.FR.03", "L01.FR.06", "L01.FR.28", "L01.FR.29", "L01.FR.31", "L01.FR.32")
def test_a_station_gets_newer_whatever_happens_and_its_account_is_complete(
    box: Wallbox,
    package: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Each step is told below; what the CSMS was told of transactions has no gap over all of them."""
    box.machine.boot()
    new = release(package, tmp_path, NEW, box.python)

    box.commission(HARDWARE.format(more=MORE))
    box.start()
    record_property("figure", f"exposure of the unit with its drop-in and the launcher: {exposure(box)}")
    sessions = [charges_once(box)]

    sessions += goes_back_from_a_version_that_the_csms_refuses(box, new)
    goes_back_from_a_version_that_hangs(box, bundle(tmp_path / "hangs", "9.1.0", start=HANGS).read_bytes())

    box.restart(f"within_s: {SHORT_S}", f"within_s: {LONG_S}")
    sessions += [comes_to_the_new_version_through_power_cuts(box, new)]

    refuses_what_is_not_signed(box, new)
    is_refused_by_the_installer(box, bundle(tmp_path / "older", "8.0.0").read_bytes())
    is_refused_by_the_installer(box, bundle(tmp_path / "bad", "9.1.0", start=CANNOT_BE_IMPORTED).read_bytes())
    goes_back_from_a_version_that_dies(box, bundle(tmp_path / "dies", "9.1.0", start=DIES).read_bytes())

    sessions += [charges_once(box)]
    record_property("figure", f"power on to Accepted, an update behind it: {comes_back_s(box):.1f} s (nspawn)")
    box.until_complete(*sessions)
    bad = "InstallVerificationFailed"
    assert box.ends() == [bad, bad, "Installed", "InvalidSignature", bad, bad, bad]
    assert box.machine.show("ActiveState") == "active"


def exposure(box: Wallbox) -> str:
    """As systemd sees the unit that runs."""
    told = box.machine.run("systemd-analyze", "security", "--no-pager", UNIT).strip().splitlines()[-1]
    assert "Overall exposure level" in told
    return told.split(":")[1].split()[0]


def comes_back_s(box: Wallbox) -> float:
    """Power is gone for a moment while nothing happens; how long it takes until the CSMS has accepted the station."""
    count = len(box.boots())
    box.machine.cut_power()
    begun = time.monotonic()
    box.machine.boot()
    box.until(lambda: len(box.boots()) > count, "a BootNotification")
    assert box.boots()[-1] == ("PowerUp", NEW)
    return time.monotonic() - begun


def goes_back_from_a_version_that_the_csms_refuses(box: Wallbox, new: bytes) -> list[str]:
    """Nobody gets through to the CSMS meanwhile. Who comes in that time is served, and billed by the version before."""
    sessions = [waits_through_a_power_cut(box, new, box.machine.boot)]
    box.until_told("InstallRebooting")
    box.csms.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE

    box.until(lambda: box.version == NEW, "the new version")
    sessions += [box.plug_in()]
    box.until(lambda: box.version == VERSION, "the version before")
    box.csms.refuse_with = None

    assert box.until_told("InstallVerificationFailed") == [
        *FETCHED,
        *("InstallScheduled", "Installing", "InstallRebooting", "InstallVerificationFailed"),
    ]
    box.until(lambda: not box.transaction(), "the end")
    return sessions


def goes_back_from_a_version_that_hangs(box: Wallbox, hangs: bytes) -> None:
    """It is never ready; the launcher ends it long before systemd would."""
    box.order(hangs)
    assert box.until_told("InstallVerificationFailed")[-2] == "InstallRebooting"
    assert box.version == VERSION


def comes_to_the_new_version_through_power_cuts(box: Wallbox, new: bytes) -> str:
    """One in each phase; whoever charges meanwhile is billed."""
    switch_on = box.machine.switch_on
    session = is_fetched_through_power_cuts(box, new, switch_on)

    switch_on()
    box.cut_power_when(lambda: unpacked(box, "lib") and not unpacked(box, "manifest.json"), "half of it")
    switch_on()
    box.cut_power_when(lambda: unpacked(box, "manifest.json") and not on_trial(box), "all of it")
    switch_on()
    box.cut_power_when(lambda: "InstallRebooting" in box.statuses() and on_trial(box) == ["trial-0"], "the switch")

    is_cut_off_in_its_first_run(box, NEW, switch_on)
    box.machine.boot()

    comes_to_be_installed(box, NEW, *FETCHED, "Installing", "InstallRebooting")
    assert box.boots()[-1] == ("FirmwareUpdate", NEW)
    assert on_trial(box) == []
    return session


def unpacked(box: Wallbox, name: str) -> bool:
    """Whether a file of the new version is there."""
    return any((box.state / "slots/versions").glob(f"{NEW}-*/{name}"))


def on_trial(box: Wallbox) -> list[str]:
    """What the launcher would try next."""
    return [path.name for path in (box.state / "slots").glob("trial-[0-9]")]


def goes_back_from_a_version_that_dies(box: Wallbox, dies: bytes) -> None:
    """It says its version, and nothing else: three starts, then the one that was there."""
    box.order(dies)
    assert box.until_told("InstallVerificationFailed")[-2] == "InstallRebooting"
    assert box.version == NEW
