"""Block C: a token or a contract is presented, or a token comes with a remote start; which EVSE is meant, and what for.

Block E hears Authorized and StopAuthorized and owns what follows (EVConnectionTimeOut, energy, the transaction).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from station.block import Block, Outcomes, Reactions, Results, Routes, on, outcome, result, route
from station.blocks.authorization.choosing import Choosing
from station.blocks.authorization.consequences import Consequences, Parts
from station.blocks.authorization.contracts import ContractChecked, Contracts
from station.blocks.authorization.floating import Floating
from station.blocks.authorization.free import FreeCharging
from station.blocks.authorization.judging import NOT_NOW, Judging
from station.blocks.authorization.master import MasterPass
from station.blocks.authorization.stores import Stores
from station.blocks.authorization.wish import States, Wish, World
from station.blocks.authorization.words import refusal, said
from station.facts import (
    AuthorizationRefused,
    Authorized,
    AvailabilityChanged,
    ContractShown,
    DriverAddressed,
    IdTokenInfoReceived,
    LockChanged,
    PlugInserted,
    PlugRemoved,
    RegistrationChanged,
    RemoteStartAccepted,
    TokenPresented,
    TransactionEnded,
    VariableChanged,
)
from station.now import Deadline, MonoDeadline, Now
from station.ocpp.messages import AuthorizeRequest, ClearCacheRequest
from station.ocpp.types import IdTokenInfoType, IdTokenType
from station.state.tokens import same_token

LONGEST = 36
"""Characters of an idToken (IdTokenType): a longer one could be neither asked about nor billed."""

UNKNOWN = IdTokenInfoType(status="Unknown")


class Authorization(Block):
    """Block C: the decisions about tokens."""

    essential = True

    def __init__(self, *, states: States, world: World, disk_fails: Callable[[], bool]) -> None:
        self._sessions = states.sessions
        self._facts = world.facts
        self._jammed: set[int] = set()
        self._stores = Stores(states, disk_fails)
        self._floating = Floating(states, world)
        self._master = MasterPass(states, world)
        self._free = FreeCharging(states, world)
        self._choosing = Choosing(states)
        parts = Parts(self._choosing, self._floating, self._master)
        self._consequences = Consequences(states, world, parts)
        self._judging = Judging(states, world, self._stores, self._consequences)
        self._contracts = Contracts(states, world, self._judging)

    def routes(self) -> Routes:
        """C11."""
        return [route(ClearCacheRequest, self._stores.clear)]

    def outcomes(self) -> Outcomes:
        """The CSMS's verdicts."""
        return [outcome(AuthorizeRequest, self._judging.judged)]

    def reactions(self) -> Reactions:
        """Drivers, remote starts, verdicts that came with a transaction; what lets a vehicle charge for nothing."""
        return [
            on(TokenPresented, self.presented),
            on(RemoteStartAccepted, self.remote_start),
            on(PlugInserted, self.plugged),
            on(IdTokenInfoReceived, self._stores.learned),
            on(TransactionEnded, self._free.ended),
            on(AvailabilityChanged, self.look_again),
            on(RegistrationChanged, self.look_again),
            on(VariableChanged, self.look_again),
            on(LockChanged, self.lock_moved),
            on(ContractShown, self._contracts.shown),
            on(Authorized, self._contracts.authorized),
            on(AuthorizationRefused, self._contracts.refused),
            on(PlugRemoved, self._contracts.unplugged),
        ]

    def results(self) -> Results:
        """What was found of a vehicle's contract."""
        return [result(ContractChecked, self._contracts.checked)]

    def load(self, now: Now) -> None:
        """What a driver has begun is forgotten: he presents the card again."""
        del now
        self._judging.load()
        self._floating.load()
        self._master.load()
        self._free.load()
        self._contracts.load()

    # --- a token is presented

    def presented(self, fact: TokenPresented, now: Now) -> None:
        """C01: stop what this token may stop; else start where it may start."""
        if self._master.chosen(fact, now):
            return
        if len(fact.id_token.id_token) > LONGEST:
            self._refuse(fact.id_token, UNKNOWN)
            return
        own = next((evse_id for evse_id in fact.evse_ids if self._is_starter(evse_id, fact.id_token)), None)
        if own is not None:
            wish = _wish(fact, own, stops=True)
            self._judging.attempts.judged(wish, "Accepted", now)
            self._consequences.stop(wish)  # C01.FR.03, E07.FR.01: always, and without asking anyone
            return
        if self._floating.took_back(fact.id_token):
            return
        chosen = self._choosing.choose(fact.evse_ids)
        if chosen is None or not self._judging.attempts.may_try(fact.id_token, fact.evse_ids, now):
            self._refuse(fact.id_token, NOT_NOW)
            return
        session = self._sessions.on_evse(chosen)
        stops = session is not None and (session.authorized or session.ended_authorization)
        self._judging.consider(_wish(fact, chosen, stops=stops), now)

    def _refuse(self, id_token: IdTokenType, info: IdTokenInfoType) -> None:
        shown = msgspec.structs.replace(id_token, id_token=id_token.id_token[:LONGEST])
        self._facts.emit(AuthorizationRefused(id_token=shown, status=info.status))
        self._facts.emit(DriverAddressed(text=refusal(info)))

    def _is_starter(self, evse_id: int, id_token: IdTokenType) -> bool:
        """Whether this token authorized the session, or may take back its cable."""
        session = self._sessions.on_evse(evse_id)
        if session is None or session.id_token is None or not (session.authorized or session.holds_cable):
            return False
        return same_token(session.id_token, id_token)

    # --- other ways

    def remote_start(self, fact: RemoteStartAccepted, now: Now) -> None:
        """F01, F02: checked like a card if AuthorizeRemoteStart says so, else judged with the TransactionEvent."""
        wish = Wish(
            evse_id=fact.evse_id,
            id_token=fact.id_token,
            purpose="start",
            via="remote",
            at=now.instant,
            evse_ids=(fact.evse_id,),
            remote_start_id=fact.remote_start_id,
            group_id_token=fact.group_id_token,
        )
        self._judging.consider(wish, now)

    def plugged(self, fact: PlugInserted, now: Now) -> None:
        """Who identified himself first has been waited for; without authorization nobody has."""
        self._floating.plugged(fact, now)
        self._free.look(now, plugged=fact.evse_id)

    def look_again(self, fact: AvailabilityChanged | RegistrationChanged | VariableChanged, now: Now) -> None:
        """A vehicle that is plugged in may charge for nothing now."""
        if not isinstance(fact, VariableChanged) or (fact.component, fact.variable) == ("AuthCtrlr", "Enabled"):
            self._free.look(now)

    def lock_moved(self, fact: LockChanged, now: Now) -> None:
        """Who waits for his plug to be locked or let go is told once that it is not (G05.FR.04)."""
        del now
        if not fact.problem:
            self._jammed.discard(fact.evse_id)
        elif fact.evse_id not in self._jammed:
            self._jammed.add(fact.evse_id)
            self._facts.emit(DriverAddressed(text=said("lock"), evse_id=fact.evse_id))

    # --- time

    def next_due(self) -> Deadline | None:
        """A driver who never plugged in; a choice that nobody makes; a vehicle that waits."""
        untils = (self._floating.until, self._master.until, self._contracts.until)
        times = [until for until in untils if until is not None]
        return MonoDeadline(min(times)) if times else None

    def due(self, now: Now) -> None:
        """It is too late."""
        self._floating.due(now)
        self._master.due(now)
        self._contracts.due(now)


def _wish(fact: TokenPresented, evse_id: int, *, stops: bool) -> Wish:
    return Wish(
        evse_id=evse_id,
        id_token=fact.id_token,
        purpose="stop" if stops else "start",
        via="button" if fact.id_token.type == "NoAuthorization" else "local",
        at=fact.at,
        evse_ids=fact.evse_ids,
    )
