"""The model: names, reading, setting, and in which order a set is judged."""

from __future__ import annotations

import pytest

from device_model.model import (
    Attribute,
    AttributeType,
    Change,
    ComponentId,
    DeviceModel,
    Got,
    Mutability,
    Refusal,
    Status,
    UnknownVariableError,
    Variable,
    VariableId,
)
from device_model.values import Characteristics, DataType, Flaw

COMM = ComponentId("OCPPCommCtrlr")
OFFLINE = VariableId("OfflineThreshold")
SECURITY = ComponentId("SecurityCtrlr")
PASSWORD = VariableId("BasicAuthPassword")
FAN = ComponentId("AirCoolingSystem", evse_id=2)
SPEED = VariableId("FanSpeed")
ACTUAL, TARGET = AttributeType.ACTUAL, AttributeType.TARGET
MIN_SET, MAX_SET = AttributeType.MIN_SET, AttributeType.MAX_SET


def one(data_type: DataType, mutability: Mutability, value: str | None = None) -> DeviceModel:
    """A model of the single variable C.V."""
    attribute = Attribute(mutability=mutability, value=value)
    return DeviceModel([Variable(ComponentId("C"), VariableId("V"), Characteristics(data_type), (attribute,))])


def test_names_match_without_regard_to_case(model: DeviceModel) -> None:
    """Schema of ComponentType and VariableType; EVSE 0 is the station (part 1, 7.1)."""
    assert model.get(ComponentId("ocppcommCTRLR"), VariableId("offlineTHRESHOLD")) == Got(Status.ACCEPTED, "60")
    assert model.get(COMM._replace(evse_id=0), OFFLINE).status is Status.ACCEPTED
    assert model.get(ComponentId("DeviceDataCtrlr"), VariableId("ItemsPerMessage", "getreport")).value == "100"


@pytest.mark.req("B06.FR.06", "B06.FR.07", "B06.FR.08", "B06.FR.09", "B06.FR.10", "B06.FR.13")
def test_reading_tells_value_or_what_is_unknown(model: DeviceModel) -> None:
    """Only an accepted answer has a value, and the value of what is unset is empty."""
    evse = ComponentId("EVSE", evse_id=1)

    assert model.get(ComponentId("UnknownComponent"), OFFLINE) == Got(Status.UNKNOWN_COMPONENT)
    assert model.get(ComponentId("EVSE", evse_id=9), VariableId("Power")) == Got(Status.UNKNOWN_COMPONENT)
    assert model.get(COMM, VariableId("UnknownVariable")) == Got(Status.UNKNOWN_VARIABLE)
    assert model.get(COMM, OFFLINE, TARGET) == Got(Status.NOT_SUPPORTED_ATTRIBUTE_TYPE)
    assert model.get(SECURITY, PASSWORD) == Got(Status.REJECTED)
    assert model.get(evse, VariableId("Power")) == Got(Status.ACCEPTED, "")
    assert model.get(FAN, SPEED, TARGET) == Got(Status.ACCEPTED, "")


@pytest.mark.req("B06.FR.14", "B06.FR.15")
def test_an_instance_is_the_one_that_was_named(model: DeviceModel) -> None:
    """Without an instance only the one without an instance is meant."""
    clock = ComponentId("ClockCtrlr")

    assert model.get(clock, VariableId("TimeOffset")).value == "+00:00"
    assert model.get(clock, VariableId("TimeOffset", "NextTransition")).value == ""
    assert model.get(ComponentId("DeviceDataCtrlr"), VariableId("ItemsPerMessage")).status is Status.UNKNOWN_VARIABLE
    assert model.get(FAN._replace(instance="Rear"), SPEED).status is Status.ACCEPTED
    assert model.get(FAN._replace(instance="Front"), SPEED).status is Status.UNKNOWN_COMPONENT


@pytest.mark.req("B05.FR.04", "B05.FR.05", "B05.FR.06", "B05.FR.07", "B05.FR.08", "B05.FR.09")
@pytest.mark.parametrize(
    "asked, expected",
    [
        (("UnknownComponent", "UnknownVariable", TARGET, "abc"), (Status.UNKNOWN_COMPONENT, None)),
        (("OCPPCommCtrlr", "UnknownVariable", TARGET, "abc"), (Status.UNKNOWN_VARIABLE, None)),
        (("OCPPCommCtrlr", "OfflineThreshold", TARGET, "abc"), (Status.NOT_SUPPORTED_ATTRIBUTE_TYPE, None)),
        (("OCPPCommCtrlr", "OfflineThreshold", ACTUAL, "abc"), (Status.REJECTED, Flaw.BAD_FORMAT)),
        (("OCPPCommCtrlr", "OfflineThreshold", ACTUAL, "-1"), (Status.REJECTED, Flaw.TOO_LOW)),
        (("OCPPCommCtrlr", "ActiveNetworkProfile", ACTUAL, "abc"), (Status.REJECTED, Flaw.BAD_FORMAT)),
        (("OCPPCommCtrlr", "ActiveNetworkProfile", ACTUAL, "1"), (Status.REJECTED, None)),
    ],
)
def test_a_set_is_judged_by_names_attribute_form_range_and_mutability_in_that_order(
    model: DeviceModel, asked: tuple[str, str, AttributeType, str], expected: tuple[Status, Flaw | None]
) -> None:
    """The first thing that is wrong gives the answer, and nothing is changed."""
    before = [holder.value for variable in model for holder in variable.attributes]
    component, variable, attribute, value = asked

    refusal = model.set_by_csms(ComponentId(component), VariableId(variable), value, attribute)

    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.flaw) == expected
    assert [holder.value for variable in model for holder in variable.attributes] == before


