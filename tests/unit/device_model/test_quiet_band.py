"""The band in which the monitors of a variable are quiet: a short cut that changes nothing (N07.FR.16 to N07.FR.18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_model.model import DeviceModel
from device_model.monitor_rules import EVERYTHING, NOTHING, State, quiet_band
from device_model.monitors import Monitors
from tests.unit.device_model.monitor_bench import DELTA, LOWER, PERIODIC, STATE, UPPER, Bench, told

VALUES = st.integers(0, 12).map(lambda step: step * 2.5)
MONITORS = st.lists(
    st.tuples(st.sampled_from([UPPER, LOWER, DELTA]), VALUES, st.integers(0, 9)), min_size=1, max_size=8
)
ACTIONS = st.lists(
    st.one_of(
        VALUES.map(lambda value: ("set", value)),
        st.integers(0, 9).map(lambda severity: ("attend", severity)),
        st.tuples(st.integers(1, 8), VALUES).map(lambda wanted: ("replace", wanted)),
    ),
    max_size=30,
)


def behaviour(bench: Bench, wanted: list[Any], actions: list[Any]) -> list[Any]:
    """All that monitors tell while this happens."""
    found = bench.monitors
    bench.set("0")
    for type_, value, severity in wanted:
        bench.put(type_, value, severity=severity)
    seen: list[Any] = []
    for action, given_ in actions:
        if action == "set":
            seen.append(bench.set(f"{given_:g}"))
        elif action == "attend":
            seen.append(told(found.attend(given_)))
        else:
            id_, value = given_
            kind = next((one for one in found if one.id == id_), None)
            if kind is not None:
                seen.append(told(bench.put(kind.type, value, severity=kind.severity, id_=id_).events))
    return seen


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(wanted=MONITORS, actions=ACTIONS)
def test_a_station_with_the_short_cut_tells_what_one_without_it_tells(
    model: DeviceModel, wanted: list[Any], actions: list[Any]
) -> None:
    quick = behaviour(Bench(model), wanted, actions)
    thorough = Bench(model)
    without: Callable[..., tuple[float, float]] = lambda *_: NOTHING  # noqa: E731 - judges every value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitors, "_band", without)
        assert behaviour(thorough, wanted, actions) == quick


def test_periods_leave_a_value_alone_and_texts_are_always_looked_at(model: DeviceModel) -> None:
    bench = Bench(model)
    bench.put(PERIODIC, 60)
    bench.put(DELTA, 1, STATE)
    periodic, text = (State(one, reference="Available") for one in bench.monitors)

    assert quiet_band([periodic]) == EVERYTHING
    assert quiet_band([periodic, text]) == NOTHING
