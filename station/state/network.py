"""The ways to the CSMS: network connection profiles, their order, the level of security reached, passwords (B09, B10).

What the CSMS stores takes effect with the next start (B09, remarks), so `profiles` answers from what was read at the
start of this run, `stored` from the tables. The password takes effect at once; the former one is kept until the new
one has been accepted, for a station whose only password is refused never comes back (field.md 13).
Invariant: no entry of `profiles` is less secure than the level reached, unless the file allows it (A00.FR.005).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from device_model.model import ComponentId, VariableId
from station.now import BootId, Now
from station.state.variables import Variables
from station.store.db import Database

log = logging.getLogger(__name__)

PRIORITY = ("OCPPCommCtrlr", "NetworkConfigurationPriority")
PASSWORD = ("SecurityCtrlr", "BasicAuthPassword")


class NetworkProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A NetworkConnectionProfile. `url` is the CSMS's endpoint without the identity."""

    slot: int
    url: str
    security_profile: int
    message_timeout_s: float = 35.0
    interface: str = ""


class Network:
    """The network connection profiles and credentials of one station.

    `given`: the profiles of the station's file, the preferred one first; `given_level`: its security profile.
    `seal` and `unseal` encrypt what must not lie on the disk in clear.
    """

    def __init__(  # noqa: PLR0913 - the wiring of one object, named at the one call
        self,
        *,
        db: Database,
        variables: Variables,
        given: Sequence[NetworkProfile],
        given_level: int,
        seal: Callable[[str], str],
        unseal: Callable[[str], str],
    ) -> None:
        self._db = db
        self._variables = variables
        self._given = {profile.slot: profile for profile in given}
        self._given_level = given_level
        self._seal = seal
        self._unseal = unseal
        self._boot = BootId(0)
        self._active: dict[int, NetworkProfile] = {}
        self._order: tuple[int, ...] = ()
        self._stored: dict[int, NetworkProfile] = {}
        self._password = ""
        self._former: str | None = None
        self.level = given_level
        """The security profile that was in use last: what must not be lowered."""
        self.active_slot: int | None = None
        """The slot of the connection that stands, or stood last."""

    def load(self, now: Now) -> None:
        """Read the tables; at the first time in a run this is also what the run connects by."""
        self._stored = dict(self._given)
        for slot, data in self._db.execute("SELECT slot, data FROM network_profile").fetchall():
            self._read(slot, data)
        state = dict(self._db.execute("SELECT name, value FROM network_state").fetchall())
        self.level = self._level(state.get("security_profile", ""))
        self._former = self._opened(state.get("former_password"))
        self._password = self._variables.text(*PASSWORD)
        self._variables.model.set_by_station(
            ComponentId("SecurityCtrlr"), VariableId("SecurityProfile"), str(self.level)
        )
        if now.boot != self._boot:
            self._boot = now.boot
            self._active, self._order = dict(self._stored), self.priority()

    def _read(self, slot: int, data: bytes | None) -> None:
        if data is None:
            self._stored.pop(slot, None)
            return
        try:
            self._stored[slot] = msgspec.json.decode(data, type=NetworkProfile)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("state.bad_row", extra={"table": "network_profile", "slot": slot, "reason": str(error)})

    def _level(self, text: str) -> int:
        """The level reached, unless the operator has changed the station's file since."""
        reached, _, file = text.partition("/")
        return int(reached) if reached.isdecimal() and file == str(self._given_level) else self._given_level

    def _opened(self, sealed: str | None) -> str | None:
        try:
            return self._unseal(sealed) if sealed is not None else None
        except ValueError:
            log.warning("state.bad_row", extra={"table": "network_state", "reason": "cannot be decrypted"})
            return None

    # questions

    def profiles(self) -> list[NetworkProfile]:
        """What to connect by in this run, in the order of NetworkConfigurationPriority; asked for each attempt.

        If nothing of that may be used, since the operator raised the level: what the file says. Never nothing.
        """
        found = [self._active[slot] for slot in self._order if slot in self._active]
        return [profile for profile in found if self.allows(profile.security_profile)] or list(self._given.values())

    def passwords(self) -> tuple[str, ...]:
        """For Basic authentication: the present one, then the former one until the present one has been accepted."""
        return (self._password,) if self._former is None else (self._password, self._former)

    def stored(self, slot: int) -> NetworkProfile | None:
        """What the slot holds for the next start; None if it is empty."""
        return self._stored.get(slot)

    def priority(self) -> tuple[int, ...]:
        """NetworkConfigurationPriority as it is stored."""
        return tuple(int(slot) for slot in self._variables.members(*PRIORITY))

    def allows(self, security_profile: int) -> bool:
        """Whether a profile of this level may be used or stored (A00.FR.005, B09.FR.04, B09.FR.31)."""
        if security_profile >= self.level:
            return True
        return security_profile > 1 and self._variables.boolean("SecurityCtrlr", "AllowSecurityProfileDowngrade")

    def message_timeout_s(self, slot: int) -> float | None:
        """How long to wait for an answer on this connection; None for a slot that is not there."""
        profile = self._active.get(slot)
        return profile.message_timeout_s if profile is not None else None

    def can_seal(self) -> bool:
        """Whether a password can be kept now: the key that seals it may lie in a TPM or token that is away."""
        try:
            self._seal("")
        except Exception as error:  # noqa: BLE001 - the errors of the key store are its own
            log.warning("state.not_sealed", extra={"table": "variable", "reason": str(error)})
            return False
        return True

    # changes

    def store(self, profile: NetworkProfile) -> None:
        """Keep a profile for the next start."""
        data = msgspec.json.encode(profile)
        self._db.execute("INSERT OR REPLACE INTO network_profile VALUES (?, ?)", (profile.slot, data))
        self._stored[profile.slot] = profile

    def connected(self, slot: int, security_profile: int) -> bool:
        """A connection stands; gives whether it is more secure than any before.

        Then less secure profiles are removed, from this run, too, and from the order (A05.FR.06).
        """
        self.active_slot = slot
        if security_profile == self.level:
            return False
        raised, self.level = security_profile > self.level, security_profile
        self._remember("security_profile", f"{security_profile}/{self._given_level}")
        if raised:
            self._remove_below(security_profile)
        return raised

    def _remove_below(self, security_profile: int) -> None:
        doomed = {slot for slot, each in self._stored.items() if each.security_profile < security_profile}
        for slot in doomed:
            self._db.execute("INSERT OR REPLACE INTO network_profile VALUES (?, NULL)", (slot,))
            del self._stored[slot]
        self._active = {slot: p for slot, p in self._active.items() if p.security_profile >= security_profile}
        order = [slot for slot in self.priority() if slot not in doomed]
        self._variables.set(*PRIORITY, ",".join(map(str, order)))

    def password_changed(self) -> None:
        """BasicAuthPassword has another value: the one before is kept for a while."""
        before, self._password = self._password, self._variables.text(*PASSWORD)
        if before and self._former is None:
            self._former = before
            self._remember("former_password", self._seal(before))

    def password_accepted(self) -> None:
        """A connection stands with the present password: the former one is of no use any more."""
        if self._former is not None:
            self._former = None
            self._db.execute("DELETE FROM network_state WHERE name = 'former_password'")

    def _remember(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO network_state VALUES (?, ?)", (name, value))
