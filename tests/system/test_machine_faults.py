"""A charging post in a machine of its own, and what goes wrong around it: disk, clock, network, hangs, crashes.

Debian's systemd runs the package under the shipped unit. Board, meter, reader and car are outside, on ptys, so that
they go on when the agent does not; so is the CSMS, in the network of the machine.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from station.shell.clock import BUILT
from tests.agent import PASSWORD
from tests.live_csms import LiveCsms
from tests.system import machine as machines
from tests.system.machine import UNIT, Machine, needs_machine
from tests.system.post import STATE, Post, transaction, wires
from tests.system.rig import energy, moment
from tests.system.site import Site

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(600), needs_machine]

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
OPENS_S = 12.0
"""A lease of ten seconds, and what a busy machine takes."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Site]]:
    """The machine with its wires, booted once, in a network of its own."""
    folder = tmp_path_factory.mktemp("place")
    with Site(folder) as site, contextlib.ExitStack() as opened:
        machine = Machine(folder / "machine", machines.installed(tmp_path_factory))
        opened.callback(machine.end)
        machine.boot("--private-network", *wires(folder))
        yield machine, site


@pytest.fixture
def post(place: tuple[Machine, Site]) -> Iterator[Post]:
    """Set up, not started."""
    machine, site = place
    with machine.connected(lambda: LiveCsms(password=PASSWORD)) as csms:
        made = Post(machine, site, csms)
        made.set_up()
        try:
            yield made
        finally:
            made.clear()


def test_the_journal_has_the_fields_of_an_event_as_fields(post: Post) -> None:
    """Asked as docs/troubleshooting.md says, by EVSE or transaction; a person reads the same line as ever."""
    post.start()
    post.csms.wait_for("BootNotification")
    post.plug_in_and_swipe()
    running = str(transaction(post.machine)["id"])
    post.stop_charging()
    post.judge()

    post.until(lambda: len(post.entries(f"TRANSACTION_ID={running}")) >= 2, "the journal")
    told = {each["EVENT"]: each for each in post.entries(f"TRANSACTION_ID={running}")}
    assert told["transaction.started"]["EVSE_ID"] == "1"
    assert told["transaction.started"]["MESSAGE"] == f"transaction.started evse=1 transaction={running}"
    assert told["transaction.ended"]["REASON"] == "Local"
    assert {each["PRIORITY"] for each in told.values()} == {"6"}
    assert [each["PRIORITY"] for each in post.entries("EVENT=security.event", "TYPE=StartupOfTheDevice")] == ["4"]
    assert PASSWORD not in json.dumps(post.entries("-u", UNIT))
    post.csms.disconnect()
    post.until(lambda: len(post.entries("EVENT=link.down")) >= 1, "the journal")
    for command in re.findall(r"`(journalctl [^`]*(?:=|-o json)[^`]*)`", PAGE):
        assert post.machine.run(*command.replace("=...", f"={running}").split(), "--no-pager", "-q"), command
    assert post.entries("EVENT=link.up")[-1]["SYSLOG_IDENTIFIER"] == "ocpp-station"


def test_a_full_disk_costs_nothing_that_was_stored_and_stops_nobody(post: Post) -> None:
    """While a vehicle charges and no CSMS is there. Room is made and it is restarted; the next time it is killed.

    A restart in order has time to write what was kept in memory; after a kill what the disk had is there, and it starts
    and goes on although the disk is still full.
    """
    post.machine.shell(f"mkdir -p {STATE}; mount -t tmpfs -o size=4m,mode=700 tmpfs {STATE}")
    post.start()
    post.csms.wait_for("BootNotification")
    post.plug_in_and_swipe()
    post.until_more_events()
    post.csms_goes()
    post.meanwhile()

    fill(post)
    full = datetime.now(UTC)
    post.meanwhile(3)
    assert (post.interruptions(), post.restarts()) == (0, 0)
    restarted = datetime.now(UTC)
    post.machine.shell(f"rm {STATE}/fill; systemctl restart {UNIT}")
    post.site.until(lambda: post.site.board.power_w > 0, "the session to go on")
    assert post.store() == "ok"

    fill(post)
    post.machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
    post.until(lambda: post.restarts() == 1 and transaction(post.machine), "it to run on a full disk")
    post.site.until(lambda: post.site.board.power_w > 0, "the session to go on")
    assert post.store() != "ok"
    post.machine.shell(f"rm {STATE}/fill")
    post.until(lambda: post.store() == "ok", "the store to recover")
    post.csms_returns()
    post.until_more_events()
    post.stop_charging()

    times = [moment(each["timestamp"]) for each in post.judge()]
    assert sum(full < each < restarted for each in times) >= 2, "what was kept in memory was not written"
    assert post.restarts() == 1


def fill(post: Post) -> None:
    """Until there is no room, and what the agent kept for that case is used up."""
    machine = post.machine
    machine.until(
        lambda: machine.tried("sh", "-c", f"cat /dev/zero >> {STATE}/fill") and post.store() != "ok", "the disk to fail"
    )


