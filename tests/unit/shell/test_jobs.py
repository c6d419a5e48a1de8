"""Slow work: done outside of the steps, its results brought back, its failures nobody's end (design 5, B2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from station.block import Job, JobResult
from station.shell.jobs import Jobs


class Fetch(Job, frozen=True, kw_only=True):
    """Something slow."""

    what: str


class Fetched(JobResult, frozen=True, kw_only=True):
    """What came of it."""

    what: str


class Other(Job, frozen=True, kw_only=True):
    """Nobody knows how to do it."""


Play = Callable[[Jobs, list[tuple[int, JobResult]]], Awaitable[None]]


def play(worker: Callable[[Fetch], Awaitable[JobResult]], scene: Play) -> None:
    """Run a scene with one kind of job."""

    async def run() -> None:
        results: list[tuple[int, JobResult]] = []
        jobs = Jobs({Fetch: worker}, lambda generation, result: results.append((generation, result)))
        await scene(jobs, results)
        await jobs.stop()

    asyncio.run(run())


async def fetch(job: Fetch) -> JobResult:
    """At once."""
    return Fetched(what=job.what)


async def hang(job: Fetch) -> JobResult:
    """Never."""
    await asyncio.Event().wait()
    return Fetched(what=job.what)


async def fail(job: Fetch) -> JobResult:
    """Raises."""
    raise OSError(job.what)


async def turns() -> None:
    """Let the loop go round."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_result_comes_with_the_generation_of_its_start() -> None:
    """So that the core can tell an old one."""

    async def scene(jobs: Jobs, results: list[tuple[int, JobResult]]) -> None:
        jobs.start(3, Fetch(what="log"))
        await turns()

        assert results == [(3, Fetched(what="log"))]
        assert jobs.running == []

    play(fetch, scene)


def test_a_job_that_raises_gives_no_result() -> None:
    """The reply that waits for it has its own deadline."""

    async def scene(jobs: Jobs, results: list[tuple[int, JobResult]]) -> None:
        jobs.start(1, Fetch(what="log"))
        await turns()

        assert (results, jobs.running) == ([], [])

    play(fail, scene)


def test_an_unknown_kind_is_logged_and_that_is_all() -> None:
    """A newer database may hold jobs of a newer agent."""

    async def scene(jobs: Jobs, results: list[tuple[int, JobResult]]) -> None:
        jobs.start(1, Other())
        await turns()

        assert (results, jobs.running) == ([], [])

    play(fetch, scene)


def test_a_cancelled_job_never_tells_anything() -> None:
    """Others of its kind neither."""

    async def scene(jobs: Jobs, results: list[tuple[int, JobResult]]) -> None:
        jobs.start(1, Fetch(what="a"))
        jobs.start(2, Fetch(what="b"))
        await turns()
        assert [job.what for job in jobs.running if isinstance(job, Fetch)] == ["a", "b"]

        jobs.cancel(Fetch)
        await turns()

        assert (results, jobs.running) == ([], [])

    play(hang, scene)


def test_nothing_outlives_the_stop() -> None:
    """The process ends although a download hangs."""

    async def scene(jobs: Jobs, _: list[tuple[int, JobResult]]) -> None:
        jobs.start(1, Fetch(what="a"))
        await turns()

        await jobs.stop()

        assert jobs.running == []

    play(hang, scene)
