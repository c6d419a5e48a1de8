"""The certificates that are installed, as the core knows them: which there are, until when, which one is in use.

Their files are the truth (`certs/trust.py`), since a lost database must not cut the way to the CSMS; whoever changes
them tells here what there is now. Nothing is read in a step.
Invariant: what is here was read from the files at the start, or after the last job that changed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from station.now import Now, Wall

CSMS_ROOT: Final = "CSMSRootCertificate"
STATION: Final = "ChargingStationCertificate"
V2G_CHAIN: Final = "V2GCertificateChain"
MO_ROOT: Final = "MORootCertificate"
V2G_ROOT: Final = "V2GRootCertificate"


class Certificate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of them. `kind`: InstallCertificateUseEnumType of a root; ChargingStationCertificate, V2GCertificateChain."""

    kind: str
    fingerprint: str
    until: Wall | None = None
    """None if it cannot be read."""
    unproven: bool = False
    """A CSMS root that replaces another one and has not yet vouched for a CSMS (M05.FR.12),"""
    replaced: bool = False
    """and the one that is kept until it has."""


class Certificates:
    """What is installed. `elsewhere`: kinds of which the machine itself has certificates (roots of the system)."""

    def __init__(self, installed: Sequence[Certificate] = (), elsewhere: frozenset[str] = frozenset()) -> None:
        self._installed = tuple(installed)
        self._elsewhere = elsewhere
        self.in_use = ""
        """The fingerprint of the CSMS root that vouched for the CSMS last; "" without TLS, or if it is not known."""

    def vouched(self, path: Sequence[str]) -> None:
        """The CSMS's certificate and those that vouched for it: the nearest that is installed as a root suffices."""
        roots = {each.fingerprint for each in self.of(CSMS_ROOT)}
        self.in_use = next((each for each in path if each in roots), "")

    def know(self, installed: Sequence[Certificate]) -> None:
        """This is what there is now."""
        self._installed = tuple(installed)

    @property
    def entries(self) -> int:
        """How many there are (CertificateEntries)."""
        return len(self._installed)

    def of(self, kind: str) -> list[Certificate]:
        """Those of one kind."""
        return [each for each in self._installed if each.kind == kind]

    def valid(self, kind: str, now: Now) -> bool:
        """Whether one of a kind is there that has not expired."""
        if kind in self._elsewhere:
            return True
        return any(each.until is not None and each.until > now.wall for each in self.of(kind))

    @property
    def unproven(self) -> str:
        """The fingerprint of the CSMS root that waits for its first connection; "" if none does."""
        return next((each.fingerprint for each in self.of(CSMS_ROOT) if each.unproven), "")
