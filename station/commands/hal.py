"""`ocpp-station hal list`: the drivers there are, built in and installed, and the register maps they know."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from hal import buses, template
from hal.errors import BadOptions
from hal.registry import DriverEntry, Registry

BOARDS = template.FOLDER / "board"


def show() -> int:
    """Print the list; the exit code."""
    sys.stdout.write("\n".join(lines()) + "\n")
    return 0


def lines() -> Iterator[str]:
    """One line per driver, then the data that drivers are given."""
    registry = Registry()
    yield f"{'KIND':<9}{'DRIVER':<12}WHAT IT IS"
    for entry in registry.all():
        yield f"{entry.kind:<9}{entry.name:<12}{_about(registry, entry)}"
    for kind in sorted(buses.KINDS):
        yield f"{'bus':<9}{kind:<12}{', '.join(_users(registry, kind)) or 'a wire that drivers share'}"
    yield ""
    yield f"register maps (template:) of meter modbus: {', '.join(template.names())}"
    yield f"boards (template:) of board can: {', '.join(_stems(BOARDS))}"


def _about(registry: Registry, entry: DriverEntry) -> str:
    """The first line of the driver's own description; why not, if it cannot be loaded."""
    try:
        made = registry.find(entry.kind, entry.name)
    except BadOptions as error:
        return f"cannot be used: {error.reason}"
    module = sys.modules[getattr(made, "__module__", __name__)]
    own = entry.name.startswith("sim") or "._" in module.__name__  # one of several, or a module about something else
    told = made.__doc__ if own else module.__doc__
    return (told or "").strip().partition("\n")[0]


def _users(registry: Registry, kind: str) -> Iterator[str]:
    """Drivers that are called like the bus: `modbus` on `modbus-rtu`."""
    for entry in registry.all():
        if kind.partition("-")[0] == entry.name:
            yield f"for {entry.kind} {entry.name}"


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))
