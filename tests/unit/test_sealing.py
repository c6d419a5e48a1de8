"""Secrets in the database, and a key store that is away when the agent starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from certs.errors import KeyUnavailable
from certs.file_keys import FileKeys
from station.commands.sealing import Seals, Unlocking
from tests.bench import Bench
from tests.scenarios.n_diagnostics.logs import assembled, get_log, uploaded


class Absent(FileKeys):
    """A store whose chip does not answer until it is `there`."""

    there = False
    asked = 0

    def unseal(self, name: str) -> bytes:
        """As the other stores fail."""
        self.asked += 1
        if not self.there:
            raise KeyUnavailable("no TPM", "bring it back")
        return super().unseal(name)


def test_what_is_sealed_is_read_by_the_same_key_alone(tmp_path: Path) -> None:
    """And a broken seal is no secret."""
    seals = Seals(lambda: FileKeys(tmp_path / "one"))
    sealed = seals.seal("a password")

    assert "password" not in sealed
    assert Seals(lambda: FileKeys(tmp_path / "one")).unseal(sealed) == "a password"
    assert Seals(lambda: FileKeys(tmp_path / "other")).unseal(sealed) == ""
    assert seals.unseal(sealed[:-4]) == ""


def test_a_key_store_that_is_away_is_asked_once_at_the_start_and_then_now_and_again(
    tmp_path: Path, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Each question may take seconds; the passwords are there as soon as it answers, without a restart."""
    sealed = Seals(lambda: FileKeys(tmp_path / "keys")).seal("a password of sixteen")
    store = Absent(tmp_path / "keys")
    seals, waiting, told = Seals(lambda: store), list[Callable[[], object]](), list[str]()
    bench.station.variables._storage._unseal = seals.unseal  # as after a start with this store
    with bench.station.db.transaction():
        bench.station.db.execute(
            "INSERT INTO variable VALUES ('SecurityCtrlr', '', 0, 0, 'BasicAuthPassword', '', 'Actual', ?, 1)",
            (sealed,),
        )
    bench.station.variables.load(bench.now)
    bench.station.network.load(bench.now)
    assert bench.station.network.passwords()[0] == ""
    assert store.asked == 1
    unlocking = Unlocking(seals, bench.station, waiting.append)
    unlocking.retune = lambda: told.append("retuned")

    for _ in range(3):
        unlocking.look(bench.now)
    waiting.pop()()
    unlocking.look(bench.now)
    store.there = True
    waiting.pop()()
    assert not waiting
    unlocking.look(bench.now)

    assert bench.station.network.passwords()[0] == "a password of sixteen"
    assert told == ["retuned"]
    assert store.asked == 3
    assert "a password" not in caplog.text


def test_a_log_that_is_wanted_knows_its_place_again_when_the_store_is_back(tmp_path: Path, bench: Bench) -> None:
    """What happened to it meanwhile is kept, and its place with it."""
    store = Absent(tmp_path / "keys")
    seals, waiting = Seals(lambda: store), list[Callable[[], object]]()
    uploads = bench.station.log_uploads
    uploads._seal = Seals(lambda: FileKeys(tmp_path / "keys")).seal
    place = "https://user:secret@files.example/"
    get_log(bench, 4, location=place, retries=2)
    uploads._unseal = seals.unseal  # as after a start with this store
    uploads.load(bench.now)
    assembled(bench)
    uploaded(bench, "UploadFailure")
    assert uploads.wanted is not None
    assert uploads.wanted.location == ""

    unlocking = Unlocking(seals, bench.station, waiting.append)
    store.there = True
    unlocking.look(bench.now)
    waiting.pop()()
    unlocking.look(bench.now)

    assert (uploads.wanted.location, uploads.wanted.retries) == (place, 1)
