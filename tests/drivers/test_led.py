"""The lamp of an EVSE: each state looks different, and a lamp that nobody minds is out."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hal.api import Indication
from hal.context import DriverContext
from hal.drivers import kernel_files, led
from hal.errors import BadOptions, NotFound
from hal.pytest_plugin import Promise
from hal.registry import Registry
from tests.drivers.emulators.kernel_tree import LedTree

WIRED = {"red": "charger:red:status", "green": "charger:green:status", "blue": "charger:blue:status"}


class Rig:
    """A lamp of three colours."""

    kind = "lamp"

    def __init__(self, folder: Path) -> None:
        self.tree = LedTree(folder)
        self.plug()

    def plug(self) -> None:
        """The kernel's driver is loaded."""
        for name, most in zip(WIRED.values(), (255, 1, 4095), strict=True):
            self.tree.add(name, most)

    def build(self, **options: object) -> Any:
        """A new driver for it."""
        given = {**WIRED, **options}
        return Registry().build("lamp", "led", "left", given, DriverContext(self.clock, {}))

    def clock(self) -> float:
        """Real time."""
        return time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Really."""
        await asyncio.sleep(seconds)

    async def unplug_device(self, *, gone: bool) -> None:
        """The driver is unloaded or loaded."""
        if not gone:
            self.plug()
            return
        for name in WIRED.values():
            folder = self.tree.folder / name
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    def colours(self) -> dict[str, str]:
        """What one sees, without what is out."""
        seen = {colour: self.tree.shows(name) for colour, name in WIRED.items()}
        return {colour: shows for colour, shows in seen.items() if shows != "off"}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Its files behave as the kernel's."""
    rig = Rig(tmp_path)
    monkeypatch.setattr(led, "FOLDER", rig.tree.folder)
    monkeypatch.setattr(kernel_files, "put", rig.tree.put)
    return rig


@pytest.mark.driver("lamp", complete=True)
def test_the_driver_keeps_the_contract_of_a_lamp(promise: Promise, rig: Rig) -> None:
    """Nothing is skipped."""
    promise.is_kept_by(rig)


def test_each_state_has_a_look_of_its_own_whatever_was_before(rig: Rig) -> None:
    """Steady or blinking, by the kernel's own timer; at the end it is out."""
    expected = {
        Indication.AVAILABLE: {"green": "on"},
        Indication.RESERVED: {"red": "on", "green": "on"},
        Indication.OCCUPIED: {"green": "500/500"},
        Indication.CHARGING: {"blue": "on"},
        Indication.SUSPENDED: {"blue": "1000/1000"},
        Indication.UNAVAILABLE: {"red": "1000/1000", "green": "1000/1000"},
        Indication.FAULTED: {"red": "on"},
    }
    assert set(expected) == set(Indication)

    async def scenario() -> None:
        lamp = rig.build()
        await lamp.open()
        assert rig.colours() == {}
        for before in Indication:
            for after in Indication:
                await lamp.indicate(before)
                await lamp.indicate(after)
                assert rig.colours() == expected[after]
        await lamp.close()
        assert rig.colours() == {}

    asyncio.run(scenario())


def test_a_lamp_can_look_differently_and_lack_colours(rig: Rig) -> None:
    """`looks` of the configuration; what is not wired is left out."""

    async def scenario() -> None:
        looks = {"Available": {"colours": ["white", "blue"], "blink_s": 0.2}}
        lamp = rig.build(red=None, looks=looks)
        await lamp.open()
        await lamp.indicate(Indication.AVAILABLE)
        assert rig.colours() == {"blue": "200/200"}
        await lamp.indicate(Indication.RESERVED)
        assert rig.colours() == {"green": "on"}
        await lamp.close()

    asyncio.run(scenario())


def test_an_led_that_is_not_there_is_told_by_its_path(rig: Rig) -> None:
    """Or one that may not be written: nothing of /sys may, without its drop-in."""
    with pytest.raises(NotFound, match="charger:white:status/max_brightness cannot be read: No such file"):
        asyncio.run(rig.build(white="charger:white:status").open())


def test_a_read_only_file_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the system says."""

    def refuse(path: Path, text: str) -> None:
        del path, text
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kernel_files, "put", refuse)
    with pytest.raises(NotFound, match="cannot be written: Permission denied"):
        asyncio.run(rig.build().open())


@pytest.mark.parametrize(
    "wrong, place",
    [
        (dict.fromkeys(WIRED), r"\.green: name at least one LED"),
        ({"looks": {"Lunch": {}}}, r"\.looks"),
        ({"looks": {"Available": {"colours": ["pink"]}}}, r"\.looks"),
    ],
)
def test_a_mistake_names_its_place(rig: Rig, wrong: dict[str, object], place: str) -> None:
    """Found when the driver is built."""
    with pytest.raises(BadOptions, match=place):
        rig.build(**wrong)
