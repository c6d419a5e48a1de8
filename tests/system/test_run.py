"""`ocpp-station run` as a process: a real CSMS on loopback, a real database, simulated hardware."""

from __future__ import annotations

import base64
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms
from tests.unit.test_metrics import parse

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


def charge(csms: LiveCsms, agent: Agent) -> None:
    """A session that runs."""
    csms.wait_for("BootNotification")
    agent.command("plug_in", evse=1, current_a=32, ramp_a_per_s=0)
    agent.command("swipe", id_token="04AABBCC", evses=[1])
    csms.until(lambda: charging(csms), "charging")


# --- ends and starts


def test_a_start_leaves_out_what_the_standard_library_imports_for_mistakes_alone(
    tmp_path: Path, csms: LiveCsms
) -> None:
    """3 of 100 instructions of a start, and nearly 1 MB."""
    agent = Agent(tmp_path, csms.url)
    agent.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    with agent:
        csms.wait_for("BootNotification")

        imported = {line.rpartition("|")[2].strip() for line in agent.log.splitlines() if "import time:" in line}
        assert {"asyncio", "websockets.client", "station.app"} <= imported
        assert imported.isdisjoint({"ast", "dis", "inspect", "tokenize"})


@pytest.mark.req("B01.FR.09")
def test_a_start_after_a_stop_is_an_application_reset(csms: LiveCsms, agent: Agent) -> None:
    """The machine did not restart, so it is no PowerUp."""
    csms.wait_for("BootNotification")
    agent.stop()

    agent.start()

    assert csms.wait_for("BootNotification", 2)[1]["reason"] == "ApplicationReset"


@pytest.mark.req("B01.FR.09")
def test_a_start_after_the_watchdog_tells_so(csms: LiveCsms, agent: Agent) -> None:
    """The unit's ExecStopPost leaves how systemd saw the end."""
    csms.wait_for("BootNotification")
    agent.kill()
    (agent.folder / "state" / "service-result").write_text("watchdog", "ascii")

    agent.start()

    assert csms.wait_for("BootNotification", 2)[1]["reason"] == "Watchdog"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_session_that_an_end_interrupts_is_ended_at_the_next_start(csms: LiveCsms, agent: Agent, how: str) -> None:
    """Neither SIGTERM nor a power cut leaves a transaction open for ever (E04, field.md 5)."""
    charge(csms, agent)

    getattr(agent, how)()
    agent.start()

    csms.wait_for("TransactionEvent/Ended")
    # What was acknowledged in the instant before the end may be told once more, as the same message.
    started, *_, ended = csms.script.received("TransactionEvent")
    assert (started["eventType"], ended["eventType"]) == ("Started", "Ended")
    assert ended["transactionInfo"]["transactionId"] == started["transactionInfo"]["transactionId"]
    assert ended["transactionInfo"]["stoppedReason"] in {"PowerLoss", "Reboot", "Other"}


def test_a_reset_of_the_csms_ends_with_the_code_that_starts_the_agent_again(csms: LiveCsms, agent: Agent) -> None:
    """B12: Accepted is heard, then exit code 3; after it the boot tells RemoteReset."""
    csms.wait_for("BootNotification")

    answer = csms.call("Reset", {"type": "Immediate"})

    assert answer == {"status": "Accepted"}
    assert agent.wait() == 3
    agent.start()
    assert csms.wait_for("BootNotification", 2)[1]["reason"] == "RemoteReset"


def test_two_agents_never_use_one_state_directory(csms: LiveCsms, agent: Agent) -> None:
    """The second one says so in one line and leaves the first in peace."""
    csms.wait_for("BootNotification")

    with Agent(agent.folder, csms.url) as second:
        assert second.wait() == 75

    assert agent.log.splitlines()[-1].endswith("another agent uses this directory - check owner and disk")
    assert agent.command("status")["link"]["up"]


def test_a_wrong_configuration_is_told_without_a_traceback(tmp_path: Path) -> None:
    """Every mistake, and exit code 78."""
    with Agent(tmp_path, "ftp://nowhere", more="log_levl: info\n") as agent:
        assert agent.wait() == 78

    assert "csms.url" in agent.log
    assert "did you mean 'log_level'?" in agent.log
    assert "Traceback" not in agent.log


