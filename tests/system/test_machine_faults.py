"""A charging post in a machine of its own, and what goes wrong around it: disk, clock, network, hangs, crashes.

Debian's systemd runs the package under the shipped unit. Board, meter, reader and car are outside, on ptys, so that
they go on when the agent does not; so is the CSMS, in the network of the machine.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.agent import PASSWORD
from tests.live_csms import LiveCsms
from tests.system import machine as machines
from tests.system.machine import DROP_INS, UNIT, Machine, needs_machine
from tests.system.rig import DRIVER, energy, moment
from tests.system.site import Site
from tests.wire_order import Payload

pytestmark = [pytest.mark.system, needs_machine]

STATION = """\
station: {{identity: CS001, vendor: Example, model: Post}}
csms: {{url: "{url}", security_profile: 1, password_file: password}}
state_directory: /var/lib/ocpp-station
control_socket: /run/ocpp-station/control.sock
buses:
  rs485: {{kind: modbus-rtu, port: /dev/rs485, baud: 9600}}
  can: {{kind: can, interface: slcan, channel: /dev/can, bitrate: 250000}}
boards: {{board: {{driver: can, bus: can}}}}
meters: {{meter: {{driver: modbus, bus: rs485, template: eastron-sdm630, address: 1}}}}
readers: {{reader: {{driver: pn532, port: /dev/reader, debounce_s: 0.3}}}}
evses:
- {{board: board, meter: meter, max_current_a: 16, connectors: [{{type: sType2, lock: true}}]}}
meter_period_s: 1
resume_transactions: true
variables:
- {{component: TxCtrlr, variable: TxStartPoint, value: "EVConnected,Authorized"}}
- {{component: TxCtrlr, variable: TxStopPoint, value: "EVConnected,Authorized"}}
- {{component: TxCtrlr, variable: TxBeforeAcceptedEnabled, value: true}}
- {{component: AuthCtrlr, variable: OfflineTxForUnknownIdEnabled, value: true}}
- {{component: SampledDataCtrlr, variable: TxUpdatedInterval, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffWaitMinimum, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRandomRange, value: 0}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRepeatTimes, value: 0}}
"""
PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
STATE = "/var/lib/private/ocpp-station"
OPENS_S = 12.0
"""A lease of ten seconds, and what a busy machine takes."""


class Post:
    """The machine, what hangs on its wires, and the CSMS of one test."""

    def __init__(self, machine: Machine, site: Site, csms: LiveCsms) -> None:
        self.machine = machine
        self.site = site
        self.csms = csms
        self._changes = len(site.board.changes)

    def set_up(self, unit: str = "") -> None:
        """As an installer does; `unit` is one more drop-in."""
        machine = self.machine
        machine.put("/etc/ocpp-station/station.yaml", STATION.format(url=self.csms.url))
        machine.shell("chown root:ocpp-station /etc/ocpp-station/station.yaml")
        machine.put("/etc/ocpp-station/password", PASSWORD + "\n", 0o600)
        machine.put(f"{DROP_INS}/90-short.conf", f"[Service]\nRestartSec=0.3\n{unit}")
        machine.shell(f"ocpp-station drop-in > {DROP_INS}/10-station.conf; systemctl daemon-reload")

    def start(self) -> None:
        """The service; it is ready when this returns."""
        self.machine.run("systemctl", "start", UNIT)

    def clear(self) -> None:
        """As before the test."""
        self.site.plug_out()
        self.machine.tried("systemctl", "stop", UNIT)
        self.machine.tried("umount", "-l", STATE)
        self.machine.shell(f"rm -rf {STATE}/* {DROP_INS}/*; systemctl reset-failed")
        self.machine.network(up=True)

    # --- what happens

    def plug_in_and_swipe(self) -> None:
        """Until the contactor is closed."""
        self.site.plug_in()
        self.machine.until(lambda: transaction(self.machine), "the cable to be seen")
        self.site.card(DRIVER)
        self.site.until(lambda: self.site.board.power_w > 0, "current")

    def stop_charging(self) -> None:
        """The card again; the cable, once the contactor is open."""
        self.site.card(DRIVER)
        self.site.until(lambda: not self.site.board.closed, "the contactor to open")
        self.site.plug_out()

    def csms_goes(self) -> None:
        """It hangs up and takes no connection."""
        self.csms.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
        self.csms.disconnect()

    def csms_returns(self) -> None:
        """It takes the station back."""
        self.csms.refuse_with = None

    # --- what is seen

    def meanwhile(self, seconds: int = 2) -> None:
        """The meter is read once a second, and once a second there is an event."""
        count = len(self.site.meter.told) + seconds
        self.site.until(lambda: len(self.site.meter.told) >= count, "the meter to be read")

    def store(self) -> str:
        """Where records go."""
        return str(self.machine.status()["store"])

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Ask again and again."""
        self.machine.until(condition, what)

    def until_more_events(self, more: int = 2) -> None:
        """The CSMS hears of the transaction."""
        count = len(self.events()) + more
        self.csms.until(lambda: len(self.events()) >= count, f"{more} more events", 60.0)

    def events(self) -> list[Payload]:
        """What the CSMS was told of transactions, what came twice once."""
        told: list[Payload] = self.csms.script.received("TransactionEvent")
        return list({(each["transactionInfo"]["transactionId"], each["seqNo"]): each for each in told}.values())

    def entries(self, *matches: str) -> list[dict[str, str]]:
        """What the journal has of it."""
        words = ("journalctl", "-o", "json", "--no-pager", *matches)
        return [json.loads(line) for line in self.machine.run(*words).splitlines()]

    def restarts(self) -> int:
        """How often systemd has started it again."""
        return int(self.machine.show("NRestarts"))

    def interruptions(self) -> int:
        """How often the contactor opened in this test."""
        return sum(not each.closed for each in self.site.board.changes[self._changes :])

    def judge(self) -> list[Payload]:
        """One transaction, told whole, in order, and paid for as the meter counted it."""
        self.csms.until(lambda: [each for each in self.events() if each["eventType"] == "Ended"], "the end", 60.0)
        events = sorted(self.events(), key=lambda each: int(each["seqNo"]))
        assert len({each["transactionInfo"]["transactionId"] for each in events}) == 1
        assert [each["seqNo"] for each in events] == list(range(len(events)))
        kinds = [each["eventType"] for each in events]
        assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"]
        times = [moment(each["timestamp"]) for each in events]
        assert all(one <= other for one, other in pairwise(times)), times
        registers = [each.wh for each in energy(events[:-1])]
        last = energy(events[-1:])[-1].wh
        assert all(one <= other for one, other in pairwise([*registers, last]))
        assert last in [each.wh for each in self.site.meter.told], "a register that the meter never showed"
        assert abs(last - self.site.do(lambda: self.site.board.wh)) < 1.0, "energy that nobody pays for"
        return events


