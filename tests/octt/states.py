"""What the OCA's test cases are configured with, and what the test tool reads first."""

from __future__ import annotations

from typing import Any

from tests.bench import Bench

VALID = "04AABBCC11"
VALID2 = "04DDEEFF22"
INVALID = "04BADBAD00"
GROUP = {"idToken": "family", "type": "Central"}
MESSAGE_TIMEOUT_S = 40.0
"""How long the test tool waits to see that nothing follows."""


def id_token(token: str) -> dict[str, str]:
    """A card's token, as messages carry it."""
    return {"idToken": token, "type": "ISO14443"}


def status(bench: Bench) -> dict[str, Any]:
    """The last StatusNotification."""
    last: dict[str, Any] = bench.csms.received("StatusNotification")[-1]
    return last


def authorizes(bench: Bench) -> list[str]:
    """The tokens that the CSMS was asked about."""
    return [request["idToken"]["idToken"] for request in bench.csms.received("Authorize")]
