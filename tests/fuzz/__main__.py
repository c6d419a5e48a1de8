"""`make fuzz`: each target for as long as is wanted, by atheris where it is installed, else by hypothesis.

    python -m tests.fuzz                       all, a minute each
    python -m tests.fuzz chain http --seconds 600
    python -m tests.fuzz --once chain FILE     one input again: what was found, or one of the corpus

Atheris (there is none for every machine) follows what the code does and keeps what led it elsewhere
below `build/fuzz/`; hypothesis tries the changes of `target.py`. Each target has a process of its own; what is followed
is prepared once for all of them, because that takes longer than most are tried.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.found import LATE, tell
from tests.fuzz.guided import SPARE_S, Terms, by_atheris
from tests.fuzz.target import Target, inputs, tried

BATCH = 500


def main() -> int:
    """The number of targets that found something."""
    usual = Terms()
    form = argparse.RawDescriptionHelpFormatter
    told = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__, formatter_class=form)
    told.add_argument("names", nargs="*")
    told.add_argument("--seconds", type=int, default=usual.seconds, help="for each target")
    told.add_argument("--once", action="store_true", help="one input: a target and a file")
    told.add_argument("--targets", default=usual.targets, help="the module that has them")
    told.add_argument("--seed", type=int, default=usual.seed, help="of atheris: the same inputs each time")
    told.add_argument("--forget", action="store_true", help="begin and end without what atheris learnt")
    told.add_argument("--hang-s", type=int, default=usual.hang_s, help="of one input, by atheris")
    told.add_argument("--memory-mb", type=int, default=usual.memory_mb, help="of the whole process, by atheris")
    told.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given_ = told.parse_args()
    if given_.once:
        return once(given_.targets, *given_.names)
    if given_.here:
        return by_hypothesis(given_.targets, given_.names[0], given_.seconds)
    if importlib.util.find_spec("atheris") is None:
        return sum(apart(given_.targets, name, given_.seconds) for name in given_.names or targets_of(given_.targets))
    corpus = None if given_.forget else usual.corpus
    terms = Terms(given_.targets, given_.seconds, given_.seed, corpus, given_.hang_s, given_.memory_mb)
    return by_atheris(given_.names, terms)


def targets_of(module: str) -> Mapping[str, Target]:
    """Imported late: with atheris this is done by its hand."""
    found: Mapping[str, Target] = importlib.import_module(module).TARGETS
    return found


def apart(targets: str, name: str, seconds: int) -> bool:
    """One target in a process of its own; whether it found something."""
    command = [sys.executable, "-m", "tests.fuzz", "--here", name, "--targets", targets, "--seconds", str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + SPARE_S, check=False)  # noqa: S603 - ourselves
        code, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        code, said = 1, f"{late.stderr!r}\n{LATE}"
    return tell(name, code, said)


def by_hypothesis(targets: str, name: str, seconds: int) -> int:
    """Other inputs in each batch until the time is over."""
    target = targets_of(targets)[name]
    seeds, run = target.make()
    end, count = time.monotonic() + seconds, 0
    for number in range(sys.maxsize):
        if time.monotonic() >= end:
            break

        @seed(number)
        @settings(max_examples=BATCH, suppress_health_check=list(HealthCheck), deadline=None, database=None)
        @given(data=inputs(seeds, target.longest))
        def fuzzed(data: bytes) -> None:
            nonlocal count
            if time.monotonic() < end:
                count += 1
                tried(run, data)

        fuzzed()
    print(f"stat::number_of_executed_units: {count}")
    return 0


def once(targets: str, name: str, file: str) -> int:
    """One input again, with whatever it raises."""
    _, run = targets_of(targets)[name].make()
    print("taken" if tried(run, Path(file).read_bytes()) else "refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
