"""What the demo shows: messages as they pass, and below them, on a terminal, the state of the station.

Not on a terminal it is plain lines, without colours and without going back.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

from station.demo.csms import CURRENCY, DemoCsms, Payload, Said, value

DIM, BOLD, GREEN, YELLOW, CYAN, RED, PLAIN = (f"\x1b[{code}m" for code in ("2", "1", "32", "33", "36", "31", "0"))
_UP_AND_CLEAR = "\x1b[{}F\x1b[J"
_BAR = 30
_QUIET = frozenset({"SecurityEventNotification"})


class View:
    """One screen. `stream` defaults to stdout."""

    def __init__(self, stream: TextIO | None = None, *, live: bool | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty() if live is None else live
        self._began = time.monotonic()
        self._drawn = 0
        self._board: list[str] = []

    def chapter(self, text: str) -> None:
        """What happens next, in words."""
        self._print(f"\n{BOLD}{text}{PLAIN}")

    def line(self, text: str) -> None:
        """Something that was seen."""
        self._print(text)

    def verdict(self, good: bool, text: str) -> None:  # noqa: FBT001 - the verdict itself
        """One check."""
        mark = f"{GREEN}ok{PLAIN}" if good else f"{RED}WRONG{PLAIN}"
        self._print(f"  {mark:<4} {text}")

    def said(self, said: Said) -> None:
        """A message of the conversation; results only where they say something."""
        if said.kind == "CALLRESULT" and said.action not in _TELLING:
            return
        arrow = f"{CYAN}station -> csms{PLAIN}" if said.by == "station" else f"{YELLOW}csms -> station{PLAIN}"
        name = said.action
        if said.action == "TransactionEvent" and said.kind == "CALL":
            name += "/" + said.content["eventType"]
        words = summary(said)
        if said.kind != "CALL":
            name += " answered" if said.kind == "CALLRESULT" else " refused"
        elapsed = time.monotonic() - self._began
        self._print(f"{DIM}{elapsed:5.1f} s{PLAIN}  {arrow}  {name}{'  ' + DIM + words + PLAIN if words else ''}")

    def board(self, csms: DemoCsms, status: Payload) -> None:
        """The state of the station, under the messages. Nothing where lines cannot be taken back."""
        if not self._live:
            return
        self._clear()
        self._board = list(_lines(csms, status))
        self._draw()

    def end(self) -> None:
        """The board goes: what it shows would soon be untrue."""
        self._clear()
        self._board = []

    def _print(self, text: str) -> None:
        self._clear()
        if not self._live:
            for code in (DIM, BOLD, GREEN, YELLOW, CYAN, RED, PLAIN):
                text = text.replace(code, "")
        else:
            width = 3 * shutil.get_terminal_size().columns  # a longer line tells nothing more, and pushes others away
            text = "\n".join(line[:width] for line in text.split("\n"))
        self._stream.write(text + "\n")
        self._draw()
        self._stream.flush()

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write(_UP_AND_CLEAR.format(self._drawn))
            self._drawn = 0

    def _draw(self) -> None:
        if self._live and self._board:
            self._stream.write("\n".join(self._board) + "\n")
            self._drawn = len(self._board)
            self._stream.flush()


def summary(said: Said) -> str:
    """The few words that matter of a message."""
    content = said.content
    if said.kind == "CALLERROR":
        return f"{content['code']}: {content['description']}"
    tell = _TELLING.get(said.action) if said.kind == "CALLRESULT" else _CALLS.get(said.action)
    return tell(content) if tell is not None else ""


def _event(event: Payload) -> str:
    info = event["transactionInfo"]
    parts = [f"seq {event['seqNo']}", event["triggerReason"]]
    parts += [info["chargingState"]] if "chargingState" in info else []
    power, energy = value(event, "Power.Active.Import"), value(event, "Energy.Active.Import.Register", last=True)
    parts += [f"{power / 1000:.1f} kW"] if power is not None else []
    parts += [f"register {energy / 1000:.3f} kWh"] if energy is not None else []
    parts += [f"stopped: {info['stoppedReason']}"] if "stoppedReason" in info else []
    return ", ".join(parts)


def _variables(payload: Payload) -> str:
    items = payload.get("setVariableData") or payload.get("getVariableData") or ()
    names = [f"{item['component']['name']}.{item['variable']['name']}" for item in items]
    values = [f"={item['attributeValue']}" if "attributeValue" in item else "" for item in items]
    return ", ".join(name + given for name, given in zip(names, values, strict=True))


def _results(payload: Payload) -> str:
    items = payload.get("setVariableResult") or payload.get("getVariableResult") or ()
    return ", ".join(f"{item['attributeStatus']} {item.get('attributeValue', '')}".strip() for item in items)


_CALLS: dict[str, Any] = {
    "BootNotification": lambda c: (
        f"{c['reason']}, {c['chargingStation']['vendorName']} {c['chargingStation']['model']}"
    ),
    "StatusNotification": lambda c: f"EVSE {c['evseId']} {c['connectorStatus']}",
    "Authorize": lambda c: f"{c['idToken']['type']} {c['idToken']['idToken']}",
    "TransactionEvent": _event,
    "SetVariables": _variables,
    "GetVariables": _variables,
    "SecurityEventNotification": lambda c: c["type"],
    "CostUpdated": lambda c: f"{c['totalCost']:.2f} {CURRENCY}",
    "NotifyReport": lambda c: f"page {c['seqNo']}, {len(c.get('reportData', ()))} variables",
    "GetBaseReport": lambda c: c["reportBase"],
}
_TELLING: dict[str, Any] = {
    "BootNotification": lambda c: c["status"],
    "Authorize": lambda c: c["idTokenInfo"]["status"],
    "SetVariables": _results,
    "GetVariables": _results,
}


def _lines(csms: DemoCsms, status: Payload) -> list[str]:
    """The board."""
    lines = [DIM + "-" * 78 + PLAIN]
    for evse in status.get("evses", ()):
        transaction = evse.get("transaction")
        text = f" EVSE {evse['id']}  {BOLD}{evse['status']:<11}{PLAIN}"
        if transaction is not None:
            power = transaction.get("power_w") or 0.0
            energy = transaction.get("energy_wh", 0.0)
            filled = round(_BAR * min(power / 345_000, 1.0))
            bar = f"{GREEN}{'#' * filled}{PLAIN}{DIM}{'.' * (_BAR - filled)}{PLAIN}"
            text += f" {transaction['charging_state']:<14} {bar} {power / 1000:6.1f} kW  {energy / 1000:.3f} kWh"
            bill = csms.bills.get(transaction["id"])
            text += f"  {BOLD}{bill.total:.2f} {CURRENCY}{PLAIN}" if bill is not None else ""
        lines.append(text)
    return lines
