"""Which signals of a DBC mean what on a control-pilot board: a YAML map -> checked structs, and its codec. Pure.

The built-in map is `templates/board/reference-board.yaml`, with its generated JSON beside it (`python -m
hal.drivers.can_map`). An integrator's own board is another such file, named by its path; what a board does not have is
left out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from hal.api import BoardSnapshot, Fault, LockState, Permit, PilotState
from hal.buses.can_ascii import Frame
from hal.dbc import Dbc, Message, load
from hal.errors import BadOptions
from hal.template import FOLDER
from hal.yamlfile import from_yaml

SCHEMA = FOLDER / "board.schema.json"

_Period = Annotated[float, msgspec.Meta(gt=0.0, le=60.0)]
_SignalPath = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_]\w*\.[A-Za-z_]\w*$")]
_FLOWS: Mapping[str, bool] = {"yes": True, "no": False}
_CRC_POLYNOMIAL, _CRC_START, _CRC_END = 0x1D, 0xFF, 0xFF


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A piece of the map: data only."""


class PilotValues(_Part, frozen=True):
    """Numbers of the pilot signal."""

    signal: _SignalPath
    values: dict[int, Literal["A", "B", "C", "D", "E", "F"]]


class FlowValues(_Part, frozen=True):
    """Numbers of the signal that tells whether current flows."""

    signal: _SignalPath
    values: dict[int, Literal["yes", "no", "unknown"]]


class LockValues(_Part, frozen=True):
    """Numbers of the lock's feedback."""

    signal: _SignalPath
    values: dict[int, Literal["absent", "unlocked", "locked", "jammed"]]


class Texts(_Part, frozen=True):
    """Numbers that stand for a reason; 0 is none."""

    signal: _SignalPath
    values: dict[int, str] = {}


class StatusMap(_Part, frozen=True):
    """What the board tells, as `Message.Signal` without the channel's prefix. Signals may stand in several messages."""

    pilot: PilotValues
    contactor_closed: _SignalPath
    limit_a: _SignalPath | None = None
    phases: _SignalPath | None = None
    cable_rating_a: _SignalPath | None = None
    flowing: FlowValues | None = None
    lock: LockValues | None = None
    faults: dict[
        Literal[
            "GroundFault",
            "ResidualCurrent",
            "OverCurrent",
            "OverTemperature",
            "OverVoltage",
            "UnderVoltage",
            "PilotLost",
            "DiodeFault",
            "ProximityFault",
            "ContactorWelded",
            "ContactorDidNotClose",
            "LockJammed",
            "EmergencyStop",
            "Internal",
        ],
        _SignalPath,
    ] = {}
    ack: _SignalPath | None = None
    """The counter of the last command; without it a command counts as accepted when it was sent."""
    refusal: Texts | None = None


class PermitValues(_Part, frozen=True):
    """The signal that allows; `unchanged` is for a command about the lock, which denies if there is no such number."""

    signal: str
    deny: int = 0
    allow: int = 1
    unchanged: int | None = None


class LockCommand(_Part, frozen=True):
    """The signal that moves the lock."""

    signal: str
    unchanged: int = 0
    lock: int = 1
    unlock: int = 2


class CommandMap(_Part, frozen=True):
    """The one message that the station sends to a channel, and its signals."""

    message: str
    permit: PermitValues
    limit_a: str
    phases: str | None = None
    lease_s: str | None = None
    """Without it, the board must fall back by itself within 10 s of the last command."""
    lock: LockCommand | None = None


class Protection(_Part, frozen=True):
    """Signals that every mapped message has, where the DBC knows them: a counter, and a CRC-8 (SAE J1850)."""

    counter: str | None = None
    crc: str | None = None


class IdentityMap(_Part, frozen=True):
    """What the board says about itself."""

    firmware_major: _SignalPath
    firmware_minor: _SignalPath | None = None
    serial: _SignalPath | None = None


class BoardMap(_Part, frozen=True):
    """A board."""

    name: str
    dbc: str
    """File, relative to the map."""
    source: str
    channels: dict[int, str]
    """Number -> what the names of its messages begin with; may be empty."""
    status: StatusMap
    command: CommandMap
    protection: Protection = Protection()
    identity: IdentityMap | None = None
    period_active_s: _Period = 1.0
    period_idle_s: _Period = 10.0


