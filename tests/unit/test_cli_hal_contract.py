"""`ocpp-station hal test`: the contract on a device of station.yaml, alone and with a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hal import contract, promises
from hal.api import BoardSnapshot, Permit
from hal.buses.serial import SerialPort, SerialSettings
from hal.contract import Check
from hal.harness import Broken, Plugs
from hal.sim.driver import SimBoard
from station import cli
from station.commands import hal_contract
from station.commands.run import owned
from tests.drivers.emulators.key_board import KeyBoard
from tests.drivers.test_emulators import Process, emulator
from tests.unit.test_config import GOOD, Folder

Person = Callable[[Callable[[str], str | None]], list[str]]
"""Given what a person does when he is told something, all that he was told."""

SENSOR = "sensors: {heat: {driver: sysfs, path: PATH, component: Controller, variable: Temperature}}\n"
BOARD = """buses: {wire: {kind: modbus-rtu, port: PATH}}
boards: {left: {driver: evse-wb, bus: wire}}
"""
READER = "readers: {pin: {driver: keypad, device: PATH, grab: false}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With a password."""
    return Folder(tmp_path)


def run(folder: Folder, text: str, path: Path, *arguments: str) -> int:
    """The command on this configuration."""
    good = GOOD.replace("simulator:", "evses: [{board: left}]\n#") if "boards:" in text else GOOD
    folder.file.write_text(good + text.replace("PATH", str(path)), "utf-8")
    return cli.main(["hal", "test", *arguments, "--config", str(folder.file)])


@pytest.fixture
def heat(tmp_path: Path) -> Path:
    """A thermometer's file."""
    path = tmp_path / "temp"
    path.write_text("42500\n", "ascii")
    return path


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody who does what he is told; gives what he was told."""

    def does(what: Callable[[str], str | None]) -> list[str]:
        told: list[str] = []

        def answer(prompt: str) -> str:
            told.append(prompt)
            return what(prompt) or ""

        monkeypatch.setattr(hal_contract, "answer", answer)
        return told

    return does


def test_alone_it_asks_for_nothing_that_needs_a_hand(
    folder: Folder, heat: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says what it left out."""
    assert run(folder, SENSOR, heat, "heat") == 0

    said = capsys.readouterr().out.splitlines()
    assert said[0] == "passed   It opens and closes, again and again."
    assert "skipped  An absent device is told by a DeviceError, and found when it is back." in said
    assert "         the harness cannot: Unplugs" in said
    assert said[-1].startswith("passed   A reading was sampled when it was read")


