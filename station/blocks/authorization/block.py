"""Block C: what happens when a token is presented, a remote start needs a check, or the CSMS has judged.

Block E hears Authorized and StopAuthorized and owns what follows (EVConnectionTimeOut, energy, the transaction).
Invariant: at most one open Authorize for an EVSE, and its outcome is judged by the state at that time, for the cable or
the driver may have gone (design A4).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from station.block import Answered, Block, Outcome, Outcomes, Reactions, Routes, on, outcome, route
from station.blocks.authorization.decision import ACCEPTED, Accept, AskCsms, Decision, Rules, decide
from station.facts import (
    AuthorizationRefused,
    Authorized,
    Facts,
    IdTokenInfoReceived,
    PlugInserted,
    RemoteStartAccepted,
    StopAuthorized,
    TokenPresented,
    Via,
)
from station.now import Deadline, Instant, Mono, MonoDeadline, Now
from station.ocpp.messages import AuthorizeRequest, ClearCacheRequest, ClearCacheResponse
from station.ocpp.types import IdTokenInfoType, IdTokenType, StatusInfoType
from station.ports import Csms
from station.state.connectors import Connectors
from station.state.registration import Registration
from station.state.sessions import Session, Sessions
from station.state.tokens import CacheRules, Tokens, same_token
from station.state.variables import Variables

PATIENCE_S = 30.0
"""How long a driver waits for the CSMS before the station decides by itself."""

NEEDS_NO_CHECK = frozenset({"NoAuthorization", "Central"})
"""C02.FR.01, C03.FR.01, C05.FR.01."""

LONGEST = 36
"""Characters of an idToken (IdTokenType): a longer one could be neither asked about nor billed."""

FLOATING = 0
"""The "EVSE" of an authorization whose EVSE is the one that is plugged in first."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is presented for: the context of its Authorize."""

    evse_id: int
    id_token: IdTokenType
    purpose: Literal["start", "stop"]
    via: Via
    at: Instant
    evse_ids: tuple[int, ...] = ()
    remote_start_id: int | None = None
    group_id_token: str | None = None


class _Floating(msgspec.Struct, frozen=True):
    """A driver who may charge and has not plugged in yet; which EVSE, shows the plug."""

    authorized: Authorized
    evse_ids: tuple[int, ...]
    until: Mono


