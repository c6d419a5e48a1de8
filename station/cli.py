"""The way in. What the service starts goes the short way, everything else is read by `commands/line.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from station.commands.start import start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        match words:
            case ["run", "--config", file]:  # a parser would cost half a unit of CPU at every start
                code = start(file)
            case _:
                from station.commands import line  # noqa: PLC0415 - see above

                code = line.main(words)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # somebody's `| head`
        sys.stderr.close()
        code = 0
    return code
