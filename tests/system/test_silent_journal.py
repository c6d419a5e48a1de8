"""Whoever reads the agent's log stands still, or is gone, while a vehicle charges: the agent goes on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system
ROUNDS = 12
"""Each tells more than what little the socket holds has room for."""


class Journal:
    """journald's end of stderr, and the place of its native socket, where nobody is."""

    def __init__(self) -> None:
        self.end, self.near = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # as little as the kernel allows
        state = os.fstat(self.near.fileno())
        self.name = f"{state.st_dev}:{state.st_ino}"

    def lines(self) -> list[str]:
        """What has come."""
        self.end.settimeout(0)
        found = bytearray()
        try:
            while piece := self.end.recv(1 << 20):
                found += piece
        except BlockingIOError:
            pass
        return found.decode("utf-8", "replace").splitlines()


class Logged(Agent):
    """An agent whose stderr is a journal's."""

    def __init__(self, folder: Path, url: str, journal: Journal) -> None:
        super().__init__(folder, url)
        self.environment["JOURNAL_STREAM"] = journal.name
        self.stderr = journal.near.fileno()


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal()
    yield made
    made.end.close()
    made.near.close()


def charged(csms: LiveCsms, agent: Agent) -> None:
    """A session from the card to the bill, as often as the log needs."""
    for number in range(ROUNDS):
        agent.command("plug_in", evse=1)
        agent.command("swipe", id_token=f"CARD{number}", type="ISO14443", evses=[1])
        agent.until(lambda status: "transaction" in status["evses"][0], "the transaction")
        agent.command("unplug", evse=1)
        agent.until(lambda status: "transaction" not in status["evses"][0], "its end")
    csms.wait_for("TransactionEvent/Ended", ROUNDS)


@pytest.mark.parametrize("gone", [False, True], ids=["stands still", "is gone"])
def test_a_journal_that_does_not_read_stops_nobody(tmp_path: Path, journal: Journal, *, gone: bool) -> None:
    """Sessions are charged and told, orders are taken; when it reads again it hears how much it has missed."""
    with LiveCsms(password=PASSWORD) as csms, Logged(tmp_path, csms.url, journal) as agent:
        csms.wait_for("BootNotification")
        if gone:
            journal.end.close()

        charged(csms, agent)

        if not gone:
            assert journal.lines()
            agent.command("plug_in", evse=2)
            agent.command("swipe", id_token="CARD", type="ISO14443", evses=[2])
            agent.until(lambda status: "transaction" in status["evses"][1], "the transaction")
            assert any(" lost=" in line for line in journal.lines())
        assert agent.stop() == 0
