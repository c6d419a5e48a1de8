"""From a certificate to a root that is trusted: path validation by RFC 5280, section 6 (A00.FR.308, A02.FR.06).

For chains that come in messages; those of a TLS connection OpenSSL follows by itself, which knows no other time than
the system's and hands no result to Python. Whatever cannot be judged is refused: an extension that is critical and
unknown, name constraints, an outdated hash. Imports `cryptography`: import this module where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from certs.errors import BadCertificate
from certs.x509 import check_key

MOST = 10
"""Certificates of a chain, and the length of a path."""

_OUTDATED = (hashes.MD5, hashes.SHA1)
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
"""Extensions that may be critical: what they say is looked at, or is of no concern to a station."""


def follow(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime) -> x509.Certificate:
    """The root that the first certificate of `chain` leads to; see `climbed`."""
    return climbed(chain, roots, at)[-1]


def climbed(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> list[x509.Certificate]:
    """The path from the first certificate of `chain` to a root, by way of the others, all valid at `at`.

    A root may itself be signed by somebody else: whoever is installed is trusted. Raises BadCertificate with the
    reason that comes nearest to the goal.
    """
    if not 0 < len(chain) <= MOST:
        raise BadCertificate(f"a chain of {len(chain)} certificates, 1 to {MOST} are taken")
    sound(chain[0], at)
    reasons: list[str] = []
    pool, ways = list(chain[1:]), [([chain[0]], 0)]
    for way, below in ways:  # grows below; each certificate is looked at once, however they sign each other
        for root in _issuers(way[-1], roots, at, below, reasons):
            return [*way, root]
        for above in list(_issuers(way[-1], pool, at, below, reasons)):
            pool.remove(above)
            ways.append(([*way, above], below + (above.subject != above.issuer)))
    name = ways[-1][0][-1].issuer.rfc4514_string()
    raise BadCertificate(reasons[-1] if reasons else f"it leads to no root that is installed, but to {name}")


def _issuers(
    child: x509.Certificate, candidates: Sequence[x509.Certificate], at: datetime, below: int, reasons: list[str]
) -> Iterator[x509.Certificate]:
    """Those that signed `child` and were allowed to; why others were not goes into `reasons`."""
    for candidate in candidates:
        if candidate.subject != child.issuer:
            continue
        try:
            child.verify_directly_issued_by(candidate)
            sound(candidate, at)
            _may_sign(candidate, below)
        except InvalidSignature:
            reasons.append(f"it is not signed by {_name(candidate)}, whom it names")
        except BadCertificate as error:
            reasons.append(f"{_name(candidate)}: {error}")
        except (ValueError, TypeError, UnsupportedAlgorithm):
            reasons.append("it is signed in a way that is not understood")
        else:
            yield candidate


def sound(certificate: x509.Certificate, at: datetime) -> None:
    """Raise BadCertificate unless it is valid at `at`, strong enough (A00.FR.501 to 504) and can be understood."""
    if at < certificate.not_valid_before_utc:
        raise BadCertificate(f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S}")
    if at > certificate.not_valid_after_utc:
        raise BadCertificate(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}")
    check_key(certificate)
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise BadCertificate("it is signed in a way that is not understood") from error
    if isinstance(algorithm, _OUTDATED):
        raise BadCertificate(f"it is signed with {algorithm.name}, which is outdated")
    for extension in _extensions(certificate):
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise BadCertificate(f"the extension {_label(extension.oid)} is critical and not understood")


def _may_sign(authority: x509.Certificate, below: int) -> None:
    basic = usage = None
    for extension in _extensions(authority):
        if isinstance(extension.value, x509.BasicConstraints):
            basic = extension.value
        elif isinstance(extension.value, x509.KeyUsage):
            usage = extension.value
    if basic is None or not basic.ca:
        raise BadCertificate("it is no authority, but has signed")
    if basic.path_length is not None and below > basic.path_length:
        raise BadCertificate(f"it allows {basic.path_length} authorities below it, there are {below}")
    if usage is not None and not usage.key_cert_sign:
        raise BadCertificate("its key usage does not let it sign certificates")


def _extensions(certificate: x509.Certificate) -> x509.Extensions:
    try:
        return certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise BadCertificate("its extensions cannot be read") from error


def _label(oid: ObjectIdentifier) -> str:
    name = oid._name  # noqa: SLF001 - the only way to the words; for people
    return name if name != "Unknown OID" else oid.dotted_string


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "an authority without a name"
