"""What the demo shows: messages as they pass, and below them, on a terminal, the state of the station.

Where lines cannot be taken back (a pipe, a terminal that is called dumb) it is plain lines. A line never becomes longer
than a terminal is wide, so that going back by lines is right; NO_COLOR is honoured.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TextIO

from station.demo import words
from station.demo.csms import CURRENCY, DemoCsms, Payload, Said

DIM, BOLD, GREEN, YELLOW, CYAN, RED, PLAIN = (f"\x1b[{code}m" for code in ("2", "1", "32", "33", "36", "31", "0"))
_COLOUR = re.compile("\x1b\\[[0-9]+m")
_UP_AND_CLEAR = "\x1b[{}F\x1b[J"
_FULL_POWER_W = 345_000
_WIDEST = 110
_SAFE = str.maketrans({"→": ">", "─": "-", "█": "#", "░": ".", "…": "."})
"""What stands instead of a drawn character where the terminal may not know it."""


class View:
    """One screen. `stream` defaults to stdout; `live`: the board is shown and renewed."""

    def __init__(
        self, stream: TextIO | None = None, *, live: bool | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._stream = stream or sys.stdout
        capable = environment.get("TERM", "dumb") != "dumb"
        self._live = self._stream.isatty() and capable if live is None else live
        self._colours = self._live and not environment.get("NO_COLOR")
        charset = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
        self._drawing = charset.lower().replace("-", "").endswith("utf8")
        self._began = time.monotonic()
        self._drawn = 0
        self._board: list[str] = []

    def chapter(self, text: str) -> None:
        """What happens next, in words."""
        self._print(f"\n{BOLD}{text}{PLAIN}")

    def line(self, text: str) -> None:
        """Something that was seen, or may be copied: as long as it is."""
        self._print(text, whole=True)

    def verdict(self, good: bool, text: str) -> None:  # noqa: FBT001 - the verdict itself
        """One check."""
        self._print(f"  {GREEN}ok{PLAIN}     {text}" if good else f"  {RED}WRONG{PLAIN}  {text}", whole=True)

    def event(self, text: str) -> None:
        """Something that happened besides messages."""
        self._print(f"{self._elapsed()}  {text}")

    def said(self, said: Said) -> None:
        """A message of the conversation; answers only where they say something."""
        if words.worth_showing(said):
            arrow = f"{CYAN}station → csms{PLAIN}" if said.by == "station" else f"{YELLOW}csms → station{PLAIN}"
            tint = RED if said.kind == "CALLERROR" else DIM
            named = words.name(said)
            summary = words.summary(said)
            named = f"{named:<25} {tint}{summary}{PLAIN}" if summary else named
            self._print(f"{self._elapsed()}  {arrow}  {named}")

    def board(self, csms: DemoCsms, status: Payload) -> None:
        """The state of the station, under the messages. Nothing where lines cannot be taken back."""
        if self._live:
            self._clear()
            self._board = list(_board(csms, status, self._width()))
            self._draw()
            self._stream.flush()

    def end(self) -> None:
        """The board goes: what it shows would soon be untrue."""
        self._clear()
        self._board = []

    def _elapsed(self) -> str:
        return f"{DIM}{time.monotonic() - self._began:5.1f}s{PLAIN}"

    def _width(self) -> int:
        return min(shutil.get_terminal_size().columns - 1, _WIDEST)

    def _print(self, text: str, *, whole: bool = False) -> None:
        self._clear()
        self._write(text, whole=whole or not self._live)
        self._draw()
        self._stream.flush()

    def _write(self, text: str, *, whole: bool = False) -> None:
        lines = text.split("\n") if whole else [_cut(line, self._width()) for line in text.split("\n")]
        shown = "\n".join(lines)
        shown = shown if self._colours else _COLOUR.sub("", shown)
        self._stream.write((shown if self._drawing else shown.translate(_SAFE)) + "\n")

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write(_UP_AND_CLEAR.format(self._drawn))
            self._drawn = 0

    def _draw(self) -> None:
        for line in self._board:
            self._write(line)
        self._drawn = len(self._board)


def _cut(line: str, width: int) -> str:
    """At most `width` characters of it; colours take no room."""
    if len(_COLOUR.sub("", line)) <= width:
        return line
    shown, room = "", width - 1
    for part in re.split("(\x1b\\[[0-9]+m)", line):
        piece = part if _COLOUR.fullmatch(part) else part[:room]
        room -= 0 if _COLOUR.fullmatch(part) else len(piece)
        shown += piece
    return shown + "…"


def _board(csms: DemoCsms, status: Payload, width: int) -> Iterator[str]:
    """Link, and each EVSE with what it charges."""
    yield DIM + "─" * width + PLAIN
    link = status["link"]
    if link["up"]:
        secured = link["tls"].split()[0] if link["tls"] else "no TLS"
        to_csms = f"{GREEN}online{PLAIN}, profile {link['security_profile']}, {secured}, {link['subprotocol']}"
    else:
        to_csms = f"{YELLOW}offline{PLAIN}: {link['reason']}"
    queue = "events are waiting" if status["queue"]["transactions_waiting"] else "every event delivered"
    yield f" {BOLD}{status['identity']}{PLAIN}  {to_csms}; {queue}"
    for evse in status["evses"]:
        transaction = evse.get("transaction")
        shown = f" EVSE {evse['id']}    {BOLD}{evse['status']}{PLAIN}"
        yield shown if transaction is None else f"{shown:<30} {_charging(csms, transaction, width)}"


def _charging(csms: DemoCsms, transaction: Payload, width: int) -> str:
    power = transaction.get("power_w") or 0.0
    energy = transaction.get("energy_wh", 0.0)
    bill = csms.bills.get(transaction["id"])
    cost = f"{bill.total:6.2f} {CURRENCY}" if bill is not None else ""
    room = max(0, min(30, width - 72))
    filled = round(room * min(power / _FULL_POWER_W, 1.0))
    bar = f"{GREEN}{'█' * filled}{PLAIN}{DIM}{'░' * (room - filled)}{PLAIN}"
    return (
        f"{transaction['charging_state']:<14} {bar} {power / 1000:6.1f} kW {energy / 1000:8.3f} kWh {BOLD}{cost}{PLAIN}"
    )
