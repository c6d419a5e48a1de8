"""`ocpp-station hal test`: the contract on a device of station.yaml, alone and with a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from station import cli
from station.commands import hal_contract
from tests.drivers.emulators.key_board import KeyBoard
from tests.unit.test_config import GOOD, Folder

Person = Callable[[Callable[[str], str | None]], list[str]]
"""Given what a person does when he is told something, all that he was told."""

SENSOR = "sensors: {heat: {driver: sysfs, path: PATH, component: Controller, variable: Temperature}}\n"
READER = "readers: {pin: {driver: keypad, device: PATH, grab: false}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With a password."""
    return Folder(tmp_path)


def run(folder: Folder, text: str, path: Path, *arguments: str) -> int:
    """The command on this configuration."""
    folder.file.write_text(GOOD + text.replace("PATH", str(path)), "utf-8")
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


def test_a_device_that_is_not_in_the_file_is_a_mistake(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """With the names there are."""
    assert run(folder, "", Path(), "nobody") == 78

    assert "no device has this name (there are: simulator, meter-1" in capsys.readouterr().err
