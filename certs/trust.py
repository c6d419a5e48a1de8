"""Root certificates by use, one file each: `<directory>/<use>/<SHA-256 fingerprint>.pem` (M05).

Several roots of one use stand side by side, so that a new one can be installed before the old one expires.
A use is a plain name given by the caller ("CSMSRootCertificate"); what it means is the caller's business.
A file holds the certificate and, if another authority signed it, that one's public key: the hash data by which a CSMS
names the certificate needs it, and the issuer may be gone by then. `register.json` beside the uses says what cannot be
seen from the certificates: which one succeeds which, and which file of the station's own was taken over.
`bundle` and `held` need no `cryptography`: a station that only connects does not import it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from certs import atomic
from certs.errors import BadCertificate
from certs.expiry import until
from certs.keystore import HashData

_USE = r"[A-Za-z0-9]{1,50}"
_CERTIFICATE = r"(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----"
_PUBLIC_KEY = r"(?s)-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----"
_REGISTER = "register.json"


class Held(msgspec.Struct, frozen=True):
    """An installed root, as far as its file tells it without `cryptography`."""

    use: str
    fingerprint: str
    """SHA-256 of its DER, hexadecimal."""
    not_after: datetime | None
    """None if it cannot be read."""


class Root(msgspec.Struct, frozen=True):
    """An installed root certificate."""

    use: str
    file: Path
    subject: str
    not_before: datetime
    not_after: datetime
    names: tuple[HashData, ...]
    """By each hash algorithm; none if another authority signed it, whose key is not known."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its DER, hexadecimal."""
        return self.file.stem

    @property
    def hash_data(self) -> HashData | None:
        """How the station names it."""
        return self.names[0] if self.names else None


class Register(msgspec.Struct, frozen=True, omit_defaults=True):
    """What cannot be seen from the certificates. Fingerprints; one whose file is missing counts for nothing."""

    file: str = ""
    """SHA-256 of the station's file that was taken over last: what was removed since comes back when it changes."""
    successor: str = ""
    """A root that has not proven itself yet,"""
    fallback: tuple[str, ...] = ()
    """those that it replaces and that are kept until it has,"""
    places: tuple[str, ...] = ()
    """and the places (URLs) where these may still be used (M05.FR.16)."""


