"""What time the station believes, on whose word, and what it does not believe (design 7, field.md 10)."""

from __future__ import annotations

import threading

import pytest

from station.now import BootId, Mono, Now, Wall
from station.shell import clock as module
from station.shell.boot import RandomIds, found_reason
from station.shell.clock import (
    BUILT,
    LATEST,
    LOOK_EVERY_S,
    SAVE_EVERY_S,
    Change,
    Machine,
    PatientMachine,
    SavedTime,
    StationClock,
)

TODAY = BUILT + 50 * 86_400.0


class Fake(Machine):
    """A machine whose clocks stand still until somebody moves them."""

    def __init__(self, wall: float = TODAY) -> None:
        self.mono_s = 100.0
        self.wall_s = wall
        self.ntp = False
        self.rtc = False
        self.forbidden = False
        self.was_set: list[float] = []

    def mono(self) -> float:
        return self.mono_s

    def wall(self) -> float:
        return self.wall_s

    def synchronised(self) -> bool:
        return self.ntp

    def has_rtc(self) -> bool:
        return self.rtc

    def set(self, wall: float) -> None:
        if self.forbidden:
            raise PermissionError(1, "Operation not permitted")
        self.was_set.append(wall)
        self.wall_s = wall

    def pass_time(self, seconds: float) -> None:
        self.mono_s += seconds
        self.wall_s += seconds


def clock(machine: Fake, *sources: str, may_set: bool = False) -> StationClock:
    """The clock of a station whose TimeSource is this."""
    made = StationClock(machine, may_set_system=may_set)
    made.sources = lambda: sources or ("Heartbeat",)
    return made


def test_before_anybody_told_the_time_it_is_not_trusted() -> None:
    """The system clock is a guess."""
    now = clock(Fake()).now()

    assert (now.wall, now.trusted) == (TODAY, False)


def test_a_machine_that_wakes_in_1970_does_not_live_there() -> None:
    """The build date is the floor."""
    now = clock(Fake(wall=3.0)).now()

    assert now.wall == BUILT


def test_the_last_time_saved_is_the_floor_of_the_next_start() -> None:
    """A station without a battery clock does not go back in time."""
    machine = Fake(wall=3.0)
    begun = clock(machine)

    begun.begin(BootId(7), lambda instant: Wall(TODAY + instant.mono - 100.0))

    assert begun.now() == Now(BootId(7), Mono(100.0), Wall(TODAY), trusted=False)


def test_the_csms_tells_the_time() -> None:
    """The first answer is believed, however far it is."""
    machine = Fake()
    station = clock(machine)

    change = station.heard(Wall(TODAY + 3600), "BootNotification")

    assert change == Change(3600.0, "BootNotification")
    assert (station.now().wall, station.now().trusted) == (TODAY + 3600, True)


def test_a_time_that_was_right_already_is_only_believed() -> None:
    """The step is none, but the boot's offset is known from now on."""
    station = clock(Fake())

    assert station.heard(Wall(TODAY + 0.2), "Heartbeat") == Change(0.0, "Heartbeat")
    assert station.heard(Wall(TODAY + 0.2), "Heartbeat") is None
    assert station.now().wall == TODAY


def test_a_csms_that_lives_in_the_past_is_not_believed() -> None:
    """Nothing before the build date is."""
    station = clock(Fake())

    assert station.heard(Wall(1000.0), "Heartbeat") is None
    assert not station.now().trusted


def test_ntp_before_the_csms_stays_believed() -> None:
    """TimeSource is an order of preference."""
    machine = Fake()
    station = clock(machine, "NTP", "Heartbeat")
    machine.ntp = True

    assert station.look() == Change(0.0, "NTP")
    assert station.heard(Wall(TODAY + 60), "Heartbeat") is None
    assert station.now().wall == TODAY


def test_the_csms_helps_until_ntp_is_there() -> None:
    """A source that is not at hand does not hold up the next one."""
    machine = Fake()
    station = clock(machine, "NTP", "Heartbeat")

    assert station.look() is None
    assert station.heard(Wall(TODAY + 60), "Heartbeat") == Change(60.0, "Heartbeat")
    machine.ntp = True
    assert station.look() == Change(-60.0, "NTP")


def test_a_clock_that_ntp_has_set_is_followed() -> None:
    """A step of the system clock is noticed at the next look."""
    machine = Fake(wall=BUILT + 5)
    station = clock(machine, "NTP")

    machine.pass_time(LOOK_EVERY_S)
    machine.wall_s = TODAY
    machine.ntp = True

    change = station.look()
    assert change is not None
    assert change.source == "NTP"
    assert station.now().wall == TODAY


def test_somebody_who_sets_the_system_clock_does_not_move_what_has_happened() -> None:
    """The offset is the agent's own while the CSMS tells the time."""
    machine = Fake()
    station = clock(machine)
    station.heard(Wall(TODAY), "Heartbeat")

    machine.wall_s -= 86_400.0

    assert station.look() is None
    assert station.now().wall == TODAY


