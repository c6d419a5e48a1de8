"""Log lines are events with fields, one line each: `level event key=value ...` (style: an event, not a sentence).

The standard library's logging with one handler. Under systemd an event goes to the journal with its fields as fields
(`journal_socket`); where that is not to be had, each line bears its priority in front (`<4>`), which journald takes
off. Time and process are the journal's business there. The last lines are kept in memory, too, for a log
that is asked for where there is no journal (N01). Secrets never reach a line: values of fields whose name says so are
hidden, and so is whatever looks like a credential in a text. An event that comes in a flood is written now and then,
with the number of those that were left out (`suppressed`).
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

from station.shell import journal_socket
from station.shell.journal_socket import JournalSocket
from station.shell.linewriter import LineWriter

LEVELS = ("debug", "info", "warning", "error")

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
_SECRET_NAME = re.compile(r"password|secret|authorization|private|(^|_)(pin|key)$", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?i)(basic\s+)[A-Za-z0-9+/=]{8,}"
    r"|(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(\bpassword[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]+"
    r"|(://[^/@\s:]+:)[^@\s/]+(?=@)",
    re.DOTALL,
)
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+*,-]+")
_LONGEST = 1000
HIDDEN = "***"
KEPT_LINES = 1500
KEPT_CHARACTERS = 200_000
BURST = 100
REFILL_S = 1.0
MOST_EVENTS = 500
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class Line(NamedTuple):
    """What was logged, and when by the wall clock."""

    created: float
    level: int
    text: str

    def __str__(self) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.created))
        level = logging.getLevelName(self.level).lower()
        return f"{stamp}.{int(self.created * 1000) % 1000:03d}Z {level:7} {self.text}"


class Limit:
    """A filter: of one event at one level a BURST at once, then one every REFILL_S; at level debug all are wanted.

    Event names are constants of the code, so that there are few; if a library writes texts instead, all begin anew.
    """

    def __init__(self, mono: Callable[[], float] = time.monotonic) -> None:
        self._mono = mono
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        now, key = self._mono(), (str(record.msg), record.levelno)
        if key not in self._seen and len(self._seen) >= MOST_EVENTS:
            self._seen.clear()
        full_at, left_out = self._seen.get(key, (now, 0))  # when the bucket is full again
        full_at = max(full_at, now) + REFILL_S
        if full_at - now > BURST * REFILL_S:
            self._seen[key] = full_at - REFILL_S, left_out + 1
            return False
        if left_out:
            record.suppressed = left_out
        self._seen[key] = full_at, 0
        return True


class Keeping(logging.StreamHandler[TextIO]):
    """Writes lines, and keeps the last of them.

    `journal`: with a priority in front and without the time. `fields`: where to tell an event with its fields first.
    """

    def __init__(self, stream: TextIO, *, journal: bool, fields: JournalSocket | None = None) -> None:
        super().__init__(stream)
        self._journal = journal
        self._fields = fields
        self._writer = LineWriter(stream)
        self._lost = 0
        self._lines: deque[Line] = deque()
        self._characters = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it once: to the journal, else to the stream."""
        try:
            text = self.format(record)
            if self._fields is None or not self._fields.send(_entry(record, self._lines[-1])):
                self._write(text)
        except Exception:  # noqa: BLE001 - as the library has it: a log that fails must not cost a step
            self.handleError(record)

    def _write(self, text: str) -> None:
        """The next line for which there is room says how many were lost."""
        taken = self._writer.write(f"{text} lost={self._lost}" if self._lost else text)
        self._lost = 0 if taken else self._lost + 1

    def format(self, record: logging.LogRecord) -> str:
        """`<6>link.up url=wss://... tls="TLSv1.3 ..."`."""
        line = Line(record.created, record.levelno, _told(record))
        self._lines.append(line)
        self._characters += len(line.text)
        while len(self._lines) > KEPT_LINES or self._characters > KEPT_CHARACTERS:
            self._characters -= len(self._lines.popleft().text)
        return f"<{_priority(record.levelno)}>{line.text}" if self._journal else str(line)

    def close(self) -> None:
        """The end."""
        if self._fields is not None:
            self._fields.close()
        super().close()

    def recent(self) -> list[Line]:
        """What is kept, the oldest first."""
        self.acquire()  # lines come from other threads, too
        try:
            return list(self._lines)
        finally:
            self.release()


def set_up(level: str, stream: TextIO | None = None, environment: Mapping[str, str] = os.environ) -> None:
    """Log to `stream` (stderr) from `level` on, in the form that whoever reads it wants."""
    root = logging.getLogger()
    stream = stream or sys.stderr
    fields = JournalSocket() if journal_socket.takes(stream, environment) else None
    handler = Keeping(stream, journal="JOURNAL_STREAM" in environment, fields=fields)
    if level != "debug":
        handler.addFilter(Limit())
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a closed stderr must not cost a step
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def recent() -> list[Line]:
    """The last lines of this process; none if `set_up` was not called."""
    handlers = logging.getLogger().handlers
    return [line for each in handlers if isinstance(each, Keeping) for line in each.recent()]


def _told(record: logging.LogRecord) -> str:
    return _event(record) + "".join(f" {name}={_shown(name, value)}" for name, value in _fields(record).items())


def _entry(record: logging.LogRecord, line: Line) -> dict[str, str]:
    """The same for the journal: its line, and each field as it is."""
    entry = {
        "MESSAGE": line.text,
        "PRIORITY": str(_priority(line.level)),
        "SYSLOG_IDENTIFIER": "ocpp-station",
        "EVENT": _event(record),
    }
    for name, value in _fields(record).items():
        if value is not None:
            entry[journal_socket.name_of(name)] = _whole(name, value, journal_socket.LONGEST)
    return entry


def _priority(level: int) -> int:
    return _PRIORITY.get(level, 6)


def _event(record: logging.LogRecord) -> str:
    return hidden(one_line(record.getMessage()))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if record.exc_info and record.exc_info[0] is not None:
        fields["error"] = "".join(traceback.format_exception(*record.exc_info))
    return fields


def secret(name: str) -> bool:
    """Whether a field of this name is never shown."""
    return _SECRET_NAME.search(name) is not None


def hidden(text: str) -> str:
    """`text` without anything that looks like a credential."""
    return _SECRET_TEXT.sub(lambda found: next(part for part in found.groups() if part) + "***", text)


def one_line(text: str) -> str:
    """Line ends and control characters made visible: whoever sends us a text cannot write lines of his own."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    text = one_line(_whole(name, value, _LONGEST))
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', "'") + '"'


def _whole(name: str, value: Any, longest: int) -> str:
    """A field's text without secrets; of one that is too long the middle is left out."""
    if secret(name):
        return HIDDEN
    text = hidden(str(value))
    return text if len(text) <= longest else text[: longest // 4] + " [...] " + text[-3 * longest // 4 :]
