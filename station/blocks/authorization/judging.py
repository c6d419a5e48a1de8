"""A wish is judged: by the stores, or by the CSMS and then by what it answered.

Invariant: at most one open Authorize for an EVSE, and its outcome is judged by the state at that time, for the cable or
the driver may have gone (design A4).
"""

from __future__ import annotations

import msgspec

from station.block import Answered, Outcome
from station.blocks.authorization.attempts import Attempts
from station.blocks.authorization.consequences import Consequences
from station.blocks.authorization.decision import Accept, AskCsms, Decision, Moment, decide, needs_no_check, what_counts
from station.blocks.authorization.stores import Stores
from station.blocks.authorization.wish import FLOATING, States, Wish, World
from station.blocks.authorization.words import said
from station.facts import DriverAddressed
from station.now import Now
from station.ocpp.messages import AuthorizeRequest, AuthorizeResponse
from station.ocpp.types import IdTokenInfoType

PATIENCE_S = 30.0
"""How long a driver waits for the CSMS before the station decides by itself."""

NOT_NOW = IdTokenInfoType(status="NotAtThisTime")


class Judging:
    """The open questions of one station."""

    def __init__(self, states: States, world: World, stores: Stores, consequences: Consequences) -> None:
        self._connectors = states.connectors
        self._registration = states.registration
        self._variables = states.variables
        self._csms = world.csms
        self._facts = world.facts
        self._stores = stores
        self._consequences = consequences
        self.attempts = Attempts()
        self._open: dict[int, Wish] = {}
        self._next: dict[int, Wish] = {}

    def load(self) -> None:
        """Open questions are forgotten: their drivers present the card again."""
        self._open, self._next = {}, {}

    def consider(self, wish: Wish, now: Now) -> None:
        """Find out whether the wish is granted; what follows may come later."""
        if wish.evse_id in self._open:  # one question at a time: the driver sees the first answer soon
            if wish.via == "remote":  # but this one was told Accepted: it comes next
                self._next[wish.evse_id] = wish
            elif wish.proof is not None:  # and this one is a machine, which is told what becomes of its wish
                self._next.setdefault(wish.evse_id, wish)
            return
        if wish.purpose == "start" and wish.evse_id != FLOATING and not self._may_start(wish.evse_id):
            self._consequences.refuse(wish, NOT_NOW)
            return
        if not self._stopped_by_group(wish, now):
            self._follow(wish, self._decide(wish, now, online=self._csms.online), now)

    def _may_start(self, evse_id: int) -> bool:
        """Before the registration nobody charges, unless TxBeforeAcceptedEnabled (B02.FR.03, B03.FR.01)."""
        allowed = self._registration.ever_accepted or self._variables.boolean("TxCtrlr", "TxBeforeAcceptedEnabled")
        return allowed and self._connectors.may_start(evse_id) is None

    def _stopped_by_group(self, wish: Wish, now: Now) -> bool:
        """C01.FR.03, C09.FR.07: the stores know that this token belongs to the group, so nobody is asked."""
        rules, at = self._stores.rules(), self._moment(wish, now, online=self._csms.online)
        if wish.purpose != "stop" or needs_no_check(wish.id_token, at, rules):
            return False
        known = what_counts(self._stores.known(wish.id_token, now), at, rules)
        if known is None or known.status != "Accepted" or not self._consequences.same_group(wish, known):
            return False
        self._consequences.accept(wish, known, now)
        return True

    def _decide(self, wish: Wish, now: Now, *, online: bool) -> Decision:
        known = self._stores.known(wish.id_token, now)
        return decide(wish.id_token, known, self._moment(wish, now, online=online), self._stores.rules())

    def _moment(self, wish: Wish, now: Now, *, online: bool) -> Moment:
        moment = Moment(online=online, at=now.utc, via=wish.via)
        if wish.proof is None:
            return moment
        counts = online or self._variables.boolean("ISO15118Ctrlr", "ContractValidationOffline")  # C07.FR.07
        return msgspec.structs.replace(moment, proof="valid" if wish.proof.valid and counts else "unproven")

    def _follow(self, wish: Wish, decision: Decision, now: Now) -> None:
        match decision:
            case Accept(info, unknown):
                self._consequences.accept(wish, info, now, unknown=unknown)
            case AskCsms():
                self._open[wish.evse_id] = wish
                self._csms.ask(_question(wish), by=now.after(PATIENCE_S), context=wish)
                self._facts.emit(DriverAddressed(text=said("wait"), evse_id=wish.place))
            case _:
                self._consequences.refuse(wish, decision.info)

    def judged(self, outcome: Outcome[AuthorizeRequest], now: Now) -> None:
        """The CSMS answered, or did not: then the station decides as if it were offline."""
        wish: Wish = outcome.context
        if self._open.get(wish.evse_id) == wish:
            del self._open[wish.evse_id]
        if isinstance(outcome, Answered):
            self._settle(wish, outcome.response, now)
        else:
            self._follow(wish, self._decide(wish, now, online=False), now)
        waiting = self._next.pop(wish.evse_id, None)
        if waiting is not None:
            self.consider(waiting, now)

    def _settle(self, wish: Wish, response: AuthorizeResponse, now: Now) -> None:
        info = response.id_token_info
        self._stores.remember(wish.id_token, info, now)  # C10.FR.04
        self.attempts.judged(wish, info.status, now)
        if info.status == "Accepted" and not _is_believed(wish, response):
            self._consequences.refuse(wish, info, "Invalid")
        elif info.status == "Accepted":
            self._consequences.accept(wish, info, now)
        else:
            self._consequences.refuse(wish, info)


def _question(wish: Wish) -> AuthorizeRequest:
    """C07.FR.02, C07.FR.06."""
    if wish.proof is None:
        return AuthorizeRequest(id_token=wish.id_token)
    return AuthorizeRequest(
        id_token=wish.id_token,
        iso15118_certificate_hash_data=wish.proof.hash_data or None,
        certificate=wish.proof.certificate,
    )


def _is_believed(wish: Wish, response: AuthorizeResponse) -> bool:
    """Of a contract certificate: the station has found it good, or else the CSMS; and the CSMS has nothing against it.

    A token may be good while the certificate behind it is not (C07.FR.13 to C07.FR.17).
    """
    if wish.proof is None:
        return True
    found = response.certificate_status
    if wish.proof.certificate is not None:
        return found == "Accepted"
    return wish.proof.valid and found in {None, "Accepted"}
