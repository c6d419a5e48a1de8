"""Block B, second part: GetVariables and SetVariables (B05, B06).

The rules of values are the device model's, vetoes are the guards of the blocks that own a variable's effect. What a
change means is learnt by its owner from the fact VariableChanged; nothing here knows any variable by name.
Invariant: results come in the order of the request, and one bad element changes nothing for the others.
"""

from __future__ import annotations

from collections.abc import Mapping

from device_model.model import AttributeType, Settable, Status
from device_model.model import Refusal as ModelRefusal
from device_model.values import Flaw
from station.block import Block, Routes, Vetoes, route
from station.now import Now
from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.messages import (
    GetVariablesRequest,
    GetVariablesResponse,
    SetVariablesRequest,
    SetVariablesResponse,
)
from station.ocpp.types import (
    GetVariableDataType,
    GetVariableResultType,
    SetVariableDataType,
    SetVariableResultType,
    StatusInfoType,
)
from station.state.naming import component_id, variable_id
from station.state.variables import CLOCK, Variables

ATTRIBUTES: Mapping[str, AttributeType] = {each.value: each for each in AttributeType}
_CLOCK = CLOCK.name.casefold()

REASONS = {
    Flaw.TOO_LOW: "ValueTooLow",
    Flaw.BELOW_MIN_SET: "ValueTooLow",
    Flaw.TOO_HIGH: "ValueTooHigh",
    Flaw.ABOVE_MAX_SET: "ValueTooHigh",
    Flaw.TOO_LONG: "TooLargeElement",
}
"""reasonCode by what is wrong with a value; otherwise InvalidValue."""


class VariableAccess(Block):
    """Block B: reading and writing variables on the CSMS's behalf."""

    def __init__(self, *, variables: Variables, vetoes: Vetoes) -> None:
        self._variables = variables
        self._vetoes = vetoes
        self._limits_as_of = -1
        self._most = self._longest = 0

    def routes(self) -> Routes:
        """B05, B06."""
        return [route(GetVariablesRequest, self.get, reads=True), route(SetVariablesRequest, self.set)]

    def get(self, request: GetVariablesRequest, now: Now) -> GetVariablesResponse:
        """B06: one result for each element, in order."""
        if self._limits_as_of != self._variables.model.settings:
            self._read_limits()
        items = len(request.get_variable_data)
        if self._most and items > self._most:
            raise _too_many(items, self._most)  # B06.FR.16
        results = [self._got(one, now) for one in request.get_variable_data]
        return GetVariablesResponse(get_variable_result=results)

    def _got(self, asked: GetVariableDataType, now: Now) -> GetVariableResultType:
        kind = asked.attribute_type or "Actual"  # B06.FR.11
        component = component_id(asked.component)
        if component.name.casefold() == _CLOCK:
            self._variables.tell_time(now.utc)
        got = self._variables.model.get(component, variable_id(asked.variable), ATTRIBUTES[kind])
        return GetVariableResultType(
            attribute_status=got.status._value_,  # type: ignore[arg-type]  # Status spells GetVariableStatusEnumType
            attribute_value=got.value[: self._longest] if got.value is not None else None,
            attribute_type=kind,
            component=asked.component,
            variable=asked.variable,
        )

    def _read_limits(self) -> None:
        """What an answer may hold; settings, so that they are read when one of these has changed."""
        self._most = self._variables.integer("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables")
        self._longest = self._variables.integer("DeviceDataCtrlr", "ReportingValueSize")
        self._limits_as_of = self._variables.model.settings

    def set(self, request: SetVariablesRequest, now: Now) -> SetVariablesResponse:
        """B05: one result for each element, in order; each stands for itself."""
        self._limit(len(request.set_variable_data), "SetVariables")
        return SetVariablesResponse(set_variable_result=[self._set(one, now) for one in request.set_variable_data])

    def _set(self, asked: SetVariableDataType, now: Now) -> SetVariableResultType:
        kind = AttributeType(asked.attribute_type or "Actual")  # B05.FR.12
        component, variable = component_id(asked.component), variable_id(asked.variable)
        checked = self._variables.model.check_set(component, variable, asked.attribute_value, kind)
        longest = self._variables.integer("DeviceDataCtrlr", "ConfigurationValueSize")
        if isinstance(checked, Settable) and len(asked.attribute_value) > longest:
            checked = ModelRefusal(Status.REJECTED, Flaw.TOO_LONG, f"longer than {longest} characters")
        info: StatusInfoType | None = None
        if isinstance(checked, ModelRefusal):
            status, info = checked.status, _model_info(checked)
        elif (veto := self._vetoes.refusal(component.name, variable.name, checked.value, now)) is not None:
            status, info = Status.REJECTED, veto.info
        else:
            status = self._done(checked)
        return SetVariableResultType(
            attribute_status=status.value,
            attribute_type=kind.value,
            attribute_status_info=info,
            component=asked.component,
            variable=asked.variable,
        )

    def _done(self, settable: Settable) -> Status:
        return self._variables.apply(settable, "csms").status

    def _limit(self, items: int, message: str) -> None:
        """More elements than we said we take (DeviceDataCtrlr.ItemsPerMessage)."""
        most = self._variables.integer("DeviceDataCtrlr", "ItemsPerMessage", message)
        if most and items > most:
            raise _too_many(items, most)


def _too_many(items: int, most: int) -> RpcError:
    return RpcError(ErrorCode.OCCURRENCE_CONSTRAINT, f"{items} elements, at most {most} are taken")


def _model_info(refusal: ModelRefusal) -> StatusInfoType | None:
    """Why, where there is more to say than the status says."""
    if refusal.status is not Status.REJECTED:
        return None
    reason = "ReadOnly" if refusal.flaw is None else REASONS.get(refusal.flaw, "InvalidValue")
    return StatusInfoType(reason_code=reason, additional_info=refusal.detail or None)
