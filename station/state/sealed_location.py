"""A URL of the CSMS on the disk: sealed where it may hold a secret, and only there."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

log = logging.getLogger(__name__)

_SECRETIVE = r"[@?]"
"""What only a URL has that may hold a secret: most do not, and to seal one takes a library that is dear."""


def closed(location: str, seal: Callable[[str], str], table: str) -> str:
    """As it lies on the disk. Where it cannot be sealed, a restart will not know it."""
    if not re.search(_SECRETIVE, location):
        return location
    try:
        return seal(location)
    except Exception as error:  # noqa: BLE001 - the errors of the key store are its own
        log.warning("state.not_sealed", extra={"table": table, "reason": str(error)})
        return ""
