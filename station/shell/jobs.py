"""Slow work outside of a step: a table from the type of a job to the coroutine that does it (design 5, B2).

A job that raises gives no result: the reply that waits for it is then the one kept for that case, and the log tells
why. What is started here never stops the agent and never outlives it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from station.block import Job, JobResult

log = logging.getLogger(__name__)

Worker = Callable[[Any], Awaitable[JobResult]]
"""Does one kind of job. Raises whatever it likes."""


class Jobs:
    """The running jobs of one station. `done(generation, result)` is called in the core's loop."""

    def __init__(self, workers: Mapping[type[Job], Worker], done: Callable[[int, JobResult], None]) -> None:
        self._workers = workers
        self._done = done
        self._running: dict[asyncio.Task[None], Job] = {}

    def start(self, generation: int, job: Job) -> None:
        """Begin. A kind that nobody can do is logged."""
        worker = self._workers.get(type(job))
        if worker is None:
            log.error("job.unknown", extra={"kind": type(job).__name__})
            return
        task = asyncio.get_running_loop().create_task(self._run(generation, job, worker), name=job.key)
        self._running[task] = job
        task.add_done_callback(lambda ended: self._running.pop(ended, None))

    def cancel(self, kind: type[Job]) -> None:
        """Stop what runs of this kind; its result never comes."""
        for task, job in list(self._running.items()):
            if isinstance(job, kind):
                task.cancel()

    @property
    def running(self) -> list[Job]:
        """What is being done now."""
        return list(self._running.values())

    async def stop(self, patience_s: float = 1.0) -> None:
        """Cancel everything, and wait a moment for it."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=patience_s)

    async def _run(self, generation: int, job: Job, worker: Worker) -> None:
        try:
            result = await worker(job)
        except Exception:
            log.exception("job.failed", extra={"kind": type(job).__name__})
            return
        self._done(generation, result)
