"""From when until when a certificate is valid, read from its DER by hand.

The library for it costs 60 ms and 8 MB, which a running agent that only looks at dates shall not pay.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_CONTEXT_0, _UTC_TIME, _LONG = 0xA0, 0x17, 0x80
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Validity(NamedTuple):
    """The period of a certificate."""

    not_before: datetime
    not_after: datetime


def each(pem: str) -> Iterator[tuple[str, Validity]]:
    """The certificates in a PEM text, each with its period; what is none is left out."""
    for part in pem.split(_BEGIN)[1:]:
        text = f"{_BEGIN}{part.partition(_END)[0]}{_END}\n"
        if (period := validity(text)) is not None:
            yield text, period


def validity(pem: str) -> Validity | None:
    """The period of the first certificate in a text; None for a text that holds none."""
    try:
        der = ssl.PEM_cert_to_DER_cert(pem[: pem.index(_END) + len(_END)])
        fields = list(_values(next(_values(der))[1]))
        body = list(_values(fields[0][1]))
        if body[0][0] == _CONTEXT_0:  # the version is left out of certificates of version 1
            del body[0]
        (first, begins), (last, ends) = _values(body[3][1])  # serial, algorithm, issuer, validity
        return Validity(_time(first, begins.decode("ascii")), _time(last, ends.decode("ascii")))
    except (ValueError, IndexError, StopIteration):
        return None


def until(pem: str) -> datetime | None:
    """The end of the first certificate in a text; None for a text that holds none."""
    period = validity(pem)
    return period.not_after if period is not None else None


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
