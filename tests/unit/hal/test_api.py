"""Values and construction: what every driver relies on."""

from __future__ import annotations

import msgspec
import pytest

from hal.api import Board, BoardSnapshot, Identified, LockingBoard, Meter, PilotState, SignedMeter
from hal.context import DriverContext, parse_options
from hal.errors import BadOptions, BadReply, DeviceError, NotFound, Refused, Timeout
from hal.iso15118 import Iso15118Bridge
from hal.sim.driver import SimBoard, SimMeter
from hal.sim.evse import EvseSpec
from hal.sim.world import SimWorld


class Bus(msgspec.Struct, forbid_unknown_fields=True):
    """A part of options."""

    port: str


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a driver."""

    bus: Bus
    address: int = 1


@pytest.mark.parametrize(
    "options, path",
    [
        ({"bus": {"port": 1}}, ".bus.port"),
        ({"bus": {"port": "x", "baud": 1}}, ".bus"),
        ({"bus": {"port": "x"}, "address": "one"}, ".address"),
        ({}, ""),
    ],
)
def test_a_mistake_in_options_is_told_with_its_place(options: dict[str, object], path: str) -> None:
    """Configuration errors carry a path, and name the driver."""
    with pytest.raises(BadOptions) as caught:
        parse_options("meter 'main'", options, Options)

    assert caught.value.path == path
    assert str(caught.value).startswith("meter 'main': ")


def test_a_shared_resource_is_found_by_name_and_kind() -> None:
    """A wrong name lists the right ones."""
    world = SimWorld({1: EvseSpec()}, lambda: 0.0)
    context = DriverContext(lambda: 0.0, {"sim": world, "rs485": Bus("x")})

    assert context.resource("m", ".world", "sim", SimWorld) is world
    with pytest.raises(BadOptions, match=r"no SimWorld is called 'smi'.*there are: sim"):
        context.resource("m", ".world", "smi", SimWorld)
    with pytest.raises(BadOptions, match="'rs485' is a Bus, not a SimWorld"):
        context.resource("m", ".world", "rs485", SimWorld)


def test_abilities_are_found_by_isinstance() -> None:
    """No flags, no NotImplementedError."""
    context = DriverContext(lambda: 0.0, {"sim": SimWorld({1: EvseSpec()}, lambda: 0.0)})
    board, meter = SimBoard("b", {}, context), SimMeter("m", {"evse": 1}, context)

    assert isinstance(board, Board)
    assert isinstance(board, LockingBoard)
    assert isinstance(board, Iso15118Bridge)
    assert isinstance(meter, Meter)
    assert isinstance(meter, Identified)
    assert not isinstance(meter, SignedMeter)


def test_pilot_states_know_what_they_mean() -> None:
    """E and F say nothing about a vehicle."""
    assert [s.value for s in PilotState if s.plugged] == ["B", "C", "D"]
    assert [s.value for s in PilotState if s.ready] == ["C", "D"]


def test_values_cannot_be_changed() -> None:
    """A snapshot handed to another thread stays what it was."""
    snapshot = BoardSnapshot(channel=1, sampled_at=0.0, pilot=PilotState.A, contactor_closed=False)
    with pytest.raises(AttributeError):
        snapshot.pilot = PilotState.B  # type: ignore[misc] # that it is refused is the point


@pytest.mark.parametrize("error", [NotFound, Timeout, BadReply, Refused])
def test_device_errors_name_the_device(error: type[DeviceError]) -> None:
    """Whoever reads the log knows where to look."""
    assert str(error("meter-1", "no answer")) == "meter-1: no answer"
