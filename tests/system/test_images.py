"""RAUC and SWUpdate as they are, asked by the agent's installers: installed, refused, kept, gone back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from station.commands.installers import Confirmation
from station.commands.installers.images import Bounds, Images, System
from station.commands.installers.rauc import Rauc
from station.commands.installers.swupdate import Swupdate
from station.commands.installers.versions import Floor
from station.config.schema import Swupdate as Given
from tests.system.images import ATTEMPTS, SIZE, Machine, missing

NO_RAUC = missing("rauc", "dbus-daemon", "busctl", "openssl")
NO_SWUPDATE = missing("swupdate", "swupdate-client", "openssl")
needs_rauc = pytest.mark.skipif(bool(NO_RAUC), reason=f"updates by RAUC NOT TESTED: {NO_RAUC}")
needs_swupdate = pytest.mark.skipif(bool(NO_SWUPDATE), reason=f"updates by SWUpdate NOT TESTED: {NO_SWUPDATE}")

pytestmark = pytest.mark.system

NEW = bytes(range(256)) * 1000


class Station:
    """What the agent is to an installer."""

    def __init__(self, folder: Path, system: System, within_s: float = 60.0) -> None:
        self.silent: frozenset[int] = frozenset({3})
        self.floor = Floor(folder)

        async def silent() -> frozenset[int]:
            return self.silent

        self._installer = Images(system, folder, self.floor, silent, Bounds("2026.10", 60.0, within_s))

    def install(self, file: Path) -> tuple[str, str]:
        """The outcome, and the words."""
        done = asyncio.run(self._installer.install("update-1", file))
        return done.outcome, done.words

    def stays(self) -> str:
        """It has started; why that could not be told."""
        return asyncio.run(self._installer.stays())

    def confirm(self, update: str = "update-1", *, late: bool = False) -> Confirmation:
        """What has become of it."""
        return asyncio.run(self._installer.confirm(update, Path("gone"), late=late))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


# --- RAUC


class Booted:
    """RAUC in the copy that is booted, restarted by leaving and entering."""

    def __init__(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        self._machine = machine
        self._set = monkeypatch.setenv
        self._up = ExitStack()

    def restart(self) -> str:
        """The copy that runs now."""
        self.stop()
        booted = self._machine.restart()
        for name, value in self._up.enter_context(self._machine.rauc()).items():
            self._set(name, value)
        return booted

    def stop(self) -> None:
        """As the power goes."""
        self._up.close()


@pytest.fixture
def booted(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Booted]:
    booted = Booted(machine, monkeypatch)
    assert booted.restart() == "A"
    yield booted
    booted.stop()


@needs_rauc
@pytest.mark.req("L01.FR.28")
def test_rauc_writes_the_other_slot_which_is_kept_when_it_is_well(
    machine: Machine, booted: Booted, tmp_path: Path
) -> None:
    station = Station(tmp_path, Rauc())

    assert station.install(machine.rauc_bundle("2026.11-3", NEW)) == ("restart", "2026.11-3 is to be tried")
    assert (machine.folder / "b.img").read_bytes()[: len(NEW)] == NEW
    assert (machine.folder / "a.img").read_bytes() == b"\0" * SIZE
    assert booted.restart() == "B"
    assert not machine.said("marks").endswith("good")
    assert station.confirm() == Confirmation()

    assert machine.said("marks").endswith("B good")
    assert station.confirm() == Confirmation()
    assert station.install(machine.rauc_bundle("2026.11-2", NEW)) == (
        "unverified",
        "2026.11-2 is older than 2026.11-3, and nothing older is installed",
    )


@needs_rauc
@pytest.mark.req("L01.FR.29")
@pytest.mark.parametrize("late", [True, False], ids=["not accepted", "hardware silent"])
def test_a_slot_that_does_not_get_well_is_left_again(
    machine: Machine, booted: Booted, tmp_path: Path, *, late: bool
) -> None:
    station = Station(tmp_path, Rauc(), within_s=0.1)
    station.install(machine.rauc_bundle("2026.11", NEW))
    assert booted.restart() == "B"
    station.silent = frozenset() if late else frozenset({2, 3})

    told = station.confirm(late=late)

    why = "the CSMS has not accepted it in time" if late else "the hardware of EVSE 2 does not answer"
    assert told == Confirmation(f"2026.11 is given up: {why}", restart=True)
    assert booted.restart() == "A"
    assert station.confirm() == Confirmation("2026.11 does not run: rootfs.0 was started again")
    assert station.confirm(late=True) == station.confirm()
    assert machine.environment == {"primary": "A", "left_A": "kept", "left_B": "0"}
    assert not station.floor.refusal("2026.10", "")


@needs_rauc
@pytest.mark.req("L01.FR.29")
def test_a_slot_that_the_boot_loader_has_given_up_is_told(machine: Machine, booted: Booted, tmp_path: Path) -> None:
    station = Station(tmp_path, Rauc())
    station.install(machine.rauc_bundle("2026.11", NEW))

    assert [booted.restart() for _ in range(ATTEMPTS + 1)] == [*"B" * ATTEMPTS, "A"]
    assert station.confirm() == Confirmation("2026.11 does not run: rootfs.0 was started again")
    assert station.confirm("another") == Confirmation("nothing is known of this update here")


@needs_rauc
@pytest.mark.req("L01.FR.29")
def test_each_start_of_what_has_proven_itself_is_told_to_the_boot_loader(
    machine: Machine, booted: Booted, tmp_path: Path
) -> None:
    """One that counts all of them would give up the only copy that is good. What is on trial has to prove itself."""
    station = Station(tmp_path, Rauc())
    machine.run("./boot", "set-primary", "A")
    assert booted.restart() == "A"
    assert station.stays() == ""
    assert machine.environment["left_A"] == "kept"

    assert station.install(machine.rauc_bundle("2026.11", NEW)) == ("restart", "2026.11 is to be tried")
    machine.run("./boot", "set-state", "A", "bad")
    assert station.stays() == ""
    assert machine.environment["left_A"] == "kept"

    assert booted.restart() == "B"
    assert station.stays() == ""
    assert machine.environment["left_B"] == str(ATTEMPTS - 1)
    assert station.confirm() == Confirmation()
    machine.run("./boot", "set-primary", "B")
    assert station.stays() == ""
    assert machine.environment["left_B"] == "kept"

    booted.stop()
    assert station.stays().startswith("RAUC: ")


@needs_rauc
def test_what_rauc_does_not_believe_is_no_firmware(machine: Machine, booted: Booted, tmp_path: Path) -> None:
    """Changed in one place; for another machine; no bundle at all; of a version that cannot be compared."""
    assert booted
    station = Station(tmp_path, Rauc())
    changed = machine.rauc_bundle("2026.11", NEW)
    raw = bytearray(changed.read_bytes())
    raw[2000] ^= 1
    changed.write_bytes(raw)
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish" * 1000)
    cases = [changed, machine.rauc_bundle("2026.12", NEW, "toaster"), rubbish, machine.rauc_bundle("newest", NEW)]

    told = [station.install(each) for each in cases]

    assert [outcome for outcome, _ in told] == ["unverified"] * 4
    assert told[0][1] == told[2][1] == "RAUC: Call failed: rauc info error"
    assert told[1][1] == "it is for 'toaster', this is 'twin-22'"
    assert (machine.folder / "b.img").read_bytes() == b"\0" * SIZE


@needs_rauc
def test_without_rauc_nothing_is_done_and_that_is_told(
    machine: Machine, booted: Booted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = Station(tmp_path, Rauc(), within_s=0.1)
    file = machine.rauc_bundle("2026.11", NEW)
    station.install(file)
    booted.stop()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")

    told = station.confirm()

    assert station.install(file)[0] == "failed"
    assert told.reason.startswith("RAUC: ")
    assert not told.restart


@needs_rauc
@pytest.mark.req("L01.FR.28")
def test_a_system_that_runs_already_is_not_installed_over_the_one_before(
    machine: Machine, booted: Booted, tmp_path: Path
) -> None:
    """Power was cut between RAUC's last step and the answer: the new system is asked to install itself."""
    station = Station(tmp_path, Rauc())
    file = machine.rauc_bundle("2026.11", NEW)
    station.install(file)
    assert booted.restart() == "B"

    assert station.install(file) == ("active", "2026.11 runs already")

    assert (machine.folder / "a.img").read_bytes() == b"\0" * SIZE
    assert station.confirm() == Confirmation()


