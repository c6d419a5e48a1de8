"""Records what the station does to its files: SQLite's through a VFS, all others through `os` in station.store.files.

The VFS is registered by ctypes in the very libsqlite3 that the `sqlite3` module uses: the default VFS copied, its
xOpen and xDelete wrapped, and for each file a copy of its methods with xWrite, xTruncate and xSync wrapped. Needs no
compiler and no root. The same place injects faults: `Recorder.fail` and `Recorder.on_sync`.
"""

from __future__ import annotations

import _sqlite3
import atexit
import ctypes as c
import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from .medium import Mark, Name, Operation, Sync, SyncDirectory, Truncate, Unname, Write

VFS = "recorded"
OPEN_CREATE = 0x00000004
OK = 0

_P, _I, _L, _S = c.c_void_p, c.c_int, c.c_int64, c.c_char_p
_OPEN = c.CFUNCTYPE(_I, _P, _P, _P, _I, _P)  # the path as a pointer: SQLite keeps it
_DELETE = c.CFUNCTYPE(_I, _P, _S, _I)
_WRITE = c.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE = c.CFUNCTYPE(_I, _P, _L)
_SYNC = c.CFUNCTYPE(_I, _P, _I)
_CLOSE = c.CFUNCTYPE(_I, _P)

_METHODS = (
    "xClose",
    "xRead",
    "xWrite",
    "xTruncate",
    "xSync",
    *("xFileSize", "xLock", "xUnlock", "xCheckReservedLock", "xFileControl", "xSectorSize", "xDeviceCharacteristics"),
    *("xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch"),
)
_VFS_METHODS = (
    "xOpen",
    "xDelete",
    *("xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose", "xRandomness", "xSleep", "xCurrentTime"),
    *("xGetLastError", "xCurrentTimeInt64", "xSetSystemCall", "xGetSystemCall", "xNextSystemCall"),
)


class _IoMethods(c.Structure):
    _fields_ = [("iVersion", _I), *((name, _P) for name in _METHODS)]  # ctypes' way


class _Vfs(c.Structure):
    _fields_ = [  # ctypes' way
        ("iVersion", _I),
        ("szOsFile", _I),
        ("mxPathname", _I),
        ("pNext", _P),
        ("zName", _S),
        ("pAppData", _P),
        *((name, _P) for name in _VFS_METHODS),
    ]


