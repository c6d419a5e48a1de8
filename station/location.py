"""A URL from which a file is fetched, or to which one is brought, as the CSMS gives it (L01, N01). Pure.

Its credentials are used and never shown: `shown` is what logs and reports may say, and it leaves out the query, too,
since the links that storage services hand out carry their signature there.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

PORTS = {"ftp": 21, "ftps": 21, "http": 80, "https": 443, "sftp": 22}
"""The schemes that have a way of transfer, and their ports; ftps is also found at 990."""

DECODED = frozenset({"ftp", "ftps", "sftp"})
"""Their paths go over the wire as they are meant."""

LONGEST = 2048
_UNSEEN = r"[\x00-\x20\x7f]"


class BadLocation(ValueError):  # noqa: N818 - reads as what it says
    """No URL that can be used; the text says why and never cites it."""


class Location(msgspec.Struct, frozen=True):
    """Where a file is.

    `path` begins with a slash, is percent-encoded and with its query for http(s), and is decoded for the others.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str = ""
    password: str = ""

    @property
    def shown(self) -> str:
        """For logs and people."""
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0]}"

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who is meant: credentials are for nobody else."""
        return self.scheme, self.host, self.port


def located(url: str) -> Location:
    """Take a URL apart. Raises BadLocation."""
    if len(url) > LONGEST:
        raise BadLocation("the URL is too long")
    if re.search(_UNSEEN, url) or not url.isascii():
        raise BadLocation("the URL has characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadLocation("the URL cannot be taken apart") from None
    if parts.scheme not in PORTS:
        raise BadLocation("the URL has a scheme that is not built in")
    if not parts.hostname:
        raise BadLocation("the URL names no host")
    return _whole(parts, port if port is not None else PORTS[parts.scheme])


def _whole(parts: SplitResult, port: int) -> Location:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    path = parts.path or "/"
    path = unquote(path) if parts.scheme in DECODED else f"{path}?{parts.query}" if parts.query else path
    if any(re.search(_UNSEEN, text.replace(" ", "")) for text in (user, password, path)):  # they would be lines of FTP
        raise BadLocation("the URL hides control characters")
    return Location(parts.scheme, parts.hostname or "", port, path, user, password)