class TrustStore:
    """The roots in `directory`, which is made when the first one is added. `disk` changes files."""

    def __init__(self, directory: Path, disk: atomic.Disk = atomic) -> None:
        self._directory = directory
        self._disk = disk

    # --- without `cryptography`

    def bundle(self, use: str, only: Collection[str] | None = None) -> str:
        """Roots of a use as one PEM text, all or `only` those of these fingerprints; "" if there are none.

        Files that are no PEM are left out.
        """
        found = [(file.stem, _one(file)) for file in self._files(use)]
        return "".join(f"{pem}\n" for name, pem in found if pem is not None and (only is None or name in only))

    def held(self) -> list[Held]:
        """All readable roots, by use."""
        found = []
        for use in self._uses():
            for file in self._files(use):
                pem = _one(file)
                if pem is not None:
                    found.append(Held(use, file.stem, until(pem)))
        return found

    def fallback(self, use: str) -> frozenset[str]:
        """The roots that are used only where the others fail: none if their successor is not there, or damaged."""
        known = self.register()
        there = {file.stem for file in self._files(use) if _one(file) is not None}
        return frozenset(known.fallback) & there if known.successor in there else frozenset()

    def register(self) -> Register:
        """What was last kept; nothing if that cannot be read."""
        try:
            return msgspec.json.decode((self._directory / _REGISTER).read_bytes(), type=Register)
        except (OSError, msgspec.DecodeError, ValueError, RecursionError):
            return Register()

    def keep(self, register: Register) -> None:
        """Remember this, durably. Raises OSError."""
        if register != self.register():
            self._disk.make_directory(self._directory)
            self._disk.replace(self._directory / _REGISTER, msgspec.json.encode(register))

    def take_over(self, use: str, text: str) -> None:
        """Install the certificates of the station's file, when it is another one than last time. Raises OSError."""
        if not text or self.has_taken(text):
            return
        for pem in certificates(text):
            self.put(use, pem)
        self.keep(msgspec.structs.replace(self.register(), file=_digest(text)))

    def has_taken(self, text: str) -> bool:
        """Whether this is what was taken over last."""
        return self.register().file == _digest(text)

    def put(self, use: str, pem: str, issuer_key: str = "") -> Path:
        """Write a root that has been checked, and the public key of its issuer if that is another. Raises OSError."""
        file = self._folder(use) / f"{fingerprint(pem)}.pem"
        content = f"{pem.strip()}\n{issuer_key}".encode("ascii")
        with contextlib.suppress(FileNotFoundError):
            if file.read_bytes() == content:
                return file
        self._disk.make_directory(file.parent)
        self._disk.replace(file, content)
        return file

    def remove(self, root: Root | Held) -> None:
        """Uninstall a root; one that is gone already is no error. Raises OSError."""
        file = self._folder(root.use) / f"{root.fingerprint}.pem"
        self._disk.remove(file)
        if file.parent.is_dir():
            self._disk.sync_directory(file.parent)

    def prove(self, use: str) -> list[Held]:
        """The successor has done its work: it alone is kept (M05.FR.13); gives what was removed. Raises OSError."""
        doomed = self.fallback(use)
        gone = [each for each in self.held() if each.use == use and each.fingerprint in doomed]
        for each in gone:
            self.remove(each)
        self.keep(Register(file=self.register().file))
        return gone

    def forget(self) -> None:
        """Remove all of it: nobody knows any more what was installed. Raises OSError."""
        for each in self.held():
            self.remove(each)
        self.keep(Register())

    # --- with it

    def add(self, use: str, pem: str) -> Root:
        """Install a root; one that is there already stays. Raises BadCertificate if `pem` is not one certificate."""
        if not _is_certificate(pem):
            raise BadCertificate("not a certificate in PEM")
        root = _described(use, self._folder(use) / f"{fingerprint(pem)}.pem", pem, "", ())
        self.put(use, pem)
        return root

    def roots(self, use: str | None = None) -> list[Root]:
        """All readable roots, of one use or of all, oldest start of validity first. Imports `cryptography`."""
        texts = {file: file.read_text("ascii", "replace") for each in self._uses() for file in self._files(each)}
        readable = {file: pem for file, text in texts.items() if (pem := _only(text)) is not None}
        found = []
        for file, pem in readable.items():
            if use in (None, file.parent.name):
                with contextlib.suppress(BadCertificate):
                    key = re.search(_PUBLIC_KEY, texts[file])
                    found.append(_described(file.parent.name, file, pem, key[0] if key else "", readable.values()))
        return sorted(found, key=lambda root: (root.not_before, root.file.name))

    def pem(self, root: Root) -> str:
        """The certificate. Raises OSError."""
        return _only(root.file.read_text("ascii", "replace")) or ""

    # --- files

    def _folder(self, use: str) -> Path:
        if not re.fullmatch(_USE, use):
            raise ValueError(f"not a use of certificates: {use!r}")
        return self._directory / use

    def _uses(self) -> list[str]:
        return sorted(each.name for each in self._directory.glob("*/") if re.fullmatch(_USE, each.name))

    def _files(self, use: str) -> list[Path]:
        return sorted(self._folder(use).glob("[!.]*.pem"))


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate's DER, hexadecimal. Raises ValueError for a text that is no PEM."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def certificates(text: str) -> list[str]:
    """The certificates in a PEM text, each as PEM; what can be no certificate is left out."""
    return [pem for pem in re.findall(_CERTIFICATE, text) if _is_certificate(pem)]


def _described(use: str, file: Path, pem: str, issuer_key: str, others: Iterable[str]) -> Root:
    """What a root certificate says. Imports `cryptography`. Raises BadCertificate."""
    try:
        return _read(use, file, pem, issuer_key, others)
    except BadCertificate:
        raise
    except Exception as error:  # the library's have no base in common, and come when a field is asked for
        raise BadCertificate("it cannot be read") from error


def _read(use: str, file: Path, pem: str, issuer_key: str, others: Iterable[str]) -> Root:
    from certs import x509  # noqa: PLC0415 - heavy, used rarely

    certificate = x509.load(pem)
    return Root(
        use=use,
        file=file,
        subject=certificate.subject.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=x509.names(certificate, issuer_key, others),
    )


def _one(file: Path) -> str | None:
    """The certificate in a file; None if it cannot be read."""
    try:
        return _only(file.read_text("ascii", "replace"))
    except OSError:
        return None


def _only(text: str) -> str | None:
    found = re.findall(_CERTIFICATE, text)
    return found[0] if len(found) == 1 and _is_certificate(found[0]) else None


def _is_certificate(text: str) -> bool:
    if not text.count("-----BEGIN CERTIFICATE-----") == 1 == text.count("-----END CERTIFICATE-----"):
        return False
    try:
        return bool(ssl.PEM_cert_to_DER_cert(text.strip()))
    except ValueError:
        return False