# --- the link


@pytest.mark.req("E04.FR.03")
def test_what_happens_without_a_csms_is_told_when_there_is_one(csms: LiveCsms, agent: Agent) -> None:
    """A dropped cable: the session is charged all the same, its events come later, marked offline."""
    charge(csms, agent)

    agent.command("network", up=False)
    agent.command("unplug", evse=1)
    agent.until(lambda status: "transaction" not in status["evses"][0], "the end of the session")
    assert agent.command("status")["queue"]["transactions_waiting"]
    agent.command("network", up=True)

    (ended,) = csms.wait_for("TransactionEvent/Ended")
    assert ended["offline"] is True


def test_a_station_starts_and_waits_without_a_csms(tmp_path: Path) -> None:
    """The control socket serves, and tells what is wrong and what to do."""
    with Agent(tmp_path, "ws://localhost:9/ocpp") as agent:
        status = agent.until(lambda status: status["link"].get("kind"), "a failed attempt")

        assert status["link"]["kind"] == "refused"
        assert "check the port" in status["link"]["remedy"]
        assert agent.stop() == 0


# --- systemd


def test_systemd_hears_that_it_is_ready_and_alive(tmp_path: Path, csms: LiveCsms) -> None:
    """READY=1, then WATCHDOG=1 from canaries that went through inbox and engine, STOPPING=1 at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        agent = Agent(tmp_path, csms.url)
        agent.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        with agent:
            heard: list[bytes] = []
            while heard.count(b"WATCHDOG=1") < 3:
                heard.append(manager.recv(1000))
            assert agent.stop() == 0
            while b"STOPPING=1" not in heard:
                heard.append(manager.recv(1000))

    assert b"READY=1" in heard


# --- secrets


@pytest.mark.req("A00.FR.202", "A00.FR.203", "A00.FR.204")
def test_the_password_goes_to_the_csms_and_not_into_the_log(tmp_path: Path, csms: LiveCsms) -> None:
    """Not even at the finest level, neither plain nor as the header has it (field.md 13)."""
    with Agent(tmp_path, csms.url, more="log_level: debug\n") as agent:
        csms.wait_for("BootNotification")
        agent.stop()

    header = base64.b64encode(f"CS001:{PASSWORD}".encode()).decode()
    assert csms.handshakes[0].authorization == f"Basic {header}"
    assert PASSWORD not in agent.log
    assert header not in agent.log
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert kept
    assert [path.name for path in kept if PASSWORD.encode() in path.read_bytes()] == []


def test_the_last_messages_are_shown_without_secrets(csms: LiveCsms, agent: Agent) -> None:
    """A password that the CSMS sets and a card are in none of them."""
    csms.wait_for("BootNotification")
    variable = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    agent.command("plug_in", evse=1)
    agent.command("swipe", id_token="04AABBCC", evses=[1])
    csms.wait_for("Authorize")
    csms.call("SetVariables", {"setVariableData": [{**variable, "attributeValue": "another password of 16"}]})

    answer = agent.command("messages")

    told = answer["messages"]
    assert {("station", "BootNotification"), ("csms", "SetVariables"), ("station", "Authorize")} <= {
        (each["by"], each["action"]) for each in told if each["kind"] == "call"
    }
    assert "another password" not in str(told)
    assert "04AABBCC" not in str(told)
    (boot,) = (each for each in told if each["action"] == "BootNotification" and each["kind"] == "answer")
    assert boot["payload"]["status"] == "Accepted"
    assert agent.command("messages", after=told[-1]["number"])["messages"] == []


def test_a_monitoring_system_reads_its_figures(tmp_path: Path, csms: LiveCsms) -> None:
    """Only where station.yaml says so, and on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Agent(tmp_path, csms.url, more=f"metrics: 127.0.0.1:{port}\n") as agent:
        csms.wait_for("BootNotification")
        agent.until(lambda status: status["registration"] == "Accepted", "the registration")

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            kind, found = answer.headers["Content-Type"], parse(answer.read().decode())

    state = "ocpp_station_evse_status"
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert found["ocpp_station_accepted", ()] == 1
    assert found[state, (("evse", "2"), (state, "Available"))] == 1
    assert found["ocpp_station_messages_total", (("by", "station"),)] >= 1
