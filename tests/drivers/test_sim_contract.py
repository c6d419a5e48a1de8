"""The simulator passes the contract of every kind, and a driver that breaks a promise is caught."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from hal import contract
from hal.api import Fault, MeterReading
from hal.context import DriverContext
from hal.registry import KINDS, Registry
from hal.sim.evse import EvseSpec
from hal.sim.world import SimWorld

OPTIONS: dict[str, dict[str, object]] = {"meter": {"evse": 1}, "lock": {"evse": 1}}


class SimHarness:
    """Stimulates the simulated device; time is moved, not waited for."""

    def __init__(self, kind: str, driver: str = "sim") -> None:
        self.kind = kind
        self.driver = driver
        self._ahead = 0.0
        self.world = SimWorld({1: EvseSpec(lock=True), 2: EvseSpec()}, self.clock)

    def build(self) -> Any:
        """A new driver for the same device."""
        context = DriverContext(self.clock, {"sim": self.world})
        return Registry().build(self.kind, self.driver, "device", OPTIONS.get(self.kind, {}), context)

    def clock(self) -> float:
        """Real time, and what was skipped."""
        return time.monotonic() + self._ahead

    async def wait(self, seconds: float) -> None:
        """Skip it."""
        self._ahead += seconds
        self.world.catch_up()
        await asyncio.sleep(0.005)  # let whoever listens begin to

    async def unplug_device(self, *, gone: bool) -> None:
        """Take away or give back."""
        self.world.lose("device", on=gone)

    async def vehicle(self, channel: int, *, connected: bool) -> None:
        """Connect or disconnect."""
        if connected:
            self.world.plug_in(channel)
        else:
            self.world.unplug(channel)

    async def fault(self, channel: int, *, present: bool) -> None:
        """Cause or mend."""
        self.world.fault(channel, Fault.GROUND_FAULT, on=present)

    async def card(self) -> str:
        """Hold a seven-byte card to the reader."""
        self.world.swipe("04a1b2c3d4e5f6")
        return "04A1B2C3D4E5F6"

    async def jam(self, *, jammed: bool) -> None:
        """Block or free."""
        self.world.jam_lock(1, on=jammed)


class ForgetfulHarness(SimHarness):
    """Builds meters with a flaw."""

    def __init__(self, flaw: dict[str, object]) -> None:
        super().__init__("meter")
        self._flaw = flaw

    def build(self) -> Any:
        """A meter whose readings have the flaw."""
        device, flaw = super().build(), self._flaw
        read = device.read

        async def flawed() -> MeterReading:
            reading: MeterReading = await read()
            return msgspec.structs.replace(reading, **flaw)

        device.read = flawed
        return device


@pytest.mark.parametrize(
    "kind, check",
    [pytest.param(kind, check, id=f"{kind}: {check.promise}") for kind in KINDS for check in contract.checks(kind)],
)
def test_the_simulator_keeps_the_contract(kind: str, check: contract.Check) -> None:
    """An ordinary driver, not a mock; nothing is skipped."""
    result = asyncio.run(contract.run_one(check, SimHarness(kind)))

    assert result == (check.promise, "passed", "")


@pytest.mark.parametrize("check", contract.checks("meter"), ids=lambda check: check.promise)
def test_the_signing_meter_keeps_the_contract(check: contract.Check) -> None:
    """An ability more, no promise less."""
    result = asyncio.run(contract.run_one(check, SimHarness("meter", "sim-signed")))

    assert result == (check.promise, "passed", "")


@pytest.mark.parametrize(
    "flaw, told",
    [
        ({"sampled_at": 0.0}, "sampled_at 0.0 is not in"),
        ({"voltage_v": None}, "info promises"),
        ({"energy_import_mwh": 1.5}, "not an integer"),
        ({"power_import_w": -1.0}, "negative"),
    ],
)
def test_a_meter_that_breaks_a_promise_is_caught(flaw: dict[str, object], told: str) -> None:
    """The contract is worth something."""
    results = asyncio.run(contract.run(ForgetfulHarness(flaw)))

    assert any(result.outcome == "failed" and told in result.detail for result in results)


def test_what_a_harness_cannot_do_is_skipped_by_name() -> None:
    """A person at a bench has no way to cause every fault."""

    class Bare:
        kind = "board"
        _sim = SimHarness("board")
        build, clock, wait = _sim.build, _sim.clock, _sim.wait

    results = {result.promise: result for result in asyncio.run(contract.run(Bare()))}

    assert results["Unplugging opens the contactor."].outcome == "skipped"
    assert "Plugs" in results["Unplugging opens the contactor."].detail
    assert "failed" not in {result.outcome for result in results.values()}


def test_an_unknown_kind_has_no_contract() -> None:
    """A clear error."""
    with pytest.raises(ValueError, match="no contract for 'toaster'"):
        contract.checks("toaster")