# --- SWUpdate


def swupdate(machine: Machine) -> Swupdate:
    """With commands that ask and tell the boot loader's script."""
    folder = machine.folder
    return Swupdate(
        Given(
            client=("env", f"TMPDIR={folder}", "swupdate-client"),
            running=("cat", f"{folder}/booted"),
            mark_good=("sh", "-c", f"{folder}/boot set-state $(cat {folder}/booted) good"),
            mark_bad=(f"{folder}/boot", "set-primary", "A"),
        )
    )


@needs_swupdate
@pytest.mark.req("L01.FR.28")
def test_swupdate_writes_the_other_copy_which_is_kept_when_it_is_well(machine: Machine, tmp_path: Path) -> None:
    station = Station(tmp_path, swupdate(machine))
    with machine.swupdate():
        told = station.install(machine.swu("2026.11.3", NEW))
    assert told == ("restart", "2026.11.3 is to be tried")
    assert (machine.folder / "b.img").read_bytes()[: len(NEW)] == NEW
    machine.run("./boot", "set-primary", "B")  # what SWUpdate's own way to the boot loader would do
    assert machine.restart() == "B"

    assert station.confirm() == Confirmation()

    assert machine.said("marks") == "B good"
    told = station.install(machine.swu("2026.11.2", NEW))
    assert told == ("unverified", "2026.11.2 is older than 2026.11.3, and nothing older is installed")


