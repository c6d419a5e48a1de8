"""The station's clock: monotonic time plus an offset, and how far that may be believed (design 7, field.md 10, 11).

The offset is the agent's own, so that a wrong system clock cannot move what has happened. It follows the sources in
the order that TimeSource gives: a time that the CSMS told, NTP or the hardware clock by way of the system clock. The
system clock itself is set only where the operator allows it, because everything else on the machine lives by it too.
Invariant: the wall clock never lies before the floor, the last time saved or the build date, nor beyond `LATEST`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from station.now import BootId, Instant, Mono, Now, Wall

log = logging.getLogger(__name__)

BUILT = Wall(1_793_491_200.0)
"""2026-11-01: no clock of a machine that runs this agent shows an earlier time and is right."""

LATEST = Wall(BUILT + 50 * 365.25 * 86_400.0)
"""Nor a later one. Once in the year 9999 it would stay there: the time saved is the floor of the next start."""

STEP_S = 0.5
"""A smaller difference is the way of the message, not of the clock."""

SAVE_EVERY_S = 600.0
"""How often the time is saved for the next start, with a commit that is made anyway."""

LOOK_EVERY_S = 60.0

FROM_CSMS = frozenset({"Heartbeat", "BootNotification"})
"""Sources that TimeSource calls `Heartbeat`."""

SETTER = Path("/run/ocpp-station-clock.sock")
"""Who sets the system clock for an agent that may not: systemd/ocpp-station-clock."""

SETTER_S = 3.0
"""So long a start waits for it, which nobody else does: its answer is looked for later."""

_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_RTC = Path("/sys/class/rtc/rtc0")
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_LONGEST_ANSWER = 200


def plausible(wall: float) -> bool:
    """Whether a clock may show this time and be right."""
    return BUILT <= wall <= LATEST


class Machine:
    """The clocks of the machine; replaced in tests."""

    def mono(self) -> float:
        """Seconds since some point of this boot."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, as the system clock says."""
        return time.time()

    def synchronised(self) -> bool:
        """Whether NTP keeps the system clock. May take two seconds."""
        return self.seems_synchronised() or _timedatectl_says_so()

    def seems_synchronised(self) -> bool:
        """What can be seen at once of that."""
        return _kernel_is_synchronised() or _TIMESYNCD.exists()

    def has_rtc(self) -> bool:
        """Whether a hardware clock gave the system clock its time at boot."""
        return _RTC.exists()

    def set(self, wall: float) -> Asked | None:
        """Set the system clock, or ask for it. Raises OSError (PermissionError without CAP_SYS_TIME)."""
        if SETTER.exists():
            return Asked(wall - self.mono())
        time.clock_settime(time.CLOCK_REALTIME, wall)
        return None


class Asked:
    """Who may was asked for a system clock that is so far ahead of the monotonic one: it may take its time."""

    def __init__(self, ahead_s: float) -> None:
        """Raises OSError: it cannot be asked."""
        self._said = b""
        self._wire = socket.socket(socket.AF_UNIX)
        self._wire.settimeout(0.0)
        try:
            self._wire.connect(str(SETTER))
            self._wire.send(f"{ahead_s}\n".encode())
        except OSError:
            self._wire.close()
            raise

    def close(self) -> None:
        """Its answer is of no interest any more."""
        self._wire.close()

    def done(self, wait_s: float) -> bool:
        """Whether it was set; False: not told yet. Raises OSError for why not, TimeoutError if it never tells."""
        end = time.monotonic() + wait_s
        with contextlib.suppress(ConnectionError):
            while not self._said.endswith(b"\n") and len(self._said) < _LONGEST_ANSWER:
                self._wire.settimeout(max(end - time.monotonic(), 0.0))
                try:
                    piece = self._wire.recv(_LONGEST_ANSWER)
                except (BlockingIOError, TimeoutError):
                    return False
                if not piece:
                    break
                self._said += piece
        self._wire.close()
        said = self._said.decode("utf-8", "replace").strip()
        if not said:
            raise TimeoutError(f"{SETTER} gives no answer")
        if said != "ok":
            raise OSError(said)
        return True


class PatientMachine(Machine):
    """The same for a loop that must not wait: a service that has to be asked answers by the next look."""

    def __init__(self) -> None:
        self._said = False
        self._asking: threading.Thread | None = None

    def synchronised(self) -> bool:
        """As far as is known now."""
        if self.seems_synchronised():
            return True
        if self._asking is None or not self._asking.is_alive():
            self._asking = threading.Thread(target=self._ask, name="timedated", daemon=True)
            self._asking.start()
        return self._said

    def _ask(self) -> None:
        self._said = _timedatectl_says_so()


class Change(msgspec.Struct, frozen=True):
    """The wall clock was moved by `by_s` seconds (0: it is only believed from now on) on the word of `source`."""

    by_s: float
    source: str


