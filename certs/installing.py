"""Whether a root certificate may be installed, and what becomes of those that it replaces (M05).

Imports `cryptography`: import this module where it is used.

A power cut at any instant leaves the old roots, or the new one with the old ones to fall back to: what the new one
replaces is written down before it is there, and counts for nothing until it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from cryptography.x509 import Certificate

from certs import tls, x509
from certs.errors import BadCertificate, StoreFull
from certs.trust import Root, TrustStore, certificates, fingerprint


class Terms(NamedTuple):
    """What a new root has to comply with. `certain`: `at` is the time, and not only one that has passed already."""

    at: datetime
    certain: bool
    most: int
    """So many certificates may be installed in all (CertificateEntries.maxLimit),"""
    others: int = 0
    """and so many are that are no roots."""
    replace: bool = False
    """Only one root of its use may be there, and the new one must be signed by it (M05.FR.09 to M05.FR.12)."""
    places: tuple[str, ...] = ()
    """Where the replaced root may still be used."""


def install(store: TrustStore, use: str, pem: str, terms: Terms) -> Root:
    """Check a root and install it; gives it as it is listed.

    Raises BadCertificate (M05.FR.07, M05.FR.11), StoreFull (M05.FR.06), OSError: then nothing has changed.
    """
    found = certificates(pem)
    if len(found) != 1 or pem.count("-----BEGIN ") != 1:
        raise BadCertificate("not exactly one certificate in PEM")
    certificate, issuer = _checked(store, found[0], terms)
    mark, rivals = fingerprint(found[0]), store.roots(use)
    if mark not in {root.fingerprint for root in rivals}:
        if len(store.held()) + terms.others >= terms.most:
            raise StoreFull(f"{terms.most} certificates are installed")
        if terms.replace and rivals:
            _succeed(store, mark, certificate, rivals, terms)
    key = "" if issuer is None else x509.public_key_pem(issuer)
    file = store.put(use, found[0], key)
    if terms.replace:
        _drop_unproven(store, use)
    return next(root for root in store.roots(use) if root.file == file)


def _checked(store: TrustStore, pem: str, terms: Terms) -> tuple[Certificate, Certificate | None]:
    """The certificate, and who signed it if that is another. Raises BadCertificate."""
    try:
        certificate = x509.load(pem)
        x509.check_authority(certificate)
        x509.check_validity(certificate, terms.at, certain=terms.certain)
        certificate.subject.rfc4514_string()
        issuer = _issuer(store, certificate)
    except (BadCertificate, OSError):
        raise
    except Exception as error:  # the library's have no base in common, and come when a field is asked for
        raise BadCertificate("it cannot be read") from error
    if not tls.can_be_loaded(pem):
        raise BadCertificate("TLS cannot use it")
    return certificate, issuer


def _issuer(store: TrustStore, certificate: Certificate) -> Certificate | None:
    """The authority that signed it; None if it did so itself. Raises BadCertificate if nobody here did."""
    if certificate.issuer == certificate.subject:
        if not x509.issued_by(certificate, certificate):
            raise BadCertificate("its signature is wrong")
        return None
    issuer = x509.issuer_among(certificate, x509.readable(store.pem(root) for root in store.roots()))
    if issuer is None:
        raise BadCertificate("neither signed by itself nor by an installed root")
    return issuer


def _succeed(store: TrustStore, mark: str, certificate: Certificate, rivals: Sequence[Root], terms: Terms) -> None:
    """Write down who replaces whom. A root that has not proven itself is nobody's fallback."""
    if x509.issuer_among(certificate, x509.readable(store.pem(root) for root in rivals)) is None:
        raise BadCertificate("not signed by the root that it would replace")
    known = store.register()
    proven = store.fallback(rivals[0].use) or frozenset(root.fingerprint for root in rivals)
    places = known.places if store.fallback(rivals[0].use) else terms.places
    store.keep(msgspec.structs.replace(known, successor=mark, fallback=tuple(sorted(proven)), places=places))


def _drop_unproven(store: TrustStore, use: str) -> None:
    """A successor that was itself replaced before it could prove itself."""
    known, fallback = store.register(), store.fallback(use)
    if fallback:
        for root in store.roots(use):
            if root.fingerprint not in fallback and root.fingerprint != known.successor:
                store.remove(root)
