"""Why there is no connection: one kind for each cause, with a remedy for people (field.md 12).

`explain` turns whatever sockets, OpenSSL and websockets raise into a `LinkDown`. Texts never contain a password.
"""

from __future__ import annotations

import enum
import socket
import ssl

from msgspec import Struct


class DownKind(enum.Enum):
    """Causes, as they appear in logs and in `ocpp-station status`."""

    CONFIG = "config"
    KEY = "key"
    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS_CERTIFICATE = "tls_certificate"
    TLS_VERSION = "tls_version"
    TLS_CIPHER = "tls_cipher"
    TLS_CLIENT = "tls_client"
    TLS_OTHER = "tls_other"
    HTTP_401 = "http_401"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_OTHER = "http_other"
    HANDSHAKE = "handshake"
    SUBPROTOCOL = "subprotocol"
    CLOSED = "closed"
    PONG_TIMEOUT = "pong_timeout"
    STALLED = "stalled"
    REQUESTED = "requested"
    INTERNAL = "internal"


REMEDIES: dict[DownKind, str] = {
    DownKind.CONFIG: "correct the network profile or the credentials named in the detail",
    DownKind.KEY: "bring the TPM or token back that has the station's key: nothing else is used in its place",
    DownKind.DNS: "check the host name in the CSMS URL and the station's DNS server",
    DownKind.REFUSED: "the host answers but not on this port: check the port in the URL and whether the CSMS runs",
    DownKind.UNREACHABLE: "there is no way to the host: check cable, modem, gateway and firewall",
    DownKind.TIMEOUT: "no answer in time: check firewall and signal strength, and whether the CSMS is overloaded",
    DownKind.TLS_CERTIFICATE: "compare the CSMS's certificate with the installed root, the host name and the clock",
    DownKind.TLS_VERSION: "the CSMS offers TLS below 1.2 only, which is forbidden: ask its operator to update it",
    DownKind.TLS_CIPHER: "the CSMS offers no cipher suite that OCPP allows: ask its operator for the suites of A00",
    DownKind.TLS_CLIENT: "the CSMS refuses the station's certificate: check its validity and which authority signed it",
    DownKind.TLS_OTHER: "TLS fails: check that URL, port and security profile belong to the same endpoint",
    DownKind.HTTP_401: "the CSMS refuses identity or password; compare both with what the CSMS has on record",
    DownKind.HTTP_403: "the CSMS forbids this station to connect: ask its operator",
    DownKind.HTTP_404: "the CSMS does not know this identity, or the path in the URL is wrong",
    DownKind.HTTP_OTHER: "the server answers, but not as an OCPP endpoint: check the URL; it may be under maintenance",
    DownKind.HANDSHAKE: "the server is no WebSocket server: check URL and port, and whether it expects TLS",
    DownKind.SUBPROTOCOL: "the CSMS speaks none of the OCPP versions configured: compare the versions",
    DownKind.CLOSED: "the CSMS or the network ended the connection; if that repeats, look into the CSMS's log",
    DownKind.PONG_TIMEOUT: "the line is dead although nobody closed it: check the network, or raise the ping rate",
    DownKind.STALLED: "the CSMS has stopped reading: ask its operator",
    DownKind.REQUESTED: "nothing is wrong: the station ended the connection itself",
    DownKind.INTERNAL: "a fault in the station's software: report it with the log",
}


class LinkDown(Struct, frozen=True):
    """Why an attempt failed (`was_up` False) or a connection ended (`was_up` True).

    `detail` says what was seen, in one line. `slot` is the network profile's.
    """

    kind: DownKind
    detail: str
    slot: int | None = None
    was_up: bool = False

    @property
    def remedy(self) -> str:
        """What a person can do about it, in one line."""
        return REMEDIES[self.kind]


class Down(Exception):  # noqa: N818 - carries a LinkDown, which may be no error
    """No connection, for the reason in `why`."""

    def __init__(self, kind: DownKind, detail: str) -> None:
        super().__init__(kind.value, detail)
        self.why = LinkDown(kind, one_line(detail))

    @classmethod
    def of(cls, why: LinkDown) -> Down:
        """An exception for a reason that is known already."""
        return cls(why.kind, why.detail)


def explain(error: BaseException) -> LinkDown:
    """The cause behind whatever dialling or using a connection raised."""
    if isinstance(error, Down):
        return error.why
    if isinstance(error, ssl.SSLError):
        return _explain_tls(error)
    if isinstance(error, socket.gaierror):
        return LinkDown(DownKind.DNS, one_line(str(error)))
    if isinstance(error, ConnectionRefusedError):
        return LinkDown(DownKind.REFUSED, one_line(str(error)))
    if isinstance(error, TimeoutError):
        return LinkDown(DownKind.TIMEOUT, one_line(str(error)) or "no answer in time")
    if isinstance(error, (ConnectionError, EOFError)):
        return LinkDown(DownKind.CLOSED, one_line(str(error)) or "connection lost")
    if isinstance(error, OSError):
        return LinkDown(DownKind.UNREACHABLE, one_line(str(error)))
    return LinkDown(DownKind.INTERNAL, f"{type(error).__name__}: {one_line(str(error))}")


def one_line(text: str) -> str:
    """`text` as one short line of printable characters, for logs and techInfo (at most 255 characters)."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:255].strip()


_TLS_REASONS: dict[str, DownKind] = {
    "UNSUPPORTED_PROTOCOL": DownKind.TLS_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": DownKind.TLS_VERSION,
    "WRONG_SSL_VERSION": DownKind.TLS_VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": DownKind.TLS_CIPHER,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": DownKind.TLS_CIPHER,
    "NO_CIPHERS_AVAILABLE": DownKind.TLS_CIPHER,
    "WRONG_CIPHER_RETURNED": DownKind.TLS_CIPHER,
    "UNKNOWN_CIPHER_RETURNED": DownKind.TLS_CIPHER,
    "DH_KEY_TOO_SMALL": DownKind.TLS_CIPHER,
    "EE_KEY_TOO_SMALL": DownKind.TLS_CERTIFICATE,
    "CA_KEY_TOO_SMALL": DownKind.TLS_CERTIFICATE,
    "CERTIFICATE_VERIFY_FAILED": DownKind.TLS_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": DownKind.TLS_CLIENT,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": DownKind.TLS_CLIENT,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": DownKind.TLS_CLIENT,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": DownKind.TLS_CLIENT,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": DownKind.TLS_CLIENT,
    "TLSV1_ALERT_UNKNOWN_CA": DownKind.TLS_CLIENT,
    "TLSV1_ALERT_ACCESS_DENIED": DownKind.TLS_CLIENT,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": DownKind.TLS_CLIENT,
}


def _explain_tls(error: ssl.SSLError) -> LinkDown:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = getattr(error, "verify_message", "") or str(error.args[-1] if error.args else error)
        return LinkDown(DownKind.TLS_CERTIFICATE, one_line(text))
    reason = getattr(error, "reason", None) or ""
    return LinkDown(_TLS_REASONS.get(reason, DownKind.TLS_OTHER), one_line(reason or str(error)))
