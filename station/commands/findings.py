"""What `ocpp-station check` found out about one thing."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

from hal.errors import DeviceError, NotFound, Timeout

REMEDIES: Mapping[type[DeviceError], str] = {
    NotFound: "check power, wiring, port and address; may this user open the port?",
    Timeout: "check wiring (A and B swapped?), speed, parity and address",
}
"""For what a device raises; the rest speaks for itself."""


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