def load_map(owner: str, template: str) -> tuple[BoardMap, Dbc]:
    """The built-in map called `template`, or the one in the file of that path, with its DBC. Raises BadOptions."""
    if "/" in template or template.endswith((".yaml", ".yml")):
        path = Path(template)
        try:
            board = from_yaml(f"{owner}: template {path}", path.read_text(encoding="utf-8"), BoardMap)
        except (OSError, UnicodeDecodeError) as error:
            raise BadOptions(owner, ".template", f"cannot read {path}: {error}") from None
        return board, load(f"{owner}: template {path}", path.parent / board.dbc)
    folder = FOLDER / "board"
    try:
        board = msgspec.json.decode((folder / f"{template}.json").read_bytes(), type=BoardMap)
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise BadOptions(owner, ".template", f"no template {template!r} (there are: {known})") from None
    return board, load(owner, folder / board.dbc)


def crc8(identifier: int, data: bytes) -> int:
    """CRC-8 SAE J1850 over the low two bytes of the identifier, then the data."""
    crc = _CRC_START
    for byte in identifier.to_bytes(4, "little")[:2] + data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ _CRC_POLYNOMIAL) & 0xFF if crc & 0x80 else crc << 1
    return crc ^ _CRC_END


class Channel:
    """The frames of one channel. Raises BadOptions when the DBC lacks what the map names."""

    def __init__(self, owner: str, board: BoardMap, dbc: Dbc, number: int, id_offset: int) -> None:
        self.number = number
        self.damaged = 0
        """Frames with a wrong check, a wrong length, or a counter that stood still."""
        self._owner = owner
        self._map = board
        self._offset = id_offset
        prefix = board.channels.get(number)
        if prefix is None:
            known = ", ".join(str(channel) for channel in board.channels)
            raise BadOptions(owner, ".channels", f"{board.name} has no channel {number} (there are: {known})")
        self._prefix = prefix
        self._values: dict[str, float] = {}
        self._counters: dict[int, float] = {}
        self._messages = self._mapped(dbc)
        self._paths = {message.id: self._paths_of(message) for message in self._messages.values()}
        self.command_message = self._message(dbc, board.command.message)
        self._check_command()
        self.ids = {message.id + id_offset for message in self._messages.values()}

    def heard(self, frame: Frame) -> bool:
        """Takes in a frame. False if it is another's, damaged or a repetition, and then changes nothing."""
        message = self._messages[frame.id - self._offset]
        if frame.extended is not message.extended:  # the same number, and another identifier
            return False
        try:
            values = message.decode(frame.data)
        except ValueError:
            self.damaged += 1
            return False
        if not self._sound(message, frame, values):
            self.damaged += 1
            return False
        paths = self._paths[message.id]
        for signal, value in values.items():
            self._values[paths[signal]] = value
        return True

    def has(self, path: str | None) -> bool:
        """Whether the board has told this signal."""
        return path is not None and path in self._values

    def get(self, path: str | None) -> float | None:
        """The last value of a signal."""
        return None if path is None else self._values.get(path)

    def snapshot(self, sampled_at: float, phases: int, connector: int) -> BoardSnapshot | None:
        """The state that the board has told; None until it told pilot and contactor. `phases`: if it does not say."""
        status = self._map.status
        pilot = status.pilot.values.get(int(self._values.get(status.pilot.signal, -1)))
        if pilot is None or status.contactor_closed not in self._values:
            return None
        told_phases = self.get(status.phases)
        return BoardSnapshot(
            channel=self.number,
            sampled_at=sampled_at,
            pilot=PilotState(pilot),
            contactor_closed=bool(self._values[status.contactor_closed]),
            limit_a=round(self.get(status.limit_a) or 0.0, 1),
            phases=int(told_phases) if told_phases else phases,
            connector=connector,
            cable_rating_a=self.get(status.cable_rating_a) or None,
            flowing=_FLOWS.get(self._chosen(status.flowing) or ""),
            lock=LockState(self._chosen(status.lock) or "absent"),
            faults=frozenset([Fault(name) for name, path in status.faults.items() if self._values.get(path)]),
        )

    def refusal(self) -> str | None:
        """Why the board refused the last command; None if it did not."""
        texts = self._map.status.refusal
        number = 0 if texts is None else int(self._values.get(texts.signal, 0))
        return None if texts is None or number == 0 else texts.values.get(number, f"reason {number}")

    def command(
        self, counter: int, permit: Permit | Literal["deny", "unchanged"], *, lock: bool | None = None
    ) -> Frame:
        """The frame that gives or takes permission, moves the lock (True: lock), or both. Raises ValueError."""
        given, message = self._map.command, self.command_message
        values: dict[str, float] = {}
        if isinstance(permit, Permit):
            values = {given.permit.signal: given.permit.allow, given.limit_a: permit.limit_a}
            values |= {given.phases: permit.phases} if given.phases else {}
            values |= {given.lease_s: permit.lease_s} if given.lease_s else {}
        else:
            unchanged = given.permit.unchanged
            values[given.permit.signal] = given.permit.deny if permit == "deny" or unchanged is None else unchanged
        if given.lock is not None:
            wanted = {None: given.lock.unchanged, True: given.lock.lock, False: given.lock.unlock}
            values[given.lock.signal] = wanted[lock]
        return self._protected(message, counter, values)

    def _protected(self, message: Message, counter: int, values: dict[str, float]) -> Frame:
        guard, identifier = self._map.protection, message.id + self._offset
        names = {signal.name for signal in message.signals}
        if guard.counter in names:
            values[guard.counter] = counter
        data = message.encode(values)
        if guard.crc in names:
            data = message.encode(values | {guard.crc: crc8(identifier, _without(message, guard.crc, data))})
        return Frame(identifier, data, message.extended)

    def _sound(self, message: Message, frame: Frame, values: Mapping[str, float]) -> bool:
        guard = self._map.protection
        if not crc8_holds(message, guard.crc, frame, values):
            return False
        counter = values.get(guard.counter) if guard.counter else None
        if counter is not None and self._counters.get(frame.id) == counter:
            return False
        if counter is not None:
            self._counters[frame.id] = counter
        return True

    def _chosen(self, choice: FlowValues | LockValues | None) -> str | None:
        return None if choice is None else choice.values.get(int(self._values.get(choice.signal, -1)))

    def _paths_of(self, message: Message) -> dict[str, str]:
        """By what names its signals are known."""
        name = message.name.removeprefix(self._prefix)
        return {signal.name: f"{name}.{signal.name}" for signal in message.signals}

    def _mapped(self, dbc: Dbc) -> dict[int, Message]:
        """The messages that hold a mapped signal, by identifier."""
        messages: dict[int, Message] = {}
        for where, path in _paths("", msgspec.to_builtins(self._map)):
            if where.startswith((".status.", ".identity.")):
                name, _, signal = path.partition(".")
                message = self._message(dbc, name)
                if signal not in {known.name for known in message.signals}:
                    raise BadOptions(self._owner, where, f"{message.name} has no signal {signal}")
                messages[message.id] = message
        return messages

    def _message(self, dbc: Dbc, name: str) -> Message:
        message = dbc.messages.get(self._prefix + name)
        if message is None:
            raise BadOptions(self._owner, ".dbc", f"{self._map.dbc} has no message {self._prefix + name}")
        return message

    def _check_command(self) -> None:
        given = self._map.command
        known = {signal.name for signal in self.command_message.signals}
        lock = given.lock.signal if given.lock else None
        for signal in (given.permit.signal, given.limit_a, given.phases, given.lease_s, lock):
            if signal is not None and signal not in known:
                raise BadOptions(self._owner, ".command", f"{self.command_message.name} has no signal {signal}")


