"""How listed values are told: kept from event to event, and always what the variables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_model.model import ComponentId, Settable, Variable, VariableId
from station.state.listings import Listing, Listings
from station.state.variables import Variables
from tests.bench import Bench

LISTS = (
    *(("SampledDataCtrlr", f"Tx{when}Measurands") for when in ("Started", "Updated", "Ended")),
    *(("AlignedDataCtrlr", variable) for variable in ("Measurands", "TxEndedMeasurands")),
)
CHANGES = (
    *((component, "SignReadings", "true") for component in ("SampledDataCtrlr", "AlignedDataCtrlr")),
    *((component, "Enabled", "false") for component in ("SampledDataCtrlr", "AlignedDataCtrlr")),
    ("SampledDataCtrlr", "TxUpdatedMeasurands", "Voltage"),
    ("AlignedDataCtrlr", "Measurands", "Voltage"),
    ("SampledDataCtrlr", "RegisterValuesWithoutPhases", "true"),
    ("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", "EveryMeterValue"),
)


def all_of(listings: Listings) -> list[Listing]:
    return [listings.of(*each) for each in LISTS]


def set_by_csms(variables: Variables, component: str, variable: str, value: str) -> None:
    settable = variables.model.check_set(ComponentId(component), VariableId(variable), value)
    assert isinstance(settable, Settable), settable
    variables.apply(settable)


@pytest.mark.parametrize("by", ["csms", "station"])
@pytest.mark.parametrize("component, variable, value", CHANGES)
def test_a_change_of_any_of_its_variables_is_seen(
    tmp_path: Path, by: str, component: str, variable: str, value: str
) -> None:
    """By whomever; and again when the tables say otherwise, since the step was rolled back."""
    bench = Bench(tmp_path, signing=True)
    variables = bench.station.variables
    listings = Listings(variables)
    before = all_of(listings)
    with bench.database.transaction():
        (set_by_csms if by == "csms" else Variables.set)(variables, component, variable, value)

    assert all_of(listings) == all_of(Listings(variables)) != before

    with bench.database.transaction():
        bench.database.execute("DELETE FROM variable")
    variables.load(bench.now)
    assert all_of(listings) == all_of(Listings(variables)) == before


def test_a_measured_value_changes_none_of_them(tmp_path: Path) -> None:
    """So nothing is read anew for the many that are."""
    bench = Bench(tmp_path)
    variables = bench.station.variables
    listings = Listings(variables)
    before = all_of(listings)

    changed = variables.measure(ComponentId("EVSE", evse_id=1), VariableId("Power"), "1234.0")

    assert isinstance(changed, Variable)
    assert all(one is other for one, other in zip(all_of(listings), before, strict=True))
