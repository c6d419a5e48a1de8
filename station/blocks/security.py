"""Block A, as far as it is events: what concerns security is in the security log, and told if it is critical (A04).

Whoever notices something emits SecurityEventOccurred; the link's failures, a clock that jumps and broken frames are
judged here. Nobody can fill the disk or the CSMS with it: each kind has a limit, and what it cut is counted.
Not here: certificates, their renewal and their end (own_certificates/, certificates.py).
Invariant: when its step has committed, an event is in the log, a critical one also in the queue, which never gives it
up (A04.FR.02, A04.FR.04).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping

from device_model.model import ComponentId
from station.block import Block, Reactions, on
from station.facts import (
    ClockStepped,
    InvalidMessageReceived,
    LinkLost,
    LinkRestored,
    MessageUndelivered,
    SecurityEventOccurred,
    StationStarted,
    StoreDegraded,
    TransactionThinned,
    VariableChanged,
)
from station.now import Instant, Mono, Now, to_wall
from station.ocpp.messages import SecurityEventNotificationRequest
from station.ports import Csms, Times
from station.state.registration import Registration
from station.state.security_log import SecurityLog
from station.state.variables import Variables

log = logging.getLogger(__name__)

CRITICAL = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidCsmsCertificate",
        "InvalidChargingStationCertificate",
        "InvalidTLSVersion",
        "InvalidTLSCipherSuite",
        "MaintenanceLoginAccepted",
        "MaintenanceLoginFailed",
        # Beyond the appendix, which allows it: a handler failed repeatedly; a renewed certificate was given up; one
        # ends; a message was given up, and is kept for the operator; a meter shows what it cannot.
        "ImplausibleMeterRegister",
        "InternalError",
        "CertificateExpiry",
        "DiscardedRenewedClientCertificate",
        "MessageUndelivered",
    }
)
"""Events that the CSMS is told (appendix 1); all others are only logged."""

LINK_EVENTS: Mapping[str, str] = {
    "tls_certificate": "InvalidCsmsCertificate",
    "tls_version": "InvalidTLSVersion",
    "tls_cipher": "InvalidTLSCipherSuite",
    "tls_client": "FailedToAuthenticateAtCsms",
    "http_401": "FailedToAuthenticateAtCsms",
}
"""What the cause of a failed connection means (A00.FR.310, A00.FR.316, A00.FR.323), by the kind in LinkLost."""

COLD_STARTS = frozenset({"PowerUp", "Unknown"})
"""BootReasons of a StartupOfTheDevice; the others are a ResetOrReboot."""

TAMPER = ("CaseAccessSensor", "Tripped")
"""The sensor, and the variable of it that says that the case was opened."""

TOLD_BY_OTHERS = frozenset({"BasicAuthPassword"})
"""Variables of SecurityCtrlr whose change their owner tells."""

BURST = 10
WITHIN_S = 3600.0
"""So many events of one kind pass within so long."""


class Security(Block):
    """Block A: security events."""

    def __init__(
        self,
        *,
        registration: Registration,
        security_log: SecurityLog,
        variables: Variables,
        csms: Csms,
        times: Times,
    ) -> None:
        self._registration = registration
        self._security_log = security_log
        self._variables = variables
        self._csms = csms
        self._times = times
        self._limit = Limit()
        self._series: set[str] = set()

    def reactions(self) -> Reactions:
        """Events that others noticed, and what is noticed here."""
        return [
            on(SecurityEventOccurred, self.occurred),
            on(StationStarted, self.started),
            on(ClockStepped, self.clock_stepped),
            on(InvalidMessageReceived, self.invalid_message),
            on(LinkLost, self.link_lost),
            on(LinkRestored, self.link_restored),
            on(MessageUndelivered, self.undelivered),
            on(TransactionThinned, self.thinned),
            on(StoreDegraded, self.degraded),
            on(VariableChanged, self.variable_changed),
        ]

    def load(self, now: Now) -> None:
        """A series that a failed step began has not begun: at worst it is told once more."""
        del now
        self._series.clear()

    def occurred(self, fact: SecurityEventOccurred, now: Now) -> None:
        """A04.FR.01, A04.FR.04."""
        self._note(fact.type, fact.tech_info, now.instant, now)

    def started(self, fact: StationStarted, now: Now) -> None:
        """One event for each start; it waits in the queue until the CSMS has accepted us."""
        reason = self._registration.boot_reason
        self._note("StartupOfTheDevice" if reason in COLD_STARTS else "ResetOrReboot", reason, fact.at, now)

    def clock_stepped(self, fact: ClockStepped, now: Now) -> None:
        """A jump of the clock beyond TimeAdjustmentReportingThreshold."""
        if abs(fact.by_s) > self._variables.integer("ClockCtrlr", "TimeAdjustmentReportingThreshold"):
            self._note("SettingSystemTime", f"by {fact.by_s:+.0f} s, told by {fact.source}", now.instant, now)

    def invalid_message(self, fact: InvalidMessageReceived, now: Now) -> None:
        """A frame that is none."""
        self._note("InvalidMessages", fact.description, now.instant, now)

    def link_lost(self, fact: LinkLost, now: Now) -> None:
        """Once for each cause until a connection stands: a server that stays wrong is one event, not thousands."""
        event = LINK_EVENTS.get(fact.kind)
        if event is not None and event not in self._series:
            self._series.add(event)
            self._note(event, fact.detail, now.instant, now)

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """The next failure is news again."""
        self._series.clear()
        if fact.credentials and not fact.certificate:
            self._note(
                "FailedToAuthenticateAtCsms", "with the new credentials; the former are in use", now.instant, now
            )

    def undelivered(self, fact: MessageUndelivered, now: Now) -> None:
        """E13.FR.04: what was given up is reported; of a security event this would only repeat itself."""
        if fact.action != "SecurityEventNotification":
            whose = f" of transaction {fact.transaction_id}" if fact.transaction_id else ""
            self._note("MessageUndelivered", f"{fact.action}{whose}: {fact.reason}", now.instant, now)

    def thinned(self, fact: TransactionThinned, now: Now) -> None:
        """E04.FR.08: the gaps that the CSMS will find in seqNo are explained."""
        info = f"{fact.events} Updated events of transaction {fact.transaction_id} were dropped"
        self._note("MemoryExhaustion", info, now.instant, now)

    def degraded(self, fact: StoreDegraded, now: Now) -> None:
        """The disk is full or fails: what happens from here on is in memory only."""
        self._note("MemoryExhaustion", f"the disk takes no writes: {fact.kind}", now.instant, now)

    def variable_changed(self, fact: VariableChanged, now: Now) -> None:
        """The case was opened; or the CSMS has changed how the station secures itself."""
        if (fact.component, fact.variable, fact.value) == (*TAMPER, "true"):
            component = ComponentId(fact.component, fact.instance or "", fact.evse_id, fact.connector_id)
            if self._variables.text(component, "Enabled") != "false":
                self._note("TamperDetectionActivated", _place(fact), now.instant, now)
        elif fact.component == "SecurityCtrlr" and fact.by == "csms" and fact.variable not in TOLD_BY_OTHERS:
            info = f"{fact.variable} {fact.value}"
            self._note("ReconfigurationOfSecurityParameters", info, now.instant, now)

    def _note(self, type_: str, tech_info: str, at: Instant, now: Now) -> None:
        before = self._limit.cut(type_, now.mono)
        if before is None:
            return
        if before:
            tech_info = f"{tech_info} ({before} more since the last)"
        tech_info = _one_line(tech_info)
        critical = type_ in CRITICAL
        log.warning("security.event", extra={"type": type_, "critical": critical, "info": tech_info})
        utc = self._times.utc(at)
        self._security_log.add(type_, tech_info, at, to_wall(utc))
        if critical:
            self._csms.tell(SecurityEventNotificationRequest(type=type_, timestamp=utc, tech_info=tech_info or None))


def _one_line(text: str) -> str:
    """What others have named (certificates, URLs) draws nothing on the screen that shows it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _place(fact: VariableChanged) -> str:
    where = f"EVSE {fact.evse_id}" if fact.evse_id is not None else "the station"
    return f"{fact.component} {fact.instance or ''}".rstrip() + f" of {where}"


class Limit:
    """How many events of a kind pass: BURST within WITHIN_S, then one each time the oldest of them has grown old."""

    def __init__(self) -> None:
        self._passed: dict[str, deque[Mono]] = {}
        self._cut: dict[str, int] = {}

    def cut(self, kind: str, now: Mono) -> int | None:
        """None if this one is cut; else how many were cut since the last one that passed."""
        passed = self._passed.setdefault(kind, deque(maxlen=BURST))
        if len(passed) == BURST and now - passed[0] < WITHIN_S:
            self._cut[kind] = self._cut.get(kind, 0) + 1
            return None
        passed.append(now)
        return self._cut.pop(kind, 0)
