"""The way in. What the service starts goes the short way, everything else is read by `commands/line.py`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from station.commands.start import start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _fill_streams()
    try:
        match words:
            case ["run", "--config", file]:  # a parser would cost half a unit of CPU at every start
                code = start(file)
            case _:
                from station.commands import line  # noqa: PLC0415 - see above

                code = line.main(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except OSError as error:  # what was said cannot be written
        code = 0 if isinstance(error, BrokenPipeError) else 1  # somebody's `| head`, or a full disk
        with contextlib.suppress(OSError):
            if code:
                sys.stderr.write(f"ocpp-station: {error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes once more, and would complain
    return code


def _fill_streams() -> None:
    """Whoever started us closed one: no database may become file descriptor 2, and no message an error."""
    while os.open(os.devnull, os.O_RDWR) <= 2:  # noqa: PLR2004 - stderr
        pass
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as we live
    sys.stderr = sys.stderr or sys.stdout
