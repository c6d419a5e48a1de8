"""What the stations of block C's test cases are like: start and stop points, and a link that takes its time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bench import Bench

Make = Callable[..., Bench]
"""The fixture `make`: variables, `start`, `stop` -> a station."""

POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]

each_start = pytest.mark.parametrize("start", POINTS)
each_stop = pytest.mark.parametrize("stop", POINTS)

BACK_OFF_S = 30
OFFLINE = {
    "AuthCtrlr.LocalAuthorizeOffline": "true",
    "OCPPCommCtrlr.OfflineThreshold": str(BACK_OFF_S + 60),
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": str(BACK_OFF_S),
    "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
}
"""The station authorizes without the CSMS, and is back before the cache or the list would be too old."""
