"""A driver who may charge and has not plugged in yet, at a reader of several EVSEs: the plug shows which he means."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from station.blocks.authorization.wish import FLOATING, States, World
from station.blocks.authorization.words import said
from station.facts import Authorized, DriverAddressed, PlugInserted
from station.now import Mono, Now
from station.ocpp.types import IdTokenType
from station.state.reservations import Driver
from station.state.tokens import same_token


class _Waiting(msgspec.Struct, frozen=True):
    authorized: Authorized
    evse_ids: tuple[int, ...]
    until: Mono


class Floating:
    """At most one driver: with two, a plug would not show whose it is, nor who is to pay."""

    def __init__(self, states: States, world: World) -> None:
        self._sessions = states.sessions
        self._connectors = states.connectors
        self._reservations = states.reservations
        self._variables = states.variables
        self._facts = world.facts
        self._waiting: _Waiting | None = None

    def load(self) -> None:
        """A start of the agent forgets him."""
        self._waiting = None

    def wait(self, authorized: Authorized, evse_ids: tuple[int, ...], now: Now) -> None:
        """From now on, for as long as EVConnectionTimeOut says."""
        timeout_s = self._variables.integer("TxCtrlr", "EVConnectionTimeOut")
        self._waiting = _Waiting(authorized, evse_ids, now.after(timeout_s))

    def took_back(self, id_token: IdTokenType) -> bool:
        """Whether it was this one's token: presented again before plug-in, the driver has changed his mind."""
        if self._waiting is None or not same_token(self._waiting.authorized.id_token, id_token):
            return False
        self._waiting = None
        return True

    def is_asked(self, evse_ids: Sequence[int], chosen: int) -> bool:
        """Whether another driver at this reader of several may be on his way to the EVSE chosen, or to any."""
        waiting = self._waiting
        if waiting is None or len(evse_ids) == 1:
            return False
        return chosen == FLOATING or (chosen in waiting.evse_ids and self._sessions.on_evse(chosen) is None)

    def plugged(self, fact: PlugInserted, now: Now) -> None:
        """The plug shows which EVSE he meant."""
        waiting = self._waiting
        if waiting is None or fact.evse_id not in waiting.evse_ids or now.mono >= waiting.until:
            return
        session = self._sessions.on_evse(fact.evse_id)
        free = session is None or not session.is_taken_for(waiting.authorized.id_token)
        if not free or self._connectors.may_start(fact.evse_id) is not None:
            return
        driver = Driver(waiting.authorized.id_token, waiting.authorized.group_id_token)
        if self._reservations.refuses(fact.evse_id, driver):  # he has the time left to plug in at another one
            self._facts.emit(DriverAddressed(text=said("reserved"), evse_id=fact.evse_id))
            return
        self._waiting = None
        reservation_id = self._reservations.claim_id(fact.evse_id, driver)
        authorized = msgspec.structs.replace(waiting.authorized, evse_id=fact.evse_id, reservation_id=reservation_id)
        self._sessions.expect(authorized)  # the first event of what this plug-in starts knows him (E03.FR.01)
        self._facts.emit(authorized)

    @property
    def until(self) -> Mono | None:
        """When he is forgotten."""
        return self._waiting.until if self._waiting is not None else None

    def due(self, now: Now) -> None:
        """C01.FR.26: the authorization ends."""
        if self._waiting is not None and self._waiting.until <= now.mono:
            self._waiting = None
