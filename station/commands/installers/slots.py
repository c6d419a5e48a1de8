"""The versions of the agent below one directory, and which of them is started.

    versions/NAME/     a version: start.py, lib/, and its manifest; never changed once it is named below
    current            names the version that has proven itself; without it the packaged agent is started
    trial-N            names the one that is tried, and how often it was started so far
    failed, reason     names the last one that was given up, and tells why
    within             how many seconds a trial has to get well
    wanted             for which update the trial is

The launcher (systemd/ocpp-station-launch) reads the names, counts the starts and gives up; here a trial begins and is
found good. Each of these is one rename of a file that is durable already. Invariant: what `current` and `trial-N` name
is whole, so that there is something to start at any moment.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import msgspec

from station.store import files

log = logging.getLogger(__name__)

VARIABLE = "OCPP_STATION_SLOTS"
"""By it the launcher tells the agent where the directory is."""
_LONGEST = 200


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an update has put on trial. `silent`: the EVSEs whose hardware did not answer even before."""

    update: str
    slot: str
    version: str
    silent: frozenset[int] = frozenset()


class Slots:
    """Everything raises OSError, but what reads: that finds nothing then."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.versions = root / "versions"

    @property
    def current(self) -> str:
        """The version that is started if none is tried; empty: the packaged one."""
        return self._named(self.root / "current")

    @property
    def trial(self) -> str:
        """The version that is tried."""
        return next((self._named(path) for path in self._trials()), "")

    @property
    def failed(self) -> str:
        """The version that was given up last."""
        return self._named(self.root / "failed")

    @property
    def reason(self) -> str:
        """Why it was."""
        return self._named(self.root / "reason")

    @property
    def wanted(self) -> Wanted | None:
        """What the last update has put on trial."""
        try:
            return msgspec.json.decode((self.root / "wanted").read_bytes(), type=Wanted)
        except (OSError, msgspec.DecodeError, ValueError, RecursionError):
            return None

    def of(self, file: str) -> str:
        """The version that a file of a running agent belongs to; empty for the packaged one."""
        path = Path(file).resolve()
        versions = self.versions.resolve()
        return path.relative_to(versions).parts[0] if path.is_relative_to(versions) else ""

    def make_room(self, *keep: str) -> None:
        """Remove all versions but these, and what `current` names; none of them is tried any more."""
        files.make_directory(self.versions)
        self._end_trials()
        for path in self.versions.iterdir():
            if path.name not in {*keep, self.current}:
                log.info("firmware.version_removed", extra={"version": path.name})
                files.remove_tree(path)
        files.sync_directory(self.versions)

    def try_(self, wanted: Wanted, within_s: float) -> None:
        """From the next start on."""
        self._end_trials()
        self.want(wanted)
        files.replace(self.root / "within", b"%d\n" % within_s)
        files.replace(self.root / "trial-0", wanted.slot.encode() + b"\n")

    def want(self, wanted: Wanted) -> None:
        """Remember what an update was for."""
        files.replace(self.root / "wanted", msgspec.json.encode(wanted))

    def found_good(self, slot: str) -> bool:
        """From now on this one is started; False if it is not tried any more: the launcher has given it up."""
        for path in self._trials():
            if self._named(path) == slot:
                with contextlib.suppress(FileNotFoundError):
                    files.move(path, self.root / "current")
                    return True
        return self.current == slot

    def _end_trials(self) -> None:
        """Before a new one has a name: what an old name has counted is not its."""
        for stale in (*self._trials(), self.root / "failed", self.root / "reason"):
            files.remove(stale)
        files.sync_directory(self.root)

    def _trials(self) -> list[Path]:
        return sorted(self.root.glob("trial-[0-9]"))

    @staticmethod
    def _named(path: Path) -> str:
        try:
            with path.open("rb") as file:
                return file.readline(_LONGEST).decode("utf-8", "replace").strip()
        except OSError:
            return ""
