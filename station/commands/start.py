"""What `ocpp-station run` does first, before anything is imported that costs."""

from __future__ import annotations

import gc
import os
import signal
import sys

from station.shell.postponed import answering, postponed, withheld

RARELY = ("copy", "inspect", "ipaddress", "locale", "msgspec.inspect", "ntpath", "textwrap", "tokenize")
"""For addresses of IPv6 in URLs, the text of other programs, tracebacks, paths of Windows, what asyncio and dataclasses
tell of mistakes, and the schemas that msgspec can write."""


def start(file: str) -> int:
    """Run the agent with this configuration. Ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the loop heeds it; and asyncio sets no handler of its own
    gc.disable()  # until the boot is over: nothing of what is made now is ever thrown away
    with (
        postponed(*RARELY),
        answering("platform", system=lambda: os.uname().sysname),  # all that uuid wants of it, which msgspec wants
        withheld("typing_extensions"),  # msgspec needs nothing of it that Python lacks
    ):
        from station.commands.run import run  # noqa: PLC0415 - after that

    code = run(file)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing that hangs in a thread may keep the process (design 6)
