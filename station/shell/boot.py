"""What is asked once at the start: why the process runs again (B01.FR.09), and where new ids come from."""

from __future__ import annotations

import os
from pathlib import Path

from station.store import files

SERVICE_RESULT = "service-result"
"""Written into the state directory by the unit's ExecStopPost: how systemd saw the last run end."""


def found_reason(token: str, before: str | None, service_result: str) -> str:
    """The BootReason, if no reboot of ours explains the start.

    `token` names this boot of the machine, `before` the one of the last start; empty where that cannot be known.
    """
    if before is None or (token and token != before):
        return "PowerUp"
    if service_result == "watchdog":
        return "Watchdog"
    return "ApplicationReset" if token else "Unknown"


def service_result(state: Path) -> str:
    """How the last run ended in systemd's words; read once, then gone."""
    path = state / SERVICE_RESULT
    try:
        text = path.read_text("ascii").strip()
        files.remove(path)
    except (OSError, UnicodeDecodeError):
        return ""
    return text


class RandomIds:
    """Ids that nobody can foretell."""

    def uuid(self) -> str:
        """A random UUID (RFC 4122, version 4); the uuid module would cost 3 ms to import."""
        octets = bytearray(os.urandom(16))
        octets[6] = octets[6] & 0x0F | 0x40
        octets[8] = octets[8] & 0x3F | 0x80
        text = octets.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
