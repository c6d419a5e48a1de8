"""The first issue as one test: a session on real bytes, from plug-in to the bill, and whatever may be pulled out of it.

`ocpp-station run` as a process; meter (SDM630, Modbus RTU), reader (PN532, HSU) and board (CAN over slcan) at the far
ends of ptys; the CSMS behind mutual TLS (security profile 3) on loopback.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.system.rig import Rig, energy, moment
from tests.system.site import now

pytestmark = pytest.mark.system


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as running:
        yield running


def test_a_session_that_begins_with_the_cable(rig: Rig) -> None:
    """Plug in, card, charge, card, unplug."""
    rig.charge_by_cable_first()
    ended = rig.stop()

    actions = rig.csms.script.actions()
    assert actions[0] == "BootNotification"
    once = ["TransactionEvent/Started", "Authorize", "TransactionEvent/Ended"]
    assert [name for name in actions if name in once] == once
    assert rig.statuses() == ["Available", "Occupied", "Available"]
    assert rig.causes() == [
        "CablePluggedIn",
        "Authorized",
        "ChargingStateChanged",
        "StopAuthorized",
    ]
    assert ended["transactionInfo"]["stoppedReason"] == "Local"
    assert rig.csms.handshakes[0].client == "CS001"
    rig.judge()
    rig.judge_end(ended)
    assert rig.agent.stop() == 0


def test_a_session_that_begins_with_the_card(rig: Rig) -> None:
    """Card, plug in, charge, card, unplug."""
    rig.charge_by_card_first()
    ended = rig.stop()

    assert rig.causes() == [
        "Authorized",
        "CablePluggedIn",
        "ChargingStateChanged",
        "StopAuthorized",
    ]
    assert rig.statuses() == ["Available", "Occupied", "Available"]
    rig.judge()
    rig.judge_end(ended)


def test_the_reader_is_unplugged_and_comes_back(rig: Rig) -> None:
    """Nobody needs it to go on charging; when it is back, it ends the session."""
    rig.charge_by_cable_first()

    rig.site.pull("reader")
    rig.agent.until_logged("device.failed", device="reader")
    rig.until_more("MeterValuePeriodic")
    rig.site.put_back("reader")
    ended = rig.stop()

    rig.judge()
    rig.judge_end(ended)


def test_the_meter_is_unplugged_and_comes_back(rig: Rig) -> None:
    """Charging goes on; the registers do too, and the bill is theirs."""
    rig.charge_by_cable_first()

    rig.site.pull("meter")
    rig.agent.until_logged("device.failed", device="meter")
    rig.site.put_back("meter")
    rig.until_more("MeterValuePeriodic")
    ended = rig.stop()

    rig.judge()
    rig.judge_end(ended)


def test_the_board_is_unplugged_and_comes_back_within_its_lease(rig: Rig) -> None:
    """The contactor stays closed; the permission is renewed."""
    rig.charge_by_cable_first()

    rig.site.pull("board")
    rig.agent.until_logged("device.failed", device="board")
    rig.site.put_back("board")
    rig.until_status("Occupied")
    rig.until_more("MeterValuePeriodic")
    ended = rig.stop()

    rig.judge()
    rig.judge_end(ended)


def test_the_board_is_unplugged_for_longer_than_its_lease(rig: Rig) -> None:
    """The contactor opens by itself; with the board, charging returns, in the same transaction."""
    rig.charge_by_cable_first()

    rig.site.pull("board")
    rig.site.until(lambda: not rig.site.board.closed, "the lease to run out")
    rig.site.put_back("board")
    rig.site.until(lambda: rig.site.board.power_w > 0, "current again")
    rig.until_more("MeterValuePeriodic")
    ended = rig.stop()

    assert rig.site.board.changes[1].lapsed
    rig.judge(closings=2)
    rig.judge_end(ended)


def test_the_csms_is_away_for_a_while(rig: Rig) -> None:
    """Charging goes on and is told afterwards, in order, as of the time when nobody listened."""
    rig.charge_by_cable_first()

    rig.csms_goes()
    rig.agent.until(lambda status: not status["link"]["up"], "the link to be down")
    gone = len(rig.events())
    away = now()
    rig.agent.until(lambda status: status["queue"]["transactions_waiting"], "events to wait")
    rig.csms_returns()
    rig.until_more("MeterValuePeriodic", 3)
    ended = rig.stop()

    late = [event for event in rig.events()[gone:] if event.get("offline")]
    assert late
    assert all(moment(event["timestamp"]) > away for event in late)
    rig.judge()
    rig.judge_end(ended)


def test_the_process_is_killed_and_started_again(rig: Rig) -> None:
    """Without an agent the contactor opens by itself; the next one ends the transaction with what it knew."""
    rig.charge_by_cable_first()
    rig.csms_goes()
    rig.agent.until(lambda status: status["queue"]["transactions_waiting"], "events to wait")

    rig.agent.kill()
    killed = now()
    rig.site.until(lambda: not rig.site.board.closed, "the lease to run out")
    opened = rig.site.board.changes[-1]
    rig.agent.start()
    rig.csms_returns()
    ended = rig.csms.wait_for("TransactionEvent/Ended")[-1]

    assert opened.lapsed
    assert opened.at - killed < timedelta(seconds=10.2)
    assert ended["transactionInfo"]["stoppedReason"] in {"PowerLoss", "Reboot"}
    assert not rig.site.board.closed
    rig.site.plug_out()
    rig.until_status("Available")
    rig.judge()


def test_a_killed_process_may_resume_the_transaction(tmp_path: Path) -> None:
    """Where that is configured, and the car is still there: the same transaction, the energy of both halves."""
    with Rig(tmp_path, "resume_transactions: true\n") as rig:
        rig.charge_by_cable_first()

        rig.agent.kill()
        rig.agent.start()
        rig.site.until(lambda: rig.site.board.changes[-1].closed and len(rig.site.board.changes) > 1, "current again")
        rig.until_more("MeterValuePeriodic")
        ended = rig.stop()

        assert ended["transactionInfo"]["stoppedReason"] == "Local"
        contexts = [reading.context for reading in energy(rig.events())]
        assert {"Interruption.Begin", "Interruption.End"} <= set(contexts)
        rig.judge(closings=2)
        rig.judge_end(ended)


def test_sigterm_opens_the_contactor_and_the_next_start_tells_the_end(rig: Rig) -> None:
    """An orderly stop leaves nothing energised and loses nothing."""
    rig.charge_by_cable_first()

    assert rig.agent.stop() == 0
    stopped = now()
    last = rig.site.board.changes[-1]
    rig.agent.start()
    ended = rig.csms.wait_for("TransactionEvent/Ended")[-1]

    assert not last.closed
    assert not last.lapsed
    assert last.at < stopped
    assert ended["transactionInfo"]["stoppedReason"] == "Reboot"
    rig.site.plug_out()
    rig.until_status("Available")
    rig.judge()
