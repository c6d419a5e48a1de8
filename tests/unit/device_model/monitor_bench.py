"""A bench for monitors: EVSE 1 of a station, and a clock that is told."""

from __future__ import annotations

from device_model.model import ComponentId, DeviceModel, Variable, VariableId
from device_model.monitor_rules import Event, MonitorType, Outcome, Wanted
from device_model.monitors import Monitors

UPPER, LOWER, DELTA = MonitorType.UPPER, MonitorType.LOWER, MonitorType.DELTA
PERIODIC, ALIGNED = MonitorType.PERIODIC, MonitorType.CLOCK_ALIGNED
EVSE = ComponentId("EVSE", evse_id=1)
POWER, STATE = VariableId("Power"), VariableId("AvailabilityState")


class Bench:
    """Monitors over a model, with a clock that is told."""

    def __init__(self, model: DeviceModel) -> None:
        self.model = model
        self.mono, self.wall = 1_000.0, 86_400.0 * 20_000 + 36_000.0
        self.monitors = Monitors(model)

    def put(  # noqa: PLR0913 - the fields of a monitor, most of them with a default
        self,
        type_: MonitorType,
        value: float,
        variable: VariableId = POWER,
        severity: int = 5,
        *,
        id_: int | None = None,
        transaction: bool = False,
    ) -> Outcome:
        """SetVariableMonitoring on EVSE 1."""
        wanted = Wanted(EVSE, variable, type_, value, severity, transaction, id_)
        return self.monitors.put(wanted, self.mono, self.wall)

    def set(self, value: str, variable: VariableId = POWER) -> list[tuple[str, str, bool]]:
        """The value changes; what events say of it."""
        change = self.model.set_by_station(EVSE, variable, value)
        return told(self.monitors.changed(change.variable)) if change is not None else []

    def wait(self, seconds: float) -> list[tuple[str, str, bool]]:
        """Time passes; the events of periods."""
        self.mono += seconds
        self.wall += seconds
        return told(self.monitors.due(self.mono, self.wall))

    def reboot(self) -> Bench:
        """The same station after a reboot: rows survive, live values do not."""
        rows = [row for _, row in self.monitors.dirty() if row is not None]
        found = self.model.find(EVSE, POWER)
        assert isinstance(found, Variable)
        found.attributes[0].value = None
        after = Bench(self.model)
        assert after.monitors.restore(rows, after.mono, after.wall) == []
        return after


def told(events: list[Event] | tuple[Event, ...]) -> list[tuple[str, str, bool]]:
    """Trigger, value, cleared of each event."""
    return [(event.trigger.value, event.value, event.cleared) for event in events]
