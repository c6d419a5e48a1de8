"""Every image of every scenario, `make powercut ARGS="--only bay"`: how many were booted, and what went wrong."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import NamedTuple
from unittest.mock import patch

from station.store import files
from tests.crash.medium import memory
from tests.crash.oracle import Verdict, judged
from tests.crash.recorder import Recorder, RecordingOs
from tests.crash.stations import every


class Done(NamedTuple):
    """One scenario on one kind of station."""

    name: str
    verdict: Verdict
    seconds: float


def cut(number: int) -> Done:
    """Do one of `every()`, in a process of its own."""
    logging.disable()  # what is wrong is told by its verdict
    name, scenario, given = list(every())[number]
    began = time.monotonic()
    with memory() as place:
        root = place / "live"
        root.mkdir()
        with Recorder(root) as recorder, patch.object(files, "os", RecordingOs(recorder)):
            verdict = judged(recorder, scenario, place / "image", given, None)
    return Done(name, verdict, time.monotonic() - began)


def main() -> int:
    """The exit code tells whether every image came out right."""
    parser = argparse.ArgumentParser(prog="make powercut", description="power cut at every write of every scenario")
    parser.add_argument("--only", default="", help="a part of the name")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    numbers = [number for number, (name, _, _) in enumerate(every()) if given.only in name]
    images, wrong, began = 0, 0, time.monotonic()
    with ProcessPoolExecutor(given.processes) as pool:
        for done in map(Future.result, as_completed([pool.submit(cut, number) for number in numbers])):
            images, wrong = images + done.verdict.images, wrong + len(done.verdict.wrong)
            print(f"{done.verdict.images:6} images, {done.seconds:6.0f} s  {done.name}", flush=True)  # noqa: T201 - a command of people
            for line in done.verdict.wrong:
                print(f"  WRONG {line}", flush=True)  # noqa: T201 - a command of people
    spent = time.monotonic() - began
    print(f"{images} images of {len(numbers)} scenarios in {spent:.0f} s: {wrong} were wrong")  # noqa: T201 - a command of people
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
