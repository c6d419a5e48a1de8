"""What the variables say of the values that one of them lists: asked for each event, and changed about once a year.

Invariant: what is given is what the variables say now. A record is made once and again whenever anything but a measured
value has changed (`DeviceModel.settings`); no such record is built from a measured value.
"""

from __future__ import annotations

import msgspec

from station.state.sampled import Plan, plan
from station.state.signatures import signs
from station.state.variables import Variables


class Listing(msgspec.Struct, frozen=True):
    """How the values of one variable's measurands are told; `public_key`: PublicKeyWithSignedMeterValue."""

    enabled: bool
    plan: Plan
    signs: bool
    public_key: str


class Listings:
    """Of one station."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._as_of = -1
        self._made: dict[tuple[str, str], Listing] = {}

    def of(self, component: str, variable: str) -> Listing:
        """Of SampledDataCtrlr or AlignedDataCtrlr, and a variable of it that lists measurands."""
        if self._as_of != (settings := self._variables.model.settings):
            self._made, self._as_of = {}, settings
        made = self._made.get((component, variable))
        if made is None:
            made = self._made[component, variable] = self._read(component, variable)
        return made

    def _read(self, component: str, variable: str) -> Listing:
        variables = self._variables
        return Listing(
            enabled=variables.boolean(component, "Enabled"),
            plan=plan(
                variables.members(component, variable),
                without_phases=variables.boolean("SampledDataCtrlr", "RegisterValuesWithoutPhases"),
            ),
            signs=signs(variables, component, variable),
            public_key=variables.text("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue"),
        )
