"""What vehicles are shown and offered by the SECC, and the OCSP statuses that belong to it (M06).

A vehicle wants proof that the SECC's certificates are not revoked, faster than any server could be asked. So the
statuses of all of them, intermediates too, are fetched through the CSMS beforehand, kept, and fetched again in time:
when three quarters of their period are over, after six days at the latest (M06.FR.10), and after each new certificate.
Invariant: nothing is stapled that no responder has signed for this certificate, or whose time is over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec

from hal.iso15118 import SeccCertificate, SeccSetup
from station.block import (
    Answered,
    Block,
    Job,
    JobResult,
    NotSent,
    Outcome,
    Outcomes,
    Reactions,
    Refused,
    Results,
    on,
    outcome,
    result,
)
from station.facts import (
    ClockStepped,
    LinkLost,
    LinkRestored,
    OwnCertificateInstalled,
    StationStarted,
    VariableChanged,
)
from station.now import Deadline, Mono, MonoDeadline, Now, Wall
from station.ocpp.messages import GetCertificateStatusRequest
from station.ocpp.types import OCSPRequestDataType
from station.ports import Csms, Jobs, Vehicles
from station.state.own_certificates import V2G, OwnCertificates
from station.state.secc import CertificateStatuses, Status
from station.state.variables import Variables

log = logging.getLogger(__name__)

ISO15118 = "ISO15118Ctrlr"
PATIENCE_S = 60.0
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
LONGEST_S = 6 * DAY_S
"""A week is the limit; a day of it is left for a CSMS that does not answer."""
SHARE = 0.75
FIRST_RETRY_S = 60.0
LAST_RETRY_S = 6 * HOUR_S


class Link(msgspec.Struct, frozen=True):
    """A certificate of a chain; `asked`: None if no responder is known, or the issuer is not."""

    pem: str
    fingerprint: str
    asked: OCSPRequestDataType | None = None


class Chain(msgspec.Struct, frozen=True):
    """Leaf first."""

    links: tuple[Link, ...]


class ReadChains(Job, frozen=True, kw_only=True):
    """Read the chains of these keys."""

    keys: tuple[str, ...]


class ChainsRead(JobResult, frozen=True, kw_only=True):
    """Them; None if they could not be read."""

    chains: tuple[Chain, ...] | None


class JudgeStatus(Job, frozen=True, kw_only=True):
    """Whether an answer is what a responder says of this certificate. `chain`: where its issuer may be."""

    fingerprint: str
    pem: str
    chain: tuple[str, ...]
    ocsp_result: str
    at: Wall

    @property
    def key(self) -> str:
        """Each certificate has its own."""
        return f"JudgeStatus {self.fingerprint}"


class StatusJudged(JobResult, frozen=True, kw_only=True):
    """The response (DER), until when it counts; or `flaw`. `revoked`: when and why, "" if it is good."""

    fingerprint: str
    ocsp: bytes = b""
    until: Wall = Wall(0.0)
    revoked: str = ""
    flaw: str = ""


class AskedStatus(msgspec.Struct, frozen=True):
    """About which certificate a GetCertificateStatus was sent."""

    fingerprint: str


class Secc(Block):
    """Block M: GetCertificateStatus, and the setup of the boards that speak ISO 15118."""

    due_by_others = True

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        own: OwnCertificates,
        statuses: CertificateStatuses,
        variables: Variables,
        csms: Csms,
        jobs: Jobs,
        vehicles: Vehicles,
    ) -> None:
        self._own = own
        self._statuses = statuses
        self._variables = variables
        self._csms = csms
        self._jobs = jobs
        self._vehicles = vehicles
        self._chains: tuple[Chain, ...] = ()
        self._due: dict[str, Mono] = {}
        self._failures: dict[str, int] = {}
        self._asking: str | None = None
        self._stale = False
        self._linked = False
        self._look_at: Mono | None = None
        self._told: SeccSetup | None = None
        self._ends_at: Mono | None = None

    def outcomes(self) -> Outcomes:
        """M06."""
        return [outcome(GetCertificateStatusRequest, self.answered)]

    def results(self) -> Results:
        """Of the jobs above."""
        return [result(ChainsRead, self.chains_read), result(StatusJudged, self.judged)]

    def reactions(self) -> Reactions:
        """What changes what is shown or offered."""
        return [
            on(StationStarted, self.started),
            on(OwnCertificateInstalled, self.installed),
            on(ClockStepped, self.clock_stepped),
            on(VariableChanged, self.variable_changed),
            on(LinkRestored, self.link_restored),
            on(LinkLost, self.link_lost),
        ]

    def load(self, now: Now) -> None:
        """The chains are read again soon, not at once: that may be what failed. An open question is asked again."""
        self._linked = self._csms.connected
        self._asking = self._told = None
        self._look_at = now.after(FIRST_RETRY_S)

    # --- which certificates there are

    def started(self, fact: StationStarted, now: Now) -> None:
        """The SECC needs them before the first vehicle comes."""
        del fact
        self._look(now)
        self._equip(now)

    def installed(self, fact: OwnCertificateInstalled, now: Now) -> None:
        """M06.FR.07: all of the chain is asked about anew."""
        if fact.use == V2G:
            self._stale = True
            self._look(now)

    def clock_stepped(self, fact: ClockStepped, now: Now) -> None:
        """Periods are counted by the wall clock."""
        del fact
        self._look(now)

    def _look(self, now: Now) -> None:
        """Other certificates may be valid today."""
        self._look_at = now.after(DAY_S)
        self._jobs.start(ReadChains(keys=tuple(own.key for own in self._own.secc(now))))

    def chains_read(self, read: ChainsRead, now: Now) -> None:
        """M06.FR.06: what is not known is asked for, the rest when its time has come."""
        if read.chains is None:
            self._look_at = now.after(HOUR_S)
            return
        self._chains = read.chains
        there = self._askable()
        self._statuses.keep_only(there.keys())
        for name in there:
            known = self._statuses.of(name)
            fresh = known is None or self._stale
            self._due[name] = now.mono if fresh or known is None else now.after(_next_s(known, now))
        self._due = {name: self._due[name] for name in there}
        self._failures = {name: n for name, n in self._failures.items() if name in there and not self._stale}
        self._stale = False
        self._equip(now)

    def _askable(self) -> dict[str, OCSPRequestDataType]:
        """The certificates by their fingerprints, each once: chains may share their upper part."""
        links = [link for chain in self._chains for link in chain.links]
        return {link.fingerprint: link.asked for link in links if link.asked is not None}

    # --- their statuses

    def next_due(self) -> Deadline | None:
        """The next question that can be asked, the next look, or the end of what is shown."""
        times = [at for at in (self._look_at, self._ends_at) if at is not None]
        if self._csms.online and self._asking is None:
            times += self._due.values()
        return MonoDeadline(min(times)) if times else None

    def due(self, now: Now) -> None:
        """One question at a time: the CSMS has to ask somebody, too."""
        if self._look_at is not None and self._look_at <= now.mono:
            self._look(now)
            self._equip(now)
        if self._ends_at is not None and self._ends_at <= now.mono:
            self._equip(now)
        if not self._csms.online or self._asking is not None:
            return
        name = min(self._due, key=lambda each: self._due[each], default=None)
        if name is None or self._due[name] > now.mono:
            return
        self._asking = name
        message = GetCertificateStatusRequest(ocsp_request_data=self._askable()[name])
        self._csms.ask(message, by=now.after(PATIENCE_S), context=AskedStatus(name))

    def answered(self, outcome: Outcome[GetCertificateStatusRequest], now: Now) -> None:
        """What the CSMS got of the responder is looked at by a job."""
        name = outcome.context.fingerprint
        if self._asking == name:
            self._asking = None
        link = next((each for chain in self._chains for each in chain.links if each.fingerprint == name), None)
        if link is None or name not in self._due:
            return
        match outcome:
            case Answered(_, response) if response.status == "Accepted" and response.ocsp_result:
                chain = next(chain for chain in self._chains if link in chain.links)
                self._due[name] = now.after(PATIENCE_S)  # should the job give nothing
                self._jobs.start(
                    JudgeStatus(
                        fingerprint=name,
                        pem=link.pem,
                        chain=tuple(each.pem for each in chain.links),
                        ocsp_result=response.ocsp_result,
                        at=now.wall,
                    )
                )
            case Answered(_, response):
                self._failed(name, f"the CSMS says {response.status}", now)
            case Refused(_, code, description):
                self._failed(name, f"{code}: {description}", now)
            case NotSent() if not self._csms.online:  # as soon as it is
                self._due[name] = now.mono
            case _:
                self._failed(name, "no answer", now)

    def judged(self, found: StatusJudged, now: Now) -> None:
        """A good answer is kept, also if what it says is bad: a vehicle may know it."""
        if found.fingerprint not in self._due:
            return
        if found.flaw:
            self._failed(found.fingerprint, found.flaw, now)
            return
        if found.revoked:
            log.error("secc.revoked", extra={"certificate": found.fingerprint, "reason": found.revoked})
        status = Status(found.ocsp, now.wall, found.until)
        self._statuses.keep(found.fingerprint, status)
        self._failures.pop(found.fingerprint, None)
        self._due[found.fingerprint] = now.after(_next_s(status, now))
        self._equip(now)

    def _failed(self, name: str, why: str, now: Now) -> None:
        """After 1, 2, 4 minutes and so on, at least every six hours; what is known counts on meanwhile."""
        count = self._failures[name] = self._failures.get(name, 0) + 1
        log.warning("secc.no_status", extra={"certificate": name, "reason": why})
        self._due[name] = now.after(min(FIRST_RETRY_S * 2 ** min(count - 1, 16), LAST_RETRY_S))

    # --- what is shown and offered

    def variable_changed(self, fact: VariableChanged, now: Now) -> None:
        """One of the switches."""
        if fact.component == ISO15118:
            self._equip(now)

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """The CSMS can be asked."""
        del fact
        self._linked = True
        self._equip(now)

    def link_lost(self, fact: LinkLost, now: Now) -> None:
        """It cannot: a contract that nobody could judge is better not offered (C07, remark)."""
        del fact
        self._linked = False
        self._equip(now)

    def _equip(self, now: Now) -> None:
        is_on = self._variables.boolean
        setup = SeccSetup(
            chains=tuple(tuple(self._shown(chain, now)) for chain in self._chains),
            contract=is_on(ISO15118, "PnCEnabled") and (self._linked or is_on(ISO15118, "ContractValidationOffline")),
            certificates=is_on(ISO15118, "ContractCertificateInstallationEnabled") and self._linked,
            metering_receipt=is_on(ISO15118, "RequestMeteringReceipt"),
        )
        self._ends_at = self._first_end(now)
        if setup != self._told:
            self._told = setup
            self._vehicles.equip(setup)

    def _first_end(self, now: Now) -> Mono | None:
        """A moment after the time of the first of the statuses is over."""
        links = (link for chain in self._chains for link in chain.links)
        found = (self._statuses.of(link.fingerprint) for link in links)
        ends = [status.until - now.wall for status in found if status is not None and status.until > now.wall]
        return now.after(min(ends) + 1.0) if ends else None

    def _shown(self, chain: Chain, now: Now) -> Iterator[SeccCertificate]:
        for link in chain.links:
            status = self._statuses.of(link.fingerprint)
            counts = status is not None and status.until > now.wall
            yield SeccCertificate(link.pem, status.ocsp if counts and status is not None else b"")


def _next_s(status: Status, now: Now) -> float:
    """When to ask again. A clock that was wrong when it came must not put it off for longer than a week."""
    wait_s = min(max(SHARE * (status.until - status.asked), HOUR_S), LONGEST_S)
    return min(max(status.asked + wait_s - now.wall, 0.0), LONGEST_S)
