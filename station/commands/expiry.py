"""Until when the certificates of a configuration are valid, as `status` tells it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from certs.expiry import each
from station.config import Config


def certificates(config: Config) -> Iterator[dict[str, Any]]:
    """What `status` tells of the certificates that the configuration names; unreadable ones are left out."""
    csms = config.file.csms
    for role, name in (("CSMS root", csms.ca_file), ("ChargingStationCertificate", csms.certificate)):
        if name is None:
            continue
        try:
            text = config.locate(name).read_text("ascii", "replace")
        except OSError:
            continue
        for _, period in each(text):
            yield {"role": role, "until": period.not_after.isoformat().replace("+00:00", "Z")}
