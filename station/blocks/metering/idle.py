"""MeterValues (J01): what is told of EVSEs without a transaction, and of the main meter."""

from __future__ import annotations

from collections.abc import Sequence

from device_model.model import ComponentId
from station.blocks.metering.moments import Wait
from station.now import Instant
from station.ocpp.messages import MeterValuesRequest
from station.ocpp.types import MeterValueType
from station.ports import Csms, Times
from station.state.connectors import Connectors
from station.state.limits import Limits, limit_a
from station.state.meters import Sample
from station.state.sampled import Wanted, plan, sampled_values
from station.state.sessions import Sessions
from station.state.variables import Variables

MAIN = 0
"""The "EVSE" of the main meter (J01.FR.03)."""


class IdleValues:
    """Who tells MeterValues, and what they hold. `main_meter`: the station has a meter of its own, told as EVSE 0."""

    def __init__(  # noqa: PLR0913 - state objects and ports by keyword
        self,
        *,
        sessions: Sessions,
        connectors: Connectors,
        limits: Limits,
        variables: Variables,
        csms: Csms,
        times: Times,
        main_meter: bool,
    ) -> None:
        self._sessions = sessions
        self._connectors = connectors
        self._limits = limits
        self._variables = variables
        self._csms = csms
        self._times = times
        self._mains = (MAIN,) if main_meter else ()

    def places(self) -> Sequence[int]:
        """Whatever has a meter."""
        return (*self._mains, *self._connectors.evse_ids())

    def evse_ids(self) -> Sequence[int]:
        """Who tells MeterValues at a moment of the grid: EVSEs without a transaction (J01.FR.14, J01.FR.20)."""
        running = {session.evse_id for session in self._sessions.running()}
        if running and self._variables.boolean("AlignedDataCtrlr", "SendDuringIdle"):
            return ()
        return tuple(each for each in self.places() if each not in running)

    def silenced(self, evse_id: int) -> set[str]:
        """What a running transaction does not tell at a moment of the grid."""
        for component in (ComponentId("AlignedDataCtrlr"), ComponentId("AlignedDataCtrlr", evse_id=evse_id)):
            if self._variables.boolean(component, "SendDuringIdle"):
                return {"AlignedUpdated"}
        return set()

    def tell(self, wait: Wait, sample: Sample, at: Instant) -> None:
        """Tell what a meter showed at a moment."""
        values = sampled_values(
            sample.reading,
            Wanted(
                plan=plan(
                    self._variables.members("AlignedDataCtrlr", "Measurands"),
                    without_phases=self._variables.boolean("SampledDataCtrlr", "RegisterValuesWithoutPhases"),
                ),
                context=wait.context,
                offered_a=self._offered_a(wait.evse_id),
                sign=self._variables.boolean("AlignedDataCtrlr", "SignReadings"),
                public_key=self._variables.text("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue") == "EveryMeterValue",
            ),
        )
        if values:
            meter_value = MeterValueType(timestamp=self._times.utc(at), sampled_value=values)
            told = MeterValuesRequest(evse_id=wait.evse_id, meter_value=[meter_value])
            self._csms.tell(told, asked=wait.context == "Trigger")

    def _offered_a(self, evse_id: int) -> float | None:
        """Amperes per phase; the main meter knows of none."""
        if evse_id == MAIN:
            return None
        session = self._sessions.get(evse_id)
        return limit_a(session, self._connectors, self._limits) if session.offering else 0.0
