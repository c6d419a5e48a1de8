"""The long storm, `make chaos ARGS="--sessions 200 --seed 1"`: its seed first, its counts after each part."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.storm import KINDS, Storm

PART = 40
"""Sessions of one station; the next one is of another kind."""

KILLS = 10
"""At least so many in each part."""


def main() -> int:
    """Storms until all sessions are done or time is up; the exit code tells whether every account was right."""
    parser = argparse.ArgumentParser(prog="make chaos", description="kill -9 and a bad line, for many sessions")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=600.0, help="no new storm after so long")
    given = parser.parse_args()
    began, total, failed = time.monotonic(), Counter[str](), 0
    print(f"seed {given.seed}", flush=True)  # noqa: T201 - a command of people
    part = 0
    while total["sessions"] < given.sessions and time.monotonic() - began < given.minutes * 60:
        kind, seed = KINDS[part % len(KINDS)], given.seed + 1000 * part
        folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        storm = Storm(folder, kind, seed, began + given.minutes * 60)
        try:
            storm.run(min(PART, given.sessions - total["sessions"]), kills=KILLS)
            shutil.rmtree(folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next part shows more
            failed += 1
            print(f"WRONG (seed {seed}, kept in {folder}): {error!r}", flush=True)  # noqa: T201 - a command of people
        total.update(storm.counts)
        part += 1
        counts = ", ".join(f"{number} {name}" for name, number in total.items())
        print(f"{time.monotonic() - began:.0f} s, {kind}: {counts}", flush=True)  # noqa: T201 - a command of people
    print(f"{failed} of {part} parts were wrong")  # noqa: T201 - a command of people
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
