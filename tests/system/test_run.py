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


def test_a_driver_charges_and_the_csms_hears_all_of_it(csms: LiveCsms, agent: Agent) -> None:
    """Plug in, swipe, charge, swipe, unplug: one Started, one Ended, energy as the meter counted it."""
    csms.wait_for("BootNotification")

    agent.command("plug_in", evse=1, current_a=16)
    agent.command("swipe", id_token="04AABBCC", evses=[1])
    csms.until(lambda: charging(csms), "charging")
    agent.command("swipe", id_token="04AABBCC", evses=[1])
    agent.command("unplug", evse=1)

    (ended,) = csms.wait_for("TransactionEvent/Ended")
    assert csms.script.actions().count("TransactionEvent/Started") == 1
    assert ended["transactionInfo"]["stoppedReason"] == "Local"


def charging(csms: LiveCsms) -> bool:
    """Whether the last TransactionEvent says that energy flows."""
    events = csms.script.frames("TransactionEvent")
    return any(event.content["transactionInfo"].get("chargingState") == "Charging" for event in events)


@pytest.mark.req("P02.FR.01")
def test_a_vendors_message_goes_to_the_csms_and_its_answer_comes_back(csms: LiveCsms, agent: Agent) -> None:
    """The command answers when the CSMS has."""
    csms.wait_for("BootNotification")
    csms.script.on("DataTransfer", {"status": "Accepted", "data": "pong"})

    answer = agent.command("data_transfer", vendor_id="org.example", message_id="ping", data="1")

    assert (answer["status"], answer["data"]) == ("Accepted", "pong")
