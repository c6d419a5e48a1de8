"""Whether the file of a running station is still there, and what to do when it is not.

Who removes or replaces it while the agent runs takes nothing from it: the file stays open until the process ends. But
what is written then is gone with the process. So everything is written into a new file, which takes its place.
Invariant: at no moment is there less at the path than there was.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from . import files
from .db import Database, companions, configure, connect, translated

Identity = tuple[int, int]


class Presence:
    """Looks after the file of an open database, and its log."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[Path, Identity] = {}
        self.look()

    def look(self) -> str:
        """What has become of the file behind our back; empty if nothing has."""
        for path in companions(self._db.path)[:2]:
            known, found = self._known.get(path), _identity(path)
            if known is not None and found is None:
                return f"{path.name} was removed"
            if known is not None and found != known:
                return f"{path.name} was replaced"
            if found is not None:
                self._known[path] = found
        return ""

    def renew(self) -> None:
        """Write everything into a new file at the same path. Raises StoreFailed, OSError. Not inside a step.

        Another file that lies there is kept beside it, as `.foreign`.
        """
        db = self._db
        with translated():
            temporary = self._copy()
            if db.path.exists() and _identity(db.path) != self._known.get(db.path):
                files.move(db.path, db.path.with_name(db.path.name + ".foreign"))
            (db.disk or db.connection).close()  # removes its log by name: before there is a new one of that name
            for stale in companions(db.path)[1:]:
                files.remove(stale)
            files.move(temporary, db.path)
            fresh = connect(db.path, db.vfs)
            configure(fresh)
        if db.disk is None:
            db.connection = fresh
        else:
            db.disk = fresh
        db.make_ballast()
        self._known = {}
        self.look()

    def _copy(self) -> Path:
        """Everything, page by page, in a file of its own beside the path."""
        db = self._db
        temporary = db.path.with_name(db.path.name + ".new")
        files.make_directory(db.path.parent)
        for stale in companions(temporary):
            files.remove(stale)
        files.create_empty(temporary)
        with contextlib.closing(connect(temporary, db.vfs)) as target:
            db.connection.backup(target)
        files.sync(temporary)
        return temporary


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
