"""Block A, how a signed certificate is taken: CertificateSigned (A02, A03).

Checked and written by a job; what the CSMS hears is what was done. How it was asked for: signing.py; what becomes of
the one before: switch.py.
Invariant: nothing of a certificate stays of which the CSMS was told that it is not taken.
"""

from __future__ import annotations

from station.block import Block, Later, Results, Routes, result, route
from station.blocks.own_certificates.jobs import Candidate, ChainChecked, CheckChain, ForgetChain
from station.blocks.own_certificates.switch import destroy
from station.facts import Facts, OwnCertificateInstalled, SecurityEventOccurred
from station.now import Now, rfc3339
from station.ocpp.messages import CertificateSignedRequest, CertificateSignedResponse
from station.ports import Jobs, Station
from station.refusal import Refusal
from station.state.network import Network
from station.state.own_certificates import CHARGING_STATION, Own, OwnCertificates, Signing
from station.state.variables import Variables

CHECKING_PATIENCE_S = 20.0
"""Below the time that a CSMS waits for an answer."""


class CertificateIntake(Block):
    """Block A: CertificateSigned."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        own: OwnCertificates,
        network: Network,
        variables: Variables,
        jobs: Jobs,
        station: Station,
        facts: Facts,
    ) -> None:
        self._own = own
        self._network = network
        self._variables = variables
        self._jobs = jobs
        self._station = station
        self._facts = facts

    def routes(self) -> Routes:
        """A02, A03."""
        return [route(CertificateSignedRequest, self.signed)]

    def results(self) -> Results:
        """Of the job that checks."""
        return [result(ChainChecked, self.chain_checked)]

    def signed(self, request: CertificateSignedRequest, now: Now) -> CertificateSignedResponse | Later:
        """A02.FR.06, A02.FR.16: of what may be ours the rest is found out by a job."""
        wanted = [each for each in self._own.all_signing() if request.certificate_type in {None, each.use}]
        wanted = [each for each in wanted if each.csr]
        size = len(request.certificate_chain.encode())
        most = self._variables.integer("SecurityCtrlr", "MaxCertificateChainSize")
        if size > most:
            return _rejected(Refusal("TooLargeElement", f"{size} bytes, MaxCertificateChainSize is {most}"))
        if not wanted:
            return self._invalid("no certificate was asked for, or it has come already")
        by = now.after(CHECKING_PATIENCE_S)
        job = CheckChain(
            pem=request.certificate_chain,
            candidates=tuple(Candidate(each.use, each.key, self._own.named(each.use).common_name) for each in wanted),
            at=now.wall,
            by=by,
        )
        return Later(job, by, _rejected(Refusal("InternalError", "the key store is too slow")))

    def chain_checked(self, checked: ChainChecked, now: Now) -> CertificateSignedResponse | None:
        """A02.FR.07, A02.FR.08."""
        if now.mono >= checked.by:  # Rejected was the answer: so be it
            if not checked.flaw:
                self._jobs.start(ForgetChain(name=checked.name))
            return None
        signing = self._own.signing(checked.use)
        if signing is None or signing.key != checked.name:
            return self._invalid(checked.flaw or "a newer certificate was asked for meanwhile")
        if checked.flaw:
            return self._invalid(checked.flaw, signing)
        self._own.install(Own(checked.name, checked.use, "new", checked.not_before, checked.not_after, checked.root))
        destroy(self._own, self._jobs)
        until = rfc3339(checked.not_after)
        self._event("ReconfigurationOfSecurityParameters", f"{checked.use} {checked.name}, valid until {until}")
        self._facts.emit(OwnCertificateInstalled(use=checked.use))
        if checked.use == CHARGING_STATION and self._network.level == 3:  # noqa: PLR2004 - the profile's name
            self._station.reconnect(after="reply")
        return CertificateSignedResponse(status="Accepted")

    def _invalid(self, flaw: str, asked_for: Signing | None = None) -> CertificateSignedResponse:
        """A02.FR.07, A02.FR.20: nothing is sent any more for what it should have been."""
        if asked_for is not None:
            self._own.stop(asked_for)
        self._event("InvalidChargingStationCertificate", flaw)
        return _rejected(Refusal("InvalidCertificate", flaw))

    def _event(self, type_: str, info: str) -> None:
        self._facts.emit(SecurityEventOccurred(type=type_, tech_info=info))


def _rejected(refusal: Refusal) -> CertificateSignedResponse:
    return CertificateSignedResponse(status="Rejected", status_info=refusal.info)
