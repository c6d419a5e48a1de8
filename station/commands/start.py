"""What `ocpp-station run` does first, before anything is imported that costs."""

from __future__ import annotations

import gc
import os
import signal
import sys

from station.shell.postponed import postponed, withheld

RARELY = ("copy", "inspect", "ipaddress", "locale", "textwrap", "tokenize")
"""Of the standard library: for addresses of IPv6 in URLs, the text of other programs, tracebacks, and what asyncio and
dataclasses tell of mistakes."""


def start(file: str) -> int:
    """Run the agent with this configuration. Ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the loop heeds it; and asyncio sets no handler of its own
    gc.disable()  # until the boot is over: nothing of what is made now is ever thrown away
    with postponed(*RARELY), withheld("typing_extensions"):  # msgspec needs nothing of it that Python lacks
        from station.commands.run import run  # noqa: PLC0415 - after that

    code = run(file)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing that hangs in a thread may keep the process (design 6)
