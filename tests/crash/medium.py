"""What a storage medium may hold after the power failed, at every moment of a scenario.

`recorder.Recorder` logs what the station did to its files; `images` builds from that log every state in which the
medium may be found; `power_cuts` shows each of them to an oracle. The model is that of POSIX, pessimistic:

- Content is durable once its file was synced, a name once its directory was. Until then each is kept or lost for
  itself.
- Names of one directory become durable in order (journalling file systems); contents in any order, torn at 512 bytes.
- A rename is atomic. An unlink may be undone as long as its directory was not synced.

Not modelled: a flash cache that lies about a sync, and damage to pages that nobody wrote.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SECTOR = 512


class Write(NamedTuple):
    """Bytes were written to a file (by inode: a name may change while they wait)."""

    inode: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file was cut to a size."""

    inode: int
    size: int


class Sync(NamedTuple):
    """The content of a file was made durable."""

    inode: int


class Name(NamedTuple):
    """A name was given to an inode (created, linked, renamed onto); `old`: the name it had, if that is gone now."""

    path: str
    inode: int
    old: str | None = None


class Unname(NamedTuple):
    """A name was taken away."""

    path: str


class SyncDirectory(NamedTuple):
    """The names in a directory were made durable; with `only`, of that name we know it."""

    path: str
    only: str | None = None


class Mark(NamedTuple):
    """Something left the station: a frame was sent, a contactor asked. The scenario's own values."""

    value: Any


Waiting = Write | Truncate | Name | Unname
"""What is not durable at once."""
Operation = Write | Truncate | Sync | Name | Unname | SyncDirectory | Mark


class Image(NamedTuple):
    """One state of the medium. `files`: content by path relative to the root. `marks`: what had left by then."""

    at: int
    variant: str
    files: Mapping[str, bytes]
    marks: Sequence[Any]

    def write(self, root: Path) -> None:
        """Lay the files out under an empty directory."""
        for name, data in self.files.items():
            path = root / name
            if not path.is_relative_to(root):
                raise ValueError(f"{name} lies outside of {root}")
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
            path.write_bytes(data)


class Violation(NamedTuple):
    """An image that the oracle refused."""

    at: int
    variant: str
    error: str


class Report(NamedTuple):
    """What `power_cuts` found."""

    images: int
    violations: list[Violation]


