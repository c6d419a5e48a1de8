"""Root certificates by use, one PEM file each: `<directory>/<use>/<SHA-256 fingerprint>.pem` (M05).

Several roots of one use stand side by side, so that a new one can be installed before the old one expires.
A use is a plain name given by the caller ("CSMSRootCertificate"); what it means is the caller's business.
`bundle` needs no `cryptography`: a station that only connects does not import it.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from datetime import datetime
from pathlib import Path

import msgspec

from certs import atomic
from certs.errors import BadCertificate
from certs.keystore import HashData

_USE = re.compile(r"[A-Za-z0-9]{1,50}")


class Root(msgspec.Struct, frozen=True):
    """An installed root certificate."""

    use: str
    file: Path
    subject: str
    not_before: datetime
    not_after: datetime
    hash_data: HashData | None
    """None for a certificate that another authority signed: its issuer's key is needed for it."""


class TrustStore:
    """The roots in `directory`, which is made when the first one is added.

    `write` replaces a file whole or not at all.
    """

    def __init__(self, directory: Path, write: atomic.Write = atomic.write) -> None:
        self._directory = directory
        self._write = write

    def bundle(self, use: str) -> str:
        """All roots of a use as one PEM text, "" if there are none; files that are no PEM are left out."""
        texts = [file.read_text(encoding="ascii", errors="replace") for file in self._files(use)]
        return "".join(text if text.endswith("\n") else text + "\n" for text in texts if _is_certificate(text))

    def add(self, use: str, pem: str) -> Root:
        """Install a root; one that is there already stays. Raises BadCertificate if `pem` is not one certificate."""
        if not _is_certificate(pem):
            raise BadCertificate("not a certificate in PEM")
        file = self._folder(use) / f"{hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()}.pem"
        root = describe(use, file, pem)
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(file, pem.strip().encode("ascii") + b"\n")
        return root

    def roots(self, use: str) -> list[Root]:
        """All readable roots of a use, oldest start of validity first. Imports `cryptography`."""
        found = []
        for file in self._files(use):
            text = file.read_text(encoding="ascii", errors="replace")
            if _is_certificate(text):
                found.append(describe(use, file, text))
        return sorted(found, key=lambda root: (root.not_before, root.file.name))

    def remove(self, root: Root) -> None:
        """Uninstall a root; one that is gone already is no error."""
        root.file.unlink(missing_ok=True)
        atomic.sync_directory(root.file.parent)

    def _folder(self, use: str) -> Path:
        if not _USE.fullmatch(use):
            raise ValueError(f"not a use of certificates: {use!r}")
        return self._directory / use

    def _files(self, use: str) -> list[Path]:
        return sorted(self._folder(use).glob("[!.]*.pem"))


def describe(use: str, file: Path, pem: str) -> Root:
    """What a root certificate says. Imports `cryptography`. Raises BadCertificate."""
    from certs import x509  # noqa: PLC0415 - heavy, used rarely

    certificate = x509.load(pem)
    return Root(
        use=use,
        file=file,
        subject=certificate.subject.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        hash_data=x509.hash_data(certificate, certificate) if certificate.issuer == certificate.subject else None,
    )


def _is_certificate(text: str) -> bool:
    return text.count("-----BEGIN CERTIFICATE-----") == 1 == text.count("-----END CERTIFICATE-----")