class StationClock:
    """What time it is for one station. `sources`: TimeSource as it stands now, most preferred first."""

    def __init__(self, machine: Machine | None = None, *, may_set_system: bool = False) -> None:
        self.machine = machine or PatientMachine()
        self.sources: Callable[[], tuple[str, ...]] = lambda: ("Heartbeat",)
        self._may_set = may_set_system
        self._boot = BootId(0)
        wall = self.machine.wall()
        self._offset = (wall if plausible(wall) else BUILT) - self.machine.mono()
        self._system_offset = self._measured()
        self._source: str | None = None
        self._asked: Asked | None = None
        if not plausible(wall):  # certificates are judged by the system clock: nearly right beats 1970
            self._set_system(BUILT)
            self._hear(SETTER_S)

    # --- reading

    def mono(self) -> Mono:
        """The monotonic clock."""
        return Mono(self.machine.mono())

    def now(self) -> Now:
        """The present."""
        mono = self.machine.mono()
        return Now(self._boot, Mono(mono), Wall(mono + self._offset), self._source is not None)

    @property
    def source(self) -> str | None:
        """Who is believed; None before anybody was."""
        return self._source

    def mono_of(self, wall: float) -> float:
        """The monotonic time of a wall time, by today's offset."""
        return wall - self._offset

    # --- starting

    def begin(self, boot: BootId, wall_of: Callable[[Instant], Wall]) -> None:
        """The boot is counted; `wall_of` knows its offset, not before the last time saved."""
        mono = self.mono()
        self._boot = boot
        self._offset = max(self._offset, wall_of(Instant(boot, mono)) - mono)

    # --- being told

    def heard(self, wall: Wall, source: str) -> Change | None:
        """A time that the CSMS told; taken unless a better source is at hand."""
        if self._outranked(source):
            return None
        return self._adopt(wall - self.machine.mono(), source)

    def look(self) -> Change | None:
        """Look at the system clock: adopt its time where TimeSource says so and it is worth it; notice its jumps."""
        self._hear()
        offset = self._measured()
        jumped = abs(offset - self._system_offset) >= STEP_S
        if jumped:
            log.info("clock.system_stepped", extra={"by_s": round(offset - self._system_offset, 3)})
        self._system_offset = offset
        for source in self.sources():
            if source in FROM_CSMS:
                if self._source in FROM_CSMS:
                    return None  # already better served
            elif self._believable(source, jumped=jumped):
                return self._adopt(offset, source)
        return None

    def _believable(self, source: str, *, jumped: bool) -> bool:
        if not plausible(self.machine.wall()):
            return False
        if source == "NTP":
            return (self._source == "NTP" and not jumped) or self.machine.synchronised()
        return source == "RealTimeClock" and self.machine.has_rtc()

    def _outranked(self, source: str) -> bool:
        """Whether what is believed now stands before `source` in TimeSource."""
        if self._source is None or self._source in FROM_CSMS:
            return False
        sources = self.sources()
        rank = {name: place for place, name in enumerate(sources)}
        own = min((rank[name] for name in (source, "Heartbeat") if name in rank), default=len(rank))
        return rank.get(self._source, len(rank)) < own

    def _adopt(self, offset: float, source: str) -> Change | None:
        step = offset - self._offset
        first = self._source is None
        if not first and abs(step) < STEP_S:
            self._source = source
            return None
        if not plausible(self.machine.mono() + offset):
            log.warning("clock.implausible", extra={"source": source, "wall": round(self.machine.mono() + offset)})
            return None
        self._source = source
        if abs(step) < STEP_S:
            return Change(0.0, source)
        self._offset = offset
        log.info("clock.stepped", extra={"by_s": round(step, 3), "source": source})
        if source in FROM_CSMS:
            self._set_system(self.machine.mono() + offset)
        return Change(step, source)

    def _set_system(self, wall: float) -> None:
        if not self._may_set or abs(self.machine.wall() - wall) < STEP_S:
            return
        if self._asked is not None:
            self._asked.close()
        try:
            self._asked = self.machine.set(wall)
        except OSError as error:
            self._not_set(error)
        self._system_offset = self._measured()

    def _hear(self, wait_s: float = 0.0) -> None:
        """What has become of asking for the system clock to be set. Who has given no answer is asked once more."""
        try:
            if self._asked is not None and self._asked.done(wait_s):
                self._asked = None
                self._system_offset = self._measured()
        except OSError as error:
            self._not_set(error)
            if self._source in FROM_CSMS:
                self._set_system(self.machine.mono() + self._offset)

    def _not_set(self, error: OSError) -> None:
        log.warning("clock.not_permitted", extra={"reason": str(error)})
        self._asked = None
        self._may_set = isinstance(error, (TimeoutError, BlockingIOError))  # not now; perhaps the next time

    def _measured(self) -> float:
        return self.machine.wall() - self.machine.mono()


class SavedTime:
    """Lets the floor of the next start's clock ride with commits: a participant of the database's transactions."""

    def __init__(self, clock: StationClock, save: Callable[[Wall], None]) -> None:
        self._clock = clock
        self._save = save
        self._due = 0.0

    def must_write(self) -> bool:
        """Never for its own sake."""
        return False

    def before_commit(self) -> None:
        """Save the time, every ten minutes at most."""
        now = self._clock.now()
        if now.mono >= self._due and now.trusted:
            self._save(now.wall)
            self._due = now.mono + SAVE_EVERY_S

    def committed(self) -> None:
        """Nothing is kept in memory."""

    def rolled_back(self) -> None:
        """Try again with the next commit."""
        self._due = 0.0


def boot_token() -> str:
    """What tells one boot of the machine from another; empty if that cannot be known.

    The unit passes systemd's boot id along, because ProcSubset=pid hides the kernel's.
    """
    given = os.environ.get("OCPP_STATION_BOOT_ID", "")
    if given:
        return given
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip().replace("-", "")
    return ""


def _kernel_is_synchronised() -> bool:
    """adjtimex(2) with nothing to set: its result tells whether anybody disciplines the clock."""
    import ctypes  # noqa: PLC0415 - only where NTP is a source

    buffer = ctypes.create_string_buffer(512)  # struct timex, 208 bytes, modes = 0
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return False
    return 0 <= int(state) < _UNSYNCHRONISED


def _timedatectl_says_so() -> bool:
    """Where a sandbox forbids the system call: systemd-timedated knows, too."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=2, check=False, text=True)  # noqa: S603 - constant
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == "yes"
