"""What two parts of a station.yaml both claim, and only one can have: channels, meters, locks, wires, addresses."""

from __future__ import annotations

from collections.abc import Iterator

from station.config.devices import SECTIONS, board_of
from station.config.mistakes import Mistake, Path
from station.config.schema import File, Options

_MODBUS_METERS = {"modbus", "em580", "bsm-ws36a"}


def conflicts(file: File) -> Iterator[Mistake]:
    """Everything that is claimed twice, told at the second place."""
    yield from _channels(file)
    yield from _of_one_evse(file, "meter")
    yield from _of_one_evse(file, "lock")
    if len(file.evses) > 1 and file.main_meter is not None:
        for number, evse in enumerate(file.evses, 1):
            if evse.meter == file.main_meter:
                reason = f"{file.main_meter!r} is the meter of EVSE {number}, and does not see the other EVSEs"
                yield Mistake(("main_meter",), reason, "name the meter of the whole station, or leave it out")
    yield from _wires(file)
    yield from _addresses(file)


def _channels(file: File) -> Iterator[Mistake]:
    used: dict[tuple[str, int], int] = {}
    for place, evse in enumerate(file.evses):
        board = board_of(evse)
        other = used.setdefault((board.name, board.channel), place + 1)
        if other != place + 1:
            reason = f"channel {board.channel} of {board.name!r} belongs to EVSE {other} already"
            yield Mistake(("evses", place, "board"), reason, "give each EVSE a channel of its own")


def _of_one_evse(file: File, key: str) -> Iterator[Mistake]:
    """Two EVSEs at one meter would both bill all of its energy."""
    used: dict[str, int] = {}
    for place, evse in enumerate(file.evses):
        name: str | None = getattr(evse, key)
        other = used.setdefault(name, place + 1) if name is not None else place + 1
        if other != place + 1:
            reason = f"the {key} {name!r} belongs to EVSE {other} already"
            yield Mistake(("evses", place, key), reason, f"give each EVSE a {key} of its own")


def _wires(file: File) -> Iterator[Mistake]:
    """Two owners of one port would read each other's answers."""
    owners: dict[str, str] = {}
    for section in ("buses", *SECTIONS):
        for name, given in getattr(file, section).items():
            wire, key = _wire(given)
            owner = owners.setdefault(wire, name) if wire else name
            if owner != name:
                remedy = (
                    "name the bus instead" if section != "buses" else "keep one of them, and name it at both devices"
                )
                yield Mistake((section, name, key), f"{wire} belongs to {owner!r} already", remedy)


def _wire(given: Options) -> tuple[str, str]:
    """What a bus or a device holds for itself, and the key that says so; empty if nothing."""
    if isinstance(given.get("interface"), str):
        own = given["interface"] == "slcan"
        parts = ["channel"] if own else ["interface", "host", "port", "channel"]
        return " ".join(str(given[part]) for part in parts if given.get(part) is not None), "channel"
    port = given.get("port")
    return (port, "port") if isinstance(port, str) else ("", "")


def _addresses(file: File) -> Iterator[Mistake]:
    """The same registers under two names: a device that was copied and not readdressed."""
    seen: dict[tuple[object, ...], str] = {}
    for section in SECTIONS:
        for name, given in getattr(file, section).items():
            if given.get("driver") not in _MODBUS_METERS:
                continue
            address = given.get("address", 1)
            other = seen.setdefault((section, str(given.get("bus")), str(given.get("template")), str(address)), name)
            if other != name:
                path: Path = (section, name, "address")
                reason = f"address {address} on {given.get('bus')!r} belongs to {other!r} already"
                yield Mistake(path, reason, "give each device on a line an address of its own")
