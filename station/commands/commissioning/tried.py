"""The station as it stands there: its meters are read, and a vehicle is charged where somebody agrees to that."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator

from station.commands.check import runs_already
from station.commands.commissioning import readings, session
from station.commands.commissioning.dialogue import agreed
from station.commands.commissioning.steps import Steps
from station.commands.findings import Finding, Grade
from station.config import Config
from station.shell.wiring import EvseEntry

ENERGISES = "The outlet WILL BE ENERGISED: nobody touches it, and there is a vehicle or a tester to plug in."


def found(config: Config, said: Steps, *, unattended: bool) -> Iterator[Finding]:
    """What came of it. Raises KeyboardInterrupt, with all contactors open."""
    if runs_already(config):
        remedy = "systemctl stop ocpp-station, and once more"
        yield Finding(Grade.WARNING, "trial", "an agent has the hardware: no meter was compared, none charged", remedy)
        return
    for seen in asyncio.run(readings.taken(config.wiring)):
        sys.stdout.write("".join(f"{line}\n" for line in readings.told(seen)))
        display = (said.displays or {}).get(seen.name)
        if display is None and said.displays is None and seen.reading is not None and not unattended:
            display = readings.by_person(seen)
        yield readings.judged(seen, display)
    for evse in config.wiring.evses:
        if _wanted(evse, said, unattended=unattended):
            yield session.held(config, evse.evse_id, _say)
        else:
            what, remedy = f"test EVSE {evse.evse_id}", "commission again, with a vehicle or a tester at hand"
            yield Finding(Grade.WARNING, what, "no vehicle was charged: nobody agreed to it", remedy)


def _wanted(evse: EvseEntry, said: Steps, *, unattended: bool) -> bool:
    """Whether somebody has said so, then or now."""
    if said.energise is not None or unattended:
        return evse.evse_id in (said.energise or ())
    sys.stdout.write(f"{ENERGISES}\n")
    return agreed(f"Charge a vehicle at EVSE {evse.evse_id} (board {evse.board}, channel {evse.channel}) now?")


def _say(text: str) -> None:
    """To whoever stands there; a terminal that has hung up must not keep a contactor from being opened."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"-> {text}\n")
        sys.stdout.flush()
