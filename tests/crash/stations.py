"""Which scenarios are cut, on stations of which kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.crash import scenarios as do
from tests.crash.scenarios import VARIABLES, Scenario
from tests.scenarios.e_transactions.story import ALL_POINTS

Given = Mapping[str, Any]


def kind(start: str = "PowerPathClosed", stop: str = "EVConnected,Authorized", **more: Any) -> Given:
    """A station with these start and stop points."""
    signs = {"SampledDataCtrlr.SignReadings": "true"} if more.get("signing") else {}
    points = {"TxCtrlr.TxStartPoint": start, "TxCtrlr.TxStopPoint": stop}
    return {"layout": ALL_POINTS, **more, "variables": {**VARIABLES, **points, **signs, **more.get("variables", {})}}


KINDS = {
    "from the cable on": kind("EVConnected", "EVConnected"),
    "from the card on": kind("Authorized", "Authorized"),
    "from the energy on": kind("EnergyTransfer", "EVConnected,EnergyTransfer"),
    "from the bay on": kind("ParkingBayOccupancy", "ParkingBayOccupancy"),
    "either": kind("EVConnected,Authorized", "PowerPathClosed"),
    "resumed": kind("Authorized", "EVConnected,Authorized", resume=True),
    "signed": kind("PowerPathClosed", "EVConnected,Authorized", signing=True),
    "when signed": kind("DataSigned", "EVConnected,Authorized", signing=True),
}
"""Every start point, a transaction that goes on, a meter that signs."""

OF_ALL_KINDS: list[Scenario] = [
    do.a_bay_is_entered_and_left,
    do.the_vehicle_pauses_and_goes_on,
    do.the_csms_takes_the_permission_back,
]

SCENARIOS: Mapping[Scenario, Given] = {
    **dict.fromkeys(
        [
            do.the_first_boot_of_all,
            do.given_up_after_the_last_attempt,
            do.what_the_csms_ordered,
            do.reserved_and_used_or_not,
            do.a_reset_while_charging,
            do.card_after_cable,
            do.cable_after_card_and_pulled_at_the_car,
            do.two_at_once,
            do.offline_from_beginning_to_end,
            do.the_csms_does_not_answer,
            do.started_and_stopped_from_afar,
            do.a_fault_while_charging,
            do.a_limit_leaves_no_current_for_a_while,
            do.a_local_list_comes_while_it_charges,
            do.profiles_come_and_go,
        ],
        kind(),
    ),
    do.the_allowance_of_an_invalid_token_is_used_up: kind(
        variables={"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "50"}
    ),
    do.nobody_plugs_in: kind("Authorized", variables={"TxCtrlr.EVConnectionTimeOut": "30"}),
    do.every_evse_is_busy: kind("Authorized", evses=4),
    do.offline_over_the_quota: kind(variables={"SampledDataCtrlr.TxUpdatedInterval": "1"}),
}
"""Each with the station that it needs."""


def every() -> Iterator[tuple[str, Scenario, Given]]:
    """All pairs, by name."""
    for scenario, given in SCENARIOS.items():
        yield scenario.__name__, scenario, given
    for name, given in KINDS.items():
        for scenario in OF_ALL_KINDS:
            yield f"{scenario.__name__}, {name}", scenario, given
