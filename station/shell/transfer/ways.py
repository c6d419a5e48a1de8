"""What each way of transfer can do, and how it fails. The files, as the ways see them."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from station.location import Location
from station.shell.linkdown import one_line
from station.shell.transfer.line import Line


class Kind(enum.Enum):
    """How a transfer can fail; the first four as LogStatusNotification tells them."""

    FAILED = "UploadFailure"
    BAD_MESSAGE = "BadMessage"
    PERMISSION_DENIED = "PermissionDenied"
    NOT_SUPPORTED = "NotSupportedOperation"
    TOO_LARGE = "too large"
    STALLED = "stalled"
    CANCELLED = "cancelled"


class Failed(Exception):  # noqa: N818 - carries a kind, as `Down` of the link does
    """The file is not where it should be. `detail`: one line without credentials."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(kind.value, detail)
        self.kind = kind
        self.detail = one_line(detail)


class Outgoing(msgspec.Struct, kw_only=True):
    """A file to be brought somewhere.

    `name`: what it is called where the URL names a directory. `moved`: bytes that earlier attempts have sent to the
    same place, so that what lies there may be continued; kept up to date.
    """

    path: Path
    name: str
    moved: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.stat().st_size


class Incoming(msgspec.Struct, kw_only=True):
    """A file to be fetched into `path`, which may hold a part already.

    `validator`: which version of the remote file the part is of, as the server told it; kept up to date. Without it
    the part is worth nothing. `limit_bytes`: what is larger is refused, also when it turns out on the way.
    """

    path: Path
    limit_bytes: int
    validator: str = ""

    def open(self, validator: str) -> BinaryIO:
        """To go on at the end of the part if it is of this version, else from the beginning."""
        mode = "ab" if validator and validator == self.validator else "wb"
        self.validator = validator
        return self.path.open(mode)  # type: ignore[return-value]  # a binary mode either way

    @property
    def part(self) -> int:
        """Bytes that are there and may be continued."""
        return self.path.stat().st_size if self.validator and self.path.exists() else 0

    def check(self, size: int) -> None:
        """Raises Failed if the file is, or grows, too large."""
        if size > self.limit_bytes:
            raise Failed(Kind.TOO_LARGE, f"more than {self.limit_bytes} bytes")


class Way(Protocol):
    """A scheme's protocol. Blocks; raises Failed, and whatever sockets and libraries raise."""

    def upload(self, line: Line, to: Location, what: Outgoing) -> None:
        """Bring the file; returns when the server has confirmed it."""
        ...

    def download(self, line: Line, source: Location, into: Incoming) -> None:
        """Fetch the file; returns when it is whole. What has come so far stays when it fails."""
        ...
