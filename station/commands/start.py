"""What `ocpp-station run` does first, before anything is imported that costs."""

from __future__ import annotations

import contextlib
import gc
import os
import sys


def start(file: str) -> int:
    """Run the agent with this configuration. Ends the process."""
    gc.disable()  # until the boot is over: nothing of what is made now is ever thrown away
    from station.commands.run import run  # noqa: PLC0415 - after that

    code = run(file)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # nothing that hangs in a thread may keep the process (design 6)
