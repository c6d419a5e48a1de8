"""The last messages between station and CSMS, for whoever wants to see what they said to each other.

Kept as they were on the wire and only in memory: nothing is read before somebody asks (`redaction.py`), so that a
message costs a place in a list. What is too long is kept by its head alone.
Invariant: at most MOST messages, and about MOST_CHARACTERS of them.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

MOST = 200
MOST_CHARACTERS = 400_000
LONGEST = 32_768
_HEAD = r'\s*\[\s*[0-9]{1,3}\s*,\s*"[^"\\]{1,36}"\s*(?:,\s*"[A-Za-z]{1,50}")?'


class Message(Struct, frozen=True, gc=False):
    """One frame. `number` counts all frames since the start; `at` is monotonic; `size` in characters or bytes."""

    number: int
    at: float
    sent: bool
    text: str
    size: int

    @property
    def whole(self) -> bool:
        """Whether `text` is all of it."""
        return len(self.text) == self.size


class Messages:
    """Keeps the last ones."""

    def __init__(self, mono: Callable[[], float] = time.monotonic) -> None:
        self.mono = mono
        self.sent = self.received = 0
        self._kept: deque[Message] = deque()
        self._characters = 0

    def said(self, text: str) -> None:
        """The station has sent this."""
        self.sent += 1
        self._keep(text, len(text), sent=True)

    def heard(self, text: str | bytes) -> None:
        """The CSMS has."""
        self.received += 1
        read = text if isinstance(text, str) else text.decode("ascii", "replace")  # a binary frame is a mistake
        self._keep(read, len(text), sent=False)

    def after(self, number: int) -> list[Message]:
        """Those that came later, the oldest first."""
        return [each for each in self._kept if each.number > number]

    def _keep(self, text: str, size: int, *, sent: bool) -> None:
        if size > LONGEST:
            head = re.match(_HEAD, text)
            text = head.group() if head is not None else ""
        self._kept.append(Message(self.sent + self.received, self.mono(), sent, text, size))
        self._characters += len(text)
        while len(self._kept) > MOST or self._characters > MOST_CHARACTERS:
            self._characters -= len(self._kept.popleft().text)
