"""When the station dials again, and whom (part 4, 5.3; errata 4.12; B10)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.shell.backoff import MAX_WAIT_S, MIN_WAIT_S, Backoff, BackoffSettings, Redial


def settings(minimum: float = 10, spread: float = 0, repeat: int = 2, attempts: int = 3) -> BackoffSettings:
    """RetryBackOffWaitMinimum, RandomRange, RepeatTimes, NetworkProfileConnectionAttempts."""
    return BackoffSettings(minimum, spread, repeat, attempts)


def dice() -> random.Random:
    """Random, but the same in each run."""
    return random.Random(1)  # noqa: S311 - jitter is no secret


def backoff() -> Backoff:
    """The waits for one CSMS, random but repeatable."""
    return Backoff(dice())


@pytest.mark.parametrize(
    "minimum, repeat, waits",
    [
        (10, 0, [10, 10, 10, 10]),
        (10, 1, [10, 20, 20, 20]),
        (10, 2, [10, 20, 40, 40]),
        (10, 5, [10, 20, 40, 80, 160, 320, 320]),
        (0, 3, [2, 2, 2, 2]),
        (0.5, 3, [2, 2, 2, 4, 4]),
        (10, -1, [10, 10]),
    ],
)
def test_the_wait_doubles_at_most_repeat_times(minimum: float, repeat: int, waits: list[float]) -> None:
    """Part 4, 5.3; and never below two seconds (field.md, lessons)."""
    line = backoff()

    assert [line.wait(settings(minimum, repeat=repeat)) for _ in waits] == waits


def test_every_wait_has_a_random_part_of_its_own() -> None:
    """Part 4, 5.3: a maximum of RetryBackOffRandomRange, which is not doubled."""
    line = backoff()

    waits = [line.wait(settings(spread=5)) for _ in range(200)]

    parts = [wait - base for wait, base in zip(waits, [10, 20] + [40] * 198, strict=True)]
    assert all(0 <= part <= 5 for part in parts)
    assert len({round(part, 6) for part in parts}) > 190
    assert max(parts) > 4.5
    assert min(parts) < 0.5


def test_an_accepted_exchange_starts_again_at_the_minimum() -> None:
    """Errata 4.12: reset after success."""
    line = backoff()
    for _ in range(4):
        line.wait(settings())

    line.connected()
    line.accepted()

    assert [line.wait(settings()) for _ in range(2)] == [10, 20]


def test_connection_loss_then_refusal_as_the_test_system_plays_it() -> None:
    """TC_B_57: closed twice after a mere connection: the minimum each time; then refused: at least the double."""
    line = backoff()
    line.accepted()

    first = line.wait(settings())
    line.connected()
    second = line.wait(settings())
    third = line.wait(settings())

    assert (first, second) == (10, 10)
    assert third >= 2 * second


def test_a_server_that_accepts_and_closes_meets_doubling_waits() -> None:
    """Field 1: a flapping CSMS must not be met with a storm."""
    line = backoff()
    line.accepted()

    waits = []
    for _ in range(5):
        waits.append(line.wait(settings(repeat=3)))
        line.connected()

    assert waits == [10, 10, 20, 40, 80]


def test_new_settings_count_from_the_next_wait() -> None:
    """The variables are writable; nothing has to be restarted."""
    line = backoff()
    line.wait(settings(10))
    line.wait(settings(10))

    assert line.wait(settings(3, repeat=2)) == 12


@given(st.floats(-1, 1e9), st.floats(-1, 1e9), st.integers(-5, 10**9), st.integers(1, 40))
def test_no_settings_give_an_endless_or_a_hasty_wait(minimum: float, spread: float, repeat: int, times: int) -> None:
    """Whatever a CSMS writes into the variables, there is a next attempt within a day."""
    line = backoff()

    for _ in range(times):
        assert MIN_WAIT_S <= line.wait(BackoffSettings(minimum, spread, repeat)) <= MAX_WAIT_S


def attempts(redial: Redial, outcomes: str) -> list[tuple[int | None, float]]:
    """Slot and wait of each attempt, where `outcomes` tells what becomes of each: f(ailed), c(onnected and dropped)."""
    made = []
    for outcome in outcomes:
        made.append((redial.slot, redial.wait_s))
        if outcome == "f":
            redial.failed()
        else:
            redial.connected()
            redial.accepted()
            redial.dropped()
    return made


@pytest.mark.req("B10.FR.04", "B10.FR.03", "B10.FR.08", "B10.FR.09")
def test_every_profile_gets_its_attempts_in_turn_for_ever() -> None:
    """B10.FR.03: attempts per entry; B10.FR.04: the first entry first; B10.FR.08 and 09: then all over again."""
    redial = Redial([3, 1], settings(repeat=1, attempts=2), dice())

    assert attempts(redial, "fffffffff") == [
        (3, 0), (3, 10), (1, 10), (1, 20), (3, 20), (3, 20), (1, 20), (1, 20), (3, 20),
    ]  # fmt: skip


def test_the_first_attempt_after_boot_does_not_wait() -> None:
    """Back-off is for reconnecting."""
    assert Redial([1], settings(), dice()).wait_s == 0


def test_after_a_drop_the_profile_that_worked_comes_first() -> None:
    """B10.FR.07 in spirit: the last good one, with all its attempts, then the others."""
    redial = Redial([3, 1], settings(attempts=2), dice())

    made = attempts(redial, "ffcffff")

    assert [slot for slot, _ in made] == [3, 3, 1, 1, 1, 3, 3]
    assert made[3][1] == 10


def test_one_profile_is_tried_for_ever() -> None:
    """B10.FR.09: a station must not strand."""
    redial = Redial([1], settings(attempts=1), dice())

    assert attempts(redial, "f" * 6) == [(1, 0), (1, 10), (1, 20), (1, 40), (1, 40), (1, 40)]


def test_new_profiles_begin_with_the_wanted_one() -> None:
    """After SetNetworkProfile and a new priority; a slot that is gone is not dialled."""
    redial = Redial([1, 2], settings(), dice())
    attempts(redial, "fff")

    redial.configure([5, 6], first=6)
    assert (redial.slot, redial.wait_s) == (6, MIN_WAIT_S)
    redial.configure([7], first=6)
    assert redial.slot == 7
    redial.configure([])
    assert redial.slot is None
    redial.failed()
    redial.configure([8])
    assert redial.slot == 8


@given(
    st.lists(st.sampled_from(["failed", "dropped", "connected", "accepted", "configure", "empty"]), max_size=60),
    st.integers(-1, 4),
)
def test_whatever_happens_there_is_a_next_attempt(events: list[str], tries: int) -> None:
    """Field 2: no state without a way out."""
    redial = Redial([1, 2, 3], settings(attempts=tries), dice())
    known = [1, 2, 3]
    for number, event in enumerate(events):
        if event == "configure":
            known = [number, number + 1]
            redial.configure(known)
        elif event == "empty":
            known = []
            redial.configure(known)
        else:
            getattr(redial, event)()
        assert redial.slot in known if known else redial.slot is None
        assert 0 <= redial.wait_s <= MAX_WAIT_S
