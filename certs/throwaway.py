"""A small certificate authority for the demo and the tests. Never for a station in the field: its keys lie unprotected.

    pki = Authority.create("Demo root", directory)
    server = pki.issue("localhost", names=["localhost", "127.0.0.1"])
    client = pki.issue("CS001", organization="Demo operator", names=[])

Imports `cryptography`: import this module where it is used.
"""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from certs import atomic, csr
from certs.keystore import Subject

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_BACKDATED = timedelta(hours=1)
_ROOT_VALID = (-_BACKDATED, timedelta(days=30))
_ORGANIZATION = "Throw-away"
_RESPONDER = "http://localhost:2560/"


class Issued(NamedTuple):
    """A certificate with its key, as files: `chain` holds the certificate and its intermediates, leaf first."""

    chain: Path
    key: Path
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The chain as text."""
        return self.chain.read_text(encoding="ascii")


class Wish(NamedTuple):
    """What a certificate shall be like, apart from whom it names."""

    names: Sequence[str] = ()
    """DNS names and addresses of the subjectAltName."""
    organization: str = _ORGANIZATION
    valid: tuple[timedelta, timedelta] = (-_BACKDATED, timedelta(days=1))
    """From and until, as seen from now."""
    key: Key | None = None
    """A new P-256 key if None."""
    extensions: Sequence[x509.Extension[x509.ExtensionType]] = ()
    """More than the ordinary ones."""


def names_responder(url: str) -> x509.Extension[x509.ExtensionType]:
    """For `Wish.extensions`: where it can be asked whether a certificate was revoked."""
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    value = x509.AuthorityInformationAccess([access])
    return x509.Extension(value.oid, critical=False, value=value)


def signs_only() -> x509.Extension[x509.ExtensionType]:
    """For `Wish.extensions`: the key usage of somebody who signs."""
    value = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return x509.Extension(value.oid, critical=True, value=value)


def present() -> datetime:
    """The time by which certificates are made."""
    return datetime.now(UTC)


class Authority:
    """Issues certificates and writes them into its directory. `clock` tells the time they are seen from."""

    def __init__(
        self,
        key: Key,
        chain: list[x509.Certificate],
        directory: Path,
        clock: Callable[[], datetime] = present,
    ) -> None:
        self._key = key
        self._chain = chain
        self._directory = directory
        self._clock = clock

    @classmethod
    def create(
        cls,
        name: str,
        directory: Path,
        key: Key | None = None,
        valid: tuple[timedelta, timedelta] = _ROOT_VALID,
        *,
        clock: Callable[[], datetime] = present,
    ) -> Authority:
        """A new root authority of that name, valid from and until, as seen from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = csr.name(Subject(name, _ORGANIZATION))
        builder = _builder(subject, subject, key, (clock() + valid[0], clock() + valid[1]))
        certificate = _may_sign(builder, path_length=None)
        return cls(key, [certificate.sign(key, hashes.SHA256())], directory, clock)

    @property
    def root_pem(self) -> str:
        """The root certificate, to be trusted by the other side."""
        return _pem(self._chain[-1:]).decode()

    @property
    def own_pem(self) -> str:
        """This authority's certificate."""
        return _pem(self._chain[:1]).decode()

    def writing_to(self, directory: Path) -> Authority:
        """The same authority; its files go elsewhere."""
        return Authority(self._key, self._chain, directory, self._clock)

    def subordinate(self, name: str, wish: Wish | None = None, *, below: int = 0) -> Authority:
        """An intermediate authority, so that chains have three links; `below`: how many may follow it."""
        wish = wish or Wish(valid=(-_BACKDATED, timedelta(days=20)))
        key = wish.key or ec.generate_private_key(ec.SECP256R1())
        certificate = _may_sign(self._signed_by_us(name, key, wish), path_length=below)
        chain = [certificate.sign(self._key, hashes.SHA256()), *self._chain]
        return Authority(key, chain, self._directory, self._clock)

    def successor(self, name: str, valid: tuple[timedelta, timedelta] = _ROOT_VALID) -> Authority:
        """A root that replaces this one, and that this one has signed for it (M05.FR.10)."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _may_sign(self._signed_by_us(name, key, Wish(valid=valid)), path_length=None)
        return Authority(key, [certificate.sign(self._key, hashes.SHA256())], self._directory, self._clock)

    def issue(self, common_name: str, wish: Wish = Wish()) -> Issued:  # noqa: B008 - immutable
        """A certificate for a server or a station, with files named after it (`*` written as `_`)."""
        key = wish.key or ec.generate_private_key(ec.SECP256R1())
        builder = self._signed_by_us(common_name, key, wish)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if wish.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(_general(wish.names)), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        stem = common_name.replace("*", "_").replace("/", "_")
        issued = Issued(self._directory / f"{stem}.pem", self._directory / f"{stem}.key", certificate)
        atomic.write(issued.chain, _pem([certificate, *self._chain[:-1]]))
        atomic.write(issued.key, _key_pem(key))
        return issued

    def sign_request(self, request_pem: str, wish: Wish = Wish()) -> str:  # noqa: B008 - immutable
        """What a CSMS does with a CSR: the chain in PEM, leaf first, without the root. Raises ValueError."""
        request = x509.load_pem_x509_csr(request_pem.encode())
        if not request.is_signature_valid:
            raise ValueError("the request's signature is wrong")
        now = self._clock()
        builder = x509.CertificateBuilder(
            issuer_name=self._chain[0].subject,
            subject_name=request.subject,
            public_key=request.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now + wish.valid[0],
            not_valid_after=now + wish.valid[1],
            extensions=list(wish.extensions),
        )
        return _pem([builder.sign(self._key, hashes.SHA256()), *self._chain[:-1]]).decode()

    def _signed_by_us(self, common_name: str, key: Key, wish: Wish) -> x509.CertificateBuilder:
        subject, now = csr.name(Subject(common_name, wish.organization)), self._clock()
        builder = _builder(subject, self._chain[0].subject, key, (now + wish.valid[0], now + wish.valid[1]))
        for extension in wish.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )


class Mobility:
    """A mobility operator: a root, an authority below it, and contract certificates for vehicles (ISO 15118)."""

    def __init__(self) -> None:
        self._root = Authority.create("Throw-away MO root", Path())
        wish = Wish(valid=(-_BACKDATED, timedelta(days=20)), extensions=(names_responder(_RESPONDER),))
        self._authority = self._root.subordinate("Throw-away MO", wish)

    @property
    def root_pem(self) -> str:
        """The root certificate."""
        return self._root.root_pem

    def contract(self, emaid: str) -> str:
        """The chain of a contract, leaf first. Raises ValueError for an eMAID that no certificate can name."""
        wish = Wish(extensions=(names_responder(_RESPONDER), signs_only()))
        with tempfile.TemporaryDirectory() as folder:  # nobody needs the files
            return self._authority.writing_to(Path(folder)).issue(emaid, wish).pem


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, valid: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=valid[0],
        not_valid_after=valid[1],
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _may_sign(builder: x509.CertificateBuilder, path_length: int | None) -> x509.CertificateBuilder:
    """What makes an authority; Python 3.13 refuses one whose key usage is not told (VERIFY_X509_STRICT)."""
    signs = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(signs, critical=True)


def _general(names: Sequence[str]) -> list[x509.GeneralName]:
    general: list[x509.GeneralName] = []
    for name in names:
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    return general


def _pem(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
