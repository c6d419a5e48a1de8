"""A simulated wallbox as an installer leaves it: the package on a machine that boots, commissioned from a file.

    with LiveCsms(password=PASSWORD) as csms, HttpServer() as web:
        box = Wallbox(folder, Around(csms, web), installed(tmp_path_factory))
        box.machine.boot()
        box.commission(HARDWARE.format(more=""))
        box.start()

The machine shares the loopback of whoever runs the test; CSMS and server of files are there.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tests.agent import PASSWORD
from tests.fileservers import HttpServer
from tests.live_csms import LiveCsms
from tests.scenarios.l_firmware.updates import Manufacturer
from tests.system.machine import DROP_INS, UNIT, Machine
from tests.wire_order import Payload

HARDWARE = """\
station: {{vendor: Example, model: Wallbox}}
csms:
  security_profile: 1
state_directory: /var/lib/ocpp-station
control_socket: /run/ocpp-station/control.sock
transfers: {{this_machine: true}}
variables:
- {{component: OCPPCommCtrlr, variable: RetryBackOffWaitMinimum, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRandomRange, value: 0}}
- {{component: TxCtrlr, variable: TxStartPoint, value: EVConnected}}
- {{component: TxCtrlr, variable: TxStopPoint, value: EVConnected}}
- {{component: TxCtrlr, variable: TxBeforeAcceptedEnabled, value: true}}
- {{component: SampledDataCtrlr, variable: TxUpdatedInterval, value: 1}}
{more}"""
"""What the manufacturer writes: no name, no CSMS, no password."""

ANSWERS = """\
identity: CS001
serial: "4711"
url: {url}
password: {password}
vendor: Example
model: Wallbox
security_profile: 1
"""
"""What the installer brings along."""

SHORT = "[Service]\nRestartSec=0.3\n"
"""All that is not as shipped: five seconds between two starts are only waiting."""

PLACE = "/firmware/new"
PATIENCE_S = 20.0


class Around(NamedTuple):
    """What is on the network."""

    csms: LiveCsms
    web: HttpServer


class Wallbox:
    """One station. Its machine is off."""

    def __init__(self, folder: Path, around: Around, below: Path | None = None) -> None:
        self.machine = Machine(folder / "machine", below)
        self.csms, self.web = around
        self.maker = Manufacturer(folder / "maker")
        self.state = self.machine.root / "var/lib/private/ocpp-station"
        self._updates = 0

    @property
    def python(self) -> str:
        """The machine's, as 3.11."""
        return self.machine.run("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()

    def commission(self, hardware: str) -> str:
        """As docs/commission.md says, with nobody there; then what the service may touch is written from the file."""
        self.machine.put("/srv/hardware.yaml", hardware)
        self.machine.put("/srv/answers.yaml", ANSWERS.format(url=self.csms.url, password=PASSWORD), 0o600)
        words = ("--base", "/srv/hardware.yaml", "--answers", "/srv/answers.yaml", "--yes")
        told = self.machine.run("ocpp-station", "commission", *words)
        self.machine.put(f"{DROP_INS}/90-short.conf", SHORT)
        self.machine.shell(f"ocpp-station drop-in > {DROP_INS}/10-station.conf; systemctl daemon-reload")
        return told

    def start(self) -> None:
        """The service, up to the CSMS's answer; and the CSMS tells whom to believe about firmware (M05)."""
        self.machine.run("systemctl", "start", UNIT)
        self.until(self.boots, "a BootNotification")
        root = {"certificateType": "ManufacturerRootCertificate", "certificate": self.maker.root.root_pem}
        assert self.csms.call("InstallCertificate", root)["status"] == "Accepted"

    def restart(self, old: str, new: str) -> None:
        """The file is changed, and the service told to read it."""
        path = self.machine.root / "etc/ocpp-station/station.yaml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
        self.machine.run("systemctl", "restart", UNIT)

    # --- power

    def cut_power_when(self, moment: Callable[[], object], what: str) -> None:
        """In this very moment. `machine.boot` lets it come back."""
        self.until(moment, what)
        self.machine.cut_power()

    def cut_power_as_it_tells(self, status: str, begin: Callable[[], object]) -> None:
        """Of an update: before the CSMS can answer, so that nothing that comes after it is told."""
        cut = threading.Event()

        def hear(payload: Payload) -> Payload | None:
            if payload["status"] != status:
                return {}
            self.machine.cut_power()
            cut.set()
            return None

        self.csms.script.on("FirmwareStatusNotification", hear)
        begin()
        self.until(cut.is_set, status)
        self.csms.script.default("FirmwareStatusNotification")

    def until(self, moment: Callable[[], object], what: str) -> None:
        """Looked for again and again."""
        self.machine.until(moment, what)
        self.csms.until(lambda: True)  # whatever was sent has broken no rule

    def until_silent(self, boots: int) -> None:
        """It has started for this many times, and for a second it has had nothing to tell any more."""
        self.until(lambda: len(self.boots()) >= boots, "a start")
        heard, since = 0, 0.0

        def silent() -> bool:
            nonlocal heard, since
            if len(self.csms.script.log) != heard:
                heard, since = len(self.csms.script.log), time.monotonic()
            return time.monotonic() - since > 1

        self.until(silent, "silence")

    # --- whoever stands before it

    def plug_in(self) -> str:
        """A vehicle; the transaction that begins. Asked again while no agent is there."""
        self.until(lambda: not self.transaction() and self._ask("plug_in", evse=1, current_a=16).get("ok"), "an agent")
        self.until(self.transaction, "a transaction")
        return self.transaction()

    def charge(self) -> str:
        """A vehicle, a card, current."""
        session = self.plug_in()
        self.swipe()
        return session

    def swipe(self) -> None:
        """A card, until current flows."""
        assert self._ask("swipe", id_token="04AABBCC", evses=[1])["ok"]
        self.until(lambda: self._evse().get("transaction", {}).get("charging_state") == "Charging", "current")

    def leave(self) -> None:
        """The vehicle goes."""
        assert self._ask("unplug", evse=1)["ok"]

    def transaction(self) -> str:
        """What runs; empty if nothing, or no agent."""
        return str(self._evse().get("transaction", {}).get("id", ""))

    @property
    def version(self) -> str:
        """Of the agent that runs; empty if none."""
        return str(self._ask("status").get("version", ""))

    def _evse(self) -> dict[str, Any]:
        evse: dict[str, Any] = (self._ask("status").get("evses") or [{}])[0]
        return evse

    def _ask(self, cmd: str, **fields: object) -> dict[str, Any]:
        """By the control socket; empty if there is none, or its agent ends just then."""
        try:
            with socket.socket(socket.AF_UNIX) as wire:
                wire.settimeout(PATIENCE_S)
                wire.connect(str(self.machine.inside / "run/ocpp-station/control.sock"))
                wire.sendall(json.dumps({"cmd": cmd, **fields}).encode() + b"\n")
                with wire.makefile("rb") as stream:
                    answer: dict[str, Any] = json.loads(stream.readline())
                    return answer
        except (OSError, json.JSONDecodeError):
            return {}

    # --- firmware

    def order(self, content: bytes, signed: bytes | None = None) -> None:
        """UpdateFirmware, accepted. `signed`: what the signature is over, if something else."""
        self._updates += 1
        self.web.files[PLACE] = content
        firmware = {
            "location": self.web.url(PLACE),
            "retrieveDateTime": (datetime.now(UTC) - timedelta(hours=2)).isoformat(),
            "signingCertificate": self.maker.certificate,
            "signature": self.maker.sign(content if signed is None else signed),
        }
        self.until(lambda: self.csms.connected, "the station")
        request = {"requestId": self._updates, "firmware": firmware, "retries": 3, "retryInterval": 1}
        answer = self.csms.call("UpdateFirmware", request)
        assert answer["status"] == "Accepted"

    def until_told(self, status: str) -> list[str]:
        """Of the last update; all that was told of it."""
        self.until(lambda: status in self.statuses(), status)
        return self.statuses()

    def statuses(self) -> list[str]:
        """What was told of the last update."""
        told = self.csms.script.received("FirmwareStatusNotification")
        return [each["status"] for each in told if each.get("requestId") == self._updates]

    def ends(self) -> list[str]:
        """The last status of each update that was told; nothing was told of any other one."""
        told = self.csms.script.received("FirmwareStatusNotification")
        last = {each["requestId"]: str(each["status"]) for each in told}
        assert sorted(last) == list(range(1, self._updates + 1))
        return [last[each] for each in sorted(last)]

    def security_events(self) -> list[str]:
        """All that were told."""
        return [each["type"] for each in self.csms.script.received("SecurityEventNotification")]

    def boots(self) -> list[tuple[str, str]]:
        """Each start that reached the CSMS: its reason, and the version."""
        told = self.csms.script.received("BootNotification")
        return [(each["reason"], each["chargingStation"]["firmwareVersion"]) for each in told]

    # --- the CSMS's account

    def sessions(self) -> dict[str, list[dict[str, Any]]]:
        """The events of each transaction, in their order, by its id."""
        told = [dict(each) for each in self.csms.script.received("TransactionEvent")]
        by_id = sorted(told, key=lambda each: (each["transactionInfo"]["transactionId"], each["seqNo"]))
        return {
            name: list(each) for name, each in groupby(by_id, lambda each: each["transactionInfo"]["transactionId"])
        }

    def until_complete(self, *sessions: str) -> None:
        """These and no other transactions were told, each from its Started to its Ended, with nothing left out."""
        ended = set(sessions)
        self.until(lambda: ended <= {name for name, told in self.sessions().items() if _whole(told)}, "the account")
        assert {name: _whole(told) for name, told in self.sessions().items()} == dict.fromkeys(sessions, True)


def charges_once(box: Wallbox) -> str:
    """From plug to plug."""
    session = box.charge()
    box.leave()
    box.until(lambda: not box.transaction(), "the end")
    return session


def _id(event: dict[str, Any]) -> str:
    return str(event["transactionInfo"]["transactionId"])


def _whole(told: list[dict[str, Any]]) -> bool:
    kinds = [each["eventType"] for each in told]
    numbers = sorted({each["seqNo"] for each in told})
    return (kinds[0], kinds[-1], kinds.count("Ended"), numbers) == ("Started", "Ended", 1, list(range(len(told))))
