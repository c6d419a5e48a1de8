"""`ocpp-station`, on simulated hardware that outlives its process: see `tests.chaos.world`."""

from __future__ import annotations

import sys

from hal import registry
from station.cli import main

if __name__ == "__main__":
    registry.WORLD = "tests.chaos.world:build_world"
    sys.exit(main())
