"""What a meter shows, as variables: which of them have changed."""

from __future__ import annotations

import pytest

from device_model.model import Attribute, Change, ComponentId, DeviceModel, Variable, VariableId, measured
from device_model.values import Characteristics, DataType
from hal.api import MeterReading, PerPhase
from station.blocks.diagnostics import telemetry

POWER = VariableId("Power")
CURRENT = VariableId("ACCurrent", "L1")
IMPORTED = VariableId("EnergyImportRegister")
EVSE, METER = ComponentId("EVSE", "", 1), ComponentId("FiscalMetering", "", 1)


def reading(power_w: float | None, amperes: float | None) -> MeterReading:
    """Of a meter of one phase."""
    current = PerPhase(amperes, None, None) if amperes is not None else None
    return MeterReading(sampled_at=0.0, energy_import_mwh=1_234_567, power_import_w=power_w, current_a=current)


class Panel:
    """The variables of one EVSE, and how often the model was asked to take a value."""

    def __init__(self) -> None:
        number = Characteristics(DataType.DECIMAL)
        places = ((EVSE, POWER), (EVSE, CURRENT), (METER, IMPORTED))
        self.model = DeviceModel(Variable(where, id_, number, (Attribute(),)) for where, id_ in places)
        self.gauges = telemetry.gauges(self.model.find, 1)
        self.measured: list[str] = []

    def take(self, variable: Variable, holder: Attribute, text: str) -> Change | None:
        """As the model does it."""
        self.measured.append(f"{variable.id.name}={text}")
        return measured(variable, holder, text)

    def shows(self, given: MeterReading) -> list[str]:
        """The variables that have changed."""
        return [gauge.variable.id.name for figure, gauge in self.gauges if gauge.shows(figure(given), self.take)]


def test_only_what_has_changed_is_told_and_the_same_again_is_not_even_looked_up() -> None:
    """A reading each second changes little."""
    panel = Panel()

    assert panel.shows(reading(7360.0, 32.0)) == ["Power", "ACCurrent", "EnergyImportRegister"]
    assert panel.measured == ["Power=7360", "ACCurrent=32", "EnergyImportRegister=1234.567"]
    panel.measured.clear()
    assert panel.shows(reading(7360.0, 32.0)) == []
    assert panel.measured == []
    assert panel.shows(reading(7000.0, 32.0)) == ["Power"]
    assert panel.measured == ["Power=7000"]


def test_a_value_that_somebody_else_gave_is_replaced_by_the_same_number_again() -> None:
    """The contactor opened: the model says 0 A before the meter does, and then it closes again."""
    panel = Panel()
    panel.shows(reading(7360.0, 32.0))
    panel.model.measure(EVSE, CURRENT, "0")

    assert panel.shows(reading(7360.0, 32.0)) == ["ACCurrent"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_no_number_cannot_be_read(value: float | None) -> None:
    """An empty text, once."""
    panel = Panel()
    panel.shows(reading(7360.0, 32.0))

    assert panel.shows(reading(value, 32.0)) == ["Power"]
    assert panel.model.get(EVSE, POWER).value == ""
    assert panel.shows(reading(value, 32.0)) == []