class Recorder:
    """The log of one directory tree.

    `fail(what, path)`: asked before each "write", "truncate", "sync", "delete" or "open" of SQLite and each "write",
    "sync", "rename" of `files`; a result other than 0 is the SQLite error code that the call ends with (as OSError
    outside SQLite). `on_sync(path)`: called before each sync, for instance to make it slow.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[Operation] = []
        self.fail: Callable[[str, str], int] | None = None
        self.on_sync: Callable[[str], None] | None = None
        self._names: dict[str, int] = {}
        self._next = 0
        self._adopt()

    def mark(self, value: Any) -> None:
        """Something left the station now."""
        self.log.append(Mark(value))

    def bytes_written(self, start: int = 0) -> int:
        """Bytes of all writes since a position in the log."""
        return sum(len(op.data) for op in self.log[start:] if isinstance(op, Write))

    def syncs(self, start: int = 0) -> int:
        """Syncs of files and directories since a position in the log."""
        return sum(isinstance(op, Sync | SyncDirectory) for op in self.log[start:])

    def __enter__(self) -> Self:
        _install()
        _ACTIVE.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _ACTIVE.remove(self)

    def _adopt(self) -> None:
        """What lies there already is durable."""
        for path in sorted(p for p in self.root.rglob("*") if p.is_file() and not p.name.endswith("-shm")):
            inode = self.created(self.name(path))
            self.log += [Write(inode, 0, path.read_bytes()), Sync(inode)]
        self.log += [SyncDirectory(self.name(p)) for p in (self.root, *(d for d in self.root.rglob("*") if d.is_dir()))]

    # -- what happened -----------------------------------------------------------------------------------------

    def name(self, path: Path | str) -> str:
        """A path as the log has it: below the root."""
        return "" if Path(path) == self.root else os.path.relpath(path, self.root)

    def created(self, name: str) -> int:
        """The inode of a name, made if there was none."""
        if name not in self._names:
            self._next += 1
            self._names[name] = self._next
            self.log.append(Name(name, self._next))
        return self._names[name]

    def inode(self, name: str) -> int | None:
        """The inode of a name, if there is one."""
        return self._names.get(name)

    def linked(self, source: str, target: str) -> None:
        """A second name."""
        self._names[target] = self._names[source]
        self.log.append(Name(target, self._names[source]))

    def renamed(self, source: str, target: str) -> None:
        """Another name."""
        self._names[target] = self._names.pop(source)
        self.log.append(Name(target, self._names[target], source))

    def removed(self, name: str) -> None:
        """A name is gone."""
        if self._names.pop(name, None) is not None:
            self.log.append(Unname(name))

    def verdict(self, what: str, name: str) -> int:
        """The injected fault, if any; a slow medium is slow here."""
        if what == "sync" and self.on_sync:
            self.on_sync(name)
        return self.fail(what, name) if self.fail else OK


class RecordingOs:
    """Stands in for the module `os` in `station.store.files`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._open: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        """See os.open."""
        name = self._recorder.name(path)
        self._check("open", name)
        handle = os.open(path, flags, mode)
        if flags & os.O_CREAT:
            self._recorder.created(name)
        self._open[handle] = name
        return handle

    def write(self, handle: int, data: bytes | memoryview) -> int:
        """See os.write."""
        name = self._open[handle]
        self._check("write", name)
        at = os.lseek(handle, 0, os.SEEK_CUR)
        done = os.write(handle, data)
        self._recorder.log.append(Write(self._recorder.created(name), at, bytes(data[:done])))
        return done

    def fsync(self, handle: int) -> None:
        """See os.fsync."""
        name = self._open[handle]
        self._check("sync", name)
        os.fsync(handle)
        inode = self._recorder.inode(name)
        self._recorder.log.append(SyncDirectory(name) if inode is None else Sync(inode))

    def close(self, handle: int) -> None:
        """See os.close."""
        self._open.pop(handle, None)
        os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """See os.rename."""
        self._check("rename", self._recorder.name(target))
        os.rename(source, target)  # noqa: PTH104 - the very call that is recorded
        self._recorder.renamed(self._recorder.name(source), self._recorder.name(target))

    def link(self, source: Path, target: Path) -> None:
        """See os.link."""
        os.link(source, target)
        if self._recorder.inode(self._recorder.name(source)) is not None:  # SQLite's shared memory is none of ours
            self._recorder.linked(self._recorder.name(source), self._recorder.name(target))

    def unlink(self, path: Path) -> None:
        """See os.unlink."""
        os.unlink(path)  # noqa: PTH108 - the very call that is recorded
        self._recorder.removed(self._recorder.name(path))

    def _check(self, what: str, name: str) -> None:
        code = self._recorder.verdict(what, name)
        if code:
            raise OSError(errno.ENOSPC if code == _sqlite3.SQLITE_FULL else errno.EIO, os.strerror(errno.EIO), name)


# -- the VFS: one in the process, which finds the recorder by the path ------------------------------------------------

_ACTIVE: list[Recorder] = []
_FILES: dict[int, tuple[Recorder, str, int]] = {}  # the open ones, by sqlite3_file*
_ORIGINALS: dict[int, int] = {}  # their methods before, by sqlite3_file*
_NEEDS_DIRECTORY_SYNC: set[int] = set()
"""Inodes of logs and journals: SQLite syncs their directory with their first sync, for their own name's sake. That this
makes another name durable, such as the removal of an older journal, is not counted upon."""
_TABLES: dict[int, _IoMethods] = {}
_KEPT: list[Any] = []  # what C points to must not be collected


def _install() -> None:
    if _KEPT:
        return
    library = _library()
    library.sqlite3_vfs_find.restype = c.POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [_S]
    library.sqlite3_vfs_register.argtypes = [_P, _I]
    base = library.sqlite3_vfs_find(None)
    vfs = _Vfs()
    c.memmove(c.byref(vfs), base, c.sizeof(_Vfs))
    vfs.zName, vfs.pNext = VFS.encode(), None
    opened = _OPEN(_opener(_OPEN(base.contents.xOpen)))
    deleted = _DELETE(_deleter(_DELETE(base.contents.xDelete)))
    vfs.xOpen, vfs.xDelete = c.cast(opened, _P), c.cast(deleted, _P)
    _KEPT.extend([library, vfs, opened, deleted])
    if library.sqlite3_vfs_register(c.byref(vfs), 0) != OK:
        raise RuntimeError("SQLite did not take the recording VFS")
    c.pythonapi.Py_IncRef(c.py_object(vfs))  # SQLite may outlive Python's objects
    atexit.register(_let_go, vfs, base)


