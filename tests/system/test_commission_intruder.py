"""Another user of the machine in the folder of station.yaml, while root commissions. Needs root."""

from __future__ import annotations

import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from station.cli import main
from station.commands import readable
from station.commands.commissioning import closed, keymaking, writing
from station.config import load
from station.store import files
from tests.system.test_other_users import NOBODY, as_nobody

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the child takes no lock that a thread may hold
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: root's commissioning needs root"),
]
PASSWORD = "a secret of sixteen"
BASE = """\
station: {identity: CS-1, vendor: Example, model: Wallbox}
csms: {url: "ws://127.0.0.1:9", security_profile: 1}
state_directory: state
control_socket: control.sock
simulator: {evses: 1}
"""
ANSWERS = {"identity": "CS-1", "vendor": "Example", "model": "Wallbox", "security_profile": 1}
WRITTEN = ("station.yaml", "password", "password-2", "commissioning.txt")
IN_PASSING = ("", ".new", ".trial", ".trial.new", ".secret", ".before", ".before.new", ".unfinished", ".unfinished.new")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that all may enter: `station` as /etc/ocpp-station, and what is outside of it."""
    monkeypatch.setattr(readable, "USER", "daemon")
    with tempfile.TemporaryDirectory(prefix="ocpp-station-") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "station").mkdir(mode=0o755)
        (path / "base.yaml").write_text(BASE, "utf-8")
        answers = {**ANSWERS, "url": "ws://127.0.0.1:9", "password": PASSWORD}
        (path / "answers.yaml").write_text(yaml.safe_dump(answers), "utf-8")
        (path / "answers.yaml").chmod(0o600)
        yield path


def commission(place: Path) -> int:
    given = ["--config", str(place / "station" / "station.yaml"), "--base", str(place / "base.yaml")]
    return main(["commission", *given, "--answers", str(place / "answers.yaml"), "--yes"])


def to_nobody(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    "name, mode, owner",
    [
        ("station", 0o777, (0, 0)),
        ("station", 0o1777, (0, 0)),
        ("station", 0o775, (0, NOBODY)),
        ("station", 0o755, (NOBODY, 0)),
        (".", 0o777, (0, 0)),
    ],
    ids=["everybody", "sticky", "a group", "its owner", "the folder above"],
)
def test_root_writes_nothing_where_others_may_write(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, mode: int, owner: tuple[int, int]
) -> None:
    """Each look at a file could be followed by another file under its name. The remedy is told, and enough."""
    os.chown(place / name, *owner)
    (place / name).chmod(mode)

    assert commission(place) == 2

    error = capsys.readouterr().err
    assert "others could put files in place of the station's - chown root " in error
    assert error.count("\n") == 1
    assert list((place / "station").iterdir()) == []
    for each in (place, place / "station"):
        os.chown(each, 0, 0)
        each.chmod(0o755)
    assert commission(place) == 1  # nobody is the CSMS


def test_a_list_of_rights_lets_others_in_though_owner_and_group_are_roots(place: Path) -> None:
    """`setfacl -m u:nobody:rwx`: in the mode it looks like a right of root's group. The remedy is the same."""
    station = place / "station"
    everybody, user, rights = 0xFFFFFFFF, NOBODY, ((1, 7), (2, 7), (4, 5), (16, 7), (32, 5))  # acl(5): tag, rwx
    entries = [struct.pack("<HHI", tag, may, user if tag == 2 else everybody) for tag, may in rights]
    try:
        os.setxattr(station, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(entries))
    except OSError as error:
        pytest.skip(f"NOT TESTED: no lists of rights here: {error}")
    assert as_nobody((station / "planted").touch) == ""

    assert closed.stranger(station / "station.yaml") == station
    station.chmod(station.stat().st_mode & ~(stat.S_IWGRP | stat.S_IWOTH))
    assert closed.stranger(station / "station.yaml") is None
    assert as_nobody((station / "another").touch) == "PermissionError"


