"""What an accepted or refused wish leads to, by the state at that time: a start, a stop, or a word to the driver."""

from __future__ import annotations

import msgspec

from station.blocks.authorization.choosing import Choosing
from station.blocks.authorization.floating import Floating
from station.blocks.authorization.master import MasterPass
from station.blocks.authorization.wish import FLOATING, States, Wish, World
from station.blocks.authorization.words import Text, refusal, said
from station.facts import AuthorizationRefused, Authorized, DriverAddressed, StopAuthorized
from station.now import Now
from station.ocpp.enums import AuthorizationStatusEnumType
from station.ocpp.types import IdTokenInfoType
from station.state.reservations import Driver


class Parts(msgspec.Struct, frozen=True):
    """The other parts that verdicts lead to."""

    choosing: Choosing
    floating: Floating
    master: MasterPass


class Consequences:
    """Carries out verdicts."""

    def __init__(self, states: States, world: World, parts: Parts) -> None:
        self._sessions = states.sessions
        self._reservations = states.reservations
        self._facts = world.facts
        self._choosing = parts.choosing
        self._floating = parts.floating
        self._master = parts.master

    def accept(self, wish: Wish, info: IdTokenInfoType, now: Now, *, unknown: bool = False) -> None:
        """The token is good; whether it does what it was presented for, the state at this time tells."""
        if self._master.owns(info):
            self._master.presented(wish, info, now)
        elif wish.purpose == "start":
            self._start(wish, info, now, unknown=unknown)
        elif self.same_group(wish, info):
            self.stop(wish, info)
        else:
            self.refuse(wish, info, "ConcurrentTx")

    def refuse(
        self,
        wish: Wish,
        info: IdTokenInfoType,
        instead: AuthorizationStatusEnumType | None = None,
        text: Text | None = None,
    ) -> None:
        """It may not; `instead` of an Accepted, this is why. `text`: what the driver reads, if not just the status."""
        why = info if instead is None else _with_status(info, instead)
        self._facts.emit(AuthorizationRefused(id_token=wish.id_token, status=why.status, evse_id=wish.place))
        self._facts.emit(DriverAddressed(text=refusal(why, text), evse_id=wish.place))

    def stop(self, wish: Wish, info: IdTokenInfoType | None = None) -> None:
        """The driver ends the authorization of the EVSE."""
        self._facts.emit(StopAuthorized(evse_id=wish.evse_id, id_token=wish.id_token, master_pass=False, at=wish.at))
        self._say("ends", info, wish.evse_id)

    def same_group(self, wish: Wish, info: IdTokenInfoType) -> bool:
        """C09: another token of the same group ends the authorization."""
        session = self._sessions.on_evse(wish.evse_id)
        if session is None or not session.authorized or session.group_id_token is None or info.group_id_token is None:
            return False
        return session.group_id_token.casefold() == info.group_id_token.id_token.casefold()

    def _start(self, wish: Wish, info: IdTokenInfoType, now: Now, *, unknown: bool) -> None:
        group = info.group_id_token.id_token if info.group_id_token is not None else wish.group_id_token
        driver = Driver(wish.id_token, group)
        evse_id = self._allowed(wish, info, driver)
        session = self._sessions.on_evse(evse_id) if evse_id is not None else None
        if evse_id is None and any(self._reservations.refuses(each, driver) for each in _among(wish, info)):
            self.refuse(wish, info, "NotAtThisTime", "reserved")
        elif evse_id is None:
            self.refuse(wish, info, "NotAtThisLocation")
        elif session is not None and session.is_taken_for(wish.id_token):  # C01.FR.23
            self.refuse(wish, info, "ConcurrentTx")
        elif self._master.is_group(group):  # C16.FR.03
            self.refuse(wish, info, "Invalid")
        elif self._floating.is_asked(wish.evse_ids, evse_id) and not self._reservations.names(evse_id, driver):
            self.refuse(wish, info, "NotAtThisTime")
        else:
            self._say("starts" if session is not None and session.plugged else "plug_in", info, evse_id)
            authorized = Authorized(
                evse_id=evse_id,
                id_token=wish.id_token,
                via=wish.via,
                at=wish.at,
                group_id_token=group,
                remote_start_id=wish.remote_start_id,
                charging_priority=info.charging_priority,
                invalid=unknown,
                reservation_id=self._reservations.claim_id(evse_id, driver),
            )
            if evse_id != FLOATING:
                self._facts.emit(authorized)
            else:
                self._floating.wait(authorized, _among(wish, info), now)

    def _allowed(self, wish: Wish, info: IdTokenInfoType, driver: Driver) -> int | None:
        """The EVSE where the driver's vehicle waits, or that is reserved for him (H03), or that was meant.

        If he may not use it, another that the reader serves (C01.FR.21). None: there is none.
        """
        among = [each for each in _among(wish, info) if not self._reservations.refuses(each, driver)]
        if wish.evse_id in among and self._sessions.on_evse(wish.evse_id) is not None:
            return wish.evse_id
        reserved = next((each for each in among if self._reservations.names(each, driver)), None)
        if reserved is not None:
            return reserved
        if wish.evse_id in among or (among and wish.evse_id == FLOATING):
            return wish.evse_id
        return self._choosing.to_start(among)

    def _say(self, text: Text, info: IdTokenInfoType | None, evse_id: int) -> None:
        self._facts.emit(DriverAddressed(text=said(text, info), evse_id=evse_id or None))


def _with_status(info: IdTokenInfoType, status: AuthorizationStatusEnumType) -> IdTokenInfoType:
    return IdTokenInfoType(status=status, language1=info.language1, language2=info.language2)


def _among(wish: Wish, info: IdTokenInfoType) -> tuple[int, ...]:
    return tuple(each for each in wish.evse_ids if not info.evse_id or each in info.evse_id)
