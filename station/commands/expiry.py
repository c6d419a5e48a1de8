"""Until when the station's certificates are valid, for `status`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from certs import trust
from certs.expiry import until
from station.config import Config


def certificates(config: Config) -> Iterator[dict[str, Any]]:
    """All roots, and the station's own chain; unreadable ones are left out."""
    for each in trust.TrustStore(config.roots).held():
        if each.not_after is not None:
            yield _told(each.use, each.not_after)
    name = config.file.csms.certificate
    if name is None:
        return
    try:
        text = config.locate(name).read_text("ascii", "replace")
    except OSError:
        return
    for pem in trust.certificates(text):
        ends = until(pem)
        if ends is not None:
            yield _told("ChargingStationCertificate", ends)


def _told(role: str, ends: datetime) -> dict[str, Any]:
    return {"role": role, "until": ends.isoformat().replace("+00:00", "Z")}
