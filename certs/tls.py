"""The TLS side of the security profiles (A00): one SSLContext for profiles 2 and 3. Standard library only.

What a context made here refuses by itself: TLS below 1.2, suites outside the list, compression, keys and signatures
below 112 bits of security, a server that does not chain to the roots given, is out of its time or bears another name,
and, unless allowed, one whose name matches by a wildcard only. All is decided within the handshake, before a password
could leave. One context serves all reconnects with the same key (a TPM keeps a slot for each).
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from pathlib import Path
from typing import NamedTuple

from certs.errors import BadTlsSettings
from certs.keystore import TlsKey

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",  # A00.FR.319, first pair
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",  # not asked for, but forward secret where the server's key is RSA
    "ECDHE-RSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",  # A00.FR.319, second pair
    "AES256-GCM-SHA384",
)
"""TLS 1.2 suites in order of preference; those of TLS 1.3 are all sound and stay on (A00.FR.320, A00.FR.423)."""

_BEGIN = "-----BEGIN CERTIFICATE-----"
_DER = 2  # _ssl.ENCODING_DER
_ID_AD_OCSP = bytes.fromhex("06082b06010505073001")  # the object identifier (RFC 5280, 4.2.2.1) as it is encoded
_SECURITY_LEVEL = ":@SECLEVEL=2"  # OpenSSL's name for 112 bits: RSA from 2048, curves from 224 bits, no SHA-1


class TlsSettings(NamedTuple):
    """What a TLS connection to a CSMS needs.

    `roots_pem` holds the only authorities trusted; with `system_roots` those of the operating system are trusted too
    (loading them takes 90 ms). `chain` is the station's certificate followed by its intermediates, sent as it is.
    """

    roots_pem: str = ""
    system_roots: bool = False
    allow_wildcards: bool = False
    chain: Path | None = None
    key: TlsKey | None = None


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for one network profile.

    Raises BadTlsSettings and KeyUnavailable, both with the remedy; OSError if a file cannot be read. Blocks for as long
    as a TPM or token needs to load a key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # A00.FR.313, A00.FR.416
    context.set_ciphers(":".join(CIPHERS) + _SECURITY_LEVEL)
    context.options |= ssl.OP_NO_COMPRESSION  # A00.FR.321, A00.FR.424
    context.options |= ssl.OP_NO_RENEGOTIATION  # it would use the key in the midst of a connection, whoever waits
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an operator's sub-CA may be the root installed
    if not settings.allow_wildcards:
        context.sslobject_class = _NoWildcards
    _load_roots(context, settings)
    if settings.chain or settings.key:
        _load_chain(context, settings)
    return context


def verified(tls: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    """The path (DER) from the peer's certificate to the root that vouched for it; empty if this Python does not tell.

    Public from Python 3.13; before, the same function is there without a promise.
    """
    inner = getattr(tls, "_sslobj", None)
    tell = getattr(tls, "get_verified_chain", None) or getattr(inner, "get_verified_chain", None)
    chain = tell() if tell is not None else None
    return [each if isinstance(each, bytes) else each.public_bytes(_DER) for each in chain or ()]


def vouching(tls: ssl.SSLObject) -> tuple[str, ...]:
    """The fingerprints (SHA-256) of that path; nothing if it is not known.

    It may go on above a root that is trusted, to others that are, too: the nearest one suffices.
    """
    return tuple(hashlib.sha256(each).hexdigest() for each in verified(tls))


def names_responder(certificate: bytes) -> bool:
    """Whether a certificate (DER) may name somebody to be asked whether it was revoked: `certs.ocsp` is of use."""
    return _ID_AD_OCSP in certificate


def probe_context() -> ssl.SSLContext:
    """Agrees to anything OpenSSL still can, to find out what a server offers. Never send data with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _load_roots(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.system_roots:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    elif not settings.roots_pem:
        raise BadTlsSettings("no CSMS root certificate is installed: install the one of the CSMS's authority")
    if settings.roots_pem and not _load(context, settings.roots_pem):
        # One that OpenSSL cannot read must not take the others with it.
        parts = [f"{_BEGIN}{part}" for part in settings.roots_pem.split(_BEGIN)[1:]]
        if not [part for part in parts if _load(context, part)]:
            raise BadTlsSettings("the CSMS root certificate cannot be read: install it again, in PEM")


def can_be_loaded(pem: str) -> bool:
    """Whether OpenSSL takes a certificate as a root; what it does not take could not vouch for anybody."""
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)


def _load(context: ssl.SSLContext, pem: str) -> bool:
    try:
        context.load_verify_locations(cadata=pem.encode("ascii", "ignore").decode())  # comments may be in any script
    except (ssl.SSLError, ValueError):
        return False
    return True


def _load_chain(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.chain is None or settings.key is None:
        raise BadTlsSettings("security profile 3 needs the station's certificate and its key")
    for file in (settings.chain, settings.key.file):
        if not file.is_file():
            raise BadTlsSettings(f"{file} is missing: install the station's certificate and key")
    if settings.key.prepare is not None:
        settings.key.prepare(settings.chain, settings.key)
    try:
        context.load_cert_chain(settings.chain, settings.key.file, settings.key.password)
    except OSError as error:  # SSLError is one; a provider's failure may come with any errno
        reason = getattr(error, "reason", None) or type(error).__name__
        raise BadTlsSettings(_REMEDIES.get(reason, f"the station's certificate cannot be used ({reason})")) from error


_REMEDIES = {
    "KEY_VALUES_MISMATCH": "the station's certificate belongs to another key: request a new one",
    "EE_KEY_TOO_SMALL": "the station's key is too weak: RSA needs 2048 bits, a curve 224",
    "CA_MD_TOO_WEAK": "the station's certificate is signed with an outdated hash: request a new one",
}


class WildcardOnly(ssl.SSLCertVerificationError):
    """The server's certificate names it by a wildcard only. OpenSSL is content; what it says next must not leave."""


class _NoWildcards(ssl.SSLObject):
    """Ends the handshake with a server whose name matches by a wildcard only (AllowCSMSTLSWildcards, errata of A00)."""

    def do_handshake(self) -> None:
        """As the base class; raises WildcardOnly in addition."""
        super().do_handshake()
        certificate = self.getpeercert() or {}
        if self.server_hostname and not names_exactly(certificate, self.server_hostname):
            raise WildcardOnly(1, "wildcard certificate, and AllowCSMSTLSWildcards is not set")


def names_exactly(certificate: object, host: str) -> bool:
    """Whether a certificate, as `getpeercert` tells it, names `host` without a wildcard."""
    if not isinstance(certificate, dict):
        return False
    alternatives = [(kind, value) for kind, value in certificate.get("subjectAltName", ()) if kind in _NAME_KINDS]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names = [value for kind, value in alternatives if kind == "DNS"]
        if not alternatives:
            subject = certificate.get("subject", ())
            names = [value for part in subject for kind, value in part if kind == "commonName"]
        return host.rstrip(".").lower() in {name.rstrip(".").lower() for name in names}
    return any(kind == "IP Address" and _address(value) == address for kind, value in alternatives)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        return None


_NAME_KINDS = {"DNS", "IP Address"}
