"""One TLS context for all reconnects, made beside the loop where a chip has the key."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path

import pytest

from certs.errors import BadTlsSettings, KeyUnavailable
from certs.keystore import TlsKey
from certs.tls import TlsSettings
from station.shell.contexts import Contexts
from station.shell.linkdown import Down, DownKind


def prepare(chain: Path, key: TlsKey) -> None:
    """What marks a key as one of a chip."""


FILE = TlsSettings("root", chain=Path("chain.pem"), key=TlsKey(Path("a.key")))
CHIP = FILE._replace(key=TlsKey(Path("a.tss2"), prepare=prepare))
OTHER = FILE._replace(key=TlsKey(Path("b.tss2"), prepare=prepare))


class Maker:
    """Makes contexts as slowly as the test likes, and fails if it is told to."""

    def __init__(self) -> None:
        self.made: list[TlsSettings] = []
        self.threads: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None

    def __call__(self, settings: TlsSettings) -> ssl.SSLContext:
        """Make one."""
        self.made.append(settings)
        self.threads.append(threading.current_thread().name)
        assert self.go_on.wait(30)
        if self.error is not None:
            raise self.error
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def test_one_context_serves_until_other_settings_are_asked_for() -> None:
    """A TPM without a resource manager has three places."""

    async def scenario() -> None:
        maker = Maker()
        contexts = Contexts(maker)

        first = await contexts.of(CHIP)
        assert await contexts.of(CHIP) is first
        await contexts.of(OTHER)
        await contexts.of(FILE)

        assert maker.made == [CHIP, OTHER, FILE]
        assert maker.threads == ["tls-key", "tls-key", threading.main_thread().name]

    asyncio.run(scenario())


def test_a_context_that_is_dropped_is_made_anew() -> None:
    """After a failure nobody knows what the chip still has."""

    async def scenario() -> None:
        maker = Maker()
        contexts = Contexts(maker)
        first = await contexts.of(CHIP)

        contexts.drop()

        assert await contexts.of(CHIP) is not first

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "error, kind",
    [
        (KeyUnavailable("no TPM", "bring it back"), DownKind.KEY),
        (BadTlsSettings("another key"), DownKind.CONFIG),
        (ConnectionRefusedError("a stale errno"), DownKind.CONFIG),
    ],
)
def test_what_keeps_a_key_from_being_used_is_told_and_tried_again(error: Exception, kind: DownKind) -> None:
    """A failing provider may come with any errno."""

    async def scenario() -> None:
        maker = Maker()
        contexts = Contexts(maker)
        maker.error = error
        with pytest.raises(Down) as caught:
            await contexts.of(CHIP)
        assert caught.value.why.kind is kind

        maker.error = None
        await contexts.of(CHIP)

    asyncio.run(scenario())


def test_a_chip_that_hangs_gathers_no_threads() -> None:
    """The attempts that are given up meanwhile wait for the same answer; another key waits for its turn."""

    async def scenario() -> None:
        maker = Maker()
        maker.go_on.clear()
        contexts = Contexts(maker)
        for _ in range(3):
            attempt = asyncio.ensure_future(contexts.of(CHIP))
            await asyncio.wait({attempt}, timeout=0.02)
            attempt.cancel()
            await asyncio.wait({attempt})
        other = asyncio.ensure_future(contexts.of(OTHER))
        await asyncio.wait({other}, timeout=0.02)
        assert maker.made == [CHIP]

        maker.go_on.set()
        await other

        assert maker.made == [CHIP, OTHER]

    asyncio.run(scenario())