def test_a_hardware_clock_is_a_source_where_it_is_named() -> None:
    """RealTimeClock, if the machine has one."""
    machine = Fake()
    station = clock(machine, "RealTimeClock")

    assert station.look() is None
    machine.rtc = True
    assert station.look() == Change(0.0, "RealTimeClock")


# --- the machine's own clock


def test_the_system_clock_is_left_alone_unless_the_operator_allows() -> None:
    """Everything else on the machine lives by it."""
    machine = Fake()

    clock(machine).heard(Wall(TODAY + 60), "Heartbeat")

    assert machine.was_set == []


def test_the_system_clock_is_set_where_it_is_allowed() -> None:
    """Certificates are judged by it."""
    machine = Fake()
    station = clock(machine, may_set=True)

    station.heard(Wall(TODAY + 60), "Heartbeat")

    assert machine.was_set == [TODAY + 60]
    assert station.look() is None


def test_a_machine_in_1970_is_helped_before_the_first_connection() -> None:
    """Else no certificate would be valid, and nobody could tell the time."""
    machine = Fake(wall=3.0)

    clock(machine, may_set=True)

    assert machine.was_set == [BUILT]


def test_without_the_permission_the_own_offset_is_enough() -> None:
    """It is tried once."""
    machine = Fake()
    machine.forbidden = True
    station = clock(machine, may_set=True)

    assert station.heard(Wall(TODAY + 60), "Heartbeat") == Change(60.0, "Heartbeat")
    assert station.now().wall == TODAY + 60


# --- the floor of the next start


def test_the_time_rides_with_commits_every_ten_minutes() -> None:
    """It never causes one."""
    machine = Fake()
    station = clock(machine)
    saved: list[float] = []
    rider = SavedTime(station, saved.append)
    station.heard(Wall(TODAY), "Heartbeat")

    for _ in range(3):
        assert not rider.must_write()
        rider.before_commit()
        machine.pass_time(SAVE_EVERY_S / 2)

    assert saved == [TODAY, TODAY + SAVE_EVERY_S]


def test_a_time_nobody_believes_is_not_saved() -> None:
    """It would become a floor that is too high."""
    saved: list[float] = []

    SavedTime(clock(Fake()), saved.append).before_commit()

    assert saved == []


# --- why the process runs again


@pytest.mark.req("B01.FR.09")
@pytest.mark.parametrize(
    "token, before, result, reason",
    [
        ("a", None, "", "PowerUp"),
        ("b", "a", "success", "PowerUp"),
        ("b", "a", "watchdog", "PowerUp"),
        ("a", "a", "watchdog", "Watchdog"),
        ("a", "a", "signal", "ApplicationReset"),
        ("a", "a", "", "ApplicationReset"),
        ("", "", "", "Unknown"),
    ],
)
def test_why_the_process_runs_again(token: str, before: str | None, result: str, reason: str) -> None:
    """By the machine's boot id, and by how systemd saw the last run end."""
    assert found_reason(token, before, result) == reason


def test_an_id_is_a_random_uuid() -> None:
    """Version 4, variant 1, never twice."""
    made = {RandomIds().uuid() for _ in range(100)}

    assert len(made) == 100
    assert {(len(each), each[14]) for each in made} == {(36, "4")}
    assert {each[19] for each in made} <= set("89ab")


def test_the_present_can_be_turned_back_into_an_instant() -> None:
    """For a meter whose reading bears a wall time."""
    station = clock(Fake())

    assert station.mono_of(TODAY - 10) == pytest.approx(Mono(90.0))


def test_a_time_service_that_takes_its_time_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is looked at in the core's loop; D-Bus may need seconds, and its answer counts at the next look."""
    answers = threading.Event()
    asked = threading.Semaphore(0)

    def timedated() -> bool:
        asked.release()
        return answers.wait(60)

    monkeypatch.setattr(module, "_timedatectl_says_so", timedated)
    monkeypatch.setattr(PatientMachine, "seems_synchronised", lambda _: False)
    machine = PatientMachine()

    assert not machine.synchronised()
    assert not machine.synchronised()
    assert asked.acquire(timeout=60)
    answers.set()
    assert machine._asking is not None
    machine._asking.join(60)

    assert machine.synchronised()
    assert asked.acquire(timeout=60)
    assert not asked.acquire(blocking=False)


@pytest.mark.parametrize("wall", [0.0, BUILT - 1, LATEST + 1, 253_402_300_799.0, 1e300])
def test_no_source_puts_the_clock_where_no_time_can_be(wall: float) -> None:
    """The year 9999 would be the floor of every later start."""
    machine = Fake()
    station = clock(machine)

    assert station.heard(Wall(wall), "BootNotification") is None
    assert (station.now().wall, station.now().trusted) == (TODAY, False)
    assert isinstance(station.heard(Wall(TODAY + 60), "Heartbeat"), Change)


def test_a_system_clock_in_the_far_future_is_no_guess() -> None:
    """A hardware clock whose battery is empty may show anything."""
    machine = Fake(wall=LATEST + 86_400.0)
    machine.rtc = True
    station = clock(machine, "RealTimeClock")

    assert station.now().wall == BUILT
    assert station.look() is None
