"""How a bundle is packed: a gzip'd tar in its oldest form, of plain files alone, and read by nothing but what is here.

A general reader would follow links, make device nodes, and believe sizes. This one knows names and contents: whatever
else a header asks for is refused before anything is written.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

BLOCK = 512
_PIECE = 64 * 1024
_NAME, _PREFIX = 100, 155
_KINDS = {
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a directory",
    b"6": "a pipe",
    b"x": "an extended header",
    b"g": "an extended header",
    b"L": "an extended header",
    b"S": "a sparse file",
}


class BadBundle(Exception):  # noqa: N818 - reads as what it says
    """It is no bundle for this station, or not as it was made."""


class Member(NamedTuple):
    """A file that follows in the archive."""

    name: str
    size: int


class Reader:
    """Reads the members in their order. Everything raises BadBundle, or OSError."""

    def __init__(self, raw: BinaryIO) -> None:
        self._stream: BufferedIOBase = gzip.GzipFile(fileobj=raw, mode="rb")
        self._left = 0
        self._padding = 0

    def member(self) -> Member | None:
        """The next file; None at the end. What was left of the last one is skipped over."""
        for _ in self.content():
            pass
        self._exactly(self._padding)
        block = self._exactly(BLOCK)
        if not block.strip(b"\0"):
            self._end()
            return None
        found = _member(block)
        self._left, self._padding = found.size, -found.size % BLOCK
        return found

    def content(self) -> Iterator[bytes]:
        """What the file holds, in pieces."""
        while self._left:
            piece = self._exactly(min(self._left, _PIECE))
            self._left -= len(piece)
            yield piece

    def _end(self) -> None:
        """Only zeros follow, and not many of them."""
        if self._some(20 * BLOCK).strip(b"\0") or self._some(1):
            raise BadBundle("something follows after its end")

    def _exactly(self, size: int) -> bytes:
        data = self._some(size)
        if len(data) < size:
            raise BadBundle("it ends in the middle")
        return data

    def _some(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise BadBundle(f"it is damaged: {error}") from error


def _member(block: bytes) -> Member:
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if _number(block[148:156]) != total or block[257:265] != b"ustar\x0000":
        raise BadBundle("it is no tar archive in the form ustar")
    if (kind := block[156:157]) != b"0":
        raise BadBundle(f"it holds {_KINDS.get(kind, 'something else than files')}")
    name, prefix = (_text(block[start:end]) for start, end in ((0, _NAME), (345, 345 + _PREFIX)))
    return Member(f"{prefix}/{name}" if prefix else name, _number(block[124:136]))


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise BadBundle("a number in it is none")
    return int(digits, 8)


def _text(field: bytes) -> str:
    text = field.rstrip(b"\0")
    if not text.isascii() or b"\0" in text:
        raise BadBundle("a name in it is none")
    return text.decode("ascii")


class Writer:
    """Writes an archive that depends on nothing but names and contents: the same ones give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("wb")
        self._stream = gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=9, mtime=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.write(b"\0" * 2 * BLOCK)
        self._stream.close()
        self._raw.close()

    def add(self, name: str, data: bytes) -> None:
        """A file. Raises BadBundle for a name that is too long."""
        self._stream.write(header(name, len(data)) + data + b"\0" * (-len(data) % BLOCK))


def header(name: str, size: int, *, kind: bytes = b"0", link: bytes = b"") -> bytes:
    """The block before a file's content. Raises BadBundle."""
    prefix, short = "", name
    if len(name) > _NAME:
        cut = name.rfind("/", 0, _PREFIX + 1)
        prefix, short = name[:cut], name[cut + 1 :]
    if len(short) > _NAME or not name.isascii() or (prefix == "" and len(name) > _NAME):
        raise BadBundle(f"{name}: the name is too long, or not ASCII")
    fields = [
        short.encode().ljust(_NAME, b"\0"),
        *(b"0000644\0", b"0000000\0", b"0000000\0"),
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        b"ustar\x0000".ljust(88, b"\0"),
        prefix.encode().ljust(_PREFIX, b"\0"),
    ]
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
