"""Whether anybody else of this machine can come between what root does beside station.yaml.

Who may write in its folder can put another file, or a link, in place of one at any moment, whatever was looked at the
moment before. So root does nothing there until the folder is closed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

_LIST = "system.posix_acl_access"


def stranger(config: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """What others may write on the way to station.yaml; a station.yaml that leads elsewhere by another's will.

    None if there is nothing, and for everybody but root, whose own affair this is. Who has called root by sudo is no
    stranger. Raises OSError.
    """
    if os.geteuid() != 0:
        return None
    ours = {0, int(environment.get("SUDO_UID", "0"))}
    folder = config.absolute().parent.resolve()
    for each in (folder, *folder.parents):
        state = each.stat()
        others = state.st_gid != 0 or _has_list(each)
        theirs = state.st_mode & stat.S_IWOTH or (state.st_mode & stat.S_IWGRP and others)
        if state.st_uid not in ours or (theirs and (each == folder or not state.st_mode & stat.S_ISVTX)):
            return each
    if config.is_symlink() and config.lstat().st_uid not in ours:
        return config
    return None


def _has_list(folder: Path) -> bool:
    """Whether rights are given by a list (setfacl): then the mode's group stands for all whom it names."""
    try:
        return _LIST in os.listxattr(folder)
    except OSError:  # a file system without
        return False
