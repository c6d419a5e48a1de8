"""Lines to whoever reads stderr, for as long as he reads: a reader that stands still must not hold up the agent.

Behind stderr is journald, or a pipe to another program. If that hangs, or was stopped while systemd keeps its end, what
is written waits there until there is no room, and the next line would wait for ever, with the step that has logged it.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from os import write
from typing import TextIO

PATIENCE_S = 0.1
PAUSE_S = 10.0
_PIECE = select.PIPE_BUF
"""What a pipe or a socket that is ready takes without waiting."""


class LineWriter:
    """One end. Used under the lock of the handler that has it.

    Invariant: a reader that stands still is waited for `PATIENCE_S` once in `PAUSE_S`, never for longer.
    """

    def __init__(self, stream: TextIO, mono: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._mono = mono
        self._patient_from = 0.0
        self._torn = False
        self._handle, self._ready = -1, select.poll()

    def write(self, line: str) -> bool:
        """Whether there was room for all of it; what was cut off ends where it does. Raises OSError, ValueError."""
        try:
            handle = self._stream.fileno()
        except OSError:  # it is in memory
            self._stream.write(f"{line}\n")
            return True
        if handle != self._handle:
            self._handle, self._ready = handle, select.poll()
            self._ready.register(handle, select.POLLOUT)
        begin = "\n" if self._torn else ""
        data = f"{begin}{line}\n".encode("utf-8", "backslashreplace")
        for at in range(0, len(data), _PIECE):
            if not self._sent(data[at : at + _PIECE]):
                self._torn = self._torn or at > 0
                return False
        self._torn = False
        return True

    def _sent(self, piece: bytes) -> bool:
        while piece:
            if not self._ready.poll(0) and not self._comes():
                return False
            piece = piece[write(self._handle, piece) :]
        return True

    def _comes(self) -> bool:
        now = self._mono()
        if now < self._patient_from:
            return False
        self._patient_from = now + PAUSE_S
        return bool(self._ready.poll(1000 * PATIENCE_S))