class _Medium:
    """The durable part, and what is still on its way."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.contents: dict[int, bytearray] = {}
        self.waiting: list[Waiting] = []
        self.version = 0

    def take(self, operation: Operation) -> None:
        """An operation is done."""
        match operation:
            case Sync(inode):
                self._settle(lambda op: isinstance(op, Write | Truncate) and op.inode == inode)
            case SyncDirectory(path, only):
                self._settle(
                    lambda op: isinstance(op, Name | Unname) and _directory(op.path) == path and only in {None, op.path}
                )
            case Write() | Truncate() | Name() | Unname():
                self.waiting.append(operation)
            case Mark():
                pass

    def _settle(self, durable: Callable[[Operation], bool]) -> None:
        done = [op for op in self.waiting if durable(op)]
        if done:
            _apply(self.names, self.contents, done)
            self.waiting = [op for op in self.waiting if not durable(op)]
            self.version += 1

    def state(self, kept: Iterable[Waiting]) -> dict[str, bytes]:
        """The files if just these waiting operations reached the medium."""
        kept = list(kept)
        names = dict(self.names)
        touched = {op.inode for op in kept if isinstance(op, Write | Truncate)}
        contents = {inode: bytearray(self.contents.get(inode, b"")) for inode in touched}
        _apply(names, contents, kept)
        return {
            path: bytes(contents[inode] if inode in contents else self.contents.get(inode, b""))
            for path, inode in names.items()
        }

    def torn(self, rng: random.Random) -> Iterator[Waiting]:
        """A random part of what waits: a beginning of the names, any of the contents, writes torn."""
        names = [op for op in self.waiting if isinstance(op, Name | Unname)]
        kept_names = names[: rng.randint(0, len(names))]
        for op in self.waiting:
            if isinstance(op, Name | Unname):
                if op in kept_names:
                    yield op
            elif rng.random() < 0.6:
                yield from _tear(op, rng) if isinstance(op, Write) else [op]


def _apply(names: dict[str, int], contents: dict[int, bytearray], operations: Iterable[Operation]) -> None:
    for operation in operations:
        match operation:
            case Write(inode, offset, data):
                content = contents.setdefault(inode, bytearray())
                if len(content) < offset:
                    content.extend(bytes(offset - len(content)))
                content[offset : offset + len(data)] = data
            case Truncate(inode, size):
                del contents.setdefault(inode, bytearray())[size:]
            case Name(path, inode, old):
                names[path] = inode
                if old is not None:
                    names.pop(old, None)
            case Unname(path):
                names.pop(path, None)


def _tear(write: Write, rng: random.Random) -> Iterator[Write]:
    """Whole, cut off at a sector, or with holes."""
    whole, cut = rng.random() < 0.5, rng.random() < 0.5
    if whole:
        yield write
        return
    sectors = range(0, len(write.data), SECTOR)
    kept = sectors[: rng.randint(0, len(sectors))] if cut else [at for at in sectors if rng.random() < 0.5]
    for at in kept:
        yield Write(write.inode, write.offset + at, write.data[at : at + SECTOR])


def _directory(path: str) -> str:
    return path.rpartition("/")[0]


def images(log: Sequence[Operation], *, seed: int = 0, start: int = 0, most: int | None = None) -> Iterator[Image]:
    """Every image the medium may show if the power fails before operation `start`, or any later one, or at the end.

    `most`: only so many of them, chosen at random but always the same; the others are not built.
    """
    if most is None:
        yield from (plan.build() for plan in _plans(log, start, seed))
        return
    count = sum(1 for _ in _plans(log, start, seed))
    chosen = set(random.Random(seed).sample(range(count), min(most, count)))  # noqa: S311  # reproducible, not secret
    for number, plan in enumerate(_plans(log, start, seed)):
        if number in chosen:
            yield plan.build()


class _Plan(NamedTuple):
    """An image not yet built: which of the waiting operations are kept. Good until the next plan is asked for."""

    at: int
    variant: str
    medium: _Medium
    kept: Sequence[Waiting]
    marks: Sequence[Any]

    def build(self) -> Image:
        return Image(self.at, self.variant, self.medium.state(self.kept), self.marks)


def _plans(log: Sequence[Operation], start: int, seed: int) -> Iterator[_Plan]:
    rng = random.Random(seed)  # noqa: S311  # reproducible, not secret
    medium = _Medium()
    marks: list[Any] = []
    shown: tuple[int, int] | None = None
    for at, operation in enumerate([*log, Mark("the end")]):
        if isinstance(operation, Mark) and at < len(log):
            marks.append(operation.value)
            continue
        if at >= start:
            for variant, kept in _variants(medium, rng, dropped=shown != (medium.version, len(marks))):
                yield _Plan(at, variant, medium, kept, tuple(marks))
            shown = (medium.version, len(marks))
        medium.take(operation)


def _variants(medium: _Medium, rng: random.Random, *, dropped: bool) -> Iterator[tuple[str, Sequence[Waiting]]]:
    waiting = list(medium.waiting)
    if dropped:
        yield "dropped", []
    if not waiting:
        return
    yield "kept", waiting
    names = [op for op in waiting if isinstance(op, Name | Unname)]
    if names and len(names) < len(waiting):
        yield "names only", names
    if len(waiting) > 1 or isinstance(waiting[0], Write):
        yield "torn", list(medium.torn(rng))


_MEMORY = Path("/dev/shm")  # noqa: S108  # only where it exists
_ENOUGH = 500_000_000
"""Bytes for all workers together; a container's share, 64 MB, is too small."""


@contextlib.contextmanager
def memory() -> Iterator[Path]:
    """A temporary directory, in memory if the machine has such a place with enough room."""
    there = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH
    with tempfile.TemporaryDirectory(dir=_MEMORY if there else None) as name:
        yield Path(name)


def fault_of(image: Image, scratch: Path, judge: Callable[[Image], None]) -> str:
    """What is wrong with an image, by what `judge` raises of it laid out in `scratch`, emptied before; else ""."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    image.write(scratch)
    try:
        judge(image)
    except Exception as error:  # noqa: BLE001  # whatever goes wrong after a power cut is the finding
        return f"{type(error).__name__}: {error}"
    return ""


def power_cuts(  # noqa: PLR0913  # what, judged how, where; the rest is for special cases
    log: Sequence[Operation],
    oracle: Callable[[Path, Sequence[Any]], None],
    scratch: Path,
    *,
    start: int = 0,
    seed: int = 0,
    most: int | None = None,
    enough: int | None = None,
) -> Report:
    """Show the images, each laid out in a directory, to the oracle; whatever the oracle raises is a violation.

    `enough`: a mutant that was seen so often is caught, the images that follow are not looked at.
    """
    count = 0
    violations = []
    for image in images(log, seed=seed, start=start, most=most):
        count += 1
        if fault := fault_of(image, scratch, lambda shown: oracle(scratch, shown.marks)):
            violations.append(Violation(image.at, image.variant, fault))
            if len(violations) == enough:
                break
    return Report(count, violations)
