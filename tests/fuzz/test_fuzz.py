"""Every parser that takes bytes from outside, for a moment, the same inputs each time; `make fuzz` looks for others."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.all import TARGETS
from tests.fuzz.target import Run, inputs, tried

EVERYTHING = list(HealthCheck)


@functools.cache
def made(name: str) -> tuple[Sequence[bytes], Run]:
    """Keys and stations are slow to make."""
    return TARGETS[name].make()


@pytest.fixture(scope="module", autouse=True)
def _tidy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The targets' folders are removed as those of other tests are."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("fuzz"))
    yield
    tempfile.tempdir = before
    made.cache_clear()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_is_right_is_taken(name: str) -> None:
    """So that a target does not refuse all there is."""
    seeds, run = made(name)

    assert [seed for seed in seeds if not tried(run, seed)] == []


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_whatever_comes_is_taken_or_refused(name: str) -> None:
    """In the parser's own words, in bounded time and memory; what each promises beyond is told by the target."""
    seeds, run = made(name)
    target = TARGETS[name]

    @settings(
        max_examples=target.examples, suppress_health_check=EVERYTHING, deadline=None, database=None, derandomize=True
    )
    @given(data=st.deferred(lambda: inputs(seeds, target.longest)))
    def fuzzed(data: bytes) -> None:
        tried(run, data)

    fuzzed()
