"""The installer of the agent itself: a directory for each version, tried before it stays (docs/update.md).

A bundle is unpacked beside what runs, made durable, asked once for its version, and only then named as the one to be
tried. From there on the launcher has the say: it counts the starts and goes back by itself. When the CSMS has accepted
the station, `confirm` waits until the hardware answers, too, and ends the trial.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import logging
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import station
from station.commands.installers import Confirmation, Installation, Silent, manifest
from station.commands.installers.archive import BadBundle, Reader
from station.commands.installers.manifest import Here, Manifest
from station.commands.installers.slots import VARIABLE, Slots, Wanted
from station.commands.installers.versions import BadVersion, Floor
from station.shell.linkdown import one_line
from station.shell.threads import in_thread
from station.store import files
from station.store.migrations import SCHEMA, newest
from station.version import VERSION

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often it is looked whether the hardware answers."""
SPARE_BYTES = 32_000_000
"""So much of the disk stays free: the database needs it more."""
_TRY_OUT_S = 60.0
_PIECE = 65_536


class Digest(Protocol):
    """Of hashlib."""

    def update(self, data: bytes, /) -> None:
        """Go on."""
        ...


class Refused(Exception):  # noqa: N818 - reads as what it says
    """It is a bundle, and not for this station."""


def here() -> Here:
    """What runs now."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Here(version=VERSION, python=python, machine=platform.machine(), schema=newest(SCHEMA))


class _Seen(io.BufferedReader):
    """A file that is read once, and what all of it amounts to."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self._hash = hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file."""
        data = super().read(size)
        self._hash.update(data)
        return data

    def digest(self) -> bytes:
        """Of the whole file, to its end."""
        while self.read(_PIECE):
            pass
        return self._hash.digest()


class _Task(NamedTuple):
    """An installation. `by`: then nobody waits for it any more."""

    slots: Slots
    update: str
    silent: frozenset[int]
    file: Path
    digest: bytes
    by: float

    def check_time(self) -> None:
        """Raises OSError."""
        if time.monotonic() > self.by:
            raise TimeoutError("it took too long")


class Bundle:
    """Of one station. `within_s`: how long a new version has to get well; `patience_s`: the installation itself."""

    takes_file: ClassVar[bool] = False

    def __init__(
        self, environment: Mapping[str, str], floor: Floor, silent: Silent, *, within_s: float, patience_s: float
    ) -> None:
        root = environment.get(VARIABLE, "")
        self._slots = Slots(Path(root)) if root else None
        self._floor = floor
        self._silent = silent
        self._within_s = within_s
        self._patience_s = patience_s

    async def install(self, update: str, file: Path, digest: bytes = b"") -> Installation:
        """See `Installer`. What is unpacked is compared with what was signed: the file may be another one by now."""
        if self._slots is None:
            return Installation("failed", "the agent was not started by ocpp-station-launch")
        slots, silent, by = self._slots, await self._silent(), time.monotonic() + self._patience_s
        try:
            return await in_thread(lambda: self._install(_Task(slots, update, silent, file, digest, by)), "firmware")
        except (BadBundle, Refused, BadVersion) as error:
            return Installation("unverified", one_line(str(error)))
        except OSError as error:
            return Installation("failed", one_line(str(error)))

    async def confirm(self, update: str, file: Path, *, late: bool = False) -> Confirmation:
        """See `Installer`. While the hardware is silent it waits: for better days, or for the launcher to go back.

        It is never asked late: that is the launcher's, too.
        """
        del file, late
        wanted = self._slots.wanted if self._slots is not None else None
        if self._slots is None or wanted is None or wanted.update != update:
            return Confirmation("nothing is known of this update here")
        slots = self._slots
        if slots.of(station.__file__) != wanted.slot:
            reason = slots.reason if slots.failed == wanted.slot else "it was never started"
            return Confirmation(f"{wanted.version} was given up: {reason}; {VERSION} runs")
        while (silent := await self._silent() - wanted.silent) or not slots.found_good(wanted.slot):
            log.warning("firmware.not_well", extra={"version": wanted.version, "silent": sorted(silent)})
            await asyncio.sleep(LOOK_S)
        await in_thread(lambda: self._settle(slots, wanted), "firmware")
        return Confirmation()

    def _settle(self, slots: Slots, wanted: Wanted) -> None:
        """What was given up its place may go now, and what is older may not come back."""
        self._floor.raise_to(wanted.version)
        slots.make_room(wanted.slot)

    def _install(self, task: _Task) -> Installation:
        slots = task.slots
        running = slots.of(station.__file__)
        with _Seen(io.FileIO(task.file)) as raw:
            reader = Reader(raw)
            text, told = manifest.first(reader)
            slot = f"{told.version}-{hashlib.sha256(text).hexdigest()[:12]}"
            if reason := manifest.refusal(told, here()) or self._floor.refusal(told.version, VERSION):
                raise Refused(reason)
            wanted = Wanted(update=task.update, slot=slot, version=told.version, silent=task.silent)
            if slot == running and slot in {slots.current, slots.trial}:  # a power cut came between trial and answer
                slots.want(wanted)
                return Installation("active", f"{told.version} runs already")
            slots.make_room(running)
            _check_room(slots.root, told.size)
            with _gone_unless_done(slots.versions / slot):
                _unpack(reader, told, slots.versions / slot, task)
                if task.digest not in {b"", raw.digest()}:
                    raise BadBundle("it was changed since its signature was checked")
                files.create(slots.versions / slot / manifest.NAME, [text])
                _make_durable(slots.versions / slot)
                _try_out(slots.versions / slot, told.version)
                task.check_time()
        slots.try_(wanted, self._within_s)
        return Installation("restart", f"{told.version} is to be tried")


