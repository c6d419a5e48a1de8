"""essentials.json: the way to the CSMS when the database is gone."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from station.store.essentials import Essentials, NetworkProfile, load, save

FIRST = Essentials(
    identity="CS-1",
    profiles=(NetworkProfile(slot=1, url="wss://csms.example/ocpp", security_profile=3),),
    certificates={"station": "keys/station"},
    password="secrets/password",  # a reference
)
SECOND = Essentials(identity="CS-2")


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """All of it."""
    assert load(tmp_path / "essentials.json") is None

    assert save(tmp_path / "essentials.json", FIRST)

    assert load(tmp_path / "essentials.json") == FIRST
    assert (tmp_path / "essentials.json").stat().st_mode & 0o077 == 0


def test_the_same_is_not_written_twice(tmp_path: Path) -> None:
    """Each write wears the flash."""
    save(tmp_path / "essentials.json", FIRST)

    assert not save(tmp_path / "essentials.json", FIRST)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"crc32":1,"body":{"identity":"CS-9"}}', b"\xff" * 100])
def test_a_damaged_generation_gives_way_to_the_one_before(tmp_path: Path, damage: bytes) -> None:
    """And the next save does not push the good one out."""
    path = tmp_path / "essentials.json"
    save(path, FIRST)
    save(path, SECOND)
    path.write_bytes(damage)

    assert load(path) == FIRST
    assert save(path, SECOND)
    path.write_bytes(damage)
    assert load(path) == FIRST


def test_fields_of_a_newer_agent_do_not_matter(tmp_path: Path) -> None:
    """After a roll-back of the image."""
    path = tmp_path / "essentials.json"
    save(path, SECOND)
    body = b'{"identity":"CS-2","more":1}'
    path.write_bytes(b'{"crc32":%d,"body":%s}' % (zlib.crc32(body), body))

    assert load(path) == SECOND
