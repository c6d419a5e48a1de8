"""A charging post whose controller is a machine of its own (`machine.py`): the package, real wires, a CSMS.

post.start()
post.plug_in_and_swipe()        # until current flows
post.stop_charging()
post.judge()
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.agent import PASSWORD
from tests.live_csms import LiveCsms
from tests.system.machine import DROP_INS, UNIT, Machine
from tests.system.rig import DRIVER, energy, moment
from tests.system.site import Site
from tests.wire_order import Payload

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
STATE = "/var/lib/private/ocpp-station"


class Post:
    """The machine, what hangs on its wires, and the CSMS of one test."""

    def __init__(self, machine: Machine, site: Site, csms: LiveCsms) -> None:
        self.machine = machine
        self.site = site
        self.csms = csms
        self._changes = len(site.board.changes)

    def set_up(self, unit: str = "", more: str = "") -> None:
        """As an installer does; `unit` is one more drop-in, `more` is for station.yaml."""
        machine = self.machine
        machine.put("/etc/ocpp-station/station.yaml", STATION.format(url=self.csms.url) + more)
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


def wires(folder: Path) -> list[str]:
    """How a machine is booted that hangs on the wires of the `Site` in this folder."""
    ends = {name: (folder / name).resolve() for name in ("can", "rs485", "reader")}
    for end in ends.values():
        end.chmod(0o666)
    return [f"--bind={end}:/dev/{name}" for name, end in ends.items()]


def transaction(machine: Machine) -> dict[str, Any]:
    """What runs at the EVSE; empty if nothing or no agent."""
    done = machine.tried("ocpp-station", "status", "--json")
    told: dict[str, Any] = json.loads(done.stdout)["evses"][0].get("transaction", {}) if done.returncode == 0 else {}
    return told
