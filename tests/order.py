"""In which order the tests run, so that no core is idle and none is left with the last long test.

Tests with real parts wait most of their time. Half of the workers begin with them, the others have the cores meanwhile;
what is stolen in the end, by whoever has nothing left, are the short ones behind them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def dealt(tests: Sequence[T], workers: int, *, waits: Callable[[T], object], module: Callable[[T], object]) -> list[T]:
    """The tests in the order in which xdist's `worksteal` cuts them into one share for each worker.

    A module's tests stay together: what its fixtures make is made once.
    """
    waiting = [list(found) for _, found in itertools.groupby(filter(waits, tests), module)]
    others = iter([each for each in tests if not waits(each)])
    count = sum(map(len, waiting))
    first = workers // 2 if 2 * count < len(tests) else 0
    heads: list[list[T]] = [[] for _ in range(workers)]
    for found in sorted(waiting, key=len, reverse=True):
        min(heads[first:], key=len).extend(found)
    ordered: list[T] = []
    for worker, head in enumerate(heads):
        share = (len(tests) - len(ordered)) // (workers - worker)
        ordered += head
        ordered += itertools.islice(others, max(0, share - len(head)))
    return [*ordered, *others]
