"""systemd/station.yaml.example is a file that the agent accepts, and it names every key there is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from station.config import load
from station.config.schema import (
    Bundle,
    Clock,
    Connector,
    Csms,
    Evse,
    File,
    Firmware,
    Identity,
    Keys,
    Rauc,
    Simulator,
    Swupdate,
    Transfers,
)

EXAMPLE = Path(__file__).parents[2] / "systemd" / "station.yaml.example"


@pytest.fixture
def text(tmp_path: Path) -> str:
    """The example with its files and devices in a folder of the test's."""
    for name in ("password", "csms-root.pem"):
        (tmp_path / name).write_text("a secret of sixteen", "utf-8")
        (tmp_path / name).chmod(0o600)
    given = EXAMPLE.read_text("utf-8").replace("/etc/ocpp-station/", "")
    return given.replace("/var/lib/ocpp-station", "state")


def test_the_agent_accepts_the_example(tmp_path: Path, text: str) -> None:
    """Whoever begins with it begins without a mistake."""
    path = tmp_path / "station.yaml"
    path.write_text(text, "utf-8")

    config = load(path)

    assert [evse.meter for evse in config.file.evses] == ["left", "right"]


def test_the_example_names_every_key() -> None:
    """Commented out or not."""
    text = EXAMPLE.read_text("utf-8")
    sections = (
        Identity,
        Csms,
        Keys,
        Clock,
        Connector,
        Evse,
        Simulator,
        Transfers,
        Firmware,
        Bundle,
        Rauc,
        Swupdate,
        File,
    )
    rare = {"directory", "iso15118", "iso15118_evse_id", "min_current_a", "phase_switching", "energy_wh", "sensors"}

    keys = {field.name for section in sections for field in msgspec.structs.fields(section)}

    assert not {key for key in keys - rare if key not in text}
