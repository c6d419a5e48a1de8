"""Runs the agent on a medium whose syncs take two seconds while the file `slow` lies in its folder.

python tests/system/slow_disk.py run --config FOLDER/station.yaml
"""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[2]))

from station import cli
from station.store import salvage
from tests.crash.recorder import VFS, Recorder

STALL_S = 2.0


def main() -> int:
    """The agent's exit code."""
    folder = Path(sys.argv[-1]).parent
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)

    def stall(name: str) -> None:
        if name.endswith("-wal") and (folder / "slow").exists():
            time.sleep(STALL_S)

    with Recorder(state) as recorder:
        recorder.on_sync = stall
        slow = functools.partial(salvage.open_or_salvage, vfs=VFS)
        with mock.patch("station.commands.run.open_or_salvage", slow):
            return cli.main()


if __name__ == "__main__":
    sys.exit(main())
