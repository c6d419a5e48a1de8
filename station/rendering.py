"""A queued row in the words of the negotiated version, as it leaves."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from station.ocpp import codec
from station.ocpp.errors import CannotRender
from station.ocpp.speaker import Speaker
from station.stamps import Stamps
from station.store import rows


def with_message(row: rows.Row) -> rows.Row:
    """The row with its message, which it keeps until it is settled. Raises CannotRender for what cannot be read."""
    if row.made is not None:
        return row
    try:
        texts = {row.judged: row.payload} if row.judged else {}
        return msgspec.structs.replace(row, made=rows.Made(row.request, texts))
    except ValueError as error:
        raise CannotRender(str(error)) from error


def rendered(row: rows.Row, speaker: Speaker, stamps: Stamps) -> bytes:
    """The payload, with the time as it is known now; the text that was stored, where it says the same.

    Raises CannotRender for what this version cannot say.
    """
    message = row.made.request if row.made is not None else row.request
    shift_s = stamps.shift_s(row, message)
    offline = row.offline and hasattr(message, "offline")
    text = row.made.texts.get(speaker.version) if row.made is not None else None
    if text is not None and not shift_s:
        return codec.told_offline(text) if offline else text
    if shift_s:
        message = codec.shifted(message, timedelta(seconds=shift_s))
    if offline:
        message = msgspec.structs.replace(message, offline=True)
    return speaker.encode(message).wires[0].payload
