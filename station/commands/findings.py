"""What `ocpp-station check` found out about one thing."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Grade(enum.IntEnum):
    """How bad it is; the worst one decides the exit code."""

    OK = 0
    WARNING = 1
    ERROR = 2


class Finding(NamedTuple):
    """A row of the table. `remedy` is for whoever has to do something about it."""

    grade: Grade
    what: str
    detail: str
    remedy: str = ""
