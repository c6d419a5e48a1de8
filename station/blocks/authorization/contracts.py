"""A vehicle identifies itself by its contract certificate (C07): looked at by a job, then judged like a card.

Its eMAID goes through the same decision as every token, with what was found of the certificate beside it. The vehicle
waits, and is told when somebody is authorized at its EVSE, whoever that is, or when it is refused.
"""

from __future__ import annotations

import logging

import msgspec

from station.block import Job, JobResult
from station.blocks.authorization.judging import Judging
from station.blocks.authorization.wish import Proof, States, Wish, World
from station.blocks.authorization.words import refusal
from station.facts import AuthorizationRefused, Authorized, ContractShown, DriverAddressed, PlugRemoved
from station.now import Instant, Mono, Now, Wall
from station.ocpp.types import IdTokenInfoType, IdTokenType, OCSPRequestDataType

log = logging.getLogger(__name__)

ISO15118 = "ISO15118Ctrlr"
PATIENCE_S = 55.0
"""ISO 15118-2 lets the vehicle wait 60 s for its authorization; the answer has to travel, too."""
LONGEST_CHAIN = 20_000
"""Characters that are looked at."""
LONGEST_CERTIFICATE = 5500
"""Characters of AuthorizeRequest.certificate."""
LONGEST_ID = 36
MOST_HASHES = 4
"""AuthorizeRequest.iso15118CertificateHashData."""
INVALID = IdTokenInfoType(status="Invalid")


class CheckContract(Job, frozen=True, kw_only=True):
    """Look at the contract certificate of a vehicle."""

    evse_id: int
    emaid: str
    pem: str
    at: Wall
    shown_at: Instant

    @property
    def key(self) -> str:
        """A vehicle that comes after another one is another matter."""
        return f"CheckContract {self.evse_id}"


class ContractChecked(JobResult, frozen=True, kw_only=True):
    """What was found. `emaid` as the certificate has it, "" if there is none; `flaw`: "" if it is good.

    `rootless`: nothing is wrong with it but that its root is not installed here.
    """

    evse_id: int
    shown_at: Instant
    emaid: str = ""
    pem: str = ""
    hash_data: tuple[OCSPRequestDataType, ...] = ()
    flaw: str = ""
    rootless: bool = False


class _Waiting(msgspec.Struct, frozen=True):
    shown_at: Instant
    until: Mono
    id_token: IdTokenType


