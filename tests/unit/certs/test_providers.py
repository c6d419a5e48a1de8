"""OpenSSL's providers: found, judged by their version, replaced when they are stuck."""

from __future__ import annotations

from pathlib import Path

import pytest

from certs import openssl
from certs.errors import KeyUnavailable
from certs.providers import Provider, ProviderKind, Verdict
from certs.tpm import explain, meaning
from tests.own_process import in_own_process

LEGACY = openssl.modules_directory() / "legacy.so"
"""A provider that OpenSSL brings along."""

needs_legacy = pytest.mark.skipif(not LEGACY.is_file(), reason="OpenSSL without its legacy provider")


def verdict(text: str) -> Verdict:
    """Whatever it says."""
    return Verdict(KeyUnavailable(text, "do something"), stuck=True)


def provider(oldest: tuple[int, int], file: Path | None = None) -> Provider:
    """One of the kind above."""
    return Provider(ProviderKind("legacy", "openssl 99.1 or newer", oldest), file, {}, verdict)


@needs_legacy
@in_own_process
def test_a_provider_that_is_new_enough_is_loaded() -> None:
    """From where OpenSSL keeps them, if nothing else is said."""
    found = provider((3, 0))

    assert found.version().startswith("3.")
    assert found.loaded


@needs_legacy
@in_own_process
def test_a_provider_that_is_too_old_is_refused() -> None:
    """Debian 12's tpm2-openssl 1.1.1 would fail in the middle of the handshake, and not say why."""
    old = provider((99, 1))

    with pytest.raises(KeyUnavailable, match=r"is version 3\S+, which cannot be used: install openssl 99.1 or newer"):
        old.version()
    assert not old.loaded


@in_own_process
def test_a_provider_that_is_not_installed_is_named_with_its_package(tmp_path: Path) -> None:
    """And where it was looked for."""
    with pytest.raises(KeyUnavailable, match=r"provider 'legacy' is missing \(\S*gone.so\): install openssl 99.1"):
        provider((3, 0), tmp_path / "gone.so").version()


@in_own_process
def test_a_file_that_is_no_provider_is_told(tmp_path: Path) -> None:
    """With OpenSSL's own words."""
    (tmp_path / "text.so").write_text("no library", "ascii")

    with pytest.raises(KeyUnavailable, match="do something"):
        provider((3, 0), tmp_path / "text.so").version()


@pytest.mark.parametrize(
    "code, text, stuck",
    [
        (0x1DF, "cleared or replaced", False),
        (0x9A2, "owner_auth_file", False),
        (0x98E, "owner_auth_file", False),
        (0x902, "too many keys", False),
        (0xB0902, "too many keys", False),  # told by a resource manager
        (0x18B, "the parent is not where", False),
        (0x921, "locked after wrong passwords", False),
        (0x2C4, "keys of this kind", False),
        (0x910, "was restarted", True),
        (0xA000A, "is it there and switched on", True),  # the connection
        (0x70007, "is it there and switched on", True),  # a call in bad sequence
        (0, "is it there and switched on", True),
    ],
)
def test_what_a_tpm_says_is_told_with_a_remedy(code: int, text: str, stuck: bool) -> None:  # noqa: FBT001 - a table
    """TPM 2.0 part 2, 6.6: with the number of parameter, handle or session, and without."""
    meant = meaning(code, "its own words")

    assert text in meant.error.remedy
    assert f"{code:#x}" in meant.error.reason
    assert meant.stuck is stuck


def test_the_code_is_found_in_what_the_provider_says() -> None:
    """In decimal, wherever it stands."""
    for said in ("cannot load key: 479 tpm:parameter(1):integrity check failed", "479 tpm:x; init fail: name=/a/b.so"):
        assert "0x1df" in explain(said).error.reason
