"""Boards that speak ISO 15118 are told one thing after the other, and a board that fails keeps nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from hal.errors import NotFound
from hal.iso15118 import CertificateWanted, ContractPresented, SeccSetup, VehicleStatus
from station.effects import ContractVerdict, EvCertificate
from station.facts import CertificateWantedByEv, ContractShown
from station.now import BootId, Instant, Mono
from station.shell import bridges
from station.shell.bridges import Bridges
from station.shell.vehicles import told

AT = Instant(BootId(1), Mono(5.0))


class Board:
    """Notes what it is told, unless it `raises` or is `stuck`."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.told: list[object] = []
        self.raises = raises
        self.stuck = False

    async def _note(self, what: object) -> None:
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        if self.raises is not None:
            raise self.raises
        self.told.append(what)

    async def vehicle(self, channel: int) -> VehicleStatus:
        """Nobody."""
        del channel
        return VehicleStatus()

    async def equip(self, setup: SeccSetup) -> None:
        """Noted."""
        await self._note(setup)

    async def authorized(self, channel: int, *, accepted: bool) -> None:
        """Noted."""
        await self._note((channel, accepted))

    async def certificate(self, channel: int, *, accepted: bool, exi_response: str) -> None:
        """Noted."""
        await self._note((channel, accepted, exi_response))


def played(boards: dict[str, object], play: Callable[[Bridges], Coroutine[Any, Any, None]]) -> None:
    """In a loop of its own."""

    async def run() -> None:
        made = Bridges(boards)
        await play(made)
        for _ in range(50):
            await asyncio.sleep(0)
        await made.end()

    asyncio.run(run())


def test_answers_reach_the_board_in_order() -> None:
    board = Board()

    async def play(made: Bridges) -> None:
        made.answer("board", 1, ContractVerdict(accepted=True))
        made.answer("board", 2, EvCertificate(accepted=False, exi_response="gJgF"))
        made.answer("board", 1, ContractVerdict(accepted=False))

    played({"board": board, "other": object()}, play)

    assert board.told == [(1, True), (2, False, "gJgF"), (1, False)]


def test_a_board_that_does_not_speak_it_is_told_nothing() -> None:
    async def play(made: Bridges) -> None:
        made.equip(SeccSetup(contract=True))
        made.answer("other", 1, ContractVerdict(accepted=True))
        made.opened("other")

    played({"other": object()}, play)


def test_a_board_that_returns_is_told_the_newest() -> None:
    board = Board()
    newest = SeccSetup(certificates=True)

    async def play(made: Bridges) -> None:
        made.opened("board")
        made.equip(SeccSetup(contract=True))
        made.equip(newest)
        made.opened("board")

    played({"board": board}, play)

    assert board.told == [newest] * 3


@pytest.mark.parametrize("error", [NotFound("board", "gone"), ZeroDivisionError()])
def test_a_board_that_fails_spoils_no_other(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    broken, board = Board(error), Board()

    async def play(made: Bridges) -> None:
        made.answer("broken", 1, ContractVerdict(accepted=True))
        made.answer("board", 1, ContractVerdict(accepted=True))

    played({"broken": broken, "board": board}, play)

    assert board.told == [(1, True)]
    assert ("vehicle.not_told" if isinstance(error, NotFound) else "device.bug") in caplog.text


def test_a_board_that_hangs_is_left_alone_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bridges, "CALL_S", 0.01)
    board = Board()
    board.stuck = True

    async def play(made: Bridges) -> None:
        made.answer("board", 1, ContractVerdict(accepted=True))
        await asyncio.gather(*made._calls)
        board.stuck = False
        made.answer("board", 2, ContractVerdict(accepted=True))

    played({"board": board}, play)

    assert "vehicle.no_answer" in caplog.text
    assert board.told == [(2, True)]


def test_of_what_a_vehicle_sends_no_more_is_taken_than_can_be_used() -> None:
    shown = told(ContractPresented(1, "E" * 10_000, "x" * 10**7), 1, AT)
    wanted = told(CertificateWanted(1, "v" * 10_000, "A" * 10**7, patience_s=float("nan")), 1, AT)

    assert isinstance(shown, ContractShown)
    assert (len(shown.emaid), len(shown.certificate_pem)) == (100, 20_001)
    assert isinstance(wanted, CertificateWantedByEv)
    assert (len(wanted.schema_version), len(wanted.exi_request), wanted.patience_s) == (100, 5601, 4.5)