def crc8_holds(message: Message, crc: str | None, frame: Frame, values: Mapping[str, float]) -> bool:
    """Whether the frame's check is right; true if the message has none. `crc` is the name of its signal."""
    told = values.get(crc) if crc else None
    return told is None or told == crc8(frame.id, _without(message, crc, frame.data[: message.size]))


def _without(message: Message, crc: str | None, data: bytes) -> bytes:
    """The data without the byte that holds the check."""
    at = next(signal.start // 8 for signal in message.signals if signal.name == crc)
    return data[:at] + data[at + 1 :]


def _paths(where: str, part: Any) -> list[tuple[str, str]]:
    """Every `Message.Signal` in a map, with its place."""
    if isinstance(part, dict):
        return [
            found
            for key, value in part.items()
            if key not in ("values", "message")
            for found in _paths(f"{where}.{key}", value)
        ]
    return [(where, part)] if isinstance(part, str) and "." in part else []


def generated() -> dict[Path, bytes]:
    """The files that are made from the YAML sources and from the types."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(BoardMap)}
    files = {SCHEMA: msgspec.json.format(msgspec.json.encode(schema), indent=1) + b"\n"}
    for source in sorted((FOLDER / "board").glob("*.yaml")):
        board = from_yaml(source.name, source.read_text(encoding="utf-8"), BoardMap)
        files[source.with_suffix(".json")] = msgspec.json.format(msgspec.json.encode(board), indent=1) + b"\n"
    return files


if __name__ == "__main__":
    for target, content in generated().items():
        target.write_bytes(content)
        sys.stdout.write(f"{target}\n")
