"""`ocpp-station run` as a process: a real CSMS on loopback, a real database, simulated hardware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.fixture
def agent(tmp_path: Path, csms: LiveCsms) -> Iterator[Agent]:
    with Agent(tmp_path, csms.url) as running:
        yield running


def test_it_connects_introduces_itself_and_ends_in_good_order(csms: LiveCsms, agent: Agent) -> None:
    """A fresh start is a PowerUp; SIGTERM is exit code 0."""
    boot = csms.wait_for("BootNotification")[0]

    assert boot["reason"] == "PowerUp"
    assert boot["chargingStation"]["model"] == "Twin"
    assert agent.stop() == 0
    assert not (agent.folder / "control.sock").exists()


@pytest.mark.usefixtures("agent")
def test_the_csms_reads_its_variables(csms: LiveCsms) -> None:
    """A CALL goes through socket, inbox, engine and back."""
    csms.wait_for("BootNotification")

    asked = [{"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"}}]
    answer = csms.call("GetVariables", {"getVariableData": asked})

    assert answer["getVariableResult"][0]["attributeStatus"] == "Accepted"
