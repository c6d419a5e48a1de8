"""How a command fails: one line for each thing that is wrong, a remedy, an exit code. No tracebacks for people."""

from __future__ import annotations

import contextlib
import sys

from station.config.mistakes import ConfigError

EX_CONFIG = 78
"""station.yaml is wrong (EX_CONFIG of sysexits.h)."""

EX_BUSY = 75
"""The state directory cannot be used: another agent, disk, permissions (EX_TEMPFAIL)."""

EX_NOT_RUNNING = 69
"""No agent answers on the control socket (EX_UNAVAILABLE)."""


def tell(reason: str, remedy: str, code: int) -> int:
    """One line on stderr; gives the exit code back."""
    _write(f"ocpp-station: {reason}" + (f" - {remedy}\n" if remedy else "\n"))
    return code


def tell_config(error: ConfigError) -> int:
    """All that is wrong with a station.yaml."""
    for line in error.mistakes:
        _write(f"{line}\n")
    count = len(error.mistakes)
    return tell(f"{count} mistake{'s' if count > 1 else ''} in the configuration", "", EX_CONFIG)


def _write(text: str) -> None:
    """The exit code counts for scripts and for systemd, whether or not somebody can read why."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