@pytest.mark.req("B05.FR.10")
def test_a_set_gives_the_change(model: DeviceModel) -> None:
    """Old and new value, so that a block can tell what happened."""
    change = model.set_by_csms(COMM, OFFLINE, "300")

    assert isinstance(change, Change)
    assert (change.old, change.new, change.status) == ("60", "300", Status.ACCEPTED)
    assert model.get(COMM, OFFLINE).value == "300"


def test_a_check_changes_nothing_until_it_is_applied(model: DeviceModel) -> None:
    """Guards are asked in between."""
    settable = model.check_set(COMM, OFFLINE, "300")
    assert not isinstance(settable, Refusal)
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 60

    model.apply(settable)

    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 300


def test_a_variable_that_acts_after_a_reboot_says_so(model: DeviceModel) -> None:
    """B10: the network priority counts at the next connect; setting what is set needs no reboot."""
    priority = VariableId("NetworkConfigurationPriority")

    changed = model.set_by_csms(COMM, priority, "1,0")
    again = model.set_by_csms(COMM, priority, "1,0")

    assert isinstance(changed, Change)
    assert changed.status is Status.REBOOT_REQUIRED
    assert isinstance(again, Change)
    assert again.status is Status.ACCEPTED


@pytest.mark.req("B05.FR.08")
def test_a_target_lies_between_its_set_points(model: DeviceModel) -> None:
    """Part 1, 4.3: the fan that must not run below 200 or above 500."""
    for attribute, value in ((MIN_SET, "200"), (MAX_SET, "500")):
        assert isinstance(model.set_by_csms(FAN, SPEED, value, attribute), Change)

    low = model.set_by_csms(FAN, SPEED, "199.9", TARGET)
    high = model.set_by_csms(FAN, SPEED, "600", TARGET)
    crossed = model.set_by_csms(FAN, SPEED, "501", MIN_SET)

    assert isinstance(model.set_by_csms(FAN, SPEED, "500", TARGET), Change)
    assert [refusal.flaw for refusal in (low, high, crossed) if isinstance(refusal, Refusal)] == [
        Flaw.BELOW_MIN_SET,
        Flaw.ABOVE_MAX_SET,
        Flaw.ABOVE_MAX_SET,
    ]


def test_a_measured_value_is_taken_beyond_all_limits(model: DeviceModel) -> None:
    """Part 1, 4.3: 502 with a MaxSet of 500 is reported; unreadable is the empty text."""
    model.set_by_csms(FAN, SPEED, "500", MAX_SET)

    change = model.set_by_station(FAN, SPEED, "502")
    same = model.set_by_station(FAN, SPEED, "502")
    unreadable = model.set_by_station(FAN, SPEED, "")

    assert change is not None
    assert change.new == "502"
    assert same is None
    assert unreadable is not None
    assert model.get(FAN, SPEED) == Got(Status.ACCEPTED, "")


def test_the_station_cannot_set_nonsense(model: DeviceModel) -> None:
    """A driver's bug must be seen, not reported as a measurement."""
    with pytest.raises(ValueError, match="FanSpeed"):
        model.set_by_station(FAN, SPEED, "fast")
    with pytest.raises(UnknownVariableError):
        model.set_by_station(FAN, VariableId("Noise"), "1")
    with pytest.raises(UnknownVariableError):
        model.set_by_station(COMM, OFFLINE, "1", TARGET)


def test_a_secret_shows_in_no_repr(model: DeviceModel) -> None:
    """A log line of any of these must not betray the password."""
    settable = model.check_set(SECURITY, PASSWORD, "correct-horse-battery")
    assert not isinstance(settable, Refusal)
    change = model.apply(settable)

    assert "correct" not in repr((settable, change, change.variable, change.attribute))
    assert model.text("SecurityCtrlr", "BasicAuthPassword") == "correct-horse-battery"


def test_blocks_read_typed_values(model: DeviceModel) -> None:
    """Each type has its question."""
    assert model.integer("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent") == 5
    assert model.decimal("SmartChargingCtrlr", "LimitChangeSignificance") == 1.0
    assert model.boolean("TxCtrlr", "StopTxOnInvalidId") is True
    assert model.members("SmartChargingCtrlr", "RateUnit") == ("A", "W")
    assert model.text(ComponentId("Connector", evse_id=2, connector_id=1), "ConnectorType") == "cCCS2"


def test_a_question_is_answered_anew_after_a_change(model: DeviceModel) -> None:
    """Look-ups are remembered, values are not; a component that appears later is found."""
    late = ComponentId("Late")
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 60
    with pytest.raises(UnknownVariableError):
        model.text(late, "State")

    model.set_by_csms(COMM, OFFLINE, "61")
    model.add(Variable(late, VariableId("State"), Characteristics(DataType.STRING), (Attribute(value="here"),)))

    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 61
    assert model.text(late, "State") == "here"
    model.remove(late)
    assert isinstance(model.find(late, VariableId("State")), Status)


def test_no_variable_is_there_twice() -> None:
    """Names that differ in case only are the same."""
    model = one(DataType.STRING, Mutability.READ_ONLY)
    twin = Variable(ComponentId("c"), VariableId("v"), Characteristics(DataType.STRING), (Attribute(),))

    with pytest.raises(ValueError, match="twice"):
        model.add(twin)


def test_restore_brings_back_what_is_kept_and_leaves_what_is_measured(model: DeviceModel) -> None:
    """Recovery reloads settings; live values come again from the hardware."""
    model.set_by_csms(COMM, OFFLINE, "300")
    model.set_by_station(FAN, SPEED, "402")

    model.restore()

    assert model.get(COMM, OFFLINE).value == "60"
    assert model.get(FAN, SPEED).value == "402"
