"""Block A, how the station asks for its own certificates (A02, A03).

    TriggerMessage, or a certificate that ends soon
        -> a new key and its request are made (job)         making
        -> SignCertificate, until the CSMS accepts it        sending
        -> CertificateSigned is awaited, asked for again     waiting, stopped
        -> the chain is checked and written (job): intake.py
        -> the CSMS is reached with the new one, or again with the old one: switch.py

All of it is in tables, so that a power cut anywhere only makes a step be done again. Nothing here touches a key or
reads a certificate: jobs do.
Invariant: of each use one request is under way, and every key that was made for one is installed, asked for or doomed.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from device_model.model import ComponentId, VariableId
from station.block import (
    Answered,
    Block,
    NotSent,
    Outcome,
    Outcomes,
    Reactions,
    Refused,
    Results,
    TimedOut,
    on,
    outcome,
    result,
)
from station.blocks.own_certificates.jobs import (
    MakeRequest,
    RequestMade,
)
from station.blocks.own_certificates.switch import destroy
from station.facts import (
    ClockStepped,
    LinkRestored,
    MessageTriggered,
    OwnCertificateInstalled,
    RegistrationChanged,
    StationStarted,
)
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ocpp.messages import SignCertificateRequest
from station.ports import Csms, Ids, Jobs
from station.state.network import Network
from station.state.own_certificates import (
    CHARGING_STATION,
    ISO15118,
    PREFIXES,
    USES,
    V2G,
    OwnCertificates,
    Signing,
    Use,
)
from station.state.variables import Variables

log = logging.getLogger(__name__)

TRIGGERED: Final[dict[str, Use]] = {
    "SignChargingStationCertificate": "ChargingStationCertificate",
    "SignV2GCertificate": "V2GCertificate",
}
"""What TriggerMessage calls each use. There is no combined certificate: each use has its own."""

MAKING_PATIENCE_S = 300.0
"""A slow chip takes a minute for an RSA key; after this time it is tried again."""
ASKING_PATIENCE_S = 600.0
SHUT = frozenset({"offline", "not registered", "the link was lost before the answer"})
"""Why a question was not sent, of what may be over in the same moment."""
BROKEN_PATIENCE_S = 3600.0
"""A key store that fails is tried again after this time."""
LOOK_EVERY_S = 6 * 3600.0
DAY_S = 86_400.0
SHARE_OF_LIFE = 1 / 3
"""A certificate that lives only for weeks is renewed in the last third of its life: a month before would be always."""


class _Asked(msgspec.Struct, frozen=True):
    """For which key a SignCertificate was sent."""

    name: str


class CertificateSigning(Block):
    """Block A: SignCertificate.

    `renew_ahead_s`: how long before its end a certificate is renewed.
    """

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        own: OwnCertificates,
        network: Network,
        variables: Variables,
        csms: Csms,
        jobs: Jobs,
        ids: Ids,
        renew_ahead_s: float,
    ) -> None:
        self._own = own
        self._network = network
        self._variables = variables
        self._csms = csms
        self._jobs = jobs
        self._ids = ids
        self._renew_ahead_s = renew_ahead_s
        self._due: dict[str, Mono] = {}
        self._answered_at: dict[str, Mono] = {}
        self._asking: set[str] = set()
        self._look_at: Mono | None = None

    def outcomes(self) -> Outcomes:
        """A02, A03."""
        return [outcome(SignCertificateRequest, self.asked)]

    def reactions(self) -> Reactions:
        """The trigger; the start, the clock and the link, by which things go on."""
        return [
            on(MessageTriggered, self.triggered),
            on(StationStarted, self.started),
            on(ClockStepped, self.clock_stepped),
            on(LinkRestored, self.link_restored),
            on(RegistrationChanged, self.registered),
            on(OwnCertificateInstalled, self.installed),
        ]

    def results(self) -> Results:
        """Of the job that makes keys."""
        return [result(RequestMade, self.request_made)]

    def load(self, now: Now) -> None:
        """Whatever was under way is waited for anew; a job that was lost is given as long as one that runs."""
        self._due = {each.use: now.after(self._patience_s(each)) for each in self._own.all_signing()}
        self._due = {use: at for use, at in self._due.items() if self._stage(use) in {"making", "waiting"}}
        self._look_at = now.after(LOOK_EVERY_S)
        self._asking.clear()

    def _patience_s(self, signing: Signing) -> float:
        return MAKING_PATIENCE_S if signing.stage == "making" else self._wait_s(signing.sent)

    def _wait_s(self, sent: int) -> float:
        """A02.FR.17, A02.FR.18: CertSigningWaitMinimum, doubled after each time."""
        least = self._variables.integer("SecurityCtrlr", "CertSigningWaitMinimum")
        return float(least * 2 ** min(max(sent - 1, 0), 32))

    def _stage(self, use: str) -> str | None:
        signing = self._own.signing(use)
        return signing.stage if signing is not None else None

    # --- what makes a new certificate be asked for

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """A02: always with a new key (A02.FR.02); what was under way is forgotten."""
        use = TRIGGERED.get(fact.requested)
        if use is not None:
            self._begin(use, now, asked=True)

    def started(self, fact: StationStarted, now: Now) -> None:
        """Go on where the last run was stopped."""
        del fact
        for signing in self._own.all_signing():
            if signing.stage == "making":
                self._make(signing, now)
        self._look(now)

    def clock_stepped(self, fact: ClockStepped, now: Now) -> None:
        """The time is known, or another one: is a certificate about to end?"""
        del fact
        self._look(now)

    def _look(self, now: Now) -> None:
        """A03.FR.02: renew what ends soon, unless that waits for a trigger (A02.FR.19, A02.FR.20)."""
        self._look_at = now.after(LOOK_EVERY_S)
        if not now.trusted:
            return
        for use in USES:
            waits = self._answered_at.get(use)
            if waits is not None and now.mono < waits + DAY_S:
                continue
            if self._own.signing(use) is None and self._ends_soon(use, now) and self._own.refusal(use) is None:
                self._begin(use, now, asked=False)

    def _ends_soon(self, use: Use, now: Now) -> bool:
        """Whether the certificate in use does; one that nothing is connected with need not be renewed."""
        if use == CHARGING_STATION:
            keys = self._own.ways() if self._network.level == 3 else ()  # noqa: PLR2004 - the profile's name
        else:
            keys = tuple(each.key for each in self._own.chains(use))
        period = self._own.period(keys[0]) if keys else None
        if period is None:
            return False
        ahead_s = min(self._renew_ahead_s, (period[1] - period[0]) * SHARE_OF_LIFE)
        return now.wall >= period[1] - ahead_s

    def _begin(self, use: Use, now: Now, *, asked: bool) -> None:
        signing = Signing(use=use, key=PREFIXES[use] + self._ids.uuid(), asked=asked)
        self._own.ask(signing)
        destroy(self._own, self._jobs)
        log.info("certificate.requested", extra={"use": use, "certificate": signing.key, "asked": asked})
        self._make(signing, now)

    def _make(self, signing: Signing, now: Now) -> None:
        named = self._own.named(signing.use)
        self._due[signing.use] = now.after(MAKING_PATIENCE_S)
        self._jobs.start(
            MakeRequest(
                use=signing.use,
                name=signing.key,
                common_name=named.common_name,
                organization=named.organization,
                country=named.country,
            )
        )

    # --- the request

    def request_made(self, made: RequestMade, now: Now) -> None:
        """The key is there: the CSMS may be asked. One that could not be made is tried again after a while."""
        signing = self._own.signing(made.use)
        if signing is None or signing.key != made.name or signing.stage != "making":
            return
        if made.flaw:
            log.error("certificate.no_request", extra={"use": made.use, "reason": made.flaw})
            self._due[made.use] = now.after(BROKEN_PATIENCE_S)
            return
        self._send(msgspec.structs.replace(signing, csr=made.csr, stage="sending"), now)

    def _send(self, signing: Signing, now: Now) -> None:
        """A02.FR.03, A02.FR.13: the use is always told."""
        self._own.ask(signing)
        self._due.pop(signing.use, None)
        self._asking.add(signing.key)
        self._csms.ask(
            SignCertificateRequest(csr=signing.csr, certificate_type=signing.use),
            by=now.after(ASKING_PATIENCE_S),
            context=_Asked(signing.key),
            asked=signing.asked,
        )

    def asked(self, outcome: Outcome[SignCertificateRequest], now: Now) -> None:
        """What became of a SignCertificate; of one that was superseded meanwhile nothing is learnt."""
        name = outcome.context.name if isinstance(outcome.context, _Asked) else ""
        self._asking.discard(name)
        signing = next((each for each in self._own.all_signing() if each.key == name), None)
        if signing is None or signing.stage != "sending":
            return
        match outcome:
            case Answered(_, response) if response.status == "Accepted":
                self._wait(signing, now)
            case Answered() | Refused():
                self._refused(signing, now)
            case TimedOut():  # it may have been accepted: asked again as if it had
                self._wait(signing, now)
            case NotSent(_, reason) if self._csms.online:  # at once if what stood in the way is over
                self._due[signing.use] = now.mono if reason in SHUT else now.after(self._wait_s(1))
            case NotSent():  # as soon as there is a link, or a registration
                pass

    def _wait(self, signing: Signing, now: Now) -> None:
        """A02.FR.17 to A02.FR.19."""
        waiting = msgspec.structs.replace(signing, stage="waiting", sent=signing.sent + 1)
        if waiting.sent > 1 + self._repetitions():
            self._own.stop(waiting)
        else:
            self._own.ask(waiting)
            self._due[signing.use] = now.after(self._wait_s(waiting.sent))

    def _repetitions(self) -> int:
        """A repetition after the least wait, and one more for each time that it may be doubled."""
        return self._variables.integer("SecurityCtrlr", "CertSigningRepeatTimes")

    def _refused(self, signing: Signing, now: Now) -> None:
        """The CSMS will not have it signed. What ends soon is asked for again a day later."""
        log.warning("certificate.refused", extra={"use": signing.use})
        self._own.give_up(signing.use)
        self._due.pop(signing.use, None)
        self._answered_at[signing.use] = now.mono
        destroy(self._own, self._jobs)
        if signing.use == V2G:  # A02.FR.21: in memory, so that the next start finds it as it was
            self._variables.measure(ComponentId(ISO15118), VariableId("PnCEnabled"), "false")

    # --- the certificate, and the link

    def installed(self, fact: OwnCertificateInstalled, now: Now) -> None:
        """It has come. If it is given up, the next one is not asked for at once."""
        self._due.pop(fact.use, None)
        self._answered_at[fact.use] = now.mono

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """What could not be sent before may be now."""
        del fact
        self._go_on(now, accepted=self._csms.online)

    def registered(self, fact: RegistrationChanged, now: Now) -> None:
        """What could not be sent before may be now."""
        if fact.status in {"Accepted", "Pending"}:
            self._go_on(now, accepted=fact.status == "Accepted")

    def _go_on(self, now: Now, *, accepted: bool) -> None:
        for signing in self._own.all_signing():
            if signing.stage == "sending" and signing.key not in self._asking and (accepted or signing.asked):
                self._send(signing, now)

    # --- timers

    def next_due(self) -> Deadline | None:
        """A wait that ends, or the next look at the certificates."""
        if not self._due:
            return MonoDeadline(self._look_at) if self._look_at is not None else None
        waits = [*self._due.values(), *([self._look_at] if self._look_at is not None else [])]
        return MonoDeadline(min(waits))

    def due(self, now: Now) -> None:
        """Make again, send again, or look."""
        for use in [use for use, at in self._due.items() if at <= now.mono]:
            del self._due[use]
            signing = self._own.signing(use)
            if signing is None:
                continue
            if signing.stage == "making":
                self._begin(signing.use, now, asked=signing.asked)  # the key of before may be half made
            elif signing.stage in {"waiting", "sending"}:
                self._send(msgspec.structs.replace(signing, stage="sending"), now)
        if self._look_at is not None and self._look_at <= now.mono:
            self._look(now)
