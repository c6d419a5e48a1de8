"""`ocpp-station demo`: a whole station on simulated hardware against a CSMS of its own, from plug-in to final bill.

The station is the real agent in a process of its own, configured by a station.yaml; the CSMS, the vehicle's driver and
the screen are here. Needs no configuration, no network and no root, and leaves nothing behind.

    csms.py     the CSMS          place.py    folder, keys, station.yaml
    session.py  what happens      view.py     the screen           words.py    what a message says
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from station.demo import place
from station.demo.session import Demo

_LONGEST_BASE = 60


def demo(*, security_profile: int, once: bool) -> int:
    """Play the demo; the exit code is 0 only if the session was right."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us: agent and folder go, too
    try:
        with tempfile.TemporaryDirectory(prefix="ocpp-demo-", dir=_base()) as folder:
            scene = place.furnish(Path(folder), security_profile)
            return asyncio.run(_play(Demo(scene, once=once)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stdout.write("\n")
        return 130


async def _play(play: Demo) -> int:
    """Play it; a signal ends it between two turns of the loop.

    An exception out of a signal's handler comes wherever the interpreter happens to be: in the middle of starting the
    agent, which nobody would know of then, or in a finaliser, which swallows it.
    """
    played = asyncio.ensure_future(play.play())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, played)
    return await played


def _end(played: asyncio.Future[int]) -> None:
    """End the play, once: a second signal would end its tidying up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    played.cancel()


def _base() -> str | None:
    """Where the folder is made: as the environment says, unless a socket's path would become too long there."""
    return "/tmp" if len(tempfile.gettempdir()) > _LONGEST_BASE else None  # noqa: S108 - a folder of mode 0700 in it
