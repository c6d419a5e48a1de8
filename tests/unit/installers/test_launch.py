"""The launcher: what it starts, what it counts, and when it goes back. Real shells, small versions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bundles import LAUNCHER, START, Place, bundle

PATIENCE_S = 30.0
WAITS = START + "\nif sys.argv[1:] == ['run']:\n    import time; sys.stdout.flush(); time.sleep(600)\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def put_on_trial(place: Place, folder: Path, version: str = "9.0.0", **more: object) -> None:
    """Install it."""
    assert place.install(bundle(folder / version, version, **more))[0] == "restart"  # type: ignore[arg-type]  # of all kinds


def proven(place: Place, folder: Path, version: str) -> None:
    """Install it, and find it good."""
    put_on_trial(place, folder, version)
    assert place.slots.found_good(place.slots.trial)


def test_without_any_version_the_packaged_agent_is_started(place: Place) -> None:
    assert place.start("run", "--config", "a file") == "the packaged agent runs run --config a file"
    assert not place.root.exists()


def test_a_version_on_trial_is_started_three_times_and_then_no_more(place: Place, tmp_path: Path) -> None:
    proven(place, tmp_path, "8.0.0")
    put_on_trial(place, tmp_path)

    told = [place.start() for _ in range(5)]

    assert told == ["version 9.0.0 runs run"] * 3 + ["version 8.0.0 runs run"] * 2
    assert place.pointers() == {
        "current": place.slots.current,
        "failed": place.slots.failed,
        "reason": "it was started 3 times and has never got well",
    }
    assert place.slots.failed.startswith("9.0.0-")


@pytest.mark.parametrize(
    "program", ["#!/bin/sh\nkill -SEGV $$\n", "#!/bin/sh\nexit 1\n", "#!/nowhere\n"], ids=["dies", "fails", "is gone"]
)
def test_a_version_that_cannot_start_is_counted_all_the_same(place: Place, tmp_path: Path, program: str) -> None:
    put_on_trial(place, tmp_path)
    python = tmp_path / "python"
    python.write_text(program)
    python.chmod(0o755)

    for count in (1, 2, 3):
        place.start(python=str(python), check=False)
        assert list(place.pointers()) == [f"trial-{count}"]

    assert place.start(python=str(python)) == "the packaged agent runs run"


def running(place: Place) -> subprocess.Popen[bytes]:
    """The launcher's process, which becomes the agent's."""
    environment = {**os.environ, "OCPP_STATION_SLOTS": str(place.root), "OCPP_STATION_PYTHON": sys.executable}
    command = [str(place.bin / LAUNCHER.name), "run"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)  # noqa: S603 - our own launcher
    assert process.stdout is not None
    assert process.stdout.readline() == b"version 9.0.0 runs run\n"
    return process


def waiting(place: Place, folder: Path, within_s: float, program: str = WAITS) -> None:
    """A version on trial that runs and runs."""
    file = bundle(folder / "9.0.0", start=program.format(version="9.0.0"))
    assert place.install(file, within_s=within_s)[0] == "restart"


def test_a_version_that_does_not_get_well_in_time_is_ended(place: Place, tmp_path: Path) -> None:
    """It hangs, or the CSMS never accepts it: the launcher needs nothing of it to go back."""
    waiting(place, tmp_path, within_s=1.0)

    with running(place) as process:
        assert process.wait(PATIENCE_S) == -signal.SIGTERM

    assert list(place.pointers()) == ["failed", "reason"]
    assert place.slots.reason == "it did not get well in time"
    assert place.start() == "the packaged agent runs run"


def test_a_version_that_does_not_even_end_is_killed(place: Place, tmp_path: Path) -> None:
    launcher = place.bin / LAUNCHER.name
    launcher.write_text(launcher.read_text().replace("end_s=40 ", "end_s=1 "))
    waiting(place, tmp_path, 1.0, "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS)

    with running(place) as process:
        assert process.wait(PATIENCE_S) == -signal.SIGKILL


def test_a_version_that_is_found_good_runs_on(place: Place, tmp_path: Path) -> None:
    waiting(place, tmp_path, within_s=2.0)

    with running(place) as process:
        assert place.slots.found_good(place.slots.trial)
        time.sleep(3.5)  # the launcher's second thoughts, in its own time

        assert process.poll() is None
        process.kill()
    assert list(place.pointers()) == ["current"]


def test_the_launcher_has_no_second_thoughts_about_a_later_start(place: Place, tmp_path: Path) -> None:
    """The first start ended after a moment; its time is not that of the second one."""
    waiting(place, tmp_path, within_s=3.0)

    with running(place) as process:
        process.kill()
        process.wait(PATIENCE_S)
        time.sleep(2.0)  # most of the first one's time
    with running(place) as process:
        time.sleep(1.5)  # it is over now

        assert process.poll() is None
        process.kill()
    assert list(place.pointers()) == ["trial-2"]


@pytest.mark.parametrize("named", ["", "..", "../../bin", ".hidden", "nothing of that name", "a/b", "\x00"])
def test_a_name_that_leads_nowhere_starts_what_was_there(place: Place, tmp_path: Path, named: str) -> None:
    proven(place, tmp_path, "8.0.0")
    (place.root / "trial-0").write_text(named)

    assert place.start() == "version 8.0.0 runs run"
    assert place.slots.reason == "it is not there"

    (place.root / "current").write_text(named)

    assert place.start() == "the packaged agent runs run"


def test_other_commands_are_no_starts(place: Place, tmp_path: Path) -> None:
    """Only what the service does is counted."""
    proven(place, tmp_path, "8.0.0")
    put_on_trial(place, tmp_path)

    assert place.start("status") == "version 8.0.0 runs status"
    assert "trial-0" in place.pointers()


def test_a_new_package_is_started_instead_of_what_updates_have_brought(place: Place, tmp_path: Path) -> None:
    proven(place, tmp_path, "8.0.0")
    put_on_trial(place, tmp_path)

    assert place.start("--forget") == ""

    assert place.start() == "the packaged agent runs run"
    assert place.pointers() == {}


def test_a_start_that_cannot_be_counted_is_none(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that takes no writes."""
    put_on_trial(place, tmp_path)
    (tmp_path / "mv").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "mv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert place.start() == "the packaged agent runs run"
    assert list(place.pointers()) == ["trial-0"]


