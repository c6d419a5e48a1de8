"""What a person at the station may do with its device model: read, set, and forget all that was set.

By the same rules as the CSMS (type, limits, mutability, vetoes of the blocks); each change is logged, and those that
concern security are security events.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from device_model.model import Attribute, Refusal, Settable, Status, Variable, describe
from station.block import Block, Reactions, Vetoes, on
from station.facts import Facts, SecurityEventOccurred, StationStarted
from station.now import Now
from station.ports import Station
from station.state.factory import FactoryState
from station.state.naming import Named
from station.state.sessions import Sessions
from station.state.variables import Variables

log = logging.getLogger(__name__)

REASON = "LocalReset"
RECONFIGURED = "ReconfigurationOfSecurityParameters"


class Operator(Block):
    """The local way to the variables of one station."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        variables: Variables,
        vetoes: Vetoes,
        sessions: Sessions,
        factory: FactoryState,
        station: Station,
        facts: Facts,
    ) -> None:
        self._variables = variables
        self._vetoes = vetoes
        self._sessions = sessions
        self._factory = factory
        self._station = station
        self._facts = facts

    def reactions(self) -> Reactions:
        """The start after a factory reset."""
        return [on(StationStarted, self.started)]

    def started(self, fact: StationStarted, now: Now) -> None:
        """Whether the agent ran or not when it was reset, the CSMS and the log learn it now."""
        del fact, now
        forgotten = self._factory.was_reset()
        if forgotten is not None:
            log.warning("station.factory_reset", extra={"tables": forgotten})
            self._facts.emit(SecurityEventOccurred(type=RECONFIGURED, tech_info="factory reset by the operator"))

    # --- the variables

    def listed(self, part: str, now: Now) -> list[dict[str, Any]]:
        """All variables whose names contain `part`, as they are now."""
        self._variables.tell_time(now.utc)
        return [told for variable in self._variables.model for told in _told(variable) if part.lower() in _key(told)]

    def get(self, named: Named, now: Now) -> dict[str, Any] | str:
        """One attribute; a text says why not."""
        self._variables.tell_time(now.utc)
        found = self._variables.model.find(named.component, named.variable)
        holder = found.attribute(named.attribute) if isinstance(found, Variable) else None
        if not isinstance(found, Variable) or holder is None:
            return found.value if isinstance(found, Status) else Status.NOT_SUPPORTED_ATTRIBUTE_TYPE.value
        return _attribute(found, holder)

    def set(self, named: Named, value: str, now: Now) -> dict[str, Any] | str:
        """Set one attribute as the CSMS could; a text says why not."""
        checked = self._variables.model.check_set(named.component, named.variable, value, named.attribute)
        if isinstance(checked, Refusal):
            return f"{checked.status.value}: {checked.detail}" if checked.detail else checked.status.value
        veto = self._vetoes.refusal(named.component.name, named.variable.name, checked.value, now)
        if veto is not None:
            return f"Rejected: {veto.reason_code}" + (f", {veto.additional_info}" if veto.additional_info else "")
        return self._apply(checked)

    def _apply(self, settable: Settable) -> dict[str, Any]:
        change = self._variables.apply(settable, "operator")
        name = describe(change.variable)
        shown = "***" if change.attribute.secret else change.new
        log.warning("variable.set", extra={"by": "operator", "variable": name, "value": shown})
        if change.variable.component.name == "SecurityCtrlr" and change.old != change.new:
            self._facts.emit(SecurityEventOccurred(type=RECONFIGURED, tech_info=f"{name} set by the operator"))
        return {"status": change.status.value, **_attribute(change.variable, change.attribute)}

    # --- the factory's state

    def factory_reset(self, now: Now) -> dict[str, Any] | str:
        """Forget all that was set and start anew; not while somebody charges. A text says why not."""
        del now
        busy = [each.evse_id for each in self._sessions.all() if each.started or each.authorized or each.holds_cable]
        if busy:
            return f"somebody is charging at EVSE {', '.join(map(str, busy))}"
        emptied = self._factory.forget()
        self._station.reboot(REASON, after="now")
        return {"forgotten": emptied}


def _told(variable: Variable) -> Iterator[dict[str, Any]]:
    return (_attribute(variable, holder) for holder in variable.attributes)


def _attribute(variable: Variable, holder: Attribute) -> dict[str, Any]:
    """As it is shown to a person."""
    it = variable.characteristics
    shown = "***" if holder.secret and holder.value else holder.value or ""
    kind = "" if holder.type.value == "Actual" else f"/{holder.type.value}"
    told = {"name": describe(variable) + kind, "value": shown, "mutability": holder.mutability.value}
    more = {"unit": it.unit, "type": it.data_type.value, "values": it.values_list}
    return told | {key: value for key, value in more.items() if value}


def _key(told: dict[str, Any]) -> str:
    return str(told["name"]).lower()