@needs_swupdate
@pytest.mark.req("L01.FR.29")
def test_a_copy_that_does_not_get_well_is_left_again(machine: Machine, tmp_path: Path) -> None:
    station = Station(tmp_path, swupdate(machine), within_s=0.1)
    with machine.swupdate():
        station.install(machine.swu("2026.11", NEW))
    machine.run("./boot", "set-primary", "B")
    machine.restart()

    told = station.confirm(late=True)

    assert told == Confirmation("2026.11 is given up: the CSMS has not accepted it in time", restart=True)
    assert machine.restart() == "A"
    assert station.confirm() == Confirmation("2026.11 does not run: A was started again")
    assert machine.environment["left_A"] == "kept"


@needs_swupdate
def test_an_image_that_was_changed_is_not_installed(machine: Machine, tmp_path: Path) -> None:
    """SWUpdate finds out while it reads."""
    station = Station(tmp_path, swupdate(machine))
    file = machine.swu("2026.11", NEW)
    raw = bytearray(file.read_bytes())
    raw[-5000] ^= 1
    file.write_bytes(raw)

    with machine.swupdate():
        outcome, words = station.install(file)

    assert outcome == "failed"
    assert words.startswith("SWUpdate: ")


@needs_swupdate
def test_a_file_that_is_no_image_is_not_given_to_swupdate(machine: Machine, tmp_path: Path) -> None:
    station = Station(tmp_path, swupdate(machine))
    files = {
        "rubbish": b"rubbish" * 100,
        "empty": b"",
        "short": b"070702",
        "another file first": machine.swu("1", NEW).read_bytes().replace(b"sw-description", b"sw-descriptiom", 1),
        "no version": machine.swu("1", NEW, description="software = { };").read_bytes(),
        "a size without end": b"070702" + b"F" * 104 + b"sw-description\0",
    }
    for name, raw in files.items():
        (tmp_path / "file").write_bytes(raw)
        assert station.install(tmp_path / "file")[0] == "unverified", name


@needs_swupdate
def test_without_swupdate_nothing_is_done(machine: Machine, tmp_path: Path) -> None:
    told = Station(tmp_path, swupdate(machine)).install(machine.swu("2026.11", NEW))

    assert told[0] == "failed"
