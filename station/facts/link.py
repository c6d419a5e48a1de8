"""The link to the CSMS, the clock, and what became of messages: made by the shell and the exchange."""

from __future__ import annotations

from station.facts.base import Fact


class LinkRestored(Fact, frozen=True, kw_only=True):
    """A connection with an agreed version stands.

    `offline_s`: how long there was none; None at the first one since the start.
    """

    profile_slot: int
    security_profile: int
    offline_s: float | None
    new_profile: bool = False
    credentials: int = 0
    """Which of the passwords (or certificates) the CSMS has accepted: 0 is the present one, 1 the former one."""
    path: tuple[str, ...] = ()
    """SHA-256 of the CSMS's certificate and of those that vouched for it, in turn; nothing without TLS."""
    certificate: str = ""
    """The name of the certificate by which the station proved itself; "" where a password did."""


class LinkLost(Fact, frozen=True, kw_only=True):
    """The connection is gone, or an attempt failed.

    `kind` as in shell/linkdown.py: tls_certificate, http_401, closed ...
    """

    kind: str
    detail: str
    was_up: bool


class ClockStepped(Fact, frozen=True, kw_only=True):
    """The wall clock was set: `by_s` seconds (positive: forward). Wall deadlines are asked again."""

    by_s: float
    source: str


class InvalidMessageReceived(Fact, frozen=True, kw_only=True):
    """A frame that is no RPC frame, or an answer to nothing (security event InvalidMessages)."""

    description: str


class MessageUndelivered(Fact, frozen=True, kw_only=True):
    """A message was given up (E13.FR.04) or could not be rendered; it is kept in `undelivered`."""

    action: str
    reason: str
    transaction_id: str | None = None


class TransactionThinned(Fact, frozen=True, kw_only=True):
    """The disk's share is used up: so many Updated events of a transaction were dropped (E04.FR.08)."""

    transaction_id: str
    events: int
