"""The way in. What the service starts goes the short way, everything else is read by `commands/line.py`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        match words:
            case ["run", "--config", file]:  # a parser would cost half a unit of CPU at every start
                code = run(file)
            case _:
                from station.commands import line  # noqa: PLC0415 - see above

                code = line.main(words)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # somebody's `| head`
        sys.stderr.close()
        code = 0
    return code


def run(file: str) -> int:
    """The agent with this configuration. Ends the process."""
    gc.disable()  # until the boot is over: nothing of what is made now is ever thrown away
    from station.commands.run import run as agent  # noqa: PLC0415 - for this command alone

    code = agent(file)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing that hangs in a thread may keep the process (design 6)
