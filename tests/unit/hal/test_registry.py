"""Drivers by name: built in, extra, installed."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from hal import registry
from hal.context import DriverContext
from hal.errors import BadOptions
from hal.registry import BUILT_IN, KINDS, DriverEntry, Registry
from hal.sim.driver import SimMeter
from hal.sim.evse import EvseSpec
from hal.sim.world import SimWorld


def installed(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Pretend that packages announce these drivers."""
    found = [metadata.EntryPoint(name, target, registry.ENTRY_POINT_GROUP) for name, target in points]
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: found if group == registry.ENTRY_POINT_GROUP else [])


def test_a_built_in_driver_is_built_by_kind_and_name() -> None:
    """The simulator is an ordinary driver."""
    context = DriverContext(lambda: 0.0, {"sim": SimWorld({1: EvseSpec()}, lambda: 0.0)})

    meter = Registry().build("meter", "sim", "meter-1", {"evse": 1}, context)

    assert isinstance(meter, SimMeter)
    assert meter.name == "meter-1"


def test_naming_a_driver_imports_no_other() -> None:
    """Heavy libraries are loaded only where they are used."""
    code = (
        "import sys; from hal.registry import Registry; Registry().find('meter', 'sim'); "
        "print([m for m in ('can', 'pymodbus', 'serial', 'importlib.metadata', 'cantools') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert out.stdout.strip() == "[]"


def test_an_unknown_name_lists_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed drivers are listed with the built-in ones."""
    installed(monkeypatch, ("meter.acme-42", "acme.meter:Acme42"))

    with pytest.raises(BadOptions, match=r"there are: acme-42, bsm-ws36a, em580, modbus, sim, sim-signed") as caught:
        Registry().find("meter", "acme")
    assert caught.value.path == ".driver"
    with pytest.raises(BadOptions, match="there are: board, meter"):
        Registry().find("toaster", "sim")


def test_an_installed_driver_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver needs no change in this package."""
    installed(monkeypatch, ("meter.acme-42", "hal.sim.driver:SimMeter"))

    assert Registry().find("meter", "acme-42") is SimMeter
    assert DriverEntry("meter", "acme-42", "hal.sim.driver:SimMeter") in Registry().all()


def test_two_drivers_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a silent choice."""
    with pytest.raises(ValueError, match="two meter drivers are called 'sim'"):
        Registry([DriverEntry("meter", "sim", "mine:Meter")])
    with pytest.raises(ValueError, match="no kind 'toaster'"):
        Registry([DriverEntry("toaster", "x", "mine:Toaster")])

    installed(monkeypatch, ("meter.acme", "one:Meter"), ("meter.acme", "two:Meter"))
    with pytest.raises(BadOptions, match="two installed packages"):
        Registry().find("meter", "acme")


@pytest.mark.parametrize("target", ["no_such_module_here:Meter", "hal.sim.driver:NoSuchClass"])
def test_a_driver_that_cannot_be_loaded_says_why(target: str) -> None:
    """A missing library is a mistake of the installation, with its name."""
    with pytest.raises(BadOptions, match="cannot be loaded from"):
        Registry([DriverEntry("meter", "broken", target)]).find("meter", "broken")


def test_every_built_in_driver_can_be_loaded() -> None:
    """The table names modules that exist."""
    for kind, named in BUILT_IN.items():
        assert kind in KINDS
        for name in named:
            assert callable(Registry().find(kind, name))
