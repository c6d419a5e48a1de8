"""The installer of the agent itself: what it takes, what it leaves, and when a trial is over."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path

import pytest

import station
from station.commands.installers import Confirmation, make
from station.commands.installers import bundle as module
from station.commands.installers.archive import BadBundle
from station.commands.installers.bundle import here
from station.commands.installers.make import Made
from station.version import VERSION
from tests.bundles import START, Place, bundle

NEEDS_9999 = (
    f"{VERSION} could not read the database any more (it knows schema {here().schema}, needed is 9999): "
    "install a version in between first"
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def becomes(monkeypatch: pytest.MonkeyPatch, place: Place, slot: str) -> None:
    """This process is that version from now on."""
    monkeypatch.setattr(station, "__file__", str(place.slots.versions / slot / "lib" / "station" / "__init__.py"))


def test_a_good_bundle_is_to_be_tried_after_a_restart(place: Place, tmp_path: Path) -> None:
    outcome, words = place.install(bundle(tmp_path / "new"))

    assert (outcome, words) == ("restart", "9.0.0 is to be tried")
    assert list(place.pointers()) == ["trial-0"]
    assert place.start() == "version 9.0.0 runs run"


@pytest.mark.parametrize(
    "more, words",
    [
        ({"version": "0.0.1"}, f"0.0.1 is older than {VERSION}, and nothing older is installed"),
        ({"version": "new"}, "its manifest: 'new' is no version: numbers, with points or hyphens between them"),
        ({"product": "toaster"}, "it is of another product: 'toaster'"),
        ({"machine": "vax"}, f"it was made for another machine: vax, this is {here().machine}"),
        ({"python": "2.7"}, f"it was made for another Python: 2.7, this is {here().python}"),
        ({"min_previous": "8"}, f"it follows on 8 or newer, this is {VERSION}: install that one first"),
        (
            {"min_reader": 9999},
            NEEDS_9999,
        ),
    ],
    ids=["older", "no version", "product", "machine", "python", "skips one", "database"],
)
def test_what_is_not_for_this_station_is_refused(
    place: Place, tmp_path: Path, more: dict[str, object], words: str
) -> None:
    told = place.install(bundle(tmp_path / "new", **more))  # type: ignore[arg-type]  # of all kinds

    assert told == ("unverified", words)
    assert not place.root.exists()


@pytest.mark.parametrize(
    "start, words",
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        (START.format(version="8.0.0"), "ocpp-station 8.0.0"),
        ("import os; os.abort()", "exit code -6"),
        ("print('", "SyntaxError: unterminated string literal (detected at line 1)"),
    ],
    ids=["import", "another version", "abort", "syntax"],
)
def test_what_cannot_even_say_its_version_is_not_tried(place: Place, tmp_path: Path, start: str, words: str) -> None:
    told = place.install(bundle(tmp_path / "new", start=start))

    assert told == ("unverified", f"it does not run here: {words}")
    assert place.pointers() == {}


def test_what_says_nothing_is_not_tried(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TRY_OUT_S", 0.3)

    told = place.install(bundle(tmp_path / "new", start="import time; time.sleep(600)"))

    assert told == ("unverified", "asked for its version, it says nothing for 0.3 s")


def test_without_the_launcher_nothing_is_installed(place: Place, tmp_path: Path) -> None:
    """Nobody would start it."""
    installer = module.Bundle({}, place.floor, place.installer()._silent, within_s=60.0, patience_s=60.0)

    told = asyncio.run(installer.install("update-1", bundle(tmp_path / "new")))

    assert tuple(told) == ("failed", "the agent was not started by ocpp-station-launch")


def test_a_disk_without_room_is_told_before_it_is_full(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=module.SPARE_BYTES + 10))

    outcome, words = place.install(bundle(tmp_path / "new"))

    assert outcome == "failed"
    assert words.endswith("and 10 are free")


def test_an_installation_that_nobody_waits_for_any_more_changes_nothing(place: Place, tmp_path: Path) -> None:
    """The CSMS has heard that it failed."""
    outcome, words = place.install(bundle(tmp_path / "new"), patience_s=-1.0)

    assert (outcome, words) == ("failed", "it took too long")
    assert place.pointers() == {}


def test_a_file_that_is_swapped_between_its_check_and_its_unpacking_is_never_run(place: Place, tmp_path: Path) -> None:
    """What was unpacked is judged, not what lay there before; nothing of it is started, not even for its version."""
    genuine, trace = bundle(tmp_path / "genuine"), tmp_path / "trace"
    signed = hashlib.sha256(genuine.read_bytes()).digest()
    start = f"open({str(trace)!r}, 'w'); print('ocpp-station 9.0.0')"

    told = place.install(bundle(tmp_path / "other", start=start), digest=signed)

    assert told == ("unverified", "it was changed since its signature was checked")
    assert not trace.exists()
    assert (list(place.slots.versions.iterdir()), place.pointers()) == ([], {})
    assert place.install(genuine, digest=signed)[0] == "restart"


def test_what_follows_a_bundle_is_part_of_what_was_signed(place: Place, tmp_path: Path) -> None:
    """To the last byte, though nobody unpacks it."""
    genuine = bundle(tmp_path / "genuine")
    signed = hashlib.sha256(genuine.read_bytes()).digest()
    with genuine.open("ab") as file:
        file.write(bytes(100_000))  # gzip passes zeros over

    assert place.install(genuine, digest=signed)[0] == "unverified"
    assert place.install(genuine, digest=hashlib.sha256(genuine.read_bytes()).digest())[0] == "restart"


def test_what_cannot_be_used_takes_no_room(place: Place, tmp_path: Path) -> None:
    """And what is there already stays, whatever comes under its name."""
    assert place.install(bundle(tmp_path / "broken", start="import nothing_of_that_name"))[0] == "unverified"
    assert list(place.slots.versions.iterdir()) == []

    good = bundle(tmp_path / "good")
    place.install(good)
    (slot,) = place.slots.versions.iterdir()
    place.start()
    (place.root / "trial-1").rename(place.root / "current")
    before = sorted(slot.rglob("*"))
    assert place.install(good)[0] == "failed"  # the packaged agent runs, and keeps what `current` names
    assert sorted(slot.rglob("*")) == before


def test_the_trial_ends_when_the_hardware_answers_too(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EVSE 2 is slow; EVSE 3 did not answer before either."""
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    place.silent = frozenset({3})
    place.install(bundle(tmp_path / "new"))
    place.start()
    becomes(monkeypatch, place, place.slots.trial)
    place.silent = frozenset({2, 3})
    looks = []

    async def look() -> frozenset[int]:
        looks.append(place.pointers())
        return place.silent if len(looks) < 5 else frozenset({3})

    installer = place.installer()
    installer._silent = look

    assert asyncio.run(installer.confirm("update-1", tmp_path / "gone")) == Confirmation()

    assert [list(each) for each in looks] == [["trial-1"]] * 5
    assert list(place.pointers()) == ["current"]
    assert place.floor.refusal("8.9", "1.0")