def test_with_a_person_nothing_is_left_out(
    folder: Folder,
    heat: Path,
    person: Person,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """He pulls the plug and puts it back."""

    def does(what: str) -> None:
        if "Take heat from" in what:
            heat.unlink()
        else:
            heat.write_text("42500", "ascii")

    told = person(does)

    assert run(folder, SENSOR, heat, "heat", "--attended") == 0

    assert len(told) == 2
    assert "skipped" not in capsys.readouterr().out


def test_a_broken_promise_is_the_result(
    folder: Folder,
    heat: Path,
    person: Person,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody pulled the plug: then the driver sees a device that should not be there."""
    person(lambda _what: None)

    assert run(folder, SENSOR, heat, "heat", "--attended") == 1

    assert "failed   An absent device is told by a DeviceError" in capsys.readouterr().out


def test_a_card_is_one_whose_number_the_person_knows(
    folder: Folder,
    tmp_path: Path,
    person: Person,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Here a code on a key pad, typed after the number was told."""
    keys = KeyBoard(tmp_path / "event0")
    keys.start()

    def does(what: str) -> str | None:
        if "Type the number" in what:
            keys.press("4", "7", "1", "1", "ENTER")
            return "4711"
        (keys.stop if "Take pin from" in what else keys.start)()
        return None

    person(does)
    try:
        assert run(folder, READER, tmp_path / "event0", "pin", "--attended") == 0
    finally:
        keys.stop()
    assert "passed   A card is told with its whole identifier in upper-case hex." in capsys.readouterr().out


def test_a_simulated_board_keeps_what_can_be_tried_alone(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is energised."""
    assert run(folder, "", Path(), "simulator") == 0

    said = capsys.readouterr().out
    assert "passed   A permission out of range is refused and changes nothing." in said
    assert "skipped  With a permission the contactor closes for a vehicle, and opens without." in said


@pytest.mark.parametrize("said", ["", "y", "no", None])
def test_without_an_explicit_yes_nothing_is_energised(
    folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str | None,
) -> None:
    """Enter alone is none, and the end of the input is none: a script must not close a contactor."""

    def answer(_: str) -> str:
        if said is None:
            raise EOFError
        return said

    monkeypatch.setattr(hal_contract, "answer", answer)
    with emulator("evse_wb_board", tmp_path / "line") as board:
        assert run(folder, BOARD, tmp_path / "line", "left", "--attended") == 1

        board("plug_in")
        board("vehicle", state="C")
        assert not board("state")["relay"]
    told = capsys.readouterr()
    assert "nothing was energised" in told.err
    assert told.out == ""


def vehicle(board: Process, person: Person) -> list[str]:
    """Somebody who plugs in and out, and says yes."""

    def does(what: str) -> str:
        if "Plug in" in what:
            board("plug_in")
            board("vehicle", state="C")
        elif "Unplug" in what:
            board("plug_out")
        return "yes"

    return person(does)


def test_a_real_board_charges_and_is_open_afterwards(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, person: Person
) -> None:
    """By the bytes on its line."""
    monkeypatch.setattr(contract, "CHECKS", (Check("board", promises.charges, (Plugs,)),))
    with emulator("evse_wb_board", tmp_path / "line") as board:
        told = vehicle(board, person)

        assert run(folder, BOARD, tmp_path / "line", "left", "--attended") == 0

        assert not board("state")["relay"]
    assert "THE OUTLET WILL BE ENERGISED" in told[0]
    assert len(told) == 3


def test_a_board_that_a_test_left_energised_is_opened(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, person: Person
) -> None:
    """It does not watch its host: nobody else would."""
    closed: list[bool] = []
    with emulator("evse_wb_board", tmp_path / "line") as board:

        async def forgets(harness: Any) -> None:
            """It forgets to deny."""
            await harness.vehicle(1, connected=True)
            left = harness.build()
            await left.open()
            await left.allow(1, Permit(6.0, 3))
            closed.append(board("state")["relay"])
            raise Broken("forgot")

        monkeypatch.setattr(contract, "CHECKS", (Check("board", forgets),))
        vehicle(board, person)

        assert run(folder, BOARD, tmp_path / "line", "left", "--attended") == 1

        assert (closed, board("state")["relay"]) == ([True], False)


def test_a_contactor_that_does_not_open_is_told(
    folder: Folder, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever stands there must know."""
    person(lambda _what: "yes")
    monkeypatch.setattr(contract, "CHECKS", (Check("board", promises.shows),))
    monkeypatch.setattr(hal_contract, "_OPENS_S", 0.01)
    shown = SimBoard.snapshot

    async def welded(self: SimBoard, channel: int) -> BoardSnapshot:
        return msgspec.structs.replace(await shown(self, channel), contactor_closed=channel == 2)

    monkeypatch.setattr(SimBoard, "snapshot", welded)

    assert run(folder, "", Path(), "simulator") == 1

    assert "channel 2 may still be energised - switch its supply off" in capsys.readouterr().err


def test_while_an_agent_runs_nothing_is_touched(folder: Folder, heat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its sessions are none of the test's business."""
    with owned(folder.path / "state"):
        assert run(folder, SENSOR, heat, "heat") == 75

    told = capsys.readouterr()
    assert "an agent runs with this hardware - stop it first" in told.err
    assert told.out == ""


def test_a_port_that_somebody_else_has_is_one_line(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not twenty broken promises."""
    with emulator("evse_wb_board", tmp_path / "line"):
        holder = SerialPort("other", SerialSettings(port=str(tmp_path / "line")))
        holder.open()
        try:
            assert run(folder, BOARD, tmp_path / "line", "left") == 1
        finally:
            holder._serial.close()  # type: ignore[union-attr] # as `close`, which wants a loop

    told = capsys.readouterr()
    assert "in use by another program" in told.err
    assert told.out == ""


def test_a_device_that_is_not_in_the_file_is_a_mistake(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """With the names there are."""
    assert run(folder, "", Path(), "nobody") == 78

    assert "no device has this name (there are: simulator, meter-1" in capsys.readouterr().err