def test_what_hangs_or_crashes_leaves_no_contactor_closed(post: Post) -> None:
    """The board opens by itself; systemd ends what hangs, and tries for ever what crashes; then the session goes on."""
    post.set_up(unit="WatchdogSec=16\n")
    post.start()
    post.csms.wait_for("BootNotification")
    post.plug_in_and_swipe()
    post.until_more_events()

    post.machine.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", UNIT)
    post.site.until(lambda: not post.site.board.closed, "the lease to end", OPENS_S)
    opened = post.site.board.changes[-1]
    assert post.csms.wait_for("BootNotification", 2, 60.0)[1]["reason"] == "Watchdog"
    (ended,) = post.entries("UNIT=" + UNIT, "--grep=Watchdog timeout")
    assert opened.lapsed
    assert opened.at.timestamp() < int(ended["__REALTIME_TIMESTAMP"]) / 1e6, "systemd was sooner than the lease"
    post.site.until(lambda: post.site.board.closed, "the session to go on")
    post.until_more_events()

    file = "/etc/ocpp-station/station.yaml"
    post.machine.shell(f"cp -p {file} /tmp/good; echo 'nonsense: [' > {file}")
    post.machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
    post.until(lambda: post.restarts() >= 4, "three attempts")
    post.site.until(lambda: not post.site.board.closed, "the lease to end", OPENS_S)
    assert post.site.board.changes[-1].lapsed
    post.until(
        lambda: "4 times in a row: waiting 10 s" in post.machine.run("journalctl", "-u", UNIT), "the pause to grow"
    )
    post.machine.shell(f"cp -p /tmp/good {file}")
    post.site.until(lambda: post.site.board.closed, "the session to go on", 120.0)
    post.until_more_events()
    post.stop_charging()

    post.judge()
    assert post.interruptions() == 3


JOURNAL = "systemd-journald.service"
SOCKETS = "systemd-journald.socket systemd-journald-dev-log.socket"


def test_a_journal_that_hangs_or_is_away_stops_nobody(post: Post) -> None:
    """In the middle of a session: stopped as by a debugger, then ended with its sockets, then there again."""
    post.start()
    post.csms.wait_for("BootNotification")
    post.plug_in_and_swipe()
    post.until_more_events()
    main = post.machine.show("MainPID")

    post.machine.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", JOURNAL)
    post.csms.disconnect()
    post.until_more_events(3)
    post.machine.run("systemctl", "kill", "--kill-who=main", "--signal=CONT", JOURNAL)
    post.until(lambda: post.entries("EVENT=link.down"), "the journal to hear of it")
    post.machine.shell(f"systemctl stop {SOCKETS} {JOURNAL}; rm -f /run/systemd/journal/socket")
    post.csms.disconnect()
    post.until_more_events(3)
    assert post.machine.status()["store"] == "ok"
    assert (post.interruptions(), post.restarts(), post.machine.show("MainPID")) == (0, 0, main)
    post.machine.shell(f"systemctl start {SOCKETS} {JOURNAL}")
    post.stop_charging()

    events = post.judge()
    ended = f"TRANSACTION_ID={events[0]['transactionInfo']['transactionId']}"
    post.until(lambda: post.entries("EVENT=transaction.ended", ended), "the journal to take events again")


def test_without_a_network_at_the_start_and_again_later_every_event_arrives(post: Post) -> None:
    """The one interface is down: at the first start, and again while the service is restarted in a session."""
    post.machine.network(up=False)
    post.start()
    post.plug_in_and_swipe()
    post.meanwhile()
    assert post.machine.run("ocpp-station", "status", "--health", check=False).startswith("link: ")
    post.machine.network(up=True)
    assert post.csms.wait_for("BootNotification", 1, 60.0)[0]["reason"] == "PowerUp"
    post.until_more_events(4)
    assert post.interruptions() == 0

    post.machine.network(up=False)
    post.meanwhile()
    post.machine.run("systemctl", "restart", UNIT)
    post.site.until(lambda: post.site.board.power_w > 0, "the session to go on", 60.0)
    post.meanwhile()
    post.machine.network(up=True)
    post.csms.wait_for("BootNotification", 2, 60.0)
    post.until_more_events(4)
    post.stop_charging()

    events = post.judge()
    offline = [each.get("offline", False) for each in events]
    assert offline[0], "it was told as if it had been online"
    assert not offline[-1]
    assert offline.count(True) >= 4
    assert post.restarts() == 0


@pytest.fixture(scope="module")
def clock(place: tuple[Machine, Site], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The lines of a unit whose process sees a clock that can be set."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: a clock that is set NOT TESTED")
    library = tmp_path_factory.mktemp("clock") / "jumping-clock.so"
    command = ["gcc", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("jumping_clock.c"))]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603 - our own
    shutil.copy(library, place[0].root / "opt" / library.name)
    return f"Environment=LD_PRELOAD=/opt/{library.name}\n"


