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

    def write(self, line: str) -> bool:
        """Whether there was room for all of it; what was cut off ends where it does. Raises OSError, ValueError."""
        try:
            handle = self._stream.fileno()
        except OSError:  # it is in memory
            self._stream.write(f"{line}\n")
            return True
        begin = "\n" if self._torn else ""
        data = f"{begin}{line}\n".encode("utf-8", "backslashreplace")
        for at in range(0, len(data), _PIECE):
            if not self._sent(handle, data[at : at + _PIECE]):
                self._torn = self._torn or at > 0
                return False
        self._torn = False
        return True

    def _sent(self, handle: int, piece: bytes) -> bool:
        ready = select.poll()
        ready.register(handle, select.POLLOUT)
        while piece:
            patient = self._mono() >= self._patient_from
            if not ready.poll(1000 * PATIENCE_S if patient else 0):
                if patient:
                    self._patient_from = self._mono() + PAUSE_S
                return False
            piece = piece[write(handle, piece) :]
        return True
