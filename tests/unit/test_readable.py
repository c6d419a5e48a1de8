"""What `ocpp-station check` tells root of files that the service's user cannot read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.commands.check import runs_already, state_directory
from station.commands.findings import Grade
from station.commands.readable import Reader, unreadable
from station.config import Config, load

STATION = """\
station: {identity: CS001, vendor: Example, model: Wallbox, serial: "0042"}
csms: {url: "ws://127.0.0.1:9/ocpp", security_profile: 1, password_file: password}
state_directory: state
control_socket: control.sock
simulator: {evses: 1}
"""
UID, GID, OTHER = os.geteuid(), os.getegid(), 54321


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A station.yaml and its password."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("a secret of sixteen", "utf-8")
    path = tmp_path / "station.yaml"
    path.write_text(STATION, "utf-8")
    return path


@pytest.mark.parametrize(
    "mode, uid, gid, may",
    [
        (0o600, UID, OTHER, True),
        (0o600, OTHER, GID, False),
        (0o640, OTHER, GID, True),
        (0o640, OTHER, OTHER, False),
        (0o644, OTHER, OTHER, True),
        (0o044, UID, GID, False),
    ],
)
def test_the_first_of_owner_group_and_others_decides(tmp_path: Path, mode: int, uid: int, gid: int, may: bool) -> None:  # noqa: FBT001 - a column of the table
    """As the kernel does it."""
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)

    assert Reader("somebody", uid, frozenset({gid})).may(file) is may


def test_a_folder_must_let_through(tmp_path: Path) -> None:
    """Reading it is not needed."""
    somebody = Reader("somebody", OTHER, frozenset())

    tmp_path.chmod(0o711)
    assert somebody.may(tmp_path)

    tmp_path.chmod(0o744)
    assert not somebody.may(tmp_path)


class Excluded(Reader):
    """May read everything but the password."""

    def may(self, path: Path) -> bool:
        return path.name != "password"


def test_a_password_of_roots_own_is_told_with_its_remedy(config: Path) -> None:
    """Mode 600 is right for whoever installs, and nothing that the agent could use."""
    told = list(unreadable(config, load(config), Excluded("ocpp-station", OTHER, frozenset())))

    assert [finding.grade for finding in told] == [Grade.WARNING]
    assert told[0].remedy == f"chown ocpp-station {config.parent / 'password'}"


def test_nobody_else_is_asked_for_another_user(config: Path) -> None:
    """The agent's own user tells what it cannot read itself."""
    assert list(unreadable(config, load(config), None)) == []


@pytest.fixture
def shut(config: Path) -> Iterator[Config]:
    """A configuration whose state directory leads into a folder of root's, as systemd makes it."""
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o711)
        (Path(base) / "private" / "state").mkdir(parents=True)
        (Path(base) / "private").chmod(0o700)
        (Path(base) / "state").symlink_to(Path(base) / "private" / "state")
        config.write_text(STATION.replace("state_directory: state", f"state_directory: {base}/state"), "utf-8")
        yield load(config)


@pytest.mark.skipif(UID != 0, reason="needs root, to become somebody else")
def test_a_user_who_may_not_see_the_state_directory_checks_the_rest(shut: Config) -> None:
    """The agent's own user, outside of the service."""
    os.seteuid(OTHER)
    try:
        told = list(state_directory(shut))
        running = runs_already(shut)
    finally:
        os.seteuid(0)

    assert [(finding.grade, finding.detail) for finding in told] == [
        (Grade.WARNING, f"{shut.state} is not shown to this user")
    ]
    assert running is False
