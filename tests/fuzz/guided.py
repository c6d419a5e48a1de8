"""Targets under atheris, which follows what the code does and keeps what led it elsewhere.

One process imports all, which takes longer than most targets are tried; each target then runs in a copy of it.
Nothing of the project is imported here but by `by_atheris`, which has it instrumented.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.fuzz.found import LATE, tell
from tests.fuzz.target import Target, tried

PLACE = Path("build") / "fuzz"
PARSERS = ["certs", "hal.buses", "hal.dbc", "hal.template", "hal.yamlfile"]
PARSERS += ["hal.drivers.pn532_frame", "hal.drivers.rdm6300", "hal.drivers.serial_reader"]
PARSERS += [f"station.ocpp.{part}" for part in ("codec", "frame", "rpc", "rules", "speaker", "v201")]
PARSERS += [
    f"station.shell.{part}" for part in ("control", "network", "opening", "revocation", "transfer", "websocket")
]
PARSERS += ["station.config", "station.location", "station.store.essentials"]
PARSERS += ["station.commands.control", "station.commands.firmware", "station.commands.installers"]
PARSERS += ["ftplib", "http.client", "websockets", "tests.fuzz.planted"]
"""What is followed: modules, and packages with all that is in them. To prepare the whole of `station` takes long."""
SPARE_S = 300.0
"""How much longer than told a process may take: to make keys, to end."""


class Terms(NamedTuple):
    """How the targets of a module are tried. Without a corpus each knows but its seeds, and forgets."""

    targets: str = "tests.fuzz.all"
    seconds: int = 60
    seed: int = 0
    corpus: Path | None = PLACE
    hang_s: int = 20
    memory_mb: int = 1024

    def limits(self, longest: int) -> list[str]:
        """As libFuzzer's options; a seed of 0 is another one each time."""
        return [
            f"-max_total_time={self.seconds}",
            f"-seed={self.seed}",
            f"-max_len={longest}",
            f"-timeout={self.hang_s}",
            f"-rss_limit_mb={self.memory_mb}",
            "-print_final_stats=1",
        ]


def by_atheris(names: list[str], terms: Terms) -> int:
    """The number of targets that found something."""
    import atheris  # noqa: PLC0415 - where it is

    with atheris.instrument_imports(include=PARSERS, exclude=left_out()):
        targets: Mapping[str, Target] = importlib.import_module(terms.targets).TARGETS
    return sum(apart(atheris, name, targets[name], terms) for name in names or targets)


def left_out() -> list[str]:
    """The modules of the project that are not followed: of what is to be, atheris looks at the first word only."""
    folders = {Path(name.partition(".")[0]) for name in PARSERS}
    names = [".".join(file.with_suffix("").parts) for folder in folders for file in folder.rglob("*.py")]
    names = [name.removesuffix(".__init__") for name in names]
    return [name for name in names if not any(name == one or name.startswith(f"{one}.") for one in PARSERS)]


def apart(atheris: Any, name: str, target: Target, terms: Terms) -> bool:
    """One target in a copy of this process; whether it found something."""
    with tempfile.TemporaryDirectory(prefix="ocpp-station-fuzz-") as folder, tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), sys.stdout.fileno())
            os.dup2(output.fileno(), sys.stderr.fileno())
            tempfile.tempdir = folder  # no copy tidies up: libFuzzer ends it
            libfuzzer(atheris, name, target, terms)
        code = ended(child, terms.seconds + SPARE_S)
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    return tell(name, code, said if code is not None else f"{said}\n{LATE}")


def libfuzzer(atheris: Any, name: str, target: Target, terms: Terms) -> None:
    """Never returns: the process ends, by libFuzzer or as it wishes, so that it writes down what it found."""
    try:
        corpus = (terms.corpus or Path(tempfile.mkdtemp())) / name
        good = PLACE / f"{name}-seeds"
        for folder in (corpus, good):
            folder.mkdir(parents=True, exist_ok=True)
        seeds, run = target.make()
        for number, seed in enumerate(seeds):
            (good / str(number)).write_bytes(seed)
            tried(run, seed)

        def one(data: bytes) -> None:
            tried(run, data)

        options = [*terms.limits(target.longest), f"-artifact_prefix={PLACE}/{name}-", str(corpus), str(good)]
        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()
    except Exception:  # noqa: BLE001 - whatever it is, it is told, and this copy must not go on with the next target
        traceback.print_exc()
    sys.exit(1)


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
