"""Block A, which certificate stays: the one by which the CSMS was reached; keys of the others are destroyed (A02, A03).

The link shows the new one first, and the one that worked last in turn with it (A02.FR.28); here is what follows from
its success. Invariant: a certificate that has worked is given up only when another one has.
"""

from __future__ import annotations

import logging

from station.block import Block, Reactions, Results, on, result
from station.blocks.own_certificates.jobs import DestroyKeys, KeysDestroyed
from station.facts import Facts, LinkRestored, SecurityEventOccurred, StationStarted
from station.now import Now
from station.ports import Jobs, Station
from station.state.own_certificates import CHARGING_STATION, GIVEN, OwnCertificates

log = logging.getLogger(__name__)


class CertificateSwitch(Block):
    """Block A: the certificate that the station shows."""

    def __init__(self, *, own: OwnCertificates, jobs: Jobs, station: Station, facts: Facts) -> None:
        self._own = own
        self._jobs = jobs
        self._station = station
        self._facts = facts
        self._missed: set[str] = set()

    def reactions(self) -> Reactions:
        """The link, and the start, which finishes what the last run began."""
        return [on(LinkRestored, self.link_restored), on(StationStarted, self.started)]

    def results(self) -> Results:
        """Of the job that destroys."""
        return [result(KeysDestroyed, self.keys_destroyed)]

    def started(self, fact: StationStarted, now: Now) -> None:
        """Destroy what was doomed before."""
        del fact, now
        destroy(self._own, self._jobs)

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """A02.FR.10, A02.FR.29: whichever certificate has worked, the other one goes."""
        del now
        if not fact.certificate:
            return
        ways = self._own.ways()
        if fact.credentials == 0 and fact.certificate in ways[1:] and ways[0] not in self._missed:
            self._missed.add(ways[0])  # dialled before the new one was there: it has not been tried
            self._station.reconnect(after="now")
            return
        new = {each.key for each in self._own.chains(CHARGING_STATION) if each.stage == "new"}
        given_up = self._own.proved(fact.certificate)
        for each in sorted(new & set(given_up)):
            info = f"{each}: the CSMS was not reached with it"
            self._facts.emit(SecurityEventOccurred(type="DiscardedRenewedClientCertificate", tech_info=info))
        if GIVEN in given_up:
            log.warning("certificate.superseded", extra={"by": fact.certificate})
        destroy(self._own, self._jobs)

    def keys_destroyed(self, done: KeysDestroyed, now: Now) -> None:
        """Nothing is left of them."""
        del now
        self._own.destroyed(done.names)


def destroy(own: OwnCertificates, jobs: Jobs) -> None:
    """Have all doomed keys destroyed, if there are any."""
    if doomed := own.doomed():
        jobs.start(DestroyKeys(names=doomed))
