"""What `ocpp-station run` does first, before anything is imported that costs."""

from __future__ import annotations

import gc
import os
import sys

from station.shell.postponed import postponed, withheld

RARELY = ("ipaddress", "locale", "textwrap", "tokenize")
"""Of the standard library: for addresses of IPv6 in URLs, for the text of other programs, and for tracebacks."""


def start(file: str) -> int:
    """Run the agent with this configuration. Ends the process."""
    gc.disable()  # until the boot is over: nothing of what is made now is ever thrown away
    with postponed(*RARELY), withheld("typing_extensions"):  # msgspec needs nothing of it that Python lacks
        from station.commands.run import run  # noqa: PLC0415 - after that

    code = run(file)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing that hangs in a thread may keep the process (design 6)
