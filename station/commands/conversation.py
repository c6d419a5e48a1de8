"""The last OCPP messages as they may be shown: taken apart and redacted when somebody asks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from device_model.model import DeviceModel, Mutability
from station.now import Now, Wall, rfc3339
from station.shell.logs import hidden
from station.shell.messages import Message
from station.shell.redaction import WriteOnly, redacted

_CALL, _RESULT, _ERROR = 2, 3, 4
_KINDS = {_CALL: "call", _RESULT: "answer", _ERROR: "error"}
_PAYLOADS = {_CALL: 3, _RESULT: 2, _ERROR: 4}
_BY = {True: "station", False: "csms"}


def closed(model: DeviceModel) -> frozenset[tuple[str, str]]:
    """The variables that nobody is shown, by the names of component and variable."""
    return frozenset(
        (each.component.name, each.id.name)
        for each in model
        if any(holder.secret or holder.mutability is Mutability.WRITE_ONLY for holder in each.attributes)
    )


def told(kept: Sequence[Message], after: int, now: Now, write_only: WriteOnly) -> Iterator[dict[str, Any]]:
    """Those whose number is above `after`. An answer has the name of its request, and how long it took."""
    asked: dict[tuple[bool, str], tuple[str, float]] = {}
    for each in kept:
        frame = _frame(each)
        if frame is not None and frame[0] == _CALL:
            asked[each.sent, _text(frame, 1)] = (_text(frame, 2), each.at)
        if each.number <= after:
            continue
        head = {"number": each.number, "time": rfc3339(Wall(now.wall - (now.mono - each.at))), "by": _BY[each.sent]}
        head |= {"kind": "unreadable" if frame is None else _KINDS[frame[0]], "size": each.size}
        yield head if frame is None else {**head, **_parts(each, frame, asked, write_only)}


def _parts(
    message: Message, frame: list[Any], asked: dict[tuple[bool, str], tuple[str, float]], write_only: WriteOnly
) -> dict[str, Any]:
    kind, id_ = frame[0], _text(frame, 1)
    action, since = asked.get((message.sent == (kind == _CALL), id_), ("", message.at))
    told_: dict[str, Any] = {"action": hidden(action), "id": hidden(id_)}
    if kind != _CALL and action:
        told_["took_s"] = round(message.at - since, 3)
    if kind == _ERROR:
        told_ |= {"code": hidden(_text(frame, 2)), "description": hidden(_text(frame, 3))}
    if message.whole:
        place = _PAYLOADS[kind]
        told_["payload"] = redacted(action, frame[place] if len(frame) > place else None, write_only)
    return told_


def _text(frame: list[Any], place: int) -> str:
    """An element that should be a text."""
    found = frame[place] if len(frame) > place else ""
    return found if isinstance(found, str) else ""


def _frame(message: Message) -> list[Any] | None:
    """The frame; of one that is not whole its first elements."""
    try:
        frame = msgspec.json.decode(message.text if message.whole else f"{message.text}]")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    known = isinstance(frame, list) and len(frame) > 1 and type(frame[0]) is int and frame[0] in _KINDS
    return frame if known else None
