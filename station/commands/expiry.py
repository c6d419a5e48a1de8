"""Until when certificates are valid, read from their DER by hand.

The library for it costs 60 ms and 8 MB, which a running agent that only tells its state shall not pay.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from station.config import Config

_CONTEXT_0, _UTC_TIME, _LONG = 0xA0, 0x17, 0x80
_BEGIN = "-----BEGIN CERTIFICATE-----"


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
        for part in text.split(_BEGIN)[1:]:
            ends = until(_BEGIN + part)
            if ends is not None:
                yield {"role": role, "until": ends.isoformat().replace("+00:00", "Z")}


def until(pem: str) -> datetime | None:
    """The notAfter of a certificate; None for a text that is none."""
    try:
        der = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 25])
        fields = list(_values(next(_values(der))[1]))
        body = list(_values(fields[0][1]))
        if body[0][0] == _CONTEXT_0:  # the version is left out of certificates of version 1
            del body[0]
        tag, text = list(_values(body[3][1]))[1]  # serial, algorithm, issuer, validity: not before, not after
        return _time(tag, text.decode("ascii"))
    except (ValueError, IndexError, StopIteration):
        return None


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value in turn. Raises IndexError where the text ends too early."""
    at = 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size & _LONG:
            octets = size & ~_LONG
            size = int.from_bytes(der[at : at + octets], "big")
            at += octets
        if at + size > len(der):
            raise IndexError
        yield tag, der[at : at + size]
        at += size


def _time(tag: int, text: str) -> datetime:
    """UTCTime has two digits for the year: 50 and above belong to the last century (RFC 5280, 4.1.2.5.1)."""
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
