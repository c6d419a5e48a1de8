"""The order of the tests for several workers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.order import dealt

Named = tuple[str, int, bool]
"""Module, number, whether it waits."""

names = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 99), st.booleans()), max_size=60, unique=True)


def ordered(tests: list[Named], workers: int) -> list[Named]:
    return dealt(tests, workers, waits=lambda each: each[2], module=lambda each: each[0])


@given(names, st.integers(1, 8))
def test_no_test_is_left_out_and_none_runs_twice(tests: list[Named], workers: int) -> None:
    assert sorted(ordered(tests, workers)) == sorted(tests)


@given(names.map(sorted), st.integers(1, 8))
def test_what_waits_in_a_module_stays_together(tests: list[Named], workers: int) -> None:
    """What the module's fixtures make is made once, and in the order of the file."""
    waiting = [each for each in ordered(tests, workers) if each[2]]

    modules = [(name, list(found)) for name, found in itertools.groupby(waiting, lambda each: each[0])]
    assert len(dict(modules)) == len(modules)
    assert all(found == sorted(found) for _, found in modules)


def test_half_of_the_workers_begin_with_what_waits() -> None:
    """Four workers: the shares of the last two begin with the real parts, those of the first two have none."""
    tests = (
        [("a", n, False) for n in range(12)] + [("s", 0, True), ("t", 0, True)] + [("u", n, False) for n in range(6)]
    )

    found = ordered(tests, 4)
    shares = [found[at : at + 5] for at in range(0, 20, 5)]
    assert [share[0][0] for share in shares] == ["a", "a", "s", "t"]
    assert [sum(each[2] for each in share) for share in shares] == [0, 0, 1, 1]
