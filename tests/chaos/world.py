"""Hardware that outlives the agent: what copper, cars and meters do when only the controller's power is cut.

A simulated world whose state stands in a file, whole at every instant, and goes on from there: while nobody drives it
the lease runs out, current flows until then, cars stay plugged in or leave. Beside the physics it remembers the truth
that a bill is measured by: each visit of a car with the registers at its two ends, and every register a meter told.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hal.api import MeterReading, Permit
from hal.sim import driver
from hal.sim.ev import EvSpec
from hal.sim.evse import SimEvse
from hal.sim.world import Contract, SimWorld

FOLDER = "CHAOS_WORLD"
"""The environment variable that names the folder of the agent's world."""


class Visit(msgspec.Struct):
    """A car was here. Registers in milliwatt-hours."""

    evse_id: int
    begin_mwh: int
    end_mwh: int | None = None


class State(NamedTuple):
    """All that lasts."""

    evses: dict[int, SimEvse]
    visits: list[Visit]

    def here(self, evse_id: int) -> Visit | None:
        """The car that is plugged in there."""
        return next((each for each in self.visits if each.evse_id == evse_id and each.end_mwh is None), None)

    def charged_mwh(self, visit: Visit) -> int:
        """What a car has got so far; at least, while it charges."""
        return (visit.end_mwh or self.evses[visit.evse_id].reading().energy_import_mwh) - visit.begin_mwh


def look(folder: Path) -> State | None:
    """The world as it is at its last change, from whatever process; None before the first."""
    try:
        state: State = pickle.loads((folder / "world").read_bytes())  # noqa: S301 - our own file
    except FileNotFoundError:
        return None
    return state


def told(folder: Path) -> dict[int, list[int]]:
    """Every register that the meters told, by EVSE, in order."""
    registers: dict[int, list[int]] = {}
    for line in (folder / "registers").read_text("ascii").splitlines():
        evse_id, register = line.split()
        registers.setdefault(int(evse_id), []).append(int(register))
    return registers


class LastingWorld(SimWorld):
    """Goes on from the file in `folder`, if there is one. One process at a time."""

    def __init__(self, folder: Path, evses: Mapping[int, Any], clock: Callable[[], float]) -> None:
        self._visits: list[Visit] = []
        self._file = folder / "world"
        self._registers = os.open(folder / "registers", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        state = look(folder)
        super().__init__({n: evse.spec for n, evse in state.evses.items()} if state else evses, clock)
        if state:
            self._evses, self._visits = state.evses, state.visits
            self.catch_up()

    def plug_in(
        self,
        evse: int,
        connector: int = 1,
        ev: EvSpec | None = None,
        *,
        charge: bool = True,
        contract: Contract | None = None,
    ) -> None:
        """A visit begins with the car, in one write."""
        visit = Visit(evse, self.evse(evse).reading().energy_import_mwh)
        if self.evse(evse).ev is None:
            self._visits.append(visit)
        super().plug_in(evse, connector, ev, charge=charge, contract=contract)

    def unplug(self, evse: int) -> None:
        """And ends with it, at the very instant up to which the meter has counted."""
        point = self.evse(evse)
        visit = State(self._evses, self._visits).here(evse)
        if visit is not None:
            visit.end_mwh = point.reading().energy_import_mwh
        point.unplug()
        self._changed(evse)

    def reading(self, evse: int) -> MeterReading:
        """What is told is written down first."""
        reading = super().reading(evse)
        os.write(self._registers, f"{evse} {reading.energy_import_mwh}\n".encode())
        return reading

    def allow(self, evse: int, permit: Permit) -> str:
        """A lease that is only renewed is no change that is told, but a later end."""
        reason = super().allow(evse, permit)
        self._save()
        return reason

    def _tell_change(self, evse: int) -> None:
        self._save()
        super()._tell_change(evse)

    def _save(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_bytes(pickle.dumps(State(self._evses, self._visits)))
        new.replace(self._file)


def build_world(name: str, options: Mapping[str, object], clock: Callable[[], float]) -> LastingWorld:
    """In the place of `hal.sim.driver.build_world`, for an agent that is started by `tests.chaos.station`."""
    plain = driver.build_world(name, options, clock)
    return LastingWorld(Path(os.environ[FOLDER]), {n: plain.evse(n).spec for n in plain.numbers}, clock)
