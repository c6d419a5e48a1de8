"""Whether the CSMS has accepted this station (B01-B03), and why the station last started.

The verdict is kept in memory only: after each start the station is Unknown again and introduces itself. Sending is
gated on it in the exchange (design A9), receiving in the blocks.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from station.facts import Facts, RegistrationChanged
from station.now import Now
from station.store.db import Database
from station.store.intents import Intents
from station.store.volatile import Volatile

Status = Literal["Unknown", "Pending", "Accepted", "Rejected"]

BOOT_REASONS = frozenset(
    {
        "ApplicationReset",
        "FirmwareUpdate",
        "LocalReset",
        "PowerUp",
        "RemoteReset",
        "ScheduledReset",
        "Triggered",
        "Unknown",
        "Watchdog",
    }
)
"""B01.FR.09."""


class Verdict(msgspec.Struct, frozen=True):
    """What the CSMS said last, and whether it ever said Accepted since the start."""

    status: Status = "Unknown"
    ever_accepted: bool = False


class Registration:
    """The registration of one station.

    `found_reason`: the BootReason that the shell found, if no reboot of ours explains the start.
    """

    def __init__(self, *, db: Database, intents: Intents, facts: Facts, found_reason: str = "PowerUp") -> None:
        self._intents = intents
        self._facts = facts
        self._found_reason = found_reason
        self._verdict = Volatile(db, Verdict())
        self.boot_reason = found_reason

    @property
    def status(self) -> Status:
        """The CSMS's last verdict."""
        return self._verdict.value.status

    @property
    def ever_accepted(self) -> bool:
        """Whether a CSMS has accepted this station since the start."""
        return self._verdict.value.ever_accepted

    @property
    def accepted(self) -> bool:
        """Whether ordinary messages may be sent and transactions started from afar."""
        return self.status == "Accepted"

    def load(self, now: Now) -> None:
        """Find the reason of this start: a reboot that an earlier run intended, else what the shell found."""
        del now
        reboot = self._intents.left_over("reboot")
        reason = reboot.reason if reboot is not None else self._found_reason
        self.boot_reason = reason if reason in BOOT_REASONS else "Unknown"

    def judged(self, status: Status) -> None:
        """The CSMS has answered our BootNotification, or a new network profile makes us Unknown again (B10.FR.10)."""
        before = self._verdict.value
        first = status == "Accepted" and not before.ever_accepted
        self._verdict.value = Verdict(status, before.ever_accepted or first)
        if status == "Accepted":
            reboot = self._intents.left_over("reboot")
            if reboot is not None:  # its reason has been told
                self._intents.done(reboot)
        if status != before.status or first:
            self._facts.emit(RegistrationChanged(status=status, first_since_boot=first))