def transaction(machine: Machine) -> dict[str, Any]:
    """What runs at the EVSE; empty if nothing or no agent."""
    done = machine.tried("ocpp-station", "status", "--json")
    told: dict[str, Any] = json.loads(done.stdout)["evses"][0].get("transaction", {}) if done.returncode == 0 else {}
    return told


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Site]]:
    """The machine with its wires, booted once, in a network of its own."""
    folder = tmp_path_factory.mktemp("place")
    with Site(folder) as site, contextlib.ExitStack() as opened:
        machine = Machine(folder / "machine", machines.installed(tmp_path_factory))
        opened.callback(machine.end)
        wires = {name: (folder / name).resolve() for name in ("can", "rs485", "reader")}
        for wire in wires.values():
            wire.chmod(0o666)
        machine.boot("--private-network", *(f"--bind={wire}:/dev/{name}" for name, wire in wires.items()))
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
    """It fills up while a vehicle charges and no CSMS is there; the agent is killed on it; then there is room again."""
    post.machine.shell(f"mkdir -p {STATE}; mount -t tmpfs -o size=4m,mode=700 tmpfs {STATE}")
    post.start()
    post.csms.wait_for("BootNotification")
    post.plug_in_and_swipe()
    post.until_more_events()
    post.csms_goes()
    post.meanwhile()

    fill(post)
    post.meanwhile()
    post.machine.shell(f"rm {STATE}/fill")
    post.until(lambda: post.store() == "ok", "the store to recover")
    recovered = datetime.now(UTC)
    assert (post.interruptions(), post.restarts()) == (0, 0)

    fill(post)
    post.machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
    post.until(lambda: post.restarts() == 1 and transaction(post.machine), "it to run on a full disk")
    post.site.until(lambda: post.site.board.closed, "the session to go on")
    assert post.store() != "ok"
    post.machine.shell(f"rm {STATE}/fill")
    post.until(lambda: post.store() == "ok", "the store to recover")
    post.csms_returns()
    post.until_more_events()
    post.stop_charging()

    events = post.judge()
    times = [moment(each["timestamp"]) for each in events]
    before = [one for one in times if one < recovered]
    assert max(other - one for one, other in pairwise(before)) < timedelta(seconds=6), "what was in memory is lost"
    assert recovered - before[-1] < timedelta(seconds=6)
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
    post.machine.shell(f"cp -p {file} /root/good; echo 'nonsense: [' > {file}")
    post.machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
    post.until(lambda: post.restarts() >= 4, "three attempts")
    post.site.until(lambda: not post.site.board.closed, "the lease to end", OPENS_S)
    assert post.site.board.changes[-1].lapsed
    post.machine.shell(f"cp -p /root/good {file}")
    post.site.until(lambda: post.site.board.closed, "the session to go on")
    post.until_more_events()
    post.stop_charging()

    post.judge()
    assert post.interruptions() == 3
