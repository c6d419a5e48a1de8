"""`monitors:` of station.yaml: what the station watches by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_model.monitor_rules import MonitorKind
from station.config import ConfigError, load
from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import ids, report

GOOD = """station: {identity: CS001, vendor: Example, model: Box}
csms: {url: "ws://csms.example/ocpp", security_profile: 1, password_file: password}
state_directory: state
simulator: {evses: 2}
monitors:
"""
STATE = "component: EVSE, variable: AvailabilityState, evse: 1, type: Delta"


def written(folder: Path, *monitors: str) -> Path:
    """A file with these entries."""
    (folder / "password").write_text("a secret of sixteen", "utf-8")
    (folder / "password").chmod(0o600)
    path = folder / "station.yaml"
    path.write_text(GOOD + "".join(f"- {{{each}}}\n" for each in monitors), "utf-8")
    return path


def test_monitors_of_the_file_are_monitors_of_the_station(tmp_path: Path) -> None:
    """Those without an id get the first that are free; the cached file says the same."""
    path = written(
        tmp_path,
        f"{STATE}, severity: 6",
        "component: EVSE, variable: Power, evse: 2, type: UpperThreshold, value: 20000, severity: 4, id: 1",
        f"{STATE}, severity: 2, hard_wired: true",
    )
    config = load(path)
    (tmp_path / "state").mkdir()
    config.remember()
    monitors = load(path).setup("PowerUp").monitors
    assert monitors == config.setup("PowerUp").monitors
    bench = Bench(tmp_path / "state", monitors=monitors)

    told = report(bench)
    assert isinstance(told, list)
    assert {row["id"]: (row["severity"], row["value"]) for row in told} == {2: (6, 1), 1: (4, 20_000), 3: (2, 1)}
    assert [each.kind for each in monitors] == [
        MonitorKind.PRECONFIGURED,
        MonitorKind.PRECONFIGURED,
        MonitorKind.HARD_WIRED,
    ]
    assert ids(bench) == [1, 2, 3]


@pytest.mark.parametrize(
    "entry, expected",
    [
        ("component: Nope, variable: X, type: Delta, severity: 1", "monitors[2]: Nope.X: UnknownComponent - is the"),
        ("component: EVSE, evse: 1, variable: X, type: Delta, severity: 1", "EVSE.X: UnknownVariable"),
        (
            "component: EVSE, evse: 1, variable: AvailabilityState, type: UpperThreshold, severity: 1",
            "UnsupportedMonitorType",
        ),
        (
            "component: EVSE, evse: 1, variable: Power, type: UpperThreshold, value: -5, severity: 1",
            "outside the limits",
        ),
        ("component: EVSE, evse: 1, variable: Power, type: Periodic, value: 0, severity: 1", "a second at least"),
        (
            "component: EVSE, evse: 1, variable: Power, type: Delta, severity: 10",
            "severity: expected a whole number <= 9",
        ),
        ("component: EVSE, evse: 1, variable: Power, type: delta, severity: 1", "did you mean 'Delta'?"),
        (f"{STATE}, severity: 6", "Duplicate - another one"),
        ("component: EVSE, evse: 1, variable: Power, type: Delta, severity: 1, id: 9", "9 is given twice"),
    ],
)
def test_a_monitor_that_cannot_be_is_a_mistake(tmp_path: Path, entry: str, expected: str) -> None:
    """With its place and a remedy."""
    with pytest.raises(ConfigError) as raised:
        load(written(tmp_path, f"{STATE}, severity: 6, id: 9", entry))

    assert any(expected in line for line in raised.value.args), raised.value.args
    assert all("station.yaml:7" in line for line in raised.value.args)
