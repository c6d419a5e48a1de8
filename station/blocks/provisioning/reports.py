"""Block B, third part: the device model told in reports, page by page (B07, B08).

A report is a stream: each page is made when the one before was answered, from the values of that moment, so 5,000
variables cost no memory and hold up nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from device_model.model import Variable
from device_model.report import Base, Criterion, Entry, base_report, custom_report, pages, reported_value
from station.block import Block, Routes, route
from station.now import Now
from station.ocpp import codec
from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.messages import (
    GetBaseReportRequest,
    GetBaseReportResponse,
    GetReportRequest,
    GetReportResponse,
    NotifyReportRequest,
)
from station.ocpp.types import (
    ReportDataType,
    StatusInfoType,
    VariableAttributeType,
    VariableCharacteristicsType,
)
from station.ports import Clocked, Csms
from station.state.naming import component_type, filter_of, variable_type
from station.state.variables import Variables

PAGE_ITEMS = 100
PAGE_BYTES = 15_000
"""A CSMS may take no more than 16 kB in one message (field.md)."""
AT_ONCE = 4
"""So many reports may be under way; who asks for another is told to wait."""
BUSY = StatusInfoType(reason_code="OutOfMemory", additional_info="other reports are under way")


class Reports(Block):
    """Block B: GetBaseReport and GetReport."""

    def __init__(self, *, variables: Variables, csms: Csms, clock: Clocked) -> None:
        self._variables = variables
        self._csms = csms
        self._clock = clock
        self._open = 0

    def routes(self) -> Routes:
        """B07, B08."""
        return [route(GetBaseReportRequest, self.base), route(GetReportRequest, self.custom)]

    def base(self, request: GetBaseReportRequest, now: Now) -> GetBaseReportResponse:
        """B07: answered first, told after."""
        del now
        if self._open >= AT_ONCE:  # B07.FR.13
            return GetBaseReportResponse(status="Rejected", status_info=BUSY)
        entries = list(base_report(self._variables.model, Base(request.report_base)))
        if not entries:
            return GetBaseReportResponse(status="EmptyResultSet")
        self._tell(entries, request.request_id)
        return GetBaseReportResponse(status="Accepted")

    def custom(self, request: GetReportRequest, now: Now) -> GetReportResponse:
        """B08: what the criteria and the filters choose."""
        del now
        asked = request.component_variable or ()
        most = self._variables.integer("DeviceDataCtrlr", "ItemsPerMessage", "GetReport")
        if most and len(asked) > most:  # B08.FR.17
            raise RpcError(ErrorCode.OCCURRENCE_CONSTRAINT, f"{len(asked)} elements, at most {most} are taken")
        if self._open >= AT_ONCE:  # B08.FR.16
            return GetReportResponse(status="Rejected", status_info=BUSY)
        criteria = [Criterion(one) for one in request.component_criteria or ()]
        entries = list(custom_report(self._variables.model, criteria, [filter_of(one) for one in asked]))
        if not entries:
            return GetReportResponse(status="EmptyResultSet")  # B08.FR.15
        self._tell(entries, request.request_id)
        return GetReportResponse(status="Accepted")

    def _tell(self, entries: Iterable[Entry], request_id: int) -> None:
        self._csms.stream(self._messages(entries, request_id))

    def _shown(self) -> _Shown:
        most = self._variables.integer
        return _Shown(most("DeviceDataCtrlr", "ReportingValueSize"), most("DeviceDataCtrlr", "ConfigurationValueSize"))

    def _messages(self, entries: Iterable[Entry], request_id: int) -> Iterator[NotifyReportRequest]:
        """B07.FR.04, B07.FR.10: one request id, seqNo from 0, `tbc` on all but the last."""
        self._open += 1
        try:
            shown = self._shown()
            for seq_no, page in enumerate(pages(entries, PAGE_ITEMS, PAGE_BYTES, shown.size)):
                generated_at = self._clock.utc_now()
                self._variables.tell_time(generated_at)
                yield NotifyReportRequest(
                    request_id=request_id,
                    generated_at=generated_at,
                    seq_no=seq_no,
                    tbc=not page.last,
                    report_data=[shown.data(entry) for entry in page.entries],
                )
        finally:  # told to the end, or given up with the connection
            self._open -= 1


class _Shown(NamedTuple):
    """How entries are told: values and lists end where the CSMS was told that they would."""

    longest_value: int
    longest_list: int

    def size(self, entry: Entry) -> int:
        """Bytes that an entry takes in a message."""
        return len(codec.render(self.data(entry))) + 1

    def data(self, entry: Entry) -> ReportDataType:
        """An entry as the message has it."""
        return ReportDataType(
            component=component_type(entry.variable.component),
            variable=variable_type(entry.variable.id),
            variable_attribute=[
                VariableAttributeType(
                    type=attribute.type.value,
                    value=value[: self.longest_value] if (value := reported_value(attribute)) is not None else None,
                    mutability=attribute.mutability.value,
                    persistent=attribute.persistent,
                    constant=attribute.constant,
                )
                for attribute in entry.attributes
            ],
            variable_characteristics=self._characteristics(entry.variable),
        )

    def _characteristics(self, variable: Variable) -> VariableCharacteristicsType:
        it = variable.characteristics
        listed = ",".join(it.values)
        if len(listed) > self.longest_list:  # no member is told in part
            listed = listed[: self.longest_list + 1].rpartition(",")[0]
        return VariableCharacteristicsType(
            unit=it.unit or None,
            data_type=it.data_type.value,
            min_limit=it.min_limit,
            max_limit=it.max_limit,
            values_list=listed or None,
            supports_monitoring=it.supports_monitoring,
        )
