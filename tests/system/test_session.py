"""The first issue as one test: a session on real bytes, from plug-in to the bill, and whatever may be pulled out of it.

`ocpp-station run` as a process; meter (SDM630, Modbus RTU), reader (PN532, HSU) and board (CAN over slcan) at the far
ends of ptys; the CSMS behind mutual TLS (security profile 3) on loopback.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.rig import Rig

pytestmark = pytest.mark.system


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as running:
        yield running


def test_a_session_that_begins_with_the_cable(rig: Rig) -> None:
    """Plug in, card, charge, card, unplug."""
    rig.charge_by_cable_first()
    ended = rig.stop()

    assert ended["triggerReason"] == "StopAuthorized"
    assert ended["transactionInfo"]["stoppedReason"] == "Local"
    assert rig.csms.handshakes[0].client == "CS001"
    rig.judge()
    rig.judge_end(ended)
    assert rig.agent.stop() == 0
