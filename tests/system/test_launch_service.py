"""The launcher under a real systemd: a version that hangs before it is ready is ended by systemd, and taken back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.version import VERSION
from tests.agent import PASSWORD, Agent
from tests.bundles import START, Place, bundle
from tests.live_csms import LiveCsms
from tests.system.test_service import NAME, ROOT, Manager
from tests.system.test_service import pytestmark as needs_systemd

pytestmark = needs_systemd

LAUNCHED = """\
[Service]
ExecStart=
ExecStart={bin}/ocpp-station-launch run --config {folder}/station.yaml
Environment=OCPP_STATION_SLOTS={folder}/state/slots OCPP_STATION_PYTHON={python}
TimeoutStartSec={start_s}
"""
PACKAGED = '#!/bin/sh\ncd {root} && exec {python} -m station "$@"\n'
HANGS = START.format(version="9.0.0") + "    import time; time.sleep(600)\n"
PATIENCE_S = 90.0


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.fixture
def place(tmp_path: Path, csms: LiveCsms) -> Place:
    """A station with a hanging version on trial; nothing runs yet."""
    Agent(tmp_path, csms.url)  # writes its files
    place = Place(tmp_path, tmp_path / "state" / "slots")
    (place.bin / "ocpp-station").write_text(PACKAGED.format(root=ROOT, python=sys.executable), "utf-8")
    assert place.install(bundle(tmp_path / "9.0.0", start=HANGS))[0] == "restart"
    return place


@pytest.fixture
def manager(tmp_path: Path, place: Place) -> Iterator[Manager]:
    started = Manager(tmp_path, Path("/run/user/0"))
    more = tmp_path / "config" / "systemd" / "user" / f"{NAME}.d"
    more.mkdir()
    text = LAUNCHED.format(bin=place.bin, folder=tmp_path, python=sys.executable, start_s=5)
    (more / "launched.conf").write_text(text, "utf-8")
    try:
        started.until(lambda: started.systemctl("is-system-running") in {"running", "degraded"}, "systemd")
        started.systemctl("daemon-reload")
        yield started
    finally:
        started.end()


def test_a_version_that_hangs_before_it_is_ready_is_taken_back(manager: Manager, place: Place, csms: LiveCsms) -> None:
    """Three times systemd waits in vain; the fourth start is the packaged agent's, which stays."""
    manager.systemctl("start", "--no-block", NAME)

    told = csms.wait_for("BootNotification", timeout_s=PATIENCE_S)

    assert told[0]["chargingStation"]["firmwareVersion"] == VERSION
    assert place.slots.failed.startswith("9.0.0-")
    assert place.slots.reason == "it was started 3 times and has never got well"
    manager.until(lambda: manager.show("ActiveState") == "active", "ready")
    assert manager.show("NRestarts") == "3"
