"""May the service read what root may? An installer checks as root, the agent runs as a user of its own."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from station.commands.dropin import PLACE
from station.commands.findings import Finding, Grade
from station.config import Config
from station.config.credentials import name_of

USER = "ocpp-station"
"""As whom systemd/ocpp-station.service runs."""


class Reader(NamedTuple):
    """A user, and what gives it access."""

    name: str
    uid: int
    gids: frozenset[int]

    def may(self, path: Path) -> bool:
        """Read a file, or pass through a folder, as its mode says. A file that is not there is no matter of access."""
        try:
            state = path.stat()
        except OSError:
            return True
        bit = stat.S_IXOTH if stat.S_ISDIR(state.st_mode) else stat.S_IROTH
        if state.st_uid == self.uid:
            return bool(state.st_mode & bit << 6)
        return bool(state.st_mode & (bit << 3 if state.st_gid in self.gids else bit))


def account() -> pwd.struct_passwd | None:
    """The service's, where root asks for it and it exists."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None


def service() -> Reader | None:
    """The service's user, where root asks for it and it exists."""
    entry = account()
    if entry is None:
        return None
    return Reader(USER, entry.pw_uid, frozenset(os.getgrouplist(USER, entry.pw_gid)))


def unreadable(path: Path, config: Config, reader: Reader | None) -> Iterator[Finding]:
    """What of station.yaml and the files it names that user cannot read."""
    if reader is None:
        return
    csms = config.file.csms
    single = (csms.password_file, csms.ca_file, csms.certificate, csms.key_file)
    named = [*(name for name in single if name is not None), *csms.crl_files]
    for file in (path, *map(config.locate, named)):
        whole = file.absolute()
        shut = next((each for each in (*reversed(whole.parents), whole) if not reader.may(each)), None)
        if shut is not None and not _handed_over(whole):
            detail = f"{file} cannot be read by {reader.name}, as whom the service runs"
            yield Finding(Grade.WARNING, "file", detail, f"chown {reader.name} {shut}")


def _handed_over(file: Path) -> bool:
    """Whether systemd reads it for the agent (`ocpp-station drop-in`)."""
    try:
        return f"LoadCredential={name_of(file)}:{file}\n" in Path(PLACE).read_text("utf-8")
    except OSError:
        return False
