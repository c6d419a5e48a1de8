"""The few words that matter of a message: what stands beside its name when it passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from station.demo.csms import CURRENCY, Payload, Said, value


def name(said: Said) -> str:
    """What kind of message it is."""
    if said.kind == "CALLERROR":
        return f"{said.action} refused"
    if said.kind == "CALLRESULT":
        return f"{said.action} answered"
    return f"{said.action} {said.content['eventType']}" if said.action == "TransactionEvent" else said.action


def summary(said: Said) -> str:
    """What it says, the most telling first; nothing where the name says all."""
    content = said.content
    if said.kind == "CALLERROR":
        return f"{content['code']}: {content['description']}"
    tell = (_ANSWERS if said.kind == "CALLRESULT" else _CALLS).get(said.action)
    return tell(content) if tell is not None else ""


def worth_showing(said: Said) -> bool:
    """Answers that only acknowledge are not."""
    return said.kind != "CALLRESULT" or bool(summary(said))


def _event(event: Payload) -> str:
    info = event["transactionInfo"]
    power, energy = value(event, "Power.Active.Import"), value(event, "Energy.Active.Import.Register", last=True)
    figures = [f"{energy / 1000:.3f} kWh"] if energy is not None else []
    figures += [f"{power / 1000:.1f} kW"] if power is not None else []
    reasons = [info["chargingState"]] if "chargingState" in info else []
    reasons += [event["triggerReason"]] if event["triggerReason"] != "ChargingStateChanged" else []
    reasons += [info["stoppedReason"]] if "stoppedReason" in info else []
    return "  ".join([*figures, ", ".join(reasons)])


def _priced(answer: Payload) -> str:
    return f"{answer['totalCost']:.2f} {CURRENCY}" if "totalCost" in answer else ""


def _variables(payload: Payload) -> str:
    items = payload.get("setVariableData") or payload.get("getVariableData") or ()
    names = [f"{item['component']['name']}.{item['variable']['name']}" for item in items]
    values = [f" = {item['attributeValue']}" if "attributeValue" in item else "" for item in items]
    return ", ".join(named + given for named, given in zip(names, values, strict=True))


def _results(payload: Payload) -> str:
    items = payload.get("setVariableResult") or payload.get("getVariableResult") or ()
    return ", ".join(f"{item['attributeStatus']} {item.get('attributeValue', '')}".strip() for item in items)


_Tell = Callable[[Any], str]

_CALLS: dict[str, _Tell] = {
    "BootNotification": lambda c: (
        f"{c['chargingStation']['vendorName']} {c['chargingStation']['model']}, {c['reason']}"
    ),
    "StatusNotification": lambda c: f"EVSE {c['evseId']} {c['connectorStatus']}",
    "Authorize": lambda c: f"{c['idToken']['type']} {c['idToken']['idToken']}",
    "TransactionEvent": _event,
    "SetVariables": _variables,
    "GetVariables": _variables,
    "SecurityEventNotification": lambda c: str(c["type"]),
}
_ANSWERS: dict[str, _Tell] = {
    "BootNotification": lambda c: str(c["status"]),
    "Authorize": lambda c: str(c["idTokenInfo"]["status"]),
    "TransactionEvent": _priced,
    "SetVariables": _results,
    "GetVariables": _results,
}
