"""Telling systemd that the agent is ready, what it does, and that it lives (design 6, C11).

The watchdog is fed only by a canary: an input that went through the inbox and the engine like any other. A lost CSMS,
device or disk does not stop the feeding; a core that stands still, or never gets round to a deadline, does.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping

OVERDUE_S = 30.0
"""A deadline that the core has not served for this long means that it no longer works."""

BEATS = 3
"""Canaries per watchdog period."""


class Notifier:
    """sd_notify(3) without its library; every message is lost without harm where no one listens.

    Its address is taken out of the environment: programs that the agent runs would speak for it, as systemd's own do
    when they fail.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self.watchdog_s = _watchdog_s(environment)
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environment.pop(name, None)

    @property
    def listens(self) -> bool:
        """Whether a service manager wants to hear from us."""
        return bool(self._address)

    def ready(self) -> None:
        """The engine and the control socket serve."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The orderly stop has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; the same one again costs nothing."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """The start or the stop takes so much longer: a migration, a damaged database."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)  # noqa: FBT003 - the socket's own argument
            to.sendto(text.encode(), self._address)


class Lateness:
    """Whether the core keeps its deadlines."""

    def __init__(self, mono: Callable[[], float]) -> None:
        self._mono = mono
        self._since: float | None = None

    def saw(self, wait_s: float | None) -> None:
        """After an input: how long the core may sleep now. Zero means that a deadline is due and not yet served."""
        if wait_s is None or wait_s > 0:
            self._since = None
        elif self._since is None:
            self._since = self._mono()

    @property
    def overdue(self) -> bool:
        """A deadline has waited too long."""
        return self._since is not None and self._mono() - self._since > OVERDUE_S


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """WatchdogSec of the unit, if it is meant for this process."""
    meant_for = environment.get("WATCHDOG_PID")
    if meant_for is not None and meant_for != str(os.getpid()):
        return None
    try:
        period_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return None
    return period_s if period_s > 0 else None