class Authorization(Block):
    """Block C: the decisions about tokens."""

    essential = True

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        tokens: Tokens,
        sessions: Sessions,
        connectors: Connectors,
        registration: Registration,
        variables: Variables,
        csms: Csms,
        facts: Facts,
    ) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._connectors = connectors
        self._registration = registration
        self._variables = variables
        self._csms = csms
        self._facts = facts
        self._open: dict[int, Wish] = {}
        self._next: dict[int, Wish] = {}
        self._floating: _Floating | None = None

    def routes(self) -> Routes:
        """C11."""
        return [route(ClearCacheRequest, self.clear_cache)]

    def outcomes(self) -> Outcomes:
        """The CSMS's verdicts."""
        return [outcome(AuthorizeRequest, self.judged)]

    def reactions(self) -> Reactions:
        """Drivers, remote starts, verdicts that came with a transaction."""
        return [
            on(TokenPresented, self.presented),
            on(RemoteStartAccepted, self.remote_start),
            on(PlugInserted, self.plugged),
            on(IdTokenInfoReceived, self.learned),
        ]

    def load(self, now: Now) -> None:
        """Open questions are forgotten: their drivers present the card again."""
        del now
        self._open, self._next, self._floating = {}, {}, None

    # --- a token is presented

    def presented(self, fact: TokenPresented, now: Now) -> None:
        """C01: stop what this token may stop; else start where it may start."""
        if len(fact.id_token.id_token) > LONGEST:
            shown = msgspec.structs.replace(fact.id_token, id_token=fact.id_token.id_token[:LONGEST])
            self._facts.emit(AuthorizationRefused(id_token=shown, status="Unknown"))
            return
        for evse_id in fact.evse_ids:
            session = self._sessions.on_evse(evse_id)
            if session is not None and _is_starter(session, fact.id_token):
                self._stop(evse_id, fact.id_token, fact.at)  # C01.FR.03, E07.FR.01: without asking anyone
                return
        if self._floating is not None and same_token(self._floating.authorized.id_token, fact.id_token):
            self._floating = None  # presented again before plug-in: the driver changed his mind
            return
        chosen = self._choose(fact.evse_ids)
        if chosen is None:
            self._facts.emit(AuthorizationRefused(id_token=fact.id_token, status="NotAtThisTime"))
            return
        session = self._sessions.on_evse(chosen)
        stops = session is not None and (session.authorized or session.ended_authorization)
        wish = Wish(
            evse_id=chosen,
            id_token=fact.id_token,
            purpose="stop" if stops else "start",
            via="button" if fact.id_token.type == "NoAuthorization" else "local",
            at=fact.at,
            evse_ids=fact.evse_ids,
        )
        self._consider(wish, now)

    def _choose(self, evse_ids: tuple[int, ...]) -> int | None:
        """Which EVSE a driver means: the only one, one that waits for a card, a free one, one to be stopped."""
        if len(evse_ids) == 1:
            return evse_ids[0]
        usable = [each for each in evse_ids if self._connectors.may_start(each) is None]
        waiting = [each for each in usable if self._waits_for_card(each)]
        if waiting:
            return waiting[0]
        free = [each for each in usable if self._sessions.on_evse(each) is None]
        if free:
            return FLOATING if len(free) > 1 and self._may_float() else free[0]
        return next((each for each in evse_ids if self._sessions.on_evse(each) is not None), None)

    def _waits_for_card(self, evse_id: int) -> bool:
        session = self._sessions.on_evse(evse_id)
        return session is not None and session.plugged and not session.authorized and not session.ended_authorization

    def _may_float(self) -> bool:
        """A transaction that starts with the authorization needs its EVSE at once."""
        return "Authorized" not in self._variables.members("TxCtrlr", "TxStartPoint")

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
        if self._variables.boolean("AuthCtrlr", "AuthorizeRemoteStart"):
            self._consider(wish, now)
        else:
            self._accept(wish, ACCEPTED, now)

    # --- the decision

    def _consider(self, wish: Wish, now: Now) -> None:
        if wish.evse_id in self._open:  # one question at a time: the driver sees the first answer soon
            if wish.via == "remote":  # but this one was told Accepted: it comes next
                self._next[wish.evse_id] = wish
            return
        if wish.purpose == "start" and wish.evse_id != FLOATING:
            refusal = self._connectors.may_start(wish.evse_id) or self._not_yet()
            if refusal is not None:
                self._refuse(wish, "NotAtThisTime")
                return
        if self._needs_no_check(wish):
            self._accept(wish, ACCEPTED, now)
            return
        known = self._tokens.cached(wish.id_token, self._cache_rules(), now)
        if wish.purpose == "stop" and known is not None and known.status == "Accepted" and self._may_stop(wish, known):
            self._accept(wish, known, now)  # C09.FR.07: the group is known
            return
        self._follow(wish, decide(self._rules(), online=self._csms.online, cached=known), now)

    def _not_yet(self) -> bool | None:
        """Before the registration nobody charges, unless TxBeforeAcceptedEnabled (B02.FR.03, B03.FR.01)."""
        allowed = self._registration.ever_accepted or self._variables.boolean("TxCtrlr", "TxBeforeAcceptedEnabled")
        return None if allowed else True

    def _needs_no_check(self, wish: Wish) -> bool:
        return not self._variables.boolean("AuthCtrlr", "Enabled") or wish.id_token.type in NEEDS_NO_CHECK

    def _follow(self, wish: Wish, decision: Decision, now: Now) -> None:
        match decision:
            case Accept(info, unknown):
                self._accept(wish, info, now, unknown=unknown)
            case AskCsms():
                self._open[wish.evse_id] = wish
                self._csms.ask(AuthorizeRequest(id_token=wish.id_token), by=now.after(PATIENCE_S), context=wish)
            case _:
                self._refuse(wish, decision.status)

    def judged(self, outcome: Outcome[AuthorizeRequest], now: Now) -> None:
        """The CSMS answered, or did not: then the station decides as if it were offline."""
        wish: Wish = outcome.context
        if self._open.get(wish.evse_id) == wish:
            del self._open[wish.evse_id]
        self._settle(wish, outcome, now)
        waiting = self._next.pop(wish.evse_id, None)
        if waiting is not None:
            self._consider(waiting, now)

    def _settle(self, wish: Wish, outcome: Outcome[AuthorizeRequest], now: Now) -> None:
        if not isinstance(outcome, Answered):
            known = self._tokens.cached(wish.id_token, self._cache_rules(), now)
            self._follow(wish, decide(self._rules(), online=False, cached=known), now)
            return
        info: IdTokenInfoType = outcome.response.id_token_info
        self._tokens.remember(wish.id_token, info, self._cache_rules(), now)  # C10.FR.04
        if info.status == "Accepted":
            self._accept(wish, info, now)
        else:
            self._refuse(wish, info.status)

    # --- what follows

    def _accept(self, wish: Wish, info: IdTokenInfoType, now: Now, *, unknown: bool = False) -> None:
        """The token is good; whether it does what it was presented for, the state at this time tells."""
        if self._is_master(info):
            self._stop_as_master(wish)
        elif wish.purpose == "stop":
            if self._may_stop(wish, info):
                self._stop(wish.evse_id, wish.id_token, wish.at)
            else:
                self._refuse(wish, "ConcurrentTx" if info.status == "Accepted" else info.status)
        else:
            self._start(wish, info, now, unknown=unknown)

    def _start(self, wish: Wish, info: IdTokenInfoType, now: Now, *, unknown: bool) -> None:
        evse_id = wish.evse_id
        if info.evse_id and evse_id != FLOATING and evse_id not in info.evse_id:  # C01.FR.21
            self._refuse(wish, "NotAtThisLocation")
            return
        session = self._sessions.on_evse(evse_id)
        if session is not None and (session.authorized or session.ended_authorization):  # C01.FR.23
            self._refuse(wish, "ConcurrentTx")
            return
        group = info.group_id_token.id_token if info.group_id_token is not None else wish.group_id_token
        authorized = Authorized(
            evse_id=evse_id,
            id_token=wish.id_token,
            via=wish.via,
            at=wish.at,
            group_id_token=group,
            remote_start_id=wish.remote_start_id,
            charging_priority=info.charging_priority,
            invalid=unknown,
        )
        if evse_id != FLOATING:
            self._facts.emit(authorized)
            return
        allowed = tuple(each for each in wish.evse_ids if not info.evse_id or each in info.evse_id)
        timeout_s = self._variables.integer("TxCtrlr", "EVConnectionTimeOut")
        self._floating = _Floating(authorized, allowed, now.after(timeout_s))

    def plugged(self, fact: PlugInserted, now: Now) -> None:
        """The plug shows which EVSE a driver meant who identified himself first."""
        floating = self._floating
        if floating is None or fact.evse_id not in floating.evse_ids or now.mono >= floating.until:
            return
        session = self._sessions.on_evse(fact.evse_id)
        free = session is None or not (session.authorized or session.ended_authorization)
        if free and self._connectors.may_start(fact.evse_id) is None:
            self._floating = None
            self._facts.emit(msgspec.structs.replace(floating.authorized, evse_id=fact.evse_id))

    def _may_stop(self, wish: Wish, info: IdTokenInfoType) -> bool:
        """C09: another token of the same group ends the authorization."""
        session = self._sessions.on_evse(wish.evse_id)
        if session is None or not session.authorized or session.group_id_token is None or info.group_id_token is None:
            return False
        return session.group_id_token.casefold() == info.group_id_token.id_token.casefold()

    def _is_master(self, info: IdTokenInfoType) -> bool:
        """C16."""
        master = self._variables.text("AuthCtrlr", "MasterPassGroupId")
        group = info.group_id_token
        return bool(master) and group is not None and group.id_token.casefold() == master.casefold()

    def _stop_as_master(self, wish: Wish) -> None:
        """C16.FR.02: without a screen to choose on, it ends all; C16.FR.03: it starts none."""
        for session in self._sessions.running():
            if session.authorized:
                self._facts.emit(
                    StopAuthorized(evse_id=session.evse_id, id_token=wish.id_token, master_pass=True, at=wish.at)
                )

    def _stop(self, evse_id: int, id_token: IdTokenType, at: Instant) -> None:
        self._facts.emit(StopAuthorized(evse_id=evse_id, id_token=id_token, master_pass=False, at=at))

    def _refuse(self, wish: Wish, status: str) -> None:
        evse_id = wish.evse_id or None
        self._facts.emit(AuthorizationRefused(id_token=wish.id_token, status=status, evse_id=evse_id))

    # --- the cache

    def learned(self, fact: IdTokenInfoReceived, now: Now) -> None:
        """C10.FR.05, C12.FR.06: also of a transaction that is over."""
        self._tokens.remember(fact.id_token, fact.info, self._cache_rules(), now)

    def clear_cache(self, request: ClearCacheRequest, now: Now) -> ClearCacheResponse:
        """C11.FR.01-04."""
        del request, now
        if not self._cache_rules().enabled:
            return ClearCacheResponse(status="Rejected", status_info=StatusInfoType(reason_code="NotEnabled"))
        self._tokens.clear_cache()
        return ClearCacheResponse(status="Accepted")

    # --- the variables

    def _rules(self) -> Rules:
        ask = self._variables.boolean
        return Rules(
            pre_authorize=ask("AuthCtrlr", "LocalPreAuthorize"),
            authorize_offline=ask("AuthCtrlr", "LocalAuthorizeOffline"),
            offline_unknown=ask("AuthCtrlr", "OfflineTxForUnknownIdEnabled"),
            remote_disabled=ask("AuthCtrlr", "DisableRemoteAuthorization"),
            cache_final=ask("AuthCacheCtrlr", "DisablePostAuthorize"),
        )

    def _cache_rules(self) -> CacheRules:
        return CacheRules(
            enabled=self._variables.boolean("AuthCacheCtrlr", "Enabled"),
            lifetime_s=self._variables.integer("AuthCacheCtrlr", "LifeTime"),
        )

    # --- time

    def next_due(self) -> Deadline | None:
        """A driver who never plugged in."""
        return MonoDeadline(self._floating.until) if self._floating is not None else None

    def due(self, now: Now) -> None:
        """C01.FR.26: the authorization ends."""
        if self._floating is not None and self._floating.until <= now.mono:
            self._floating = None


def _is_starter(session: Session, id_token: IdTokenType) -> bool:
    """Whether this token authorized the session, or may take back its cable."""
    if session.id_token is None or not (session.authorized or session.holds_cable):
        return False
    return same_token(session.id_token, id_token)
