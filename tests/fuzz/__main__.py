"""`make fuzz`: each target for as long as is wanted, by atheris where it is installed, else by hypothesis.

    python -m tests.fuzz                       all, a minute each
    python -m tests.fuzz chain http --seconds 600
    python -m tests.fuzz --once chain FILE     one input again: what was found, or one of the corpus

Atheris (`pip install --group fuzz`, not for every machine) follows what the code does and keeps what led it elsewhere
below `build/fuzz/`; hypothesis tries the changes of `target.py`. Each target has a process of its own; what is followed
is prepared once for all of them, because that takes longer than most are tried.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings

PLACE = Path("build") / "fuzz"
BATCH = 500
SPARE_S = 300.0
"""How much longer than told a process may take: to make keys, to end."""
LATE = "it came to no end: it hangs, or the machine is too busy"
WORDS = re.compile(r"stat::number_of_executed_units: +(\d+)")
CODE = ["certs", "hal.buses", "hal.dbc", "hal.template", "hal.yamlfile", "hal.drivers.pn532_frame", "station.ocpp"]
CODE += ["station.shell", "station.config", "station.location", "station.commands.control", "websockets", "ftplib"]
"""What is followed. To prepare all there is takes longer than a target is tried."""


def main() -> int:
    """The number of targets that found something."""
    form = argparse.RawDescriptionHelpFormatter
    told = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__, formatter_class=form)
    told.add_argument("names", nargs="*")
    told.add_argument("--seconds", type=int, default=60)
    told.add_argument("--once", action="store_true")
    told.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given_ = told.parse_args()
    if given_.once:
        return once(*given_.names)
    if given_.here:
        return by_hypothesis(given_.names[0], given_.seconds)
    if importlib.util.find_spec("atheris") is not None:
        return by_atheris(given_.names, given_.seconds)
    from tests.fuzz.all import TARGETS  # noqa: PLC0415 - with atheris they are imported by its hand, see `by_atheris`

    return sum(apart(name, given_.seconds) for name in given_.names or TARGETS)


def apart(name: str, seconds: int) -> bool:
    """One target in a process of its own; whether it found something."""
    command = [sys.executable, "-m", "tests.fuzz", "--here", name, "--seconds", str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + SPARE_S, check=False)  # noqa: S603 - ourselves
        code, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        code, said = 1, f"{late.stderr!r}\n{LATE}"
    return tell(name, code, said)


def tell(name: str, code: int | None, said: str) -> bool:
    """What came of it; whether something was found."""
    count = WORDS.search(said)
    print(f"{name:16} {count[1] if count else '?':>10} executions  {'ok' if code == 0 else 'FOUND'}", flush=True)
    if code != 0:
        lines = [line for line in said.splitlines() if not line.startswith(("#", "INFO", "WARNING"))]
        print("\n".join(lines)[-6000:], flush=True)
    return code != 0


def by_atheris(names: list[str], seconds: int) -> int:
    """The number of targets that found something. Each runs in a copy of this process, which has imported all."""
    import atheris  # noqa: PLC0415 - where it is

    with atheris.instrument_imports(include=CODE):
        from tests.fuzz.all import TARGETS  # noqa: PLC0415 - instrumented

    found = 0
    for name in names or TARGETS:
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                os.dup2(output.fileno(), sys.stdout.fileno())
                os.dup2(output.fileno(), sys.stderr.fileno())
                libfuzzer(atheris, name, seconds)
            code = ended(child, seconds + SPARE_S)
            output.seek(0)
            said = output.read().decode("utf-8", "replace")
        found += tell(name, code, said if code is not None else f"{said}\n{LATE}")
    return found


def libfuzzer(atheris: Any, name: str, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    from tests.fuzz.all import TARGETS  # noqa: PLC0415 - as above
    from tests.fuzz.target import tried  # noqa: PLC0415 - as above

    seeds, run = TARGETS[name].make()
    corpus = PLACE / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, good in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(good)
        tried(run, good)
    limits = [f"-max_total_time={seconds}", f"-max_len={TARGETS[name].longest}", "-timeout=20", "-print_final_stats=1"]

    def one(data: bytes) -> None:
        tried(run, data)

    try:
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={PLACE}/{name}-", str(corpus)], one)
        atheris.Fuzz()
    finally:
        os._exit(1)  # this copy must not go on with the next target


def ended(child: int, within_s: float) -> int | None:
    """The exit code of a process; None if it had to be ended."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def by_hypothesis(name: str, seconds: int) -> int:
    """Other inputs in each batch until the time is over."""
    from tests.fuzz.all import TARGETS  # noqa: PLC0415 - as above
    from tests.fuzz.target import inputs, tried  # noqa: PLC0415 - as above

    seeds, run = TARGETS[name].make()
    end, count = time.monotonic() + seconds, 0
    for number in range(sys.maxsize):
        if time.monotonic() >= end:
            break

        @seed(number)
        @settings(max_examples=BATCH, suppress_health_check=list(HealthCheck), deadline=None, database=None)
        @given(data=inputs(seeds, TARGETS[name].longest))
        def fuzzed(data: bytes) -> None:
            nonlocal count
            if time.monotonic() < end:
                count += 1
                tried(run, data)

        fuzzed()
    print(f"stat::number_of_executed_units: {count}")
    return 0


def once(name: str, file: str) -> int:
    """One input again, with whatever it raises."""
    from tests.fuzz.all import TARGETS  # noqa: PLC0415 - as above
    from tests.fuzz.target import tried  # noqa: PLC0415 - as above

    _, run = TARGETS[name].make()
    print("taken" if tried(run, Path(file).read_bytes()) else "refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