def _let_go(vfs: _Vfs, base: Any) -> None:
    """A connection that is still open when Python ends must not call what is no longer there."""
    vfs.xOpen, vfs.xDelete = base.contents.xOpen, base.contents.xDelete
    for file, methods in _ORIGINALS.items():
        c.cast(file, c.POINTER(_P))[0] = methods


def _library() -> Any:
    """The SQLite that `sqlite3` uses: a shared library (Debian, most builds) or inside the extension module."""
    maps = Path("/proc/self/maps").read_text()
    found = re.search(r"\S*/libsqlite3\.so\S*", maps)
    return c.CDLL(found.group(0) if found else _sqlite3.__file__)


def _recorder_of(path: str) -> Recorder | None:
    return next((r for r in _ACTIVE if path.startswith(f"{r.root}/")), None)


def _opener(original: Any) -> Callable[..., int]:
    def xopen(vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        text = os.fsdecode(c.string_at(path)) if path else ""  # a temporary file has no name
        recorder = _recorder_of(text)
        name = recorder.name(text) if recorder else ""
        if recorder and (code := recorder.verdict("open", name)):
            c.cast(file, c.POINTER(_P))[0] = None
            return code
        result = int(original(vfs, path, file, flags, out))
        methods = c.cast(file, c.POINTER(_P))
        if result != OK or not methods[0] or recorder is None:
            return result
        if flags & OPEN_CREATE or recorder.inode(name) is not None:
            inode = recorder.created(name)
            _FILES[file] = (recorder, name, inode)
            if name.endswith(("-wal", "-journal")):
                _NEEDS_DIRECTORY_SYNC.add(inode)
            _ORIGINALS[file] = int(methods[0])
            methods[0] = c.addressof(_recorded(int(methods[0])))
        return result

    return xopen


def _deleter(original: Any) -> Callable[..., int]:
    def xdelete(vfs: int, path: bytes, sync_directory: int) -> int:
        recorder = _recorder_of(os.fsdecode(path))
        if recorder is None:
            return int(original(vfs, path, sync_directory))
        name = recorder.name(os.fsdecode(path))
        if code := recorder.verdict("delete", name):
            return code
        result = int(original(vfs, path, sync_directory))
        if result == OK:
            recorder.removed(name)
            if sync_directory & 1:
                recorder.log.append(SyncDirectory(name.rpartition("/")[0]))
        return result

    return xdelete


def _recorded(address: int) -> _IoMethods:
    """A copy of a table of file methods that records; one for each original table."""
    if address in _TABLES:
        return _TABLES[address]
    original = _IoMethods.from_address(address)
    write, truncate, sync = _WRITE(original.xWrite), _TRUNCATE(original.xTruncate), _SYNC(original.xSync)
    close = _CLOSE(original.xClose)

    def xwrite(file: int, data: int, size: int, offset: int) -> int:
        recorder, name, inode = _FILES[file]
        if code := recorder.verdict("write", name):
            return code
        recorder.log.append(Write(inode, offset, c.string_at(data, size)))
        return int(write(file, data, size, offset))

    def xtruncate(file: int, size: int) -> int:
        recorder, name, inode = _FILES[file]
        if code := recorder.verdict("truncate", name):
            return code
        recorder.log.append(Truncate(inode, size))
        return int(truncate(file, size))

    def xsync(file: int, flags: int) -> int:
        recorder, name, inode = _FILES[file]
        if code := recorder.verdict("sync", name):
            return code
        recorder.log.append(Sync(inode))
        if inode in _NEEDS_DIRECTORY_SYNC:
            _NEEDS_DIRECTORY_SYNC.discard(inode)
            recorder.log.append(SyncDirectory(name.rpartition("/")[0], name))
        return int(sync(file, flags))

    def xclose(file: int) -> int:
        _FILES.pop(file, None)
        _ORIGINALS.pop(file, None)
        return int(close(file))

    table = _IoMethods()
    c.memmove(c.byref(table), address, c.sizeof(_IoMethods))
    callbacks = _WRITE(xwrite), _TRUNCATE(xtruncate), _SYNC(xsync), _CLOSE(xclose)
    table.xWrite, table.xTruncate, table.xSync, table.xClose = (c.cast(callback, _P) for callback in callbacks)
    _KEPT.extend([original, callbacks, write, truncate, sync, close])
    _TABLES[address] = table
    return table
