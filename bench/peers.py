"""What others needed on one quiet 2-core x86-64 machine, and what we want to need: the columns beside our figures.

Measured in November 2026 with CPython 3.11; libocpp is EVerest libocpp 0.31.1 (v2 part, 2 EVSEs), MicroOcpp is 1.2.0
in its own simulator, `ocpp` is mobilityhouse's message library 2.1.0 with 100 lines around it (no device model, no
storage), and the floor is the least Python can be while doing the measured work (msgspec, a hand-written WebSocket,
SQLite). Unit: u = CPU of the fixed workload in `process.calibrate`, 13.4 ms there. What is told in % of a processor is
taken in units, too, and then told as of that machine.
"""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One row: its name, the target, and what the peers showed."""

    name: str
    unit: str
    target: str
    libocpp: str
    micro_ocpp: str
    ocpp: str
    floor: str


FIGURES = (
    Figure("CPU, first start to BootNotification", "u", "-", "8.7", "0.17", "22", "6.9"),
    Figure("CPU, restart to BootNotification", "u", "13", "7.8", "0.17", "22", "6.9"),
    Figure("memory after boot: RSS", "MB", "-", "20.3", "4.5", "33.3", "25.1"),
    Figure("memory after boot: USS", "MB", "-", "13.8", "2.8", "22.1", "12.9"),
    Figure("memory after boot: anonymous", "MB", "20", "3.9", "0.28", "21.3", "12.7"),
    Figure("memory growth over the run: RSS", "MB", "1", "3.3", "-", "-", "-"),
    Figure("idle: CPU", "%", "0.02", "0.062", "0.054", "0.003", "0.000"),
    Figure("idle: wake-ups", "1/s", "0.5", "3.3", "10.1", "0.1", "0.0"),
    Figure("CPU per GetVariables (3 items)", "u/1000", "15", "50", "4.9", "143", "6.1"),
    Figure("CPU per SetVariables", "u/1000", "-", "94", "14", "132", "10"),
    Figure("disk per SetVariables", "KB", "-", "24.7", "4.4", "0", "0"),
    Figure("memory growth over 10,000 mixed calls", "MB", "1", "-", "-", "-", "-"),
    Figure("GetBaseReport FullInventory: CPU per 300 variables", "u", "1.5", "3.6", "-", "-", "-"),
    Figure("GetBaseReport FullInventory: messages", "", "-", "3", "1", "-", "-"),
    Figure("CPU per profile or composite call", "u/1000", "52", "162", "-", "-", "-"),
    Figure("disk per session", "KB", "40", "473", "75", "0", "34"),
    Figure("commits per session", "", "6", "about 66", "0", "0", "about 4"),
    Figure("bytes from the station per session", "B", "-", "2074", "1334", "1626", "1551"),
    Figure("two sessions at 1 Hz: CPU", "%", "0.2", "0.65", "0.17", "0.54", "0.09"),
    Figure("two sessions at 1 Hz: wake-ups", "1/s", "6", "72", "16", "20", "2.6"),
    Figure("CPU per TransactionEvent at 2/s", "u/1000", "60", "220", "44", "200", "35"),
    Figure("at 2/s, of it: the core's thread", "u/1000", "-", "-", "-", "-", "-"),
    Figure("at 2/s, of it: the hardware's thread, simulated", "u/1000", "-", "-", "-", "-", "-"),
    Figure("CPU per TransactionEvent in a flood", "u/1000", "26", "-", "-", "195", "17"),
    Figure("of it: made and stored, while offline", "u/1000", "-", "-", "-", "-", "-"),
    Figure("of it: sent and acknowledged, afterwards", "u/1000", "-", "-", "-", "-", "-"),
    Figure("in a flood, of it: the core's thread", "u/1000", "-", "-", "-", "-", "-"),
    Figure("in a flood, of it: the hardware's thread, simulated", "u/1000", "-", "-", "-", "-", "-"),
    Figure("monitors", "", "1000", "-", "-", "-", "-"),
    Figure("two sessions at 1 Hz with these monitors: CPU", "%", "1", "-", "-", "-", "-"),
    Figure("longest stall while a list of 50,000 arrives", "ms", "50", "-", "-", "-", "-"),
    Figure("disk per Updated", "KB", "8", "68", "13", "0", "16.6"),
    Figure("commits per Updated", "", "1", "about 11", "0", "0", "-"),
    Figure("bytes per Updated (4 measurands)", "B", "760", "857", "640", "783", "741"),
    Figure("the same with deflate", "B", "100", "-", "-", "70", "-"),
)


def table(measured: dict[str, float]) -> str:
    """Our figures beside the others', in Markdown. A figure that was not measured is left out."""
    lines = [
        "| | unit | **ocpp-station** | target | libocpp | MicroOcpp | ocpp (py) | floor (Python) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for figure in FIGURES:
        if figure.name in measured:
            ours = f"**{measured[figure.name]:.3g}**"
            others = (figure.target, figure.libocpp, figure.micro_ocpp, figure.ocpp, figure.floor)
            lines.append(f"| {figure.name} | {figure.unit} | {ours} | {' | '.join(others)} |")
    unknown = measured.keys() - {figure.name for figure in FIGURES}
    if unknown:
        raise ValueError(f"figures without a row: {', '.join(sorted(unknown))}")
    return "\n".join(lines) + "\n"
