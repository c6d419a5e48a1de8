"""What a person sees of the demo, on terminals of every kind."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from station.demo.csms import Bill, DemoCsms, Said
from station.demo.view import View

CODES = re.compile("\x1b\\[[0-9]*[A-Za-z]")
ON_TERMINAL = {"TERM": "xterm", "LANG": "en_GB.UTF-8"}
STATUS: dict[str, Any] = {
    "identity": "DEMO-001",
    "link": {"up": True, "security_profile": 3, "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384", "subprotocol": "ocpp2.0.1"},
    "queue": {"transactions_waiting": False},
    "evses": [
        {
            "id": 1,
            "status": "Occupied",
            "transaction": {
                "id": "tx",
                "charging_state": "SuspendedEVSE",
                "power_w": 345_000.0,
                "energy_wh": 123_456.0,
            },
        },
        {"id": 2, "status": "Available"},
    ],
}


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def event(**more: Any) -> Said:
    """A TransactionEvent with power and energy."""
    values = [
        {"value": 1234.5, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}},
        {"value": 345_000.0, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}},
    ]
    content = {
        "eventType": "Updated",
        "triggerReason": "MeterValuePeriodic",
        "transactionInfo": {"transactionId": "tx", "chargingState": "Charging"},
        "meterValue": [{"sampledValue": values}],
    }
    return Said(0.0, "station", "CALL", "TransactionEvent", content | more)


def csms() -> DemoCsms:
    """One with a bill."""
    made = DemoCsms(password=None, tls=None, heard=lambda _: None, connected=lambda _: None)
    made.bills["tx"] = Bill("tx", 123_456.0, 60.84)
    return made


def lines(stream: io.StringIO) -> list[str]:
    """What was written, without colours and movements."""
    return CODES.sub("", stream.getvalue()).split("\n")


@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapped line could not be taken back."""
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    view = View(terminal, environment=ON_TERMINAL)

    view.said(event())
    view.board(csms(), STATUS)

    assert max(len(line) for line in lines(terminal)) < columns


def test_at_a_hundred_columns_all_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Energy, power, state, reason; link, and what an EVSE charges and costs."""
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    view = View(terminal, environment=ON_TERMINAL)

    view.said(event())
    view.board(csms(), STATUS)

    message, _, station, first, second, _ = lines(terminal)
    assert message.endswith(
        "station → csms  TransactionEvent Updated  1.234 kWh  345.0 kW  Charging, MeterValuePeriodic"
    )
    assert station == " DEMO-001  online, profile 3, TLSv1.3, ocpp2.0.1; every event delivered"
    assert first.split()[:4] == ["EVSE", "1", "Occupied", "SuspendedEVSE"]
    assert first.endswith("█  345.0 kW  123.456 kWh  60.84 EUR")
    assert second == " EVSE 2    Available"


def test_a_board_is_taken_back_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was drawn is cleared before something else is written, and drawn again below it."""
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    view = View(terminal, environment=ON_TERMINAL)
    view.board(csms(), STATUS)
    drawn = len(lines(terminal)) - 1

    view.said(event())

    assert f"\x1b[{drawn}F\x1b[J" in terminal.getvalue()
    assert [line[:9] for line in lines(terminal)[-3:]] == [" EVSE 1  ", " EVSE 2  ", ""]


@pytest.mark.parametrize(
    "kind, environment",
    [(io.StringIO, ON_TERMINAL), (Terminal, {}), (Terminal, {"TERM": "dumb", "LANG": "C.UTF-8"})],
    ids=["a pipe", "no TERM", "a dumb terminal"],
)
def test_where_lines_cannot_be_taken_back_they_are_plain_and_whole(
    kind: type[io.StringIO], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No board, no codes, nothing cut away."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = kind()
    view = View(stream, environment=environment)

    view.board(csms(), STATUS)
    view.said(event())
    view.verdict(good=True, text="all right")

    assert "\x1b" not in stream.getvalue()
    assert len(lines(stream)) == 3
    assert "MeterValuePeriodic" in stream.getvalue()


def test_no_color_takes_the_colours_and_leaves_the_board() -> None:
    """As https://no-color.org asks."""
    terminal = Terminal()
    view = View(terminal, environment=ON_TERMINAL | {"NO_COLOR": "1"})

    view.said(event())
    view.board(csms(), STATUS)

    assert "\x1b" not in terminal.getvalue()
    assert "EVSE 2" in terminal.getvalue()


def test_a_terminal_that_may_not_know_them_gets_no_drawn_characters() -> None:
    """LANG=C, a serial console."""
    terminal = Terminal()
    view = View(terminal, environment={"TERM": "vt100", "LANG": "C"})

    view.said(event())
    view.board(csms(), STATUS)

    assert terminal.getvalue().isascii()
    assert "station > csms" in terminal.getvalue()
