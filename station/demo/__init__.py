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
    with tempfile.TemporaryDirectory(prefix="ocpp-demo-", dir=_base()) as folder:
        scene = place.furnish(Path(folder), security_profile)
        try:
            return asyncio.run(Demo(scene, once=once).play())
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            return 130


def _base() -> str | None:
    """Where the folder is made: as the environment says, unless a socket's path would become too long there."""
    return "/tmp" if len(tempfile.gettempdir()) > _LONGEST_BASE else None  # noqa: S108 - a folder of mode 0700 in it