def test_who_has_called_root_is_no_stranger(place: Path) -> None:
    """On a laptop station.yaml lies in somebody's home."""
    to_nobody(place / "station")

    assert closed.stranger(place / "station" / "station.yaml", {"SUDO_UID": str(NOBODY)}) is None
    assert closed.stranger(place / "station" / "station.yaml", {"SUDO_UID": "12345"}) == place / "station"


def test_a_file_that_leads_elsewhere_by_anothers_will_is_not_read(place: Path) -> None:
    """Root would read what he may not, and put it where he may."""
    secret, link = place / "secret.yaml", place / "station" / "station.yaml"
    secret.write_text(BASE, "utf-8")
    secret.chmod(0o600)
    link.symlink_to(secret)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)

    assert commission(place) == 2

    assert list(link.parent.iterdir()) == [link]
    link.unlink()
    link.symlink_to(secret)  # of root's own
    assert closed.stranger(link) is None


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_was_planted_before_the_folder_was_closed_leads_nowhere(place: Path, kind: str) -> None:
    """By every name that is written there: nothing outside changes, and nobody else reads the password."""
    victim, sink, station = place / "victim", place / "sink", place / "station"
    victim.write_text("precious", "utf-8")
    victim.chmod(0o600)
    sink.touch()
    to_nobody(sink)
    for name in WRITTEN:
        for suffix in IN_PASSING:
            path = station / (name + suffix)
            if path.exists() or path == station / "station.yaml":
                continue
            if kind == "link":
                path.symlink_to(sink if "new" in suffix else victim)
            else:
                path.touch()
                path.chmod(0o666)
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    assert commission(place) == 1

    state = victim.stat()
    assert (victim.read_text("utf-8"), state.st_uid, stat.S_IMODE(state.st_mode)) == ("precious", 0, 0o600)
    assert sink.read_bytes() == b""
    config = load(station / "station.yaml", cached=False)
    assert config.file.csms.password_file is not None
    password = config.locate(config.file.csms.password_file)
    assert password.read_text("utf-8") == PASSWORD
    assert not password.is_symlink()
    assert as_nobody(password.read_bytes) == "PermissionError"
    for path in (each for each in station.iterdir() if not each.is_symlink() and each.is_file()):
        assert PASSWORD.encode() not in path.read_bytes() or path == password


def test_a_link_that_takes_a_files_place_gives_nobody_what_it_leads_to(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's user gets the open file, not whatever bears its name a moment later."""
    victim, station = place / "victim", place / "station"
    victim.write_text("precious", "utf-8")
    piece = writing.Piece(station / "password", PASSWORD.encode(), given="password")
    text = BASE.replace("security_profile: 1", "security_profile: 1, password_file: password")
    synced, swapped = files.sync_directory, list[int]()

    def swap(folder: Path) -> None:
        synced(folder)
        if piece.path.exists() and not swapped:
            swapped.append(piece.path.stat().st_uid)
            piece.path.rename(place / "the real one")
            piece.path.symlink_to(victim)

    monkeypatch.setattr(files, "sync_directory", swap)
    with pytest.raises(Exception, match="password"):  # what is there now is no password
        writing.write(station / "station.yaml", text, [piece], (NOBODY, NOBODY))

    assert swapped == [NOBODY]
    assert victim.stat().st_uid == 0
    assert victim.read_text("utf-8") == "precious"


def test_a_link_among_the_keys_gives_nobody_what_it_leads_to(place: Path) -> None:
    """That folder is the service's user's: what he puts there while root makes a key stays what it is."""
    victim, keys = place / "victim", place / "station" / "keys"
    victim.write_text("precious", "utf-8")
    keys.mkdir()
    to_nobody(keys)

    with keymaking._given((NOBODY, NOBODY), keys):
        (keys / "station-1.key").touch()
        (keys / "planted").symlink_to(victim)

    assert (keys / "station-1.key").stat().st_uid == NOBODY
    assert victim.stat().st_uid == 0
