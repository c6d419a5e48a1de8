"""A whole session while every sync of the disk takes two seconds: worn flash does that (design 3, A2)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system

SAMPLES = """\
- {component: SampledDataCtrlr, variable: TxUpdatedInterval, value: 4}
- {component: TxCtrlr, variable: TxStartPoint, value: PowerPathClosed}
- {component: TxCtrlr, variable: TxStopPoint, value: "EVConnected,Authorized"}
"""
PATIENCE_S = 60.0


@pytest.mark.timeout(170)
def test_a_session_on_a_disk_that_stalls_is_charged_without_a_break_and_billed(tmp_path: Path) -> None:
    """The contactor stays closed, since the hardware's thread does not wait for the disk; nothing is told twice."""
    with LiveCsms(password=PASSWORD) as csms:
        agent = Agent(tmp_path, csms.url, more=SAMPLES)
        agent.program = (sys.executable, str(Path(__file__).with_name("slow_disk.py")))
        with agent:
            csms.wait_for("StatusNotification", 2)
            (tmp_path / "slow").touch()

            agent.command("plug_in", evse=1, current_a=16)
            agent.command("swipe", id_token="04AABBCC", evses=[1])
            csms.until(lambda: updates(csms) >= 4, "four samples", PATIENCE_S)
            agent.command("swipe", id_token="04AABBCC", evses=[1])
            (ended,) = csms.wait_for("TransactionEvent/Ended", timeout_s=PATIENCE_S)
            agent.command("unplug", evse=1)

            (tmp_path / "slow").unlink()
            assert agent.stop() == 0
        told = [frame.content for frame in csms.script.frames("TransactionEvent")]

    assert [event["eventType"] for event in told].count("Started") == 1
    assert states(told).count("Charging") == 1, "it was interrupted"
    assert ended["transactionInfo"]["stoppedReason"] == "Local"
    assert [event["seqNo"] for event in told] == list(range(len(told)))


def updates(csms: LiveCsms) -> int:
    """How many samples have come."""
    events = [frame.content for frame in csms.script.frames("TransactionEvent")]
    return sum(event["triggerReason"] == "MeterValuePeriodic" for event in events)


def states(told: list[dict[str, Any]]) -> list[str]:
    """The charging states told, without repetitions in a row."""
    all_told = [event["transactionInfo"].get("chargingState") for event in told]
    return [state for before, state in zip([None, *all_told], all_told, strict=False) if state and state != before]
