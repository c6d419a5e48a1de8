"""Power is cut at every write while a station is commissioned again: it is the one of before, or the new one, whole."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from certs.throwaway import Authority
from station.cli import main
from station.commands.commissioning import naming
from station.config import load
from station.store import files
from tests.crash.medium import power_cuts
from tests.crash.recorder import Recorder

BASE = """\
station: {identity: EXAMPLE, vendor: Example, model: Wallbox}
csms: {url: "wss://example.invalid", security_profile: 2}
state_directory: ../state
control_socket: control.sock
simulator: {evses: 1}
"""
SAID: dict[str, Any] = {"vendor": "Example", "model": "Wallbox", "url": "wss://127.0.0.1:9", "ca_file": "root.pem"}
BY_PASSWORD = {"security_profile": 2}
BY_KEY = {"security_profile": 3, "key_file": "0042.key", "certificate": "0042.pem"}
BY_REQUEST = {"security_profile": 3, "key": "station-1"}
"""Not at its end before the certificate comes."""

State = Sequence[str | bytes]


def state_of(root: Path) -> State:
    """Who the station is, and the content of each file that it names. Raises ConfigError if the agent would."""
    for secret in (*root.glob("password*"), *root.glob("*.key")):
        secret.chmod(0o600)  # of rights the medium knows nothing
    config = load(root / "station.yaml", cached=False)
    csms = config.file.csms
    named = (csms.password_file, csms.ca_file, csms.certificate, csms.key_file)
    return [config.file.station.identity, *(config.locate(name).read_bytes() for name in named if name is not None)]


class Site:
    """A station that is commissioned once, and a stick with everything for the second time, by the same names."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        self.recorder = recorder
        self._folder = folder
        (folder / "base.yaml").write_text(BASE, "utf-8")

    def commission(self, root: Path, identity: str, how: dict[str, Any]) -> int:
        """Each identity has a password, a key and certificates of its own."""
        stick = self._folder / identity
        if not stick.exists():
            stick.mkdir()
            authority = Authority.create(identity, stick)
            authority.issue("0042")
            (stick / "root.pem").write_text(authority.root_pem, "ascii")
        secret = {"password": f"the password of {identity}"} if how == BY_PASSWORD else {}
        answers = {**SAID, "identity": identity, **how, **secret}
        (stick / "ocpp-station.yaml").write_text(yaml.safe_dump(answers), "utf-8")
        given = ["--config", str(root / "station.yaml"), "--base", str(self._folder / "base.yaml")]
        stdin, sys.stdin = sys.stdin, io.StringIO()
        try:
            return main(["commission", *given, "--answers", str(stick), "--yes"])
        finally:
            sys.stdin = stdin

    def twice(self, first: dict[str, Any], second: dict[str, Any]) -> tuple[State, State, int]:
        """The station of before and after, and where in the log the second commissioning begins."""
        assert self.commission(self.recorder.root, "OLD", first) == 1  # nobody is the CSMS
        old, start = state_of(self.recorder.root), len(self.recorder.log)
        self.commission(self.recorder.root, "NEW", second)
        self.recorder.mark("done")
        return old, state_of(self.recorder.root), start


@pytest.fixture
def site(recorder: Recorder, fast: Path) -> Site:
    return Site(recorder, fast)


def listed(root: Path) -> set[str]:
    """But for the record, which is made last."""
    return {path.name for path in root.iterdir() if not path.name.startswith("commissioning.txt")}


@pytest.mark.parametrize("how", [BY_PASSWORD, BY_KEY], ids=["password", "key"])
def test_the_station_is_the_old_one_or_the_new_one_with_all_that_belongs_to_it(
    site: Site, fast: Path, how: dict[str, Any]
) -> None:
    """No password beside the other one's CSMS, no certificate beside the other one's key."""
    old, new, start = site.twice(how, how)
    assert not set(old) & set(new)

    def whole(root: Path, marks: Sequence[Any]) -> None:
        assert state_of(root) in ([new] if "done" in marks else [old, new])

    report = power_cuts(site.recorder.log, whole, fast / "image", start=start)

    assert report.images > 30
    assert report.violations == []


def test_a_station_whose_certificate_is_waited_for_stays_as_it_was(site: Site, fast: Path) -> None:
    """Its roots, too, though the draft has others of the same name."""
    old, same, start = site.twice(BY_PASSWORD, BY_REQUEST)
    assert same == old

    def untouched(root: Path, _marks: Sequence[Any]) -> None:
        assert state_of(root) == old

    report = power_cuts(site.recorder.log, untouched, fast / "image", start=start)

    assert report.images > 20
    assert report.violations == []


@pytest.mark.parametrize("how", [BY_PASSWORD, BY_KEY], ids=["password", "key"])
def test_the_next_commissioning_leaves_nothing_of_one_that_was_cut(
    site: Site, fast: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    """The same files are there as if it had never happened, and no password of before."""
    _, new, start = site.twice(how, how)
    wanted = listed(site.recorder.root)
    monkeypatch.setattr(files, "os", os)  # nobody records any more

    def again(root: Path, _marks: Sequence[Any]) -> None:
        state_of(root)
        assert site.commission(root, "NEW", how) == 1
        assert state_of(root) == new
        assert listed(root) == wanted
        assert not [path for path in root.iterdir() if b"the password of OLD" in path.read_bytes()]

    report = power_cuts(site.recorder.log, again, fast / "image", start=start, most=25)

    assert report.images > 15
    assert report.violations == []


def test_files_that_are_written_over_are_caught(site: Site, fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: what station.yaml names is replaced where it stands."""
    monkeypatch.setattr(naming.Names, "of", lambda _self, name, _data, **_: site.recorder.root / name)
    old, new, start = site.twice(BY_PASSWORD, BY_PASSWORD)

    def whole(root: Path, _marks: Sequence[Any]) -> None:
        assert state_of(root) in (old, new)

    assert power_cuts(site.recorder.log, whole, fast / "image", start=start, enough=1).violations


@pytest.mark.parametrize("name", ["../victim", "", "..", "a\\u0000b"])
def test_what_was_noted_goes_no_further_than_the_folder(site: Site, fast: Path, name: str) -> None:
    """Somebody else's note would otherwise have root remove what it likes, or keep it from commissioning at all."""
    root = site.recorder.root
    assert site.commission(root, "OLD", BY_PASSWORD) == 1
    victim = fast / "victim"
    victim.write_text("precious", "utf-8")
    (root / "station.yaml.unfinished").write_text(f'{{"becomes":"0","leaving":{{"{name}":""}}}}', "utf-8")

    assert site.commission(root, "NEW", BY_PASSWORD) == 1

    assert victim.read_text("utf-8") == "precious"
    assert not (root / "station.yaml.unfinished").exists()
