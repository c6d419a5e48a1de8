"""The generic requirements of the exchange, kept by the whole station."""

from __future__ import annotations

import pytest

from tests.bench import Bench

REPORT = {"requestId": 71, "reportBase": "FullInventory"}


@pytest.mark.req("FR.05")
def test_a_report_is_acknowledged_before_its_first_page_and_all_pages_carry_its_id(bench: Bench) -> None:
    """FR.05: the response first, then the messages that it announces, under the same request id."""
    bench.csms.forget()

    bench.csms.call("GetBaseReport", REPORT)
    bench.advance(seconds=10)

    kinds = [(frame.kind, frame.action) for frame in bench.csms.log if frame.by == "station"]
    assert kinds[0] == ("CALLRESULT", "GetBaseReport")
    assert {page["requestId"] for page in bench.csms.received("NotifyReport")} == {71}


@pytest.mark.req("FR.01", "FR.02")
def test_calls_that_cross_are_answered_while_the_own_one_waits(bench: Bench) -> None:
    """One CALL of ours is open; the CSMS's are answered all the same, and no second one of ours leaves."""
    bench.csms.hold()
    bench.evse(1).plug_in()
    bench.advance(seconds=5)
    waiting = bench.csms.actions()

    answer = bench.csms.call("GetVariables", {"getVariableData": [variable("OCPPCommCtrlr", "HeartbeatInterval")]})

    assert answer["getVariableResult"][0]["attributeStatus"] == "Accepted"
    assert bench.csms.actions() == waiting
    bench.csms.release()


def variable(component: str, name: str) -> dict[str, dict[str, str]]:
    """One element of GetVariables."""
    return {"component": {"name": component}, "variable": {"name": name}}