def test_after_three_failures_in_a_row_each_start_waits_longer(place: Place, tmp_path: Path) -> None:
    """And no more than 80 s; after ten minutes of work it counts anew, as after an end in order."""
    slept, runs = tmp_path / "slept", tmp_path / "runs"
    sleep = tmp_path / "sleep"
    sleep.write_text(f'#!/bin/sh\necho "$1" >>{slept}\n')
    sleep.chmod(0o755)
    launcher = place.bin / LAUNCHER.name
    launcher.write_text(launcher.read_text().replace(" sleep ", f" {sleep} "))

    for _ in range(9):
        assert place.start(runtime=str(tmp_path)) == "the packaged agent runs run"
    assert slept.read_text().split() == ["5", "10", "20", "40", "80", "80"]

    long_ago = time.time() - 12 * 60
    os.utime(runs, (long_ago, long_ago))
    place.start(runtime=str(tmp_path))
    assert (runs.read_text(), len(slept.read_text().split())) == ("1\n", 6)


@pytest.mark.parametrize("said", ["", "many\n", "-1\n", "1; rm -rf x\n"])
def test_a_count_that_is_none_stops_no_start(place: Place, tmp_path: Path, said: str) -> None:
    (tmp_path / "runs").write_text(said)

    assert place.start(runtime=str(tmp_path)) == "the packaged agent runs run"
    assert (tmp_path / "runs").read_text() == "1\n"


def test_a_version_on_trial_does_not_wait(place: Place, tmp_path: Path) -> None:
    """Nor does the one that comes after it: after three starts it is over."""
    put_on_trial(place, tmp_path)
    (tmp_path / "runs").write_text("9\n")

    for _ in range(3):
        assert place.start(runtime=str(tmp_path)) == "version 9.0.0 runs run"
    assert place.start(runtime=str(tmp_path)) == "the packaged agent runs run"


def test_only_the_service_waits(place: Place, tmp_path: Path) -> None:
    """Not who asks something by the launcher."""
    (tmp_path / "runs").write_text("9\n")

    assert place.start("status", runtime=str(tmp_path)) == "the packaged agent runs status"
    assert (tmp_path / "runs").read_text() == "9\n"
