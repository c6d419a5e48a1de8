"""Whatever a driver gives, the core hears what can be (station/shell/sound.py)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hal.api import BoardSnapshot, MeterReading, PerPhase, PilotState, SensorReading
from hal.errors import BadReply
from station.shell import sound

NONSENSE = (math.nan, math.inf, -math.inf, 1e30, -1e30)


def reading(**changes: Any) -> MeterReading:
    """A sound one, changed."""
    return MeterReading(**{"sampled_at": 5.0, "energy_import_mwh": 1000, "power_import_w": 7.0, **changes})


def shown(**changes: Any) -> BoardSnapshot:
    """A sound one, changed."""
    given = {"channel": 1, "sampled_at": 5.0, "pilot": PilotState.C, "contactor_closed": True, **changes}
    return BoardSnapshot(**given)


def test_what_is_sound_stays_as_it_is() -> None:
    """The same object: nothing is copied for each reading."""
    given = reading(voltage_v=PerPhase(230.0, None, None), soc_percent=80.0, power_factor=-0.9)

    assert sound.reading(given, "meter", 9.0) is given
    assert sound.snapshot(panel := shown(cable_rating_a=32.0), "board", 1) is panel


@pytest.mark.parametrize("energy", [-1, 10**15 + 1, 10**41, 1.5, math.nan, True, None])
def test_energy_that_cannot_be_is_no_reading(energy: Any) -> None:
    """It would be billed."""
    with pytest.raises(BadReply, match="an energy register of"):
        sound.reading(reading(energy_import_mwh=energy), "meter", 9.0)


@pytest.mark.parametrize("value", NONSENSE)
def test_a_side_value_that_cannot_be_is_left_out(value: float) -> None:
    """The energy beside it is kept."""
    given = reading(power_import_w=value, voltage_v=PerPhase(230.0, value, 231.0), frequency_hz=50.0)

    kept = sound.reading(given, "meter", 9.0)

    assert (kept.energy_import_mwh, kept.frequency_hz) == (1000, 50.0)
    assert (kept.power_import_w, kept.voltage_v) == (None, None)


@pytest.mark.parametrize("value", [(), (16.0,), (16.0,) * 4, [16.0, 16.0, 16.0], 16.0, "16", ("16", None, None)])
@pytest.mark.parametrize("name", sorted(sound.PHASED))
def test_phases_that_are_not_three_are_left_out(name: str, value: Any) -> None:
    """Of a driver for one phase, for example; the energy beside them is kept."""
    kept = sound.reading(reading(**{name: value}), "meter", 9.0)

    assert (kept.energy_import_mwh, kept.power_import_w, getattr(kept, name)) == (1000, 7.0, None)


def test_the_values_of_phases_are_those_of_the_interface() -> None:
    """One that was forgotten would be left out of every reading."""
    declared = {name for name, kind in MeterReading.__annotations__.items() if "PerPhase" in kind or "tuple" in kind}

    assert declared == sound.PHASED


@pytest.mark.parametrize("value", [(7.0, 7.0, 7.0), "7", [7.0]])
def test_what_is_one_number_is_no_other_thing(value: Any) -> None:
    assert sound.reading(reading(power_import_w=value), "meter", 9.0).power_import_w is None


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf])
def test_an_instant_that_is_none_is_now(at: float) -> None:
    """It is rendered, and counted with."""
    assert sound.reading(reading(sampled_at=at), "meter", 9.0).sampled_at == 9.0


@pytest.mark.parametrize(
    "changes", [{"connector": 0}, {"connector": 3}, {"connector": -1}, {"phases": 0}, {"phases": 4}]
)
def test_a_plug_or_a_phase_that_is_not_there_is_no_answer(changes: dict[str, int]) -> None:
    """The board and the configuration do not speak of the same thing."""
    with pytest.raises(BadReply, match="channel 1 shows"):
        sound.snapshot(shown(**changes), "board", 2)


@pytest.mark.parametrize("rating_a", [math.nan, -math.inf, -5.0])
def test_a_cable_whose_rating_is_no_current_carries_none(rating_a: float) -> None:
    """Not as much as the station can."""
    kept = sound.snapshot(shown(cable_rating_a=rating_a, limit_a=math.nan), "board", 1)

    assert (kept.cable_rating_a, kept.limit_a) == (0.0, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_sensor_that_measures_no_number_has_not_answered(value: float) -> None:
    """Texts and truths are its own business."""
    with pytest.raises(BadReply, match="measures"):
        sound.sensor(SensorReading(sampled_at=5.0, value=value), "heat")
    assert sound.sensor(SensorReading(sampled_at=5.0, value="nan"), "heat").value == "nan"
