"""The TLS context of a station: one, kept over all reconnects, since a TPM without resource manager holds three keys.

A key in a TPM or a token is loaded in a thread: that takes a second where the chip is slow, and may hang. Then the
context cannot be trusted after any failure, as the chip may have been restarted meanwhile and forgotten the key: it is
dropped before the next one is made, and the making tells what is wrong.
"""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Callable

from certs.errors import CertsError, KeyUnavailable
from certs.tls import TlsSettings
from station.shell.errand import errand
from station.shell.linkdown import Down, DownKind

Make = Callable[[TlsSettings], ssl.SSLContext]


class Contexts:
    """Makes contexts, and keeps the last one for as long as its settings are those asked for."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._kept: tuple[TlsSettings, ssl.SSLContext] | None = None
        self._making: tuple[TlsSettings, asyncio.Future[ssl.SSLContext]] | None = None

    async def of(self, settings: TlsSettings) -> ssl.SSLContext:
        """The context for these settings. Raises Down(KEY) if TPM or token fail, Down(CONFIG) for all else.

        Waiting for it may be given up: then it is waited for the next time.
        """
        if self._kept is None or self._kept[0] != settings:
            self.drop()
            self._kept = (settings, await self._made(settings))
        return self._kept[1]

    def drop(self) -> None:
        """Part with what is kept, and with its place in a TPM."""
        if self._kept is not None:
            self._kept = None
            gc.collect()  # after a failed handshake it stays in a cycle

    async def _made(self, settings: TlsSettings) -> ssl.SSLContext:
        try:
            if settings.key is None or settings.key.prepare is None:
                return self._make(settings)
            return await self._made_aside(settings)
        except KeyUnavailable as error:
            raise Down(DownKind.KEY, str(error)) from error
        except (CertsError, OSError) as error:
            raise Down(DownKind.CONFIG, str(error)) from error

    async def _made_aside(self, settings: TlsSettings) -> ssl.SSLContext:
        """One at a time: a chip that hangs must not gather threads, and two keys may be more than it holds."""
        while self._making is not None and self._making[0] != settings:
            before = self._making
            await asyncio.wait({before[1]})
            if self._making is before:
                self._making = None
        if self._making is None:
            self._making = (settings, asyncio.ensure_future(errand(lambda: self._make(settings), "tls-key")))
        making = self._making[1]
        await asyncio.wait({making})
        self._making = None
        return making.result()
