"""Until when the station's certificates are valid, for `status`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from certs import trust
from certs.expiry import each
from station.config import Config
from station.state.own_certificates import CHARGING_STATION, GIVEN, USES, OwnCertificates


def certificates(config: Config, own: OwnCertificates) -> Iterator[dict[str, Any]]:
    """All roots, and the station's own chains; unreadable ones are left out."""
    for held in trust.TrustStore(config.roots).held():
        if held.not_after is not None:
            yield _told(held.use, held.not_after)
    files = [(use, config.chains / f"{one.key}.pem") for use in USES for one in own.chains(use)]
    name = config.file.csms.certificate
    if name is not None and (GIVEN in own.ways() or not own.ways()):
        files.append((CHARGING_STATION, config.locate(name)))
    for role, file in files:
        try:
            text = file.read_text("ascii", "replace")
        except OSError:
            continue
        for _, period in each(text):
            yield _told(role, period.not_after)


def _told(role: str, ends: datetime) -> dict[str, Any]:
    return {"role": role, "until": ends.isoformat().replace("+00:00", "Z")}
