"""Attribute files of the kernel: read in a thread, with the errors of `hal.errors`.

A read of sysfs may wait for a bus: an I2C chip for milliseconds, a 1-wire thermometer for its conversion (0.75 s).
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path

from hal.aside import in_thread
from hal.errors import BadReply, DeviceError, NotFound, Timeout

_LATE = frozenset({errno.EAGAIN, errno.ETIMEDOUT, errno.EBUSY})
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM, errno.ENOTDIR})
READ_S = 5.0
"""A read that takes longer is given up; its thread ends when the kernel lets it."""


class _Work:
    """What is done with a file in a thread, and whether it is over."""

    def __init__(self, do: Callable[[], str | None]) -> None:
        self.over = False
        self._do = do

    def __call__(self) -> str | None:
        """In the thread."""
        try:
            return self._do()
        finally:
            self.over = True


_given_up: dict[Path, _Work] = {}
"""Threads that the kernel holds: on a bus that hangs, each further look would be one more."""


async def read(device: str, path: Path) -> str:
    """What stands in the file. Raises NotFound (gone, or no right), Timeout (the bus is busy), BadReply (no sense)."""
    try:
        return await _aside(path, functools.partial(path.read_text, "ascii"), "read") or ""
    except TimeoutError:
        raise Timeout(device, f"{path} gives nothing for {READ_S:.0f} s") from None
    except OSError as error:
        raise _as_device_error(device, path, error) from None
    except UnicodeDecodeError:
        raise BadReply(device, f"{path} holds no text") from None


async def write(device: str, path: Path, text: str) -> None:
    """Puts it into the file. Raises as `read` does."""
    try:
        await _aside(path, functools.partial(put, path, text), "write")
    except TimeoutError:
        raise Timeout(device, f"{path} takes nothing for {READ_S:.0f} s") from None
    except OSError as error:
        raise _as_device_error(device, path, error, "written") from None


async def _aside(path: Path, do: Callable[[], str | None], what: str) -> str | None:
    """Raises TimeoutError: given up, or not begun, because the one before has not come back."""
    held = _given_up.get(path)
    if held is not None and not held.over:
        raise TimeoutError
    _given_up.pop(path, None)
    work = _Work(do)
    try:
        return await asyncio.wait_for(in_thread(work, f"{what} {path.name}"), READ_S)
    except TimeoutError:
        _given_up[path] = work
        raise


def put(path: Path, text: str) -> None:
    """Blocking: one write, as the kernel wants it."""
    path.write_text(text, "ascii")


def found(folder: Path, pattern: str) -> list[Path]:
    """The files that there are, in order: looking which there are waits for no bus."""
    return sorted(folder.glob(pattern))


def integer(device: str, path: Path, text: str) -> int:
    """The number that a file holds. Raises BadReply."""
    try:
        return int(text)
    except ValueError:
        raise BadReply(device, f"{path} holds {text[:20]!r}, not an integer") from None


def _as_device_error(device: str, path: Path, error: OSError, what: str = "read") -> DeviceError:
    reason = f"{path} cannot be {what}: {os.strerror(error.errno) if error.errno else error}"
    if error.errno in _GONE:
        return NotFound(device, reason)
    return Timeout(device, reason) if error.errno in _LATE else BadReply(device, reason)
