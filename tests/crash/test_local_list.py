"""Power is cut at every write while the local authorization list is replaced and changed: it is the old or the new one.

The station is a whole one; an answer that has left is a promise (D01.FR.01, D01.FR.10).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from station.blocks import local_list as module
from station.ocpp.types import IdTokenType
from station.state.local_list import LocalList
from tests.bench import Bench
from tests.crash.medium import images
from tests.crash.recorder import VFS, Recorder

PIECE = 4
"""Small, so that an update of a dozen entries takes several steps."""

MOST = 150


class Answered(NamedTuple):
    """A mark: the CSMS was told that this version is in force."""

    version: int


def entry(number: int, status: str | None) -> dict[str, Any]:
    told = {"idToken": {"idToken": f"T{number}", "type": "Local"}}
    return told if status is None else {**told, "idTokenInfo": {"status": status}}


UPDATES: list[tuple[str, dict[int, str | None]]] = [
    ("Full", dict.fromkeys(range(12), "Accepted")),
    ("Differential", {0: "Blocked", 1: None, 2: None, **dict.fromkeys(range(12, 18), "Expired")}),
    ("Differential", {1: "Invalid", 12: None}),
    ("Full", dict.fromkeys(range(15, 24), "Accepted")),
    ("Full", {}),
]
NUMBERS = range(24)


def expected() -> list[dict[int, str]]:
    """The whole list by version; version 0 is none."""
    lists: list[dict[int, str]] = [{}]
    for kind, entries in UPDATES:
        after = {} if kind == "Full" else dict(lists[-1])
        for number, status in entries.items():
            after.pop(number, None)
            if status is not None:
                after[number] = status
        lists.append(after)
    return lists


def updated(recorder: Recorder) -> int:
    """All updates on the recorder, with time to clean up between them; gives where in the log they began."""
    bench = Bench(recorder.root, vfs=VFS)
    bench.database.execute("PRAGMA wal_autocheckpoint = 20")  # so that checkpoints are cut, too
    start = len(recorder.log)
    for version, (kind, entries) in enumerate(UPDATES, 1):
        lines = [entry(number, status) for number, status in entries.items()]
        update = {"updateType": kind, "versionNumber": version}
        answer = bench.csms.call("SendLocalList", {**update, "localAuthorizationList": lines} if lines else update)
        assert answer == {"status": "Accepted"}
        recorder.mark(Answered(version))
        bench.advance(seconds=0.25 if version % 2 else 5)
    bench.database.close()
    return start


def judge(root: Path, marks: Sequence[Any]) -> None:
    """A new station on what the medium held: one of the lists, not older than what was promised, and soon tidy."""
    bench = Bench(root)
    try:
        version = bench.csms.call("GetLocalListVersion")["versionNumber"]
        promised = max((mark.version for mark in marks if isinstance(mark, Answered)), default=0)
        assert promised <= version <= promised + 1
        for _ in range(2):
            assert held(bench) == expected()[version]
            assert bench.station.local_list.entries == len(expected()[version])
            bench.advance(minutes=1)
        rows = bench.database.execute("SELECT count(*) FROM local_list").fetchone()[0]
        assert rows == len(expected()[version])
    finally:
        bench.database.close()


def held(bench: Bench) -> dict[int, str]:
    """The list as look-ups give it."""
    tokens = {number: IdTokenType(id_token=f"T{number}", type="Local") for number in NUMBERS}
    found = {number: bench.station.local_list.find(token) for number, token in tokens.items()}
    return {number: info.status for number, info in found.items() if info is not None}


@pytest.mark.req("D01.FR.10", "D01.FR.15", "D01.FR.16", "D01.FR.17", "D01.FR.04")
def test_a_power_cut_at_any_write_leaves_the_old_list_or_the_new_one(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", PIECE)
    start = updated(recorder)

    for number, image in enumerate(images(recorder.log, start=start, most=MOST)):
        root = fast / f"image-{number}"
        root.mkdir()
        image.write(root)
        judge(root, image.marks)


def test_a_list_that_is_valid_before_all_of_it_is_written_would_be_seen(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutant: each piece moves the head at once."""
    monkeypatch.setattr(module, "PIECE", PIECE)
    stage = LocalList.stage

    def hasty(self: LocalList, lines: Sequence[Any]) -> None:
        stage(self, lines)
        generation = self._head.top + 1
        self._db.execute("UPDATE local_list_head SET top = ? WHERE id = 0", (generation,))

    monkeypatch.setattr(LocalList, "stage", hasty)
    start = updated(recorder)
    monkeypatch.undo()

    wrong = 0
    for number, image in enumerate(images(recorder.log, start=start, most=60)):
        root = fast / f"image-{number}"
        root.mkdir()
        image.write(root)
        try:
            judge(root, image.marks)
        except AssertionError:
            wrong += 1
            if wrong > 3:
                return
    pytest.fail(f"only {wrong} images were judged wrong")
