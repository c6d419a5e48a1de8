"""Master pass: a token of MasterPassGroupId ends transactions of others, and starts none (C16).

Without a display and keys it ends all that run. With them it asks which; the digits come as a KeyCode token: the number
of an EVSE, or 0 for all.
"""

from __future__ import annotations

import msgspec

from station.blocks.authorization.wish import States, Wish, World
from station.blocks.authorization.words import said
from station.facts import DriverAddressed, StopAuthorized, TokenPresented
from station.now import Mono, Now
from station.ocpp.types import IdTokenInfoType
from station.state.sessions import Session

CHOICE_S = 30.0
"""Time to choose; then nothing has happened."""


class _Choice(msgspec.Struct, frozen=True):
    wish: Wish
    info: IdTokenInfoType
    until: Mono


class MasterPass:
    """The open choice, if there is one."""

    def __init__(self, states: States, world: World) -> None:
        self._sessions = states.sessions
        self._variables = states.variables
        self._facts = world.facts
        self._asks = world.keypad
        self._choice: _Choice | None = None

    def load(self) -> None:
        """A choice not made is none."""
        self._choice = None

    def is_group(self, group_id: str | None) -> bool:
        """Whether it is the group of master passes."""
        master = self._variables.text("AuthCtrlr", "MasterPassGroupId")
        return bool(master) and group_id is not None and group_id.casefold() == master.casefold()

    def owns(self, info: IdTokenInfoType) -> bool:
        """Whether a token so described is a master pass."""
        return self.is_group(info.group_id_token.id_token if info.group_id_token is not None else None)

    def presented(self, wish: Wish, info: IdTokenInfoType, now: Now) -> None:
        """C16.FR.01, C16.FR.02."""
        running = self._running()
        if self._asks and running:
            self._choice = _Choice(wish, info, now.after(CHOICE_S))
            evses = ", ".join(str(each.evse_id) for each in running)
            self._facts.emit(DriverAddressed(text=said("choose", info, evses=evses)))
        else:
            self._stop(running, wish, info)

    def _running(self) -> list[Session]:
        """What there is to end; what is ending anyway is left alone."""
        return [each for each in self._sessions.running() if each.authorized and each.closing is None]

    def chosen(self, fact: TokenPresented, now: Now) -> bool:
        """Whether the digits were a choice: which transactions to stop (C16.FR.01)."""
        choice = self._choice
        if choice is None or fact.id_token.type != "KeyCode" or choice.until <= now.mono:
            return False
        digits = fact.id_token.id_token
        chosen = [each for each in self._running() if digits in {"0", str(each.evse_id)}]
        if chosen:
            self._choice = None
            self._stop(chosen, choice.wish, choice.info)
        else:
            self._facts.emit(DriverAddressed(text=said("not_there", choice.info)))
        return True

    def _stop(self, sessions: list[Session], wish: Wish, info: IdTokenInfoType) -> None:
        for session in sessions:
            self._facts.emit(
                StopAuthorized(evse_id=session.evse_id, id_token=wish.id_token, master_pass=True, at=wish.at)
            )
        self._facts.emit(DriverAddressed(text=said("ends" if sessions else "not_there", info)))

    @property
    def until(self) -> Mono | None:
        """When it is too late to choose."""
        return self._choice.until if self._choice is not None else None

    def due(self, now: Now) -> None:
        """Nobody chose: everything goes on as before."""
        if self._choice is not None and self._choice.until <= now.mono:
            self._choice = None
