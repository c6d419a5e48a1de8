"""An OCSP responder and CRLs of a throw-away authority, right ones and wrong ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from certs.throwaway import Authority, Issued, Key, Wish

HOUR = timedelta(hours=1)
LOCAL = ("localhost", "127.0.0.1")
NOW = datetime.now(UTC).replace(microsecond=0)


def named(url: str) -> x509.Extension[x509.ExtensionType]:
    """The extension that names a responder."""
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    value = x509.AuthorityInformationAccess([access])
    return x509.Extension(value.oid, critical=False, value=value)


def server(authority: Authority, url: str, name: str = "localhost") -> Issued:
    """A server's certificate that names the responder at `url`."""
    return authority.issue(name, Wish(LOCAL, extensions=(named(url),)))


def path(issued: Issued, *above: Authority) -> list[bytes]:
    """A verified path in DER: a certificate, and those of the authorities above it."""
    certificates = [issued.certificate, *(each._chain[0] for each in above)]
    return [each.public_bytes(serialization.Encoding.DER) for each in certificates]


def appointed(
    authority: Authority, *, purpose: bool = True, valid: tuple[timedelta, timedelta] = (-HOUR, HOUR)
) -> Issued:
    """Somebody who answers in the authority's name; without `purpose`, any certificate of it."""
    value = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING if purpose else ExtendedKeyUsageOID.CLIENT_AUTH])
    extension = x509.Extension(value.oid, critical=False, value=value)
    return authority.issue("responder", Wish(extensions=(extension,), valid=valid))


class Responder:
    """What an authority says of its certificates. Every field may be changed to make it say something wrong."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.revoked: set[int] = set()
        """Serial numbers."""
        self.unknown = False
        self.by: Issued | None = None
        """Who signs, if not the authority itself."""
        self.about: x509.Certificate | None = None
        """Another certificate than the one that was asked for."""
        self.since: datetime = NOW - HOUR
        self.until: datetime | None = NOW + HOUR
        self.asked: list[bytes] = []

    def answer(self, request: bytes, certificate: x509.Certificate) -> bytes:
        """To a request for this certificate."""
        self.asked.append(request)
        status = ocsp.OCSPCertStatus.UNKNOWN if self.unknown else ocsp.OCSPCertStatus.GOOD
        if certificate.serial_number in self.revoked:
            status = ocsp.OCSPCertStatus.REVOKED
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.about or certificate,
            issuer=self.authority._chain[0],
            algorithm=hashes.SHA1(),  # noqa: S303 - names the certificate, as responders do
            cert_status=status,
            this_update=self.since,
            next_update=self.until,
            revocation_time=NOW - HOUR if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        signer, key = self._signer()
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
        if self.by is not None:
            builder = builder.certificates([signer])
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def _signer(self) -> tuple[x509.Certificate, Key]:
        if self.by is None:
            return self.authority._chain[0], self.authority._key
        key = serialization.load_pem_private_key(self.by.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return self.by.certificate, key


def crl(authority: Authority, *serials: int, until: timedelta = HOUR, partial: bool = False) -> bytes:
    """The authority's list of revoked certificates, in PEM; `partial`: of some of them only."""
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=authority._chain[0].subject, last_update=NOW - 2 * HOUR, next_update=NOW + until
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, NOW - HOUR)
        entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    if partial:
        scope = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)  # noqa: FBT003 - its fields
        builder = builder.add_extension(scope, critical=True)
    return builder.sign(authority._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@asynccontextmanager
async def listening(say: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """An HTTP server on loopback that answers each request's body with what `say` gives, whole; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"POST /status HTTP/1.0\r\n")
            size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            writer.write(say(await reader.readexactly(size)))
            await writer.drain()
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/status"


def ok(body: bytes) -> bytes:
    """An HTTP answer."""
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\n\r\n" + body
