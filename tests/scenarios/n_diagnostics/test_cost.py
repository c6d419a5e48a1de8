"""What monitors cost: by the variables that change, not by the monitors there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_model import monitors as device_monitors
from device_model.monitor_rules import JUDGES, Event, State
from hal.api import MeterReading, PerPhase
from station.facts import MeterSampled
from station.inputs import Happened
from station.now import Instant, Mono
from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import Payload, events, monitor, set_all, station

LINES = ("L1", "L2", "L3")
MEASURED = ("Power", *(f"ACCurrent[{line}]" for line in LINES), *(f"ACVoltage[{line}]" for line in LINES))
OTHERS = (
    *("EVSE.AvailabilityState", "EVSE.Problem", "EVSE.Tripped", "EVSE.Overload", "PowerContactor.Active"),
    *("FiscalMetering.EnergyImportRegister", "FiscalMetering.EnergyImport", "FiscalMetering.Problem"),
)
FAR = {"UpperThreshold": 20_000.0, "LowerThreshold": 1.0, "Delta": 10_000.0, "Periodic": 900.0}


def thousand() -> Iterator[Payload]:
    """Ten severities of four types on the seven values of a meter, and on others, at two EVSEs."""
    for evse in (1, 2):
        for severity in range(10):
            for name in MEASURED:
                for type_, value in FAR.items():
                    yield monitor(f"EVSE.{name}", type_, value + severity, severity, evse=evse)
            for name in OTHERS:
                for type_ in ("Delta", "Periodic", "PeriodicClockAligned"):
                    yield monitor(name, type_, 900_000, severity, evse=evse)


def install(bench: Bench, elements: list[Payload]) -> int:
    """As a CSMS would; gives how many were accepted."""
    accepted = 0
    for start in range(0, len(elements), 100):
        accepted += sum(result["status"] == "Accepted" for result in set_all(bench, *elements[start : start + 100]))
    return accepted


def sample(bench: Bench, evse_id: int, power_w: float) -> None:
    """The meter of an EVSE was read."""
    reading = MeterReading(
        sampled_at=bench.mono,
        energy_import_mwh=int(bench.mono * 1000),
        power_import_w=power_w,
        current_a=PerPhase(*(12.0 + power_w / 10_000,) * 3),
        voltage_v=PerPhase(*(230.0 + power_w / 10_000,) * 3),
    )
    at = Instant(bench.station_boot, Mono(bench.mono))
    fact = MeterSampled(evse_id=evse_id, at=at, reading=reading)
    bench._do(bench.station.exchange.give(Happened((fact,)), bench.now))


def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on each look at a monitor is an entry: its id."""
    looks: list[int] = []

    def counted(judge: Callable[[State, str], Event | None]) -> Callable[[State, str], Event | None]:
        def look(state: State, value: str) -> Event | None:
            looks.append(state.monitor.id)
            return judge(state, value)

        return look

    monkeypatch.setattr(device_monitors, "JUDGES", {type_: counted(judge) for type_, judge in JUDGES.items()})
    return looks


def test_a_thousand_monitors_are_not_looked_at_while_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two meters at 1 Hz whose values change all the time."""
    bench = station(tmp_path)
    assert install(bench, list(thousand())) == 1040
    sample(bench, 1, 5_000.0)
    sample(bench, 2, 5_000.0)
    bench.settle()
    bench.csms.forget()
    looks = judged(monkeypatch)
    before = (bench.path / "station.db-wal").read_bytes()

    for second in range(100):
        bench.mono += 1
        sample(bench, 1, 5_000.0 + second)
        sample(bench, 2, 5_000.0 - second)

    assert looks == []
    assert (bench.path / "station.db-wal").read_bytes() == before
    assert events(bench) == []


def test_only_the_monitors_of_the_variable_that_matters_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = station(tmp_path)
    install(bench, list(thousand()))
    sample(bench, 1, 5_000.0)
    bench.settle()
    bench.csms.forget()
    looks = judged(monkeypatch)

    sample(bench, 1, 20_000.5)
    bench.settle()

    # Beyond one of 1040, whose variable has 39 more.
    assert len(looks) <= 40
    crossing = [event for event in events(bench) if event["trigger"] == "Alerting"]
    assert [event["variable"]["name"] for event in crossing] == ["Power"]