def test_an_old_version_goes_when_the_new_one_has_proven_itself(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for update, version in (("one", "9.0.0"), ("two", "9.1.0")):
        place.install(bundle(tmp_path / version, version), update)
        assert len(list(place.slots.versions.iterdir())) == (1 if update == "one" else 2)
        place.start()
        becomes(monkeypatch, place, place.slots.trial)
        assert asyncio.run(place.installer().confirm(update, tmp_path)) == Confirmation()

    (left,) = place.slots.versions.iterdir()
    assert left.name == place.slots.current
    assert place.start() == "version 9.1.0 runs run"


def test_confirming_again_after_a_power_cut_is_no_mistake(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.install(bundle(tmp_path / "new"))
    place.start()
    becomes(monkeypatch, place, place.slots.trial)
    asyncio.run(place.installer().confirm("update-1", tmp_path))
    named = place.pointers()

    assert asyncio.run(place.installer().confirm("update-1", tmp_path)) == Confirmation()
    assert place.pointers() == named


def test_the_version_that_runs_is_installed_already(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = bundle(tmp_path / "new")
    place.install(new)
    place.start()
    becomes(monkeypatch, place, place.slots.trial)
    asyncio.run(place.installer().confirm("update-1", tmp_path))
    named = place.pointers()

    assert place.install(new, "update-2") == ("active", "9.0.0 runs already")
    assert asyncio.run(place.installer().confirm("update-2", tmp_path)) == Confirmation()
    assert place.pointers() == named


def test_a_trial_that_has_begun_is_not_begun_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power was cut when it had its name, and before the old version knew: the new one is told to install itself."""
    new = bundle(tmp_path / "new")
    place.install(new)
    place.start()
    becomes(monkeypatch, place, place.slots.trial)

    assert place.install(new) == ("active", "9.0.0 runs already")

    assert list(place.pointers()) == ["trial-1"]
    assert asyncio.run(place.installer().confirm("update-1", tmp_path)) == Confirmation()
    assert list(place.pointers()) == ["current"]


def test_a_version_that_was_given_up_is_told_with_the_reason(place: Place, tmp_path: Path) -> None:
    place.install(bundle(tmp_path / "new"))
    for _ in range(4):
        place.start()

    told = asyncio.run(place.installer().confirm("update-1", tmp_path))

    reason = f"9.0.0 was given up: it was started 3 times and has never got well; {VERSION} runs"
    assert told == Confirmation(reason)


def test_a_trial_that_was_given_up_is_never_found_good(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher was quicker: it ends the process in a moment."""
    place.install(bundle(tmp_path / "new"))
    place.start()
    slot = place.slots.trial
    becomes(monkeypatch, place, slot)
    (place.root / "trial-1").rename(place.root / "failed")

    assert not place.slots.found_good(slot)
    assert list(place.pointers()) == ["failed"]


def test_an_update_of_another_time_is_not_confirmed(place: Place, tmp_path: Path) -> None:
    place.install(bundle(tmp_path / "new"), "one")

    told = asyncio.run(place.installer().confirm("two", tmp_path))

    assert told == Confirmation("nothing is known of this update here")


def test_what_a_power_cut_has_left_is_replaced(place: Place, tmp_path: Path) -> None:
    """Half of a version under its final name: nothing has named it yet, and nothing believes it."""
    new = bundle(tmp_path / "new")
    place.install(new)
    (slot,) = place.slots.versions.iterdir()
    (place.root / "trial-0").unlink()
    (slot / "start.py").write_text("half")
    (slot / "lib" / "big.bin").unlink()

    assert place.install(new)[0] == "restart"
    assert place.start() == "version 9.0.0 runs run"


def test_what_is_no_agent_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "lib" / "station").mkdir(parents=True)
    (tmp_path / "lib" / "station" / "version.py").write_text("VERSION = 1")

    with pytest.raises(BadBundle):
        make.make(tmp_path / "lib", tmp_path / "bundle", Made())