@contextlib.contextmanager
def _gone_unless_done(folder: Path) -> Iterator[None]:
    """What is of no use takes no room: on a full disk the database needs it."""
    new = not folder.exists()
    try:
        yield
    except BaseException:
        if new and folder.exists():
            with contextlib.suppress(OSError):  # the next installation tries it again
                files.remove_tree(folder)
        raise


def _check_room(root: Path, size: int) -> None:
    free = shutil.disk_usage(root).free - SPARE_BYTES
    if size > free:
        raise OSError(f"it needs {size} bytes, and {max(free, 0)} are free")


def _unpack(reader: Reader, told: Manifest, into: Path, task: _Task) -> None:
    """Into a folder that nothing names yet. What of it an earlier attempt left is gone."""
    for name, entry in told.files.items():
        task.check_time()
        found = reader.member()
        if found is None or (found.name, found.size) != (name, entry.size):
            raise BadBundle(f"{name} is not where its manifest says")
        path = into / name
        files.make_directory(path.parent)
        digest = hashlib.sha256()
        files.create(path, _hashed(reader, digest))
        if digest.hexdigest() != entry.sha256:
            raise BadBundle(f"{name} is not what its manifest says")
    if reader.member() is not None:
        raise BadBundle("it holds more than its manifest says")


def _hashed(reader: Reader, digest: Digest) -> Iterator[bytes]:
    for piece in reader.content():
        digest.update(piece)
        yield piece


def _make_durable(folder: Path) -> None:
    """All names; the contents are."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            files.sync_directory(path)
    files.sync_directory(folder.parent)


def _try_out(folder: Path, version: str) -> None:
    """Whether it starts at all here: what it lacks or what was made for another machine shows now."""
    command = [sys.executable, "-I", "-S", str(folder / manifest.START), "--version"]
    try:
        done = subprocess.run(  # noqa: S603 - signed by the manufacturer
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRY_OUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"asked for its version, it says nothing for {_TRY_OUT_S:g} s") from None
    if done.returncode or done.stdout.strip() != f"{manifest.PRODUCT} {version}":
        words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise Refused(f"it does not run here: {words}")
