"""How a CSMS reads and writes the device model, in few words: `OCPPCommCtrlr.MessageAttempts[TransactionEvent]`."""

from __future__ import annotations

from typing import Any

from tests.bench import Bench

Asked = dict[str, Any]


def asked(name: str, *, evse: int | None = None, connector: int | None = None, **more: Any) -> Asked:
    """An element of GetVariables or SetVariables: `Component.Variable[instance]`, and whatever else."""
    component_name, _, rest = name.partition(".")
    variable_name, _, instance = rest.rstrip("]").partition("[")
    component: Asked = {"name": component_name}
    if evse is not None:
        component["evse"] = {"id": evse} | ({"connectorId": connector} if connector is not None else {})
    variable = {"name": variable_name} | ({"instance": instance} if instance else {})
    return {"component": component, "variable": variable, **more}


def get_all(bench: Bench, *elements: Asked) -> list[Asked]:
    """The results of one GetVariables."""
    results: list[Asked] = bench.csms.call("GetVariables", {"getVariableData": list(elements)})["getVariableResult"]
    return results


def set_all(bench: Bench, *elements: Asked) -> list[Asked]:
    """The results of one SetVariables."""
    results: list[Asked] = bench.csms.call("SetVariables", {"setVariableData": list(elements)})["setVariableResult"]
    return results


def get(bench: Bench, name: str, **more: Any) -> str:
    """The value of a variable, which must be readable."""
    (result,) = get_all(bench, asked(name, **more))
    assert result["attributeStatus"] == "Accepted", result
    return str(result["attributeValue"])


def put(bench: Bench, name: str, value: str, **more: Any) -> str:
    """Set a variable; gives the status."""
    (result,) = set_all(bench, asked(name, attributeValue=value, **more))
    return str(result["attributeStatus"])


def base_report(bench: Bench, base: str, request_id: int = 1) -> list[Asked]:
    """Ask for a base report and give all its entries."""
    answer = bench.csms.call("GetBaseReport", {"requestId": request_id, "reportBase": base})
    assert answer["status"] == "Accepted", answer
    return entries(bench, request_id)


def entries(bench: Bench, request_id: int = 1) -> list[Asked]:
    """What the NotifyReports of a request have told."""
    pages = [page for page in bench.csms.received("NotifyReport") if page["requestId"] == request_id]
    return [entry for page in pages for entry in page.get("reportData", [])]
