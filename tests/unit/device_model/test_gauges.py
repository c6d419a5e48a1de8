"""Numbers that a device shows again and again: which variables have changed by them, and how they are written."""

from __future__ import annotations

import pytest

from device_model import values
from device_model.gauges import Gauges, decimal_text
from device_model.model import Attribute, AttributeType, ComponentId, DeviceModel, Variable, VariableId
from device_model.values import Characteristics, DataType

EVSE = ComponentId("EVSE", "", 1)
POWER, CURRENT = VariableId("Power"), VariableId("ACCurrent", "L1")
NUMBER = Characteristics(DataType.DECIMAL)


class Panel:
    """A device of three gauges, of which the station has no variable for the one in the middle."""

    def __init__(self) -> None:
        self.model = DeviceModel(Variable(EVSE, id_, NUMBER, (Attribute(),)) for id_ in (POWER, CURRENT))
        found = [self.model.find(EVSE, id_) for id_ in (POWER, VariableId("ACVoltage"), CURRENT)]
        self.gauges = Gauges(each if isinstance(each, Variable) else None for each in found)

    def shows(self, power_w: float | None, amperes: float | None) -> list[str]:
        """The variables that have changed."""
        return [each.id.name for each in self.gauges.show((power_w, 230.0, amperes))]


def test_only_what_has_changed_is_told() -> None:
    """A reading each second changes little; another number of the same text changes nothing."""
    panel = Panel()

    assert panel.shows(7360.0, 32.0) == ["Power", "ACCurrent"]
    assert panel.shows(7360.0, 32.0) == []
    assert panel.shows(7000.0004, 32.0) == ["Power"]
    assert panel.model.get(EVSE, POWER).value == "7000"
    assert panel.shows(7000.0003, 32.0) == []


def test_a_value_that_somebody_else_gave_is_replaced_by_the_same_number_again() -> None:
    """The contactor opened: the model says 0 A before the meter does, and then it closes again."""
    panel = Panel()
    panel.shows(7360.0, 32.0)
    panel.model.measure(EVSE, CURRENT, "0")

    assert panel.shows(7360.0, 32.0) == ["ACCurrent"]
    assert panel.model.get(EVSE, CURRENT).value == "32"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 1e15])
def test_what_is_no_number_cannot_be_read(value: float | None) -> None:
    """An empty text, once."""
    panel = Panel()
    panel.shows(7360.0, 32.0)

    assert panel.shows(value, 32.0) == ["Power"]
    assert panel.model.get(EVSE, POWER).value == ""
    assert panel.shows(value, 32.0) == []


@pytest.mark.parametrize(
    "number",
    [0.0, -0.0, -0.0001, 1.0, -1.5, 0.001, 0.0005, 1234.5675, 1e-300, 123456789012345.0, -999999999999999.0, 1 / 3],
)
def test_every_text_of_a_number_is_one_that_would_pass_the_checks(number: float) -> None:
    """So that they need not be made."""
    text = decimal_text(number)

    assert values.check(text, NUMBER) == text
    assert float(text) == pytest.approx(number, abs=0.0005)
    assert text != "-0"


@pytest.mark.parametrize(
    "variable",
    [
        Variable(EVSE, POWER, Characteristics(DataType.INTEGER), (Attribute(),)),
        Variable(EVSE, POWER, NUMBER, (Attribute(AttributeType.TARGET),)),
    ],
)
def test_what_cannot_hold_a_decimal_is_no_gauge(variable: Variable) -> None:
    """Its texts would be wrong."""
    with pytest.raises(ValueError, match="shows no decimals"):
        Gauges([variable])
