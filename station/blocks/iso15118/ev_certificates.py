"""A vehicle asks for its contract certificate: the CSMS answers, the station carries (M01, M02).

What is carried is opaque (EXI in base64). A vehicle waits some seconds and then goes on without, so a question that
cannot be answered in that time is worth nothing: it is never kept for later, and an answer that comes late is dropped.
"""

from __future__ import annotations

import logging

import msgspec

from station.block import Answered, Block, NotSent, Outcome, Outcomes, Reactions, Refused, on, outcome
from station.facts import CertificateWantedByEv, PlugRemoved
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ocpp.messages import Get15118EVCertificateRequest
from station.ports import Csms, Vehicles
from station.state.sessions import Sessions
from station.state.variables import Variables

log = logging.getLogger(__name__)

LONGEST_EXI = 5600
LONGEST_VERSION = 50
"""Get15118EVCertificateRequest in 2.0.1."""


class _Wanted(msgspec.Struct, frozen=True):
    """Which request of which vehicle; `until`: when it gives up."""

    evse_id: int
    number: int
    until: Mono


class EvCertificates(Block):
    """Block M: Get15118EVCertificate. At most one request of each EVSE is open: a vehicle's last one."""

    def __init__(self, *, sessions: Sessions, variables: Variables, csms: Csms, vehicles: Vehicles) -> None:
        self._sessions = sessions
        self._variables = variables
        self._csms = csms
        self._vehicles = vehicles
        self._open: dict[int, _Wanted] = {}
        self._number = 0

    def outcomes(self) -> Outcomes:
        """What the CSMS says."""
        return [outcome(Get15118EVCertificateRequest, self.answered)]

    def reactions(self) -> Reactions:
        """A vehicle asks, or leaves."""
        return [on(CertificateWantedByEv, self.wanted), on(PlugRemoved, self.unplugged)]

    def load(self, now: Now) -> None:
        """Nothing is remembered of a vehicle that waits: it asks again."""
        del now
        self._open = {}

    def wanted(self, fact: CertificateWantedByEv, now: Now) -> None:
        """M01.FR.01, M02.FR.01."""
        self._number += 1
        wanted = _Wanted(fact.evse_id, self._number, now.after(fact.patience_s))
        self._open[fact.evse_id] = wanted
        if why := self._why_not(fact):
            self._failed(wanted, why)
            return
        message = Get15118EVCertificateRequest(
            action="Update" if fact.update else "Install",
            iso15118_schema_version=fact.schema_version,
            exi_request=fact.exi_request,
        )
        self._csms.ask(message, by=wanted.until, context=wanted)

    def _why_not(self, fact: CertificateWantedByEv) -> str:
        """What makes it useless to ask; "" if nothing does."""
        if not self._variables.boolean("ISO15118Ctrlr", "ContractCertificateInstallationEnabled"):
            return "ContractCertificateInstallationEnabled is false"
        if not 0 < len(fact.exi_request) <= LONGEST_EXI:
            return f"an exiRequest of more than {LONGEST_EXI} characters, or none"
        if not 0 < len(fact.schema_version) <= LONGEST_VERSION:
            return f"an iso15118SchemaVersion of more than {LONGEST_VERSION} characters, or none"
        return ""

    def answered(self, outcome: Outcome[Get15118EVCertificateRequest], now: Now) -> None:
        """Handed on as it is; a vehicle that is not there any more hears nothing of it."""
        del now
        wanted: _Wanted = outcome.context
        if self._open.get(wanted.evse_id) != wanted:
            log.info("ev_certificate.late", extra={"evse": wanted.evse_id})
            return
        match outcome:
            case Answered(_, response) if response.status == "Accepted":
                del self._open[wanted.evse_id]
                self._vehicles.answer_certificate(wanted.evse_id, accepted=True, exi_response=response.exi_response)
            case Answered(_, response):
                reason = response.status_info.reason_code if response.status_info is not None else ""
                self._failed(wanted, f"the CSMS says Failed {reason}".strip(), response.exi_response)
            case Refused(_, code, description):
                self._failed(wanted, f"{code}: {description}")
            case NotSent(_, reason):
                self._failed(wanted, reason)
            case _:
                self._failed(wanted, "the CSMS does not answer")

    def _failed(self, wanted: _Wanted, why: str, exi_response: str = "") -> None:
        log.warning("ev_certificate.failed", extra={"evse": wanted.evse_id, "reason": why})
        del self._open[wanted.evse_id]
        self._vehicles.answer_certificate(wanted.evse_id, accepted=False, exi_response=exi_response)

    def unplugged(self, fact: PlugRemoved, now: Now) -> None:
        """It has left: the answer would reach the next one."""
        del now
        session = self._sessions.on_evse(fact.evse_id)
        if session is None or session.connector_id in {None, fact.connector_id}:
            self._open.pop(fact.evse_id, None)

    def next_due(self) -> Deadline | None:
        """When the first of them gives up."""
        times = [each.until for each in self._open.values()]
        return MonoDeadline(min(times)) if times else None

    def due(self, now: Now) -> None:
        """Too late."""
        for wanted in [each for each in self._open.values() if each.until <= now.mono]:
            self._failed(wanted, "no answer in the time that the vehicle waits")
