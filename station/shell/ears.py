"""What the link tells becomes inputs of the core.

A connection may end while what it brought is still in the inbox, and another one may stand before the core has heard of
either.
Invariant: the core hears a connection's texts between its beginning and its end only, and speaks to no other one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from station.effects import Effect
from station.exchange import Exchange
from station.facts import LinkLost, LinkRestored
from station.now import Now
from station.shell.clock import StationClock
from station.shell.link import LinkUp
from station.shell.linkdown import DownKind, LinkDown
from station.shell.turns import Turns
from station.shell.watchdog import Notifier

log = logging.getLogger(__name__)


class Ears:
    """The link's listener. `ended` is called after each attempt that failed and each connection that ended."""

    def __init__(
        self, exchange: Exchange, clock: StationClock, turns: Turns, notifier: Notifier, ended: Callable[[], None]
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._turns = turns
        self._notifier = notifier
        self._ended = ended
        self._wires = 0  # connections that stood so far
        self._wire = 0  # the one that the core talks to
        self._down_at: float | None = None
        self._profile: object = None

    def stands(self, connection: int) -> bool:
        """Whether the connection that the core means is the one that stands."""
        return connection == self._exchange.connection and self._wire == self._wires

    def on_up(self, up: LinkUp) -> None:
        """A connection stands."""
        self._wires += 1
        wire = self._wires
        offline_s = None if self._down_at is None else self._clock.mono() - self._down_at
        self._down_at = None
        new = self._profile is not None and self._profile != up.profile
        self._profile = up.profile
        restored = LinkRestored(
            profile_slot=up.profile.slot,
            security_profile=up.profile.security_profile,
            offline_s=offline_s,
            new_profile=new,
            credentials=up.credentials,
            path=up.path,
            certificate=up.certificate,
        )
        log.info("link.up", extra={"url": up.profile.url, "tls": up.tls, "compressed": up.compressed})

        def connected(now: Now) -> list[Effect]:
            self._wire = wire
            return self._exchange.connected(up.subprotocol, restored, now)

        self._turns.inbox.put(connected)
        self._notifier.status(f"connected to {up.profile.url}")

    def on_down(self, down: LinkDown) -> None:
        """An attempt failed, or a connection ended."""
        if down.was_up:
            self._down_at = self._clock.mono()
        quiet = down.kind is DownKind.REQUESTED
        log.log(
            logging.INFO if quiet else logging.WARNING,
            "link.down",
            extra={"kind": down.kind.value, "detail": down.detail, "was_up": down.was_up, "remedy": down.remedy},
        )
        lost = LinkLost(kind=down.kind.value, detail=down.detail, was_up=down.was_up)
        self._turns.inbox.put(lambda now: self._exchange.disconnected(lost, now))
        self._ended()
        self._notifier.status(f"not connected: {down.detail}")

    def on_text(self, text: str | bytes) -> Awaitable[Any] | None:
        """A frame of the CSMS."""
        wire = self._wires

        def received(now: Now) -> list[Effect]:
            return self._exchange.receive(text, now) if wire == self._wire else []

        return self._turns.hear(received)
