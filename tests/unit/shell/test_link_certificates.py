"""With a new certificate and the one that worked: which is shown when (A02.FR.28, A03.FR.24, B10.FR.09)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from certs.keystore import TlsKey
from station.shell.backoff import BackoffSettings
from station.shell.link import Link, LinkSetup, LinkUp
from station.shell.linkdown import LinkDown
from station.shell.network import Credentials, LinkOptions, NetworkProfile, OwnCertificate
from tests.link_bench import dice, run
from tests.properties.test_link_recovery import FakeLine

OPTIONS = LinkOptions(ping_interval_s=0, close_timeout_s=0.01, connect_timeout_s=1)
NEW, OLD = (OwnCertificate(name, Path(f"{name}.pem"), TlsKey(Path(f"{name}.key"))) for name in ("new", "old"))


class Ears:
    """Hears when a connection stands."""

    def __init__(self) -> None:
        self.up: asyncio.Queue[LinkUp] = asyncio.Queue()

    def on_up(self, up: LinkUp) -> None:
        """It does."""
        self.up.put_nowait(up)

    def on_down(self, down: LinkDown) -> None:
        """It does not."""

    def on_text(self, text: str | bytes) -> None:
        """Nothing is said."""


def profile(slot: int, level: int = 3) -> NetworkProfile:
    return NetworkProfile(slot=slot, url=f"wss://csms-{slot}.example", security_profile=level)


def setup(*profiles: NetworkProfile, certificates: tuple[OwnCertificate, ...] = (NEW, OLD)) -> LinkSetup:
    return LinkSetup(
        profiles=profiles,
        credentials=(Credentials("CS", password="present"), Credentials("CS", password="former")),
        options=OPTIONS,
        backoff=BackoffSettings(0.0, 0.0, 0, attempts_per_profile=2),
        certificates=certificates,
    )


async def dialled(given: LinkSetup, let_in_at: int) -> tuple[list[tuple[int, str]], LinkUp]:
    """What was shown to which slot until the attempt `let_in_at`, which succeeds; and what was told then."""
    shown: list[tuple[int, str]] = []

    async def dial(profile: NetworkProfile, credentials: Credentials, options: LinkOptions) -> FakeLine:
        del options
        chain = credentials.tls.chain
        assert (chain is None) == (credentials.tls.key is None)
        shown.append((profile.slot, chain.stem if chain is not None else credentials.password))
        if len(shown) < let_in_at:
            raise ConnectionRefusedError
        return FakeLine(None)

    async def pause(_seconds: float) -> None:
        await asyncio.sleep(0)

    ears = Ears()
    link = Link(given, ears, dice(), dial=dial, pause=pause)
    running = asyncio.ensure_future(link.run())
    up = await ears.up.get()
    link.stop()
    await asyncio.wait({running}, timeout=5)
    return shown, up


@pytest.mark.req("A02.FR.28", "A03.FR.24")
def test_the_old_certificate_comes_when_all_profiles_were_tried_with_the_new_one() -> None:
    """Each profile has its attempts; then they take turns, for ever."""
    shown, up = run(dialled(setup(profile(0), profile(1)), let_in_at=11))

    assert shown == [
        *[(0, "new"), (0, "new"), (1, "new"), (1, "new")],
        *[(0, "old"), (0, "old"), (1, "old"), (1, "old")],
        *[(0, "new"), (0, "new"), (1, "new")],
    ]
    assert (up.certificate, up.credentials) == ("new", 0)


def test_which_one_was_taken_is_told() -> None:
    _, up = run(dialled(setup(profile(0)), let_in_at=3))

    assert (up.certificate, up.credentials) == ("old", 1)


def test_a_profile_with_a_password_has_nothing_to_do_with_it() -> None:
    """There the passwords take turns, with every attempt."""
    shown, up = run(dialled(setup(profile(0, 2), profile(1, 3)), let_in_at=6))

    assert shown[:2] == [(0, "present"), (0, "former")]
    assert shown[2:4] == [(1, "new"), (1, "new")]
    assert shown[4:] == [(0, "present"), (0, "former")]
    assert (up.certificate, up.credentials) == ("", 1)


def test_it_does_not_matter_which_profile_is_the_last() -> None:
    """By profile 2 a station of profile 3 connects only where its file allows that."""
    shown, _ = run(dialled(setup(profile(0, 3), profile(1, 2)), let_in_at=6))

    assert [what for slot, what in shown if slot == 0] == ["new", "new", "old", "old"]


def test_with_one_certificate_it_is_shown_again_and_again() -> None:
    shown, up = run(dialled(setup(profile(0), certificates=(OLD,)), let_in_at=5))

    assert shown == [(0, "old")] * 5
    assert (up.certificate, up.credentials) == ("old", 0)