class Contracts:
    """The vehicles that wait for their contract to be judged."""

    def __init__(self, states: States, world: World, judging: Judging) -> None:
        self._sessions = states.sessions
        self._variables = states.variables
        self._facts = world.facts
        self._jobs = world.jobs
        self._vehicles = world.vehicles
        self._judging = judging
        self._waiting: dict[int, _Waiting] = {}

    def load(self) -> None:
        """Those that were waiting try again, or are identified by other means."""
        self._waiting = {}

    def shown(self, fact: ContractShown, now: Now) -> None:
        """A vehicle presents its contract."""
        evse_id = fact.evse_id
        session = self._sessions.on_evse(evse_id)
        if session is not None and session.authorized:  # by this contract before a pause, or by other means
            self._vehicles.answer_contract(evse_id, accepted=True)
            return
        id_token = IdTokenType(id_token=fact.emaid[:LONGEST_ID], type="eMAID")
        self._waiting[evse_id] = _Waiting(fact.at, now.after(PATIENCE_S), id_token)
        if not self._variables.boolean(ISO15118, "PnCEnabled"):
            self._refuse(evse_id, "PnCEnabled is false")
        elif not 0 < len(fact.certificate_pem) <= LONGEST_CHAIN:
            self._refuse(evse_id, f"no chain, or one of more than {LONGEST_CHAIN} characters")
        else:
            job = CheckContract(
                evse_id=evse_id, emaid=fact.emaid, pem=fact.certificate_pem, at=now.wall, shown_at=fact.at
            )
            self._jobs.start(job)

    def checked(self, found: ContractChecked, now: Now) -> None:
        """C07.FR.01, C07.FR.06, C07.FR.08: what is known of the certificate goes with the eMAID."""
        waiting = self._waiting.get(found.evse_id)
        if waiting is None or waiting.shown_at != found.shown_at:  # it has left, or was answered
            return
        if found.flaw:
            log.warning("contract.flaw", extra={"evse": found.evse_id, "reason": found.flaw})
        if not 0 < len(found.emaid) <= LONGEST_ID:
            self._refuse(found.evse_id, found.flaw or "an eMAID of more characters than a token may have")
            return
        proof = self._proof(found)
        if proof is None:
            self._refuse(found.evse_id, found.flaw)
            return
        id_token = IdTokenType(id_token=found.emaid, type="eMAID")
        self._waiting[found.evse_id] = msgspec.structs.replace(waiting, id_token=id_token)
        wish = Wish(
            evse_id=found.evse_id,
            id_token=id_token,
            purpose="start",
            via="local",
            at=found.shown_at,
            evse_ids=(found.evse_id,),
            proof=proof,
        )
        self._judging.consider(wish, now)

    def _proof(self, found: ContractChecked) -> Proof | None:
        """What the CSMS can be told of the certificate; None if that is nothing, and so nothing to ask about."""
        hash_data = found.hash_data[:MOST_HASHES]
        if not found.flaw:
            return Proof(valid=True, hash_data=hash_data)
        if not found.rootless:  # C07.FR.01 all the same: the CSMS learns of it
            return Proof(valid=False, hash_data=hash_data) if hash_data else None
        if not self._variables.boolean(ISO15118, "CentralContractValidationAllowed"):
            return None
        if len(found.pem) > LONGEST_CERTIFICATE:
            log.error("contract.too_long", extra={"evse": found.evse_id, "characters": len(found.pem)})
            return None
        return Proof(valid=False, certificate=found.pem)

    def _refuse(self, evse_id: int, why: str) -> None:
        """Without asking anybody; the vehicle is told by `refused`."""
        log.warning("contract.refused", extra={"evse": evse_id, "reason": why})
        id_token = self._waiting[evse_id].id_token
        self._facts.emit(AuthorizationRefused(id_token=id_token, status="Invalid", evse_id=evse_id))
        self._facts.emit(DriverAddressed(text=refusal(INVALID), evse_id=evse_id))

    # --- the vehicle hears of it

    def authorized(self, fact: Authorized, now: Now) -> None:
        """It may charge."""
        del now
        if self._waiting.pop(fact.evse_id, None) is not None:
            self._vehicles.answer_contract(fact.evse_id, accepted=True)

    def refused(self, fact: AuthorizationRefused, now: Now) -> None:
        """It may not."""
        del now
        waiting = self._waiting.get(fact.evse_id or 0)
        if waiting is not None and fact.evse_id is not None and waiting.id_token == fact.id_token:
            del self._waiting[fact.evse_id]
            self._vehicles.answer_contract(fact.evse_id, accepted=False)

    def unplugged(self, fact: PlugRemoved, now: Now) -> None:
        """It has left; of an EVSE with several connectors the free ones are told, too."""
        del now
        session = self._sessions.on_evse(fact.evse_id)
        if session is None or session.connector_id in {None, fact.connector_id}:
            self._waiting.pop(fact.evse_id, None)

    @property
    def until(self) -> Mono | None:
        """When the first of them gives up."""
        return min(each.until for each in self._waiting.values()) if self._waiting else None

    def due(self, now: Now) -> None:
        """Nobody has judged it in time."""
        for evse_id in [evse_id for evse_id, each in self._waiting.items() if each.until <= now.mono]:
            del self._waiting[evse_id]
            log.warning("contract.too_late", extra={"evse": evse_id})
            self._vehicles.answer_contract(evse_id, accepted=False)