def test_a_clock_that_is_set_moves_nothing_that_happens(post: Post, clock: str) -> None:
    """A day ahead and a day back, while a vehicle charges and at a start; by the clock that the CSMS tells all is told.

    The process sees such a clock, no other does. What else could hang on it are timers of the kernel: there are none.
    """
    begun = datetime.now(UTC)
    post.set_up(clock)
    set_clock(post, timedelta(0))
    post.start()
    post.csms.wait_for("BootNotification")
    post.plug_in_and_swipe()
    post.until_more_events()
    main = post.machine.show("MainPID")
    timers = post.machine.shell(f"cat /proc/{main}/timers /proc/{main}/fdinfo/* | grep -i clockid || true")
    assert "clockid: 0" not in timers.lower()

    for by in (timedelta(days=1), timedelta(days=-1)):
        set_clock(post, by)
        post.until_more_events(3)
        assert (post.interruptions(), post.machine.show("MainPID")) == (0, main)
    for number, by in enumerate((timedelta(days=1), timedelta(days=-1)), 2):
        set_clock(post, by)
        post.machine.run("systemctl", "restart", UNIT)
        post.csms.wait_for("BootNotification", number, 60.0)
        post.until_more_events(3)
    post.stop_charging()
    corrected = [float(each["BY_S"]) for each in post.entries("EVENT=clock.stepped", f"--since=@{begun.timestamp()}")]
    assert any(abs(by_s + 86400) < 60 for by_s in corrected), f"it has not seen that clock: {corrected}"

    events = post.judge()
    times = [moment(each["timestamp"]) for each in events]
    assert begun < times[0]
    assert times[-1] < datetime.now(UTC)
    assert max(other - one for one, other in pairwise(times)) < timedelta(seconds=30)
    values = [each.at for each in energy(events)]
    assert begun - timedelta(seconds=5) < min(values)
    assert max(values) < datetime.now(UTC)


def test_what_happened_before_the_time_was_known_is_told_by_the_right_time(post: Post, clock: str) -> None:
    """The machine starts in 1970 and without a CSMS; the first one that answers tells what time it was."""
    post.csms_goes()
    post.set_up(clock)
    set_clock(post, datetime.fromtimestamp(10, UTC) - datetime.now(UTC))
    post.start()
    plugged = datetime.now(UTC)
    post.plug_in_and_swipe()
    assert post.machine.status()["clock"] == "not yet trusted"
    post.meanwhile()
    charged = datetime.now(UTC)
    post.csms_returns()
    post.until_more_events(4)
    assert post.machine.status()["clock"] == "BootNotification"
    post.stop_charging()

    started = moment(post.judge()[0]["timestamp"])
    assert plugged - timedelta(seconds=2) < started < charged
    corrected = float(post.entries("EVENT=clock.stepped")[-1]["BY_S"])
    assert abs(charged.timestamp() - BUILT - corrected) < 60, "it has not seen that clock"
    assert post.restarts() == 0


def test_the_agent_has_the_clock_set_by_somebody_who_can_do_nothing_else(post: Post, clock: str) -> None:
    """Under the shipped units, without any right of its own. The last step, the kernel's leave, no container has."""
    helper = "/etc/systemd/system/ocpp-station-clock@.service.d/90-test.conf"
    outside = "[Service]\nCapabilityBoundingSet=\nAmbientCapabilities=\nSystemCallErrorNumber=EUCLEAN\n"
    post.machine.put(helper, f"{outside}{clock}ReadWritePaths=/etc/clock-is-off-by\n")
    post.set_up(clock, more="clock: {set_system_clock: true}\n")
    set_clock(post, timedelta(hours=1))
    post.machine.shell("chmod 666 /etc/clock-is-off-by")

    post.start()
    post.csms.wait_for("BootNotification")
    post.until(lambda: abs(int(post.machine.run("cat", "/etc/clock-is-off-by"))) <= 1, "the clock to be set")

    assert "CapBnd:\t0000000000000000" in post.machine.shell(f"cat /proc/{post.machine.show('MainPID')}/status")
    post.machine.put(helper, outside)
    post.machine.run("systemctl", "daemon-reload")
    assert ask_setter(post, "1e9") == "no clock shows such a time and is right"
    assert ask_setter(post, str(time.time() - time.monotonic())) == "Operation not permitted", "not by its own filter"
    post.machine.run("systemctl", "stop", "ocpp-station-clock.socket")
    assert not (post.machine.root / "run/ocpp-station-clock.sock").exists()


def ask_setter(post: Post, ahead: str) -> str:
    """What it says to somebody who is let at its socket."""
    talk = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/ocpp-station-clock.sock'); "
    talk += "s.sendall(sys.argv[1].encode() + b'\\n'); print(s.makefile().read().strip())"
    return post.machine.run("python3", "-c", talk, ahead).strip()


def set_clock(post: Post, by: timedelta) -> None:
    """Off by so much from now on, at once."""
    post.machine.put("/etc/clock-is-off-by.new", f"{round(by.total_seconds())}\n")
    post.machine.shell("mv /etc/clock-is-off-by.new /etc/clock-is-off-by")
