"""`ocpp-station status --health`: what counts as well, and the exit codes that scripts rely on."""

from __future__ import annotations

from typing import Any

import pytest

from station.commands import local
from station.commands.health import complaints, health

WELL: dict[str, Any] = {
    "ok": True,
    "link": {"up": True},
    "registration": "Accepted",
    "store": "ok",
    "clock": "Heartbeat",
    "evses": [{"id": 1, "status": "Available"}],
}


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, []),
        ({"link": {"up": False, "reason": "connecting"}}, ["link: connecting"]),
        ({"registration": "Pending"}, ["registration: Pending"]),
        ({"store": "in memory: the disk fails"}, ["store: in memory: the disk fails"]),
        ({"clock": "not yet trusted"}, ["clock: not yet trusted"]),
        ({"evses": [{"id": 2, "status": "Faulted", "faults": ["GroundFault"]}]}, ["evse 2: GroundFault"]),
        ({"evses": [{"id": 2, "status": "Faulted"}]}, ["evse 2: Faulted"]),
        ({"evses": [{"id": 1, "status": "Occupied"}]}, []),
    ],
)
def test_what_needs_attention_is_named(change: dict[str, Any], expected: list[str]) -> None:
    """A vehicle that charges is no complaint."""
    assert list(complaints(WELL | change)) == expected


@pytest.mark.parametrize("answer, code", [(WELL, 0), (WELL | {"registration": "Pending"}, 1), ({"ok": False}, 69)])
def test_the_exit_code_tells_it(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], code: int) -> None:
    """What answers without a status is as bad as nothing."""
    monkeypatch.setattr(local, "ask", lambda _address, _command: answer)

    assert health("/run/x.sock") == code


def test_no_agent_has_a_code_of_its_own() -> None:
    """An updater must tell a dead agent from an offline one."""
    assert health("/nowhere/control.sock") == 69
