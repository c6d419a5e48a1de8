"""The link to the CSMS: one supervisor that dials, keeps the connection and dials again, for ever.

Knows nothing of OCPP messages: text goes up through a `Listener` and down through `send`. Every way out of every state
leads to "wait, then dial" (field.md 2); only `stop` or cancelling `run` ends that. When the listener is busy, the
socket is not read. A reason (`LinkDown`) is told for each failed attempt and each connection that ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import Struct, structs

from station.shell.backoff import BackoffSettings, Redial
from station.shell.connection import Connection
from station.shell.dial import Dial, Dialer
from station.shell.linkdown import DownKind, LinkDown, explain
from station.shell.messages import Messages
from station.shell.network import Credentials, LinkOptions, NetworkProfile, OwnCertificate

_LOG = logging.getLogger("station.link")

_OWN_CERTIFICATE = 3  # the security profile

Pause = Callable[[float], Awaitable[None]]


class LinkSetup(Struct, frozen=True):
    """All that can be changed while the link runs.

    `profiles` in the order of NetworkConfigurationPriority. Of several `credentials` the first is preferred; after a
    refusal the next one is tried in turn, so that a new password that fails locks nobody out (A01). Of several
    `certificates` for security profile 3, too, but the next one comes when all profiles have been tried (A02.FR.28).
    """

    profiles: tuple[NetworkProfile, ...]
    credentials: tuple[Credentials, ...]
    options: LinkOptions = LinkOptions()
    backoff: BackoffSettings = BackoffSettings()
    certificates: tuple[OwnCertificate, ...] = ()


class LinkUp(Struct, frozen=True):
    """A connection stands; `tls` names version and suite.

    `credentials` is the index of those that were accepted, of the certificates if one (`certificate`) was shown.
    `path`: SHA-256 of the CSMS's certificate and of those that vouched for it, in turn.
    """

    subprotocol: str
    profile: NetworkProfile
    credentials: int
    tls: str | None
    compressed: bool
    path: tuple[str, ...] = ()
    certificate: str = ""


class Listener(Protocol):
    """Who hears what the link does. What it raises costs the connection, never the link."""

    def on_up(self, up: LinkUp) -> None:
        """A connection stands; `send` works from now on."""
        ...

    def on_down(self, down: LinkDown) -> None:
        """An attempt failed, or (`down.was_up`) a connection that stood has ended."""
        ...

    def on_text(self, text: str | bytes) -> Awaitable[Any] | None:
        """One message. Until what is returned, if anything, is done, the socket is not read."""
        ...


class Link:
    """Keeps a connection to one of the CSMSs of `setup`.

    `dial` and `pause` stand for the network and for the time between attempts; tests replace them.
    `up` tells of the connection that stands, `down` of the last failure, `messages` of what was said last.
    """

    def __init__(
        self,
        setup: LinkSetup,
        listener: Listener,
        rng: random.Random,
        *,
        dial: Dial | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._setup = setup
        self._listener = listener
        self._dial = dial or Dialer()
        self._pause = pause
        self._redial = Redial([profile.slot for profile in setup.profiles], setup.backoff, rng)
        self._credential = self._certificate = 0
        self._enabled = True
        self._stopping = False
        self._wake = asyncio.Event()
        self._work: asyncio.Future[None] | None = None
        self._interrupted = False
        self._abrupt = False
        self._connection: Connection | None = None
        self.up: LinkUp | None = None
        self.down: LinkDown | None = None
        self.messages = Messages()

    # What the rest of the station asks for

    def send(self, text: str) -> bool:
        """Queue a message; False if there is no connection, or the CSMS has stopped reading and it is cut for that."""
        if self._connection is None or not self._connection.send(text):
            return False
        self.messages.said(text)
        return True

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all that was queued has gone out; False if that takes longer, or there is no connection."""
        return self._connection is not None and await self._connection.flush(timeout_s)

    def accepted(self) -> None:
        """The CSMS has answered a request of ours: the next drop is met with the shortest wait."""
        self._redial.accepted()

    def configure(self, setup: LinkSetup) -> None:
        """Use `setup` from the next attempt on, its ping interval at once. A connection that stands is kept."""
        slots = [profile.slot for profile in setup.profiles]
        if slots != [profile.slot for profile in self._setup.profiles]:
            self._redial.configure(slots, first=self.up.profile.slot if self.up else None)
            self._wake.set()
        if setup.credentials != self._setup.credentials:
            self._credential = 0
        if [each.name for each in setup.certificates] != [each.name for each in self._setup.certificates]:
            self._certificate = 0
        self._redial.settings = setup.backoff
        self._setup = setup
        if self._connection:
            self._connection.retune(setup.options)

    def reconnect(self, first: int | None = None) -> None:
        """End the connection in good order and dial again after two seconds, slot `first` or the top one."""
        self._redial.configure([profile.slot for profile in self._setup.profiles], first=first)
        self._interrupt(abrupt=False)

    def enable(self, on: bool) -> None:  # noqa: FBT001 - the state itself
        """Cut the connection and stay away, or dial again at once: what a test bench does to a network cable."""
        if on != self._enabled:
            self._enabled = on
            self._redial.wait_s = 0.0
            self._interrupt(abrupt=True)

    def stop(self) -> None:
        """End the connection in good order; then `run` returns."""
        self._stopping = True
        self._interrupt(abrupt=False)

    def _interrupt(self, *, abrupt: bool) -> None:
        self._wake.set()
        self._abrupt = abrupt
        if self._work and not self._work.done() and not self._interrupted:
            self._interrupted = True
            self._work.cancel()

    # The supervisor

    async def run(self) -> None:
        """Dial, and dial again, until `stop`. Cancelling it ends the connection in good order, too."""
        try:
            while not self._stopping:
                await self._rest()
                profile = next((each for each in self._setup.profiles if each.slot == self._redial.slot), None)
                if profile and not self._stopping:
                    await self._work_once(profile)
        finally:
            if self._work and not self._work.done():
                self._work.cancel()
                await asyncio.wait({self._work}, timeout=self._setup.options.close_timeout_s + 1)

    async def _rest(self) -> None:
        """Wait for the time of the next attempt."""
        while not self._stopping:
            self._wake.clear()
            if not self._enabled or self._redial.slot is None:
                await self._wake.wait()
                continue
            wait_s, self._redial.wait_s = self._redial.wait_s, 0.0
            if wait_s <= 0 or await self._paused(wait_s):
                return

    async def _paused(self, wait_s: float) -> bool:
        """True once `wait_s` seconds are over, False if something new is to be looked at before."""
        pausing, woken = asyncio.ensure_future(self._pause(wait_s)), asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({pausing, woken}, return_when=asyncio.FIRST_COMPLETED)
            return not self._wake.is_set()
        finally:
            pausing.cancel()
            woken.cancel()

    async def _work_once(self, profile: NetworkProfile) -> None:
        self._interrupted = self._abrupt = False
        self._work = asyncio.ensure_future(self._attempt(profile))
        await asyncio.wait({self._work})
        if not self._work.cancelled() and (error := self._work.exception()):
            _LOG.error("link.bug", exc_info=error)
            self._redial.failed()

    async def _attempt(self, profile: NetworkProfile) -> None:
        options, (index, credentials, shown) = self._setup.options, self._chosen(profile)
        try:
            line = await self._dial(profile, credentials, options)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt follows
            of_the_key = explain(error).kind is DownKind.KEY  # another certificate may have a weaker one: never instead
            if self._redial.failed() and not of_the_key:
                self._certificate += 1
            if not shown:
                self._credential = index + 1
            self._tell(explain(error), profile, was_up=False)
            return
        why = LinkDown(DownKind.REQUESTED, "ended by the station")
        connection = Connection(line, self._heard, options)
        try:
            self._redial.connected()
            self._connection = connection
            self.up = LinkUp(line.subprotocol, profile, index, line.tls, line.compressed, line.path, shown)
            self._listener.on_up(self.up)
            why = await connection.run()
        except asyncio.CancelledError:
            pass  # asked for by `_interrupt`, which has said when to dial again
        except Exception as error:  # noqa: BLE001 - a fault in the listener costs the connection, not the link
            why = explain(error)
        finally:
            self.up = self._connection = None
            if why.kind is not DownKind.REQUESTED:
                self._redial.dropped()
            with contextlib.suppress(Exception):
                await connection.end(abrupt=self._abrupt)
            self._tell(why, profile, was_up=True)

    def _heard(self, text: str | bytes) -> Awaitable[Any] | None:
        self.messages.heard(text)
        return self._listener.on_text(text)

    def _chosen(self, profile: NetworkProfile) -> tuple[int, Credentials, str]:
        """What to show this CSMS: its place among its like, all of it, and the certificate's name if that is varied."""
        setup = self._setup
        if profile.security_profile < _OWN_CERTIFICATE or not setup.certificates:
            index = self._credential % len(setup.credentials)
            return index, setup.credentials[index], ""
        index = self._certificate % len(setup.certificates)
        own, first = setup.certificates[index], setup.credentials[0]
        return index, structs.replace(first, tls=first.tls._replace(chain=own.chain, key=own.key)), own.name

    def _tell(self, why: LinkDown, profile: NetworkProfile, *, was_up: bool) -> None:
        self.down = LinkDown(why.kind, why.detail, profile.slot, was_up)
        try:
            self._listener.on_down(self.down)
        except Exception:  # noqa: BLE001 - a fault in the listener must not stop the link
            _LOG.exception("link.listener")
