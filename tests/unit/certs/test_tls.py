"""What an SSLContext is made of; how it behaves against real servers stands in tests/system/test_link.py."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.errors import BadTlsSettings
from certs.keystore import TlsKey
from certs.throwaway import Authority, Issued, Wish
from certs.tls import TlsSettings, client_context, names_exactly


def with_chain(authority: Authority, issued: Issued, key: Path | None = None) -> TlsSettings:
    """Settings of security profile 3."""
    return TlsSettings(roots_pem=authority.root_pem, chain=issued.chain, key=TlsKey(key or issued.key))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A root authority that writes into a directory of the test."""
    return Authority.create("Root", tmp_path)


@pytest.mark.req("A00.FR.319", "A00.FR.320", "A00.FR.321", "A00.FR.422", "A00.FR.423", "A00.FR.424")
def test_the_suites_on_offer_hold_both_pairs_and_nothing_weak(authority: Authority) -> None:
    """A00.FR.319: the pairs; A00.FR.320: nothing unsuitable for legacy use; A00.FR.321: no compression."""
    context = client_context(TlsSettings(roots_pem=authority.root_pem))

    offered = {suite["name"] for suite in context.get_ciphers()}

    assert {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"} <= offered
    assert {"AES128-GCM-SHA256", "AES256-GCM-SHA384"} <= offered
    assert all("GCM" in name or "CHACHA20" in name for name in offered)
    assert context.options & ssl.OP_NO_COMPRESSION


def test_a_context_always_verifies_chain_and_name(authority: Authority) -> None:
    """A00.FR.308, A00.FR.309: there is no setting to switch that off."""
    context = client_context(TlsSettings(roots_pem=authority.root_pem))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_only_the_given_roots_are_trusted(authority: Authority) -> None:
    """The operating system's authorities are no CSMS roots, unless wanted."""
    assert len(client_context(TlsSettings(roots_pem=authority.root_pem)).get_ca_certs()) == 1


@pytest.mark.parametrize(
    "roots, message", [("", "no CSMS root"), ("rubbish", "cannot be read"), ("\x30\x82\ufffd", "cannot be read")]
)
def test_without_a_usable_root_there_is_no_context(roots: str, message: str) -> None:
    """And the text says what to do."""
    with pytest.raises(BadTlsSettings, match=message):
        client_context(TlsSettings(roots_pem=roots))


def test_a_comment_between_roots_may_be_in_any_language(authority: Authority) -> None:
    """Bundles name the authorities as these are called."""
    context = client_context(TlsSettings(roots_pem=f"# Föderation �\n{authority.root_pem}"))

    assert len(context.get_ca_certs()) == 1


def test_the_certificate_of_another_key_is_refused(authority: Authority) -> None:
    """A renewal gone wrong, told before the first connection."""
    mine, other = authority.issue("CS1"), authority.issue("CS2")

    with pytest.raises(BadTlsSettings, match="another key"):
        client_context(with_chain(authority, mine, key=other.key))


@pytest.mark.req("A00.FR.502", "A00.FR.503")
@pytest.mark.parametrize(
    "key",
    [
        partial(rsa.generate_private_key, public_exponent=65537, key_size=1024),
        partial(ec.generate_private_key, ec.SECP192R1()),
    ],
    ids=["rsa-1024", "ec-192"],
)
def test_a_weak_key_of_the_station_is_refused(authority: Authority, key: Callable[[], Any]) -> None:
    """A00.FR.502: RSA from 2048 bits; A00.FR.503: curves from 224."""
    weak = authority.issue("CS1", Wish(key=key()))

    with pytest.raises(BadTlsSettings):
        client_context(with_chain(authority, weak))


def test_an_expired_certificate_of_the_station_is_still_used(authority: Authority) -> None:
    """A00.FR.430: the CSMS decides."""
    expired = authority.issue("CS1", Wish(valid=(timedelta(days=-9), timedelta(days=-1))))

    assert client_context(with_chain(authority, expired))


def test_missing_files_are_named(authority: Authority, tmp_path: Path) -> None:
    """Not "No such file" without saying which."""
    issued = authority.issue("CS1")

    with pytest.raises(BadTlsSettings, match=r"gone\.key is missing"):
        client_context(with_chain(authority, issued, key=tmp_path / "gone.key"))


def test_a_key_with_a_password_never_asks_the_terminal(authority: Authority, tmp_path: Path) -> None:
    """OpenSSL would prompt, and a station would hang at its start."""
    issued = authority.issue("CS1")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGf\n-----END ENCRYPTED PRIVATE KEY-----\n")

    with pytest.raises(BadTlsSettings):
        client_context(with_chain(authority, issued, key=encrypted))


@pytest.mark.parametrize(
    "certificate, host, exactly",
    [
        ({"subjectAltName": (("DNS", "csms.example.com"),)}, "CSMS.example.com", True),
        ({"subjectAltName": (("DNS", "*.example.com"),)}, "csms.example.com", False),
        ({"subjectAltName": (("DNS", "*.example.com"), ("DNS", "csms.example.com"))}, "csms.example.com", True),
        ({"subject": ((("commonName", "csms.example.com"),),)}, "csms.example.com", True),
        ({"subject": ((("commonName", "*.example.com"),),)}, "csms.example.com", False),
        (
            {"subject": ((("commonName", "csms.example.com"),),), "subjectAltName": (("DNS", "*.example.com"),)},
            "csms.example.com",
            False,
        ),
        ({"subjectAltName": (("IP Address", "127.0.0.1"),)}, "127.0.0.1", True),
        ({"subjectAltName": (("IP Address", "0:0:0:0:0:0:0:1"),)}, "::1", True),
        ({"subjectAltName": (("IP Address", "<invalid>"),)}, "127.0.0.1", False),
        ({}, "csms.example.com", False),
        (None, "csms.example.com", False),
    ],
)
def test_a_name_without_wildcard_is_told_from_one_with(certificate: Any, host: str, exactly: bool) -> None:  # noqa: FBT001 - a table
    """As `SSLObject.getpeercert` tells names."""
    assert names_exactly(certificate, host) is exactly
