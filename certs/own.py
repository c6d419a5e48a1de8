"""The station's own certificates: what a signed one must be like, and where the chains lie (A02, A03).

`<directory>/<key>.pem`: the certificate of the private key of that name, followed by its intermediates. Several may be
there: one is in use, one is new, those of other uses. Which is which, is the caller's business.
`OwnChains` needs no `cryptography`: a station that only connects does not import it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from certs import atomic, expiry
from certs.errors import BadCertificate

_KEY = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


class Expected(msgspec.Struct, frozen=True):
    """What was asked for: a certificate for this public key (SubjectPublicKeyInfo, DER) that names this subject.

    `client`: it is for the side that opens a TLS connection, else for the one that accepts it (an SECC).
    """

    public_key: bytes
    common_name: str
    client: bool = True


class Signed(msgspec.Struct, frozen=True):
    """A chain that is good. `pem`: as it is stored and sent, leaf first; `root`: fingerprint of where it leads to."""

    pem: str
    not_before: datetime
    not_after: datetime
    root: str


def judged(pem: str, expected: Expected, roots_pem: str, at: datetime) -> Signed:
    """Check a signed certificate with its intermediates at the time `at` (A02.FR.06). Raises BadCertificate.

    Its properties are those of A00.FR.501 to 511; a root that came along is left out. Imports `cryptography`.
    """
    try:
        return _judged(pem, expected, roots_pem, at)
    except BadCertificate:
        raise
    except Exception as error:  # the library's have no base in common, and come when a field is asked for
        raise BadCertificate("it cannot be read") from error


def _judged(pem: str, expected: Expected, roots_pem: str, at: datetime) -> Signed:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - heavy, used rarely

    from certs import path, x509  # noqa: PLC0415 - heavy, used rarely

    chain = x509.load_chain(pem)
    if not matches(chain[0], expected.public_key):
        raise BadCertificate("it is for another key than the one that was asked for")
    if not roots_pem:
        raise BadCertificate("no root is installed that it could lead to")
    root = path.follow(chain, _readable(roots_pem), at)
    _check_leaf(chain[0], expected)
    fingerprint = _fingerprint(root.public_bytes(Encoding.DER))
    sent = [each for each in chain if each != root or each is chain[0]]
    return Signed(
        pem="".join(each.public_bytes(Encoding.PEM).decode() for each in sent),
        not_before=chain[0].not_valid_before_utc,
        not_after=chain[0].not_valid_after_utc,
        root=fingerprint,
    )


def _readable(pem: str) -> list[Any]:
    """The certificates of a text; those of the operating system are many, and one that is odd spoils none."""
    from certs import x509  # noqa: PLC0415 - heavy, used rarely

    found = []
    for text, _ in expiry.each(pem):
        with contextlib.suppress(BadCertificate):
            found.append(x509.load(text))
    return found


def matches(certificate: Any, public_key: bytes) -> bool:
    """Whether a certificate is for this key. Imports `cryptography`. Raises BadCertificate for one without a key."""
    from certs import x509  # noqa: PLC0415 - heavy, used rarely

    return x509.public_key(certificate) == public_key


def _check_leaf(leaf: Any, expected: Expected) -> None:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - heavy, used rarely

    names = [str(each.value) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [expected.common_name]:  # A00.FR.511
        raise BadCertificate(f"it names {', '.join(names) or 'nobody'} instead of {expected.common_name}")
    if not leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME):  # A00.FR.509
        raise BadCertificate("it does not name the organization")
    check_use(leaf, client=expected.client)


def check_use(leaf: Any, *, client: bool) -> None:
    """Raise BadCertificate if it is not made for this side of a TLS connection. Imports `cryptography`."""
    from cryptography import x509  # noqa: PLC0415 - heavy, used rarely
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415 - heavy, used rarely

    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    for extension in leaf.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise BadCertificate("it is the certificate of an authority")
            case x509.KeyUsage(digital_signature=False):  # A00.FR.512
                raise BadCertificate("its key usage does not let it sign, which TLS needs")
            case x509.ExtendedKeyUsage() as purposes if not {purpose, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & {
                *purposes
            }:
                raise BadCertificate(f"its extended key usage lacks {'client' if client else 'server'}Auth")


def _fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


class OwnChains:
    """The chains in `directory`, which is made when the first one is kept.

    `write` replaces a file whole or not at all. Methods raise OSError.
    """

    def __init__(self, directory: Path, write: atomic.Write = atomic.write) -> None:
        self._directory = directory
        self._write = write

    def path(self, key: str) -> Path:
        """Where the chain of this key lies, or would lie. Raises ValueError for what is no name of a key."""
        if not re.fullmatch(_KEY, key):
            raise ValueError(f"not a name for a key: {key!r}")
        return self._directory / f"{key}.pem"

    def keep(self, key: str, pem: str) -> None:
        """Write a chain."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self.path(key), pem.encode("ascii"))

    def read(self, key: str) -> str:
        """The chain of a key; "" if there is none."""
        try:
            return self.path(key).read_text("ascii", "replace")
        except FileNotFoundError:
            return ""

    def remove(self, key: str) -> None:
        """Forget a chain; one that is gone already is no error."""
        self.path(key).unlink(missing_ok=True)
        if self._directory.is_dir():
            atomic.sync_directory(self._directory)
