"""Events into systemd's journal with their fields as its fields: the journal's native protocol, without its library.

An event is one datagram (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). What `logs` makes of one is at most some ten
fields of `LONGEST` characters and fits: larger ones, which would have to be handed over as a file in memory, do not
occur. A value of several lines, such as a traceback, is counted, so that nobody can write a field of his own.
Invariant: a journal that stands still holds up the agent for `PATIENCE_S` once in `PAUSE_S`, never for longer.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

PLACE = Path("/run/systemd/journal/socket")
LONGEST = 8_192
PATIENCE_S = 0.1
PAUSE_S = 10.0

_NAMES = {
    "evse": "EVSE_ID",
    "connector": "CONNECTOR_ID",
    "transaction": "TRANSACTION_ID",
    "request": "REQUEST_ID",
}
"""The specification's words; every other field has its name in capital letters."""

_OURS = frozenset({"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "EVENT"})
_NOT_IN_NAMES = r"[^A-Z0-9_]"
_LONGEST_NAME = 64


class JournalSocket:
    """One end at the journal's socket. Used under the lock of the handler that has it."""

    def __init__(self, place: Path = PLACE, mono: Callable[[], float] = time.monotonic) -> None:
        self._place = str(place)
        self._mono = mono
        self._socket: socket.socket | None = None
        self._patient_from = 0.0
        self._lost = 0

    def send(self, fields: Mapping[str, str]) -> bool:
        """Whether the journal takes care of it; if not, it has to be told in another way.

        An event for which a journal that stands still has no room is lost: any other way to it would stand still, too.
        The next one that is taken says how many were (`LOST`).
        """
        if self._lost:
            fields = {**fields, "LOST": str(self._lost)}
        try:
            self._deliver(datagram(fields))
        except (TimeoutError, BlockingIOError):
            self._lost += 1
            self._patient_from = self._mono() + PAUSE_S
            return True
        except OSError:  # not there, or not for us
            self.close()
            return False
        self._lost = 0
        return True

    def _deliver(self, data: bytes) -> None:
        wire = self._socket or self._connect()
        wire.settimeout(PATIENCE_S if self._mono() >= self._patient_from else 0)
        try:
            wire.send(data)
        except ConnectionError:  # the socket is another one by now
            self.close()
            self._connect().send(data)

    def _connect(self) -> socket.socket:
        wire = self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        wire.settimeout(PATIENCE_S)
        wire.connect(self._place)
        return wire

    def close(self) -> None:
        """Until something is sent again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def takes(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written to `stream` goes to the journal: systemd says which file that is (systemd.exec(5))."""
    try:
        told = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{told.st_dev}:{told.st_ino}"


def name_of(field: str) -> str:
    """A field's name in the journal, which knows capital letters, digits and underscores only."""
    name = _NAMES.get(field) or re.sub(_NOT_IN_NAMES, "_", field.upper()).lstrip("_0123456789")[:_LONGEST_NAME]
    return f"{name}_" if name in _OURS else name or "FIELD"


def datagram(fields: Mapping[str, str]) -> bytes:
    """`NAME=value` in a line each; a value of several lines with its length in front."""
    told = bytearray()
    for name, value in fields.items():
        data = value.encode("utf-8", "replace")
        if b"\n" in data:
            told += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            told += name.encode() + b"=" + data + b"\n"
    return bytes(told)
