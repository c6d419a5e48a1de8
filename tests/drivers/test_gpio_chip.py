"""The port to GPIO lines: what is asked of libgpiod, and what becomes of its errors."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest

from hal.buses import build
from hal.buses.gpio import Gpio, Line, Lines
from hal.errors import BadOptions, DeviceError, NotFound
from tests.drivers.emulators.gpiod_standin import Bias, Chip, Direction, Edge, LineRequest, LineSettings

DOOR = Line(line="DOOR", active_low=True, bias="pull-up", debounce_s=0.05)
RELAY = Line(line=5, active_low=True)


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    """A chip whose line 17 is called DOOR, in place of the library."""
    chip = Chip("/dev/gpiochip0", {"DOOR": 17})
    module = chip.module()
    monkeypatch.setitem(sys.modules, "gpiod", module)
    monkeypatch.setitem(sys.modules, "gpiod.line", module.line)
    return chip


def request(**changes: Line) -> Lines:
    """A door's contact and a relay."""
    bus = build("gpio", "io", {"chip": "/dev/gpiochip0"}, lambda: 0.0)
    assert isinstance(bus, Gpio)
    return bus.request("door", {"door": changes.get("door", DOOR)}, {"relay": RELAY})


def test_lines_are_requested_as_they_are_configured(chip: Chip) -> None:
    """By number or name; an output begins inactive, whatever that is on its wire."""
    request()

    assert chip.settings[17] == {
        "direction": Direction.INPUT,
        "edge_detection": Edge.BOTH,
        "active_low": True,
        "bias": Bias.PULL_UP,
        "debounce_period": timedelta(seconds=0.05),
    }
    assert chip.settings[5]["direction"] is Direction.OUTPUT
    assert chip.levels[5] is True
    assert chip.owners == {17: "ocpp-station", 5: "ocpp-station"}


def test_true_is_active_whatever_the_wire_says(chip: Chip) -> None:
    """Inputs and outputs, by the driver's own names."""
    lines = request()
    assert lines.values() == {"door": True, "relay": False}

    chip.move(17, high=True)
    lines.set("relay", active=True)

    assert lines.values() == {"door": False, "relay": True}
    assert chip.levels[5] is False


def test_edges_wake_the_driver_until_the_lines_are_released(chip: Chip) -> None:
    """On its loop; nobody polls."""

    async def scenario() -> None:
        lines, seen = request(), []
        lines.watch(lambda: seen.append(lines.values()["door"]), lambda _: None)
        chip.move(17, high=True)
        await until(lambda: seen == [False])
        chip.move(17, high=False)
        await until(lambda: seen == [False, True])
        lines.release()
        lines.release()
        chip.move(17, high=True)
        await asyncio.sleep(0.02)
        assert seen == [False, True]
        assert chip.owners == {}
        with pytest.raises(NotFound, match="were released"):
            lines.values()

    asyncio.run(scenario())


def test_a_chip_that_is_pulled_out_is_told_once(chip: Chip) -> None:
    """A USB expander; then the lines are nobody's."""

    async def scenario() -> None:
        lines, lost = request(), list[DeviceError]()
        lines.watch(lambda: None, lost.append)
        chip.vanish()
        await until(lambda: lost)
        await asyncio.sleep(0.02)
        assert [str(error) for error in lost] == ["door: /dev/gpiochip0 is gone: No such device"]
        with pytest.raises(NotFound):
            lines.set("relay", active=True)

    asyncio.run(scenario())


async def until(true: Callable[[], object]) -> None:
    """Wait for it, at most ten seconds."""
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come")


def test_what_is_not_given_is_told_with_its_reason(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    """In use, no such line, no chip, no library."""
    request()
    with pytest.raises(NotFound, match="in use by another program"):
        request()
    with pytest.raises(NotFound, match="no line named 'WINDOW'"):
        request(door=Line(line="WINDOW"))
    chip.gone = True
    with pytest.raises(NotFound, match="No such file"):
        request(door=Line(line=3))
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(NotFound, match="install the extra `gpio`"):
        request(door=Line(line=3))


def test_a_misspelt_option_of_a_chip_is_a_mistake() -> None:
    """At its place."""
    with pytest.raises(BadOptions, match="chipp"):
        build("gpio", "io", {"chipp": "/dev/gpiochip0"}, lambda: 0.0)


def test_the_library_has_what_is_used() -> None:
    """The stand-in names nothing that the real bindings lack, where they are installed."""
    gpiod = pytest.importorskip("gpiod", reason="libgpiod's bindings are not installed: the stand-in is NOT COMPARED")
    settings = gpiod.LineSettings(
        direction=gpiod.line.Direction.INPUT,
        edge_detection=gpiod.line.Edge.BOTH,
        active_low=True,
        bias=gpiod.line.Bias.PULL_UP,
        debounce_period=timedelta(seconds=0.05),
        output_value=gpiod.line.Value.INACTIVE,
    )
    assert settings.bias is gpiod.line.Bias.PULL_UP
    used = {name for name in vars(LineRequest) if not name.startswith("_")} - {"edge"}
    assert used <= set(dir(gpiod.LineRequest)) | {"chip", "numbers"}
    assert bool(gpiod.line.Value.INACTIVE) is False
    assert {bias.name for bias in Bias} <= {bias.name for bias in gpiod.line.Bias}
    with pytest.raises(OSError, match="No such file"):
        gpiod.request_lines("/dev/gpiochip-none", consumer="test", config={1: settings})
    assert LineSettings(bias=1).given == {"bias": 1}
