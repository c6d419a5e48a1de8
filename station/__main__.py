"""`python -m station`: the same as the command `ocpp-station`."""

from __future__ import annotations

import sys

from station.cli import main

if __name__ == "__main__":
    sys.exit(main())
