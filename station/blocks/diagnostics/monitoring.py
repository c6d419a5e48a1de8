"""Block N: monitors. The CSMS sets, lists and clears them, and is told what they see (N02-N08).

Values come two ways: what blocks and the CSMS set, as VariableChanged; what boards and meters show, straight from their
facts, since thousands of readings a day are nobody else's news.
Invariant: a sample costs by the variables that it changes, not by the monitors there are, and writes nothing unless an
alarm begins or ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from device_model.gauges import Gauges
from device_model.model import AttributeType, ComponentId, Variable, VariableId
from device_model.monitor_rules import (
    LEAST_SEVERE,
    MonitorFlaw,
    MonitoringBase,
    MonitorStatus,
    MonitorType,
    Wanted,
)
from station.block import Block, Outcomes, Reactions, Routes, on, outcome, route
from station.blocks.diagnostics import report, telemetry
from station.blocks.diagnostics.events import Notices
from station.blocks.diagnostics.hard_wired import HardWiring
from station.facts import (
    ClockStepped,
    ConnectorStatusDue,
    DeviceLost,
    EnergyRequested,
    EventsNoted,
    FaultChanged,
    LinkLost,
    LinkRestored,
    LockChanged,
    MeterSampled,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    RegistrationChanged,
    SampleFailed,
    SnapshotTold,
    TransactionEnded,
    TransactionStarted,
    VariableChanged,
)
from station.now import Deadline, Mono, MonoDeadline, Now, Wall, WallDeadline, seconds_until
from station.ocpp import codec
from station.ocpp.base import DataType
from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.messages import (
    ClearVariableMonitoringRequest,
    ClearVariableMonitoringResponse,
    GetMonitoringReportRequest,
    GetMonitoringReportResponse,
    NotifyEventRequest,
    NotifyMonitoringReportRequest,
    SetMonitoringBaseRequest,
    SetMonitoringBaseResponse,
    SetMonitoringLevelRequest,
    SetMonitoringLevelResponse,
    SetVariableMonitoringRequest,
    SetVariableMonitoringResponse,
)
from station.ocpp.types import (
    ClearMonitoringResultType,
    SetMonitoringDataType,
    SetMonitoringResultType,
    StatusInfoType,
)
from station.ports import Clocked, Csms
from station.state.monitoring import CTRLR, Monitoring
from station.state.naming import component_id, filter_of, variable_id
from station.state.sessions import Sessions
from station.state.variables import Variables

AT_ONCE = 4
"""So many reports may be under way; who asks for another is told to wait."""
BUSY = StatusInfoType(reason_code="OutOfMemory", additional_info="other reports are under way")

REASONS = {
    MonitorFlaw.NO_SUCH_ID: "NotFound",
    MonitorFlaw.OTHER_VARIABLE: "InvalidValue",
    MonitorFlaw.HARD_WIRED: "ReadOnly",
    MonitorFlaw.OUT_OF_RANGE: "ValueOutOfRange",
    MonitorFlaw.NEGATIVE: "ValuePositiveOnly",
    MonitorFlaw.NOT_POSITIVE: "ValueTooLow",
    MonitorFlaw.BAD_SEVERITY: "ValueOutOfRange",
    MonitorFlaw.TOO_MANY: "OutOfMemory",
}
"""reasonCode by why a monitor is rejected."""


class VariableMonitoring(Block):
    """Block N: N02 to N08."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        monitoring: Monitoring,
        sessions: Sessions,
        variables: Variables,
        notices: Notices,
        hard_wiring: HardWiring,
        csms: Csms,
        clock: Clocked,
    ) -> None:
        self._monitoring = monitoring
        self._sessions = sessions
        self._variables = variables
        self._notices = notices
        self._hard_wiring = hard_wiring
        self._csms = csms
        self._clock = clock
        self._attend_at: Mono | None = None
        self._next: Deadline | None = None
        self._reports = 0
        self._gauges: dict[int, Gauges] = {}
        """What each meter shows, once it has shown something."""

    def routes(self) -> Routes:
        """N02 to N06."""
        return [
            route(SetVariableMonitoringRequest, self.set),
            route(ClearVariableMonitoringRequest, self.clear),
            route(SetMonitoringBaseRequest, self.set_base),
            route(SetMonitoringLevelRequest, self.set_level),
            route(GetMonitoringReportRequest, self.get_report),
        ]

    def outcomes(self) -> Outcomes:
        """What has arrived waits no longer."""
        return [outcome(NotifyEventRequest, self._notices.settled)]

    def reactions(self) -> Reactions:
        """Values, what decides which monitors count, the link."""
        return [
            on(MeterSampled, self.metered),
            on(SampleFailed, lambda fact, now: self._measured(telemetry.not_metered(fact), now)),
            on(PowerPathChanged, lambda fact, now: self._measured(telemetry.path_changed(fact), now)),
            on(PlugInserted, lambda fact, now: self._measured(telemetry.pilot_changed(fact), now)),
            on(PlugRemoved, lambda fact, now: self._measured(telemetry.pilot_changed(fact), now)),
            on(EnergyRequested, lambda fact, now: self._measured(telemetry.pilot_changed(fact), now)),
            on(FaultChanged, self._broken(self._hard_wiring.fault_changed)),
            on(LockChanged, self._broken(self._hard_wiring.lock_changed)),
            on(DeviceLost, self._broken(self._hard_wiring.device_lost)),
            on(SnapshotTold, self.snapshot_told),
            on(VariableChanged, self.changed),
            on(TransactionStarted, self.transactions_changed),
            on(TransactionEnded, self.transactions_changed),
            on(RegistrationChanged, self.listened_to),
            on(LinkRestored, self.listened_to),
            on(LinkLost, self.link_lost),
            on(ClockStepped, self.clock_stepped),
            on(ConnectorStatusDue, self._notices.add_status),
            on(EventsNoted, self._notices.tell),
        ]

    def load(self, now: Now) -> None:
        """The monitors have been read anew (state); they count from what is now."""
        self._gauges.clear()
        self._notices.forget()
        monitors = self._monitoring.monitors
        monitors.transactions(self._busy())
        monitors.attend(LEAST_SEVERE if self._csms.online else self._queuing_severity())
        self._arm(now)

    # --- N04, N06

    def set(self, request: SetVariableMonitoringRequest, now: Now) -> SetVariableMonitoringResponse:
        """N04.FR.01: one result for each element, in order; each stands for itself."""
        self._limit("SetVariableMonitoring", len(request.set_monitoring_data), request)
        results = [self._set(one, now) for one in request.set_monitoring_data]
        self._kept(now)
        return SetVariableMonitoringResponse(set_monitoring_result=results)

    def _set(self, asked: SetMonitoringDataType, now: Now) -> SetMonitoringResultType:
        wanted = Wanted(
            component_id(asked.component),
            variable_id(asked.variable),
            MonitorType(asked.type),
            asked.value,
            asked.severity,
            bool(asked.transaction),
            asked.id,
        )
        done = self._monitoring.monitors.put(wanted, now.mono, now.wall)
        self._notices.add(done.events, now)
        return SetMonitoringResultType(
            id=done.id if done.status is MonitorStatus.ACCEPTED else None,
            status=done.status.value,  # type: ignore[arg-type]  # MonitorStatus spells SetMonitoringStatusEnumType
            type=asked.type,
            severity=asked.severity,
            component=asked.component,
            variable=asked.variable,
            status_info=_info(done.flaw),
        )

    def clear(self, request: ClearVariableMonitoringRequest, now: Now) -> ClearVariableMonitoringResponse:
        """N06.FR.05: one result for each id."""
        self._limit("ClearVariableMonitoring", len(request.id), request)
        results = []
        for id_ in request.id:
            done = self._monitoring.monitors.clear(id_)
            results.append(
                ClearMonitoringResultType(
                    id=id_,
                    status=done.status.value,  # type: ignore[arg-type]  # of the three ClearMonitoringStatusEnumType
                    status_info=_info(done.flaw),
                )
            )
        self._kept(now)
        return ClearVariableMonitoringResponse(clear_monitoring_result=results)

    def _limit(self, message: str, items: int, request: DataType) -> None:
        """N04.FR.09, N06.FR.06, N06.FR.07."""
        most = self._variables.integer(CTRLR, "ItemsPerMessage", message)
        if most and items > most:
            raise RpcError(ErrorCode.OCCURRENCE_CONSTRAINT, f"{items} elements, at most {most} are taken")
        most_bytes = self._variables.integer(CTRLR, "BytesPerMessage", message)
        if most_bytes and len(codec.render(request)) > most_bytes:
            raise RpcError(ErrorCode.FORMAT_VIOLATION, f"more than {most_bytes} bytes")

    # --- N02, N03, N05

    def set_base(self, request: SetMonitoringBaseRequest, now: Now) -> SetMonitoringBaseResponse:
        """N03: all three bases are there."""
        self._monitoring.rebase(MonitoringBase(request.monitoring_base), now)
        self._arm(now)
        return SetMonitoringBaseResponse(status="Accepted")

    def set_level(self, request: SetMonitoringLevelRequest, now: Now) -> SetMonitoringLevelResponse:
        """N05.FR.02: severities are 0 to 9."""
        del now
        if not 0 <= request.severity <= LEAST_SEVERE:
            reason = "ValueTooLow" if request.severity < 0 else "ValueTooHigh"
            return SetMonitoringLevelResponse(status="Rejected", status_info=StatusInfoType(reason_code=reason))
        self._monitoring.set_level(request.severity)
        return SetMonitoringLevelResponse(status="Accepted")

    def get_report(self, request: GetMonitoringReportRequest, now: Now) -> GetMonitoringReportResponse:
        """N02: answered first, told after."""
        del now
        asked = request.component_variable or ()
        most = self._variables.integer("DeviceDataCtrlr", "ItemsPerMessage", "GetReport")
        if most and len(asked) > most:  # N02.FR.07
            raise RpcError(ErrorCode.OCCURRENCE_CONSTRAINT, f"{len(asked)} elements, at most {most} are taken")
        if self._reports >= AT_ONCE:
            return GetMonitoringReportResponse(status="Rejected", status_info=BUSY)
        filters = [filter_of(one) for one in asked]
        entries = report.chosen(self._monitoring.monitors, request.monitoring_criteria or (), filters)
        if not entries:
            return GetMonitoringReportResponse(status="EmptyResultSet")  # N02.FR.10
        self._csms.stream(self._pages(entries, request.request_id))
        return GetMonitoringReportResponse(status="Accepted")

    def _pages(self, entries: list[report.Entry], request_id: int) -> Iterator[NotifyMonitoringReportRequest]:
        self._reports += 1
        try:
            yield from report.messages(entries, request_id, self._clock.utc_now)
        finally:  # told to the end, or given up with the connection
            self._reports -= 1

    # --- values

    def metered(self, fact: MeterSampled, now: Now) -> None:
        """A reading: power, currents, voltages and registers."""
        gauges = self._gauges.get(fact.evse_id)
        if gauges is None:
            gauges = self._gauges[fact.evse_id] = telemetry.gauges(self._variables.model.find, fact.evse_id)
        if changed := gauges.show(telemetry.figures(fact.reading)):
            self._judge(changed, now)

    def _measured(self, values: Iterable[telemetry.Value], now: Now) -> None:
        measure = self._variables.measure
        changed = [measure(*value) for value in values]
        self._judge([one for one in changed if one is not None], now)

    def _broken(self, tell: Callable[..., list[Variable]]) -> Callable[..., None]:
        """A fault is told first: it is the cause of what monitors then see."""
        return lambda fact, now: self._judge(tell(fact, now), now)

    def changed(self, fact: VariableChanged, now: Now) -> None:
        """What a block or the CSMS set."""
        if fact.attribute != AttributeType.ACTUAL.value:
            return
        if fact.component == CTRLR:
            self._retuned(fact.variable, now)
        component = ComponentId(fact.component, fact.instance or "", fact.evse_id, fact.connector_id)
        found = self._variables.model.find(component, VariableId(fact.variable, fact.variable_instance or ""))
        if isinstance(found, Variable):
            self._judge([found], now)

    def _retuned(self, variable: str, now: Now) -> None:
        if variable == "Enabled":
            self._monitoring.monitors.enabled = self._variables.boolean(CTRLR, "Enabled")
        elif variable == "OfflineQueuingSeverity" and not self._csms.online:
            self._attend(self._queuing_severity(), now)

    def snapshot_told(self, fact: SnapshotTold, now: Now) -> None:
        """All of an EVSE is known: an alarm of before the start may be over (N07.FR.14), deltas count from here."""
        self._judge(self._hard_wiring.snapshot_told(fact, now), now)
        self._tell(self._monitoring.monitors.review(), now)

    def _judge(self, variables: Iterable[Variable], now: Now) -> None:
        judge = self._monitoring.monitors.changed
        for variable in variables:
            if events := judge(variable):
                self._tell(events, now)
        self._monitoring.keep()

    def _tell(self, events: Iterable[object], now: Now) -> None:
        self._notices.add(events, now)  # type: ignore[arg-type]  # Events of the monitors
        self._monitoring.keep()

    # --- which monitors count

    def transactions_changed(self, fact: TransactionStarted | TransactionEnded, now: Now) -> None:
        """Monitors of transactions begin or cease to count."""
        del fact
        self._tell(self._monitoring.monitors.transactions(self._busy()), now)

    def _busy(self) -> list[int]:
        return [session.evse_id for session in self._sessions.running()]

    def listened_to(self, fact: RegistrationChanged | LinkRestored, now: Now) -> None:
        """In a step of its own everything is looked at: in this one, less severe events could not be sent yet."""
        if isinstance(fact, RegistrationChanged) and fact.status == "Accepted":
            self._monitoring.forget_strays()
        self._attend_at = now.mono
        self._arm(now)

    def link_lost(self, fact: LinkLost, now: Now) -> None:
        """What may not be queued is judged when the CSMS listens again (N07.FR.04)."""
        del fact
        self._notices.link_lost()
        self._attend(self._queuing_severity(), now)

    def _attend(self, severity: int, now: Now) -> None:
        self._tell(self._monitoring.monitors.attend(severity), now)

    def _queuing_severity(self) -> int:
        if self._variables.boolean("OCPPCommCtrlr", "QueueAllMessages"):
            return LEAST_SEVERE
        return self._variables.integer(CTRLR, "OfflineQueuingSeverity")

    # --- time

    def next_due(self) -> Deadline | None:
        """The end of the next period, or the look at everything that is owed."""
        return self._next

    def due(self, now: Now) -> None:
        """N08.FR.06, N08.FR.07: whatever is due at one instant is told together."""
        if self._attend_at is not None:
            self._attend_at = None
            self._attend(LEAST_SEVERE if self._csms.online else self._queuing_severity(), now)
        self._tell(self._monitoring.monitors.due(now.mono, now.wall), now)
        self._arm(now)

    def clock_stepped(self, fact: ClockStepped, now: Now) -> None:
        """The grid lies elsewhere on this boot's clock."""
        del fact
        self._monitoring.monitors.realign(now.wall)
        self._arm(now)

    def _kept(self, now: Now) -> None:
        self._monitoring.keep()
        self._arm(now)

    def _arm(self, now: Now) -> None:
        mono, wall = self._monitoring.monitors.next_due()
        monos = [at for at in (mono, self._attend_at) if at is not None]
        candidates: list[Deadline] = [MonoDeadline(Mono(min(monos)))] if monos else []
        if wall is not None:
            candidates.append(WallDeadline(Wall(wall)))
        self._next = min(candidates, key=lambda each: seconds_until(each, now), default=None)


def _info(flaw: MonitorFlaw | None) -> StatusInfoType | None:
    """Why, where there is more to say than the status says."""
    return None if flaw is None else StatusInfoType(reason_code=REASONS[flaw], additional_info=flaw.value)
