"""Reasons for people: a kind, a detail in one line, a remedy (field.md 12)."""

from __future__ import annotations

import socket
import ssl

import pytest

from station.blocks.security import LINK_EVENTS
from station.shell.linkdown import REMEDIES, Down, DownKind, explain
from station.shell.logs import hidden


def tls(reason: str) -> ssl.SSLError:
    """What OpenSSL would raise."""
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    "error, kind",
    [
        (ConnectionRefusedError(111, "refused"), DownKind.REFUSED),
        (ConnectionResetError(104, "reset"), DownKind.CLOSED),
        (EOFError(), DownKind.CLOSED),
        (OSError(101, "unreachable"), DownKind.UNREACHABLE),
        (TimeoutError(), DownKind.TIMEOUT),
        (socket.gaierror(-2, "unknown"), DownKind.DNS),
        (ssl.SSLCertVerificationError(1, "expired"), DownKind.TLS_CERTIFICATE),
        (tls("UNSUPPORTED_PROTOCOL"), DownKind.TLS_VERSION),
        (tls("TLSV1_ALERT_PROTOCOL_VERSION"), DownKind.TLS_VERSION),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), DownKind.TLS_CIPHER),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), DownKind.TLS_CLIENT),
        (tls("WRONG_VERSION_NUMBER"), DownKind.TLS_OTHER),
        (ssl.SSLError("no reason"), DownKind.TLS_OTHER),
        (Down(DownKind.HTTP_404, "no"), DownKind.HTTP_404),
        (RuntimeError("a bug"), DownKind.INTERNAL),
    ],
)
def test_every_error_has_a_kind(error: Exception, kind: DownKind) -> None:
    """Whatever sockets and OpenSSL raise."""
    why = explain(error)

    assert why.kind is kind
    assert why.detail


def test_every_kind_has_a_remedy_in_one_line() -> None:
    """A technician reads it on a phone."""
    assert set(REMEDIES) == set(DownKind)
    assert all(0 < len(remedy) <= 110 and "\n" not in remedy for remedy in REMEDIES.values())


def test_a_detail_is_one_short_printable_line() -> None:
    """What a server says is not to be trusted in a log, and techInfo holds 255 characters."""
    detail = Down(DownKind.HTTP_OTHER, "HTTP 500 \x1b[31mred\r\nforged line " + "x" * 500).why.detail

    assert len(detail) <= 255
    assert detail.isprintable()


def test_only_some_reasons_are_security_events() -> None:
    """Part 2, appendix 1: the types of security events. The block knows the reasons by their names in a fact."""
    assert {DownKind(kind): event for kind, event in LINK_EVENTS.items()} == {
        DownKind.TLS_CERTIFICATE: "InvalidCsmsCertificate",
        DownKind.TLS_VERSION: "InvalidTLSVersion",
        DownKind.TLS_CIPHER: "InvalidTLSCipherSuite",
        DownKind.HTTP_401: "FailedToAuthenticateAtCsms",
        DownKind.TLS_CLIENT: "FailedToAuthenticateAtCsms",
    }


def test_no_remedy_is_taken_for_a_secret() -> None:
    """What stands behind `password:` is hidden in the log, and so would be what to do about it."""
    assert all(hidden(text) == text for text in REMEDIES.values())
