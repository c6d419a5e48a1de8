"""What is done at the station once its file is right, as somebody may have said it before, and is not asked then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from station.commands.commissioning.dialogue import Stopped
from station.config import Config, shape, source

Kwh = float


class Steps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By their names in a file of answers. None: nobody has said it."""

    scan: bool | tuple[str, ...] | None = None
    """Which Modbus lines are looked at: all of the file, or those of this list."""
    take: Mapping[str, str] | None = None
    """By its place, as what somebody who answers there is put into the file."""
    displays: Mapping[str, Kwh] | None = None
    """By the name of a meter, what its display shows."""
    energise: tuple[int, ...] | None = None
    """The EVSEs that are tested with a vehicle: consent that their outlets are energised. None of them: ()."""


KEYS = Steps.__struct_fields__


def steps(told: Mapping[str, Any]) -> Steps:
    """What is said of them. Raises Stopped."""
    given = {key: _plain(key, told[key]) for key in KEYS if key in told}
    if isinstance(given.get("scan"), str):
        given["scan"] = (given["scan"],)
    if isinstance(given.get("energise"), int) and not isinstance(given["energise"], bool):
        given["energise"] = (given["energise"],)
    try:
        return msgspec.convert(given, Steps)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        raise Stopped(f"{place.rstrip('`') or 'answers'}: {shape.plain(reason)}", _FORMS) from error


_FORMS = (
    "scan: true or [LINE, ...], take: {LINE/ADDRESS: NAME@EVSE}, displays: {METER: KWH, ...}, energise: [EVSE, ...]"
)


def _plain(key: str, given: Any) -> Any:
    """A flag or a QR code has texts, written as in a file."""
    if not isinstance(given, str):
        return given
    parsed = source.parse(f"value: {given}\n".encode())
    if parsed.mistakes:
        raise Stopped(f"{key}: {parsed.mistakes[0].reason}", _FORMS)
    return parsed.data["value"]


def fitting(said: Steps, config: Config) -> None:
    """Raise Stopped for what this station has not."""
    meters = {evse.meter for evse in config.wiring.evses} | {config.wiring.main_meter}
    for name in said.displays or ():
        if name not in meters:
            known = ", ".join(sorted(filter(None, meters))) or "none"
            raise Stopped(f"displays: no meter is called {name!r}", f"there are: {known}")
    for number in said.energise or ():
        if not 1 <= number <= len(config.wiring.evses):
            raise Stopped(f"energise: no EVSE {number}", f"there are {len(config.wiring.evses)}")
