"""A whole installation for system tests: the agent as a process, its devices on ptys, a CSMS behind mutual TLS.

    with Rig(tmp_path) as rig:
        rig.charge_by_cable_first()
        rig.stop()
        rig.judge()

`judge` is what every session must stand up to, whatever was pulled out of it meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from certs.throwaway import Authority, Wish
from tests.agent import Agent
from tests.live_csms import LiveCsms, server
from tests.system.site import Site
from tests.wire_order import Payload

DRIVER = "04A1B2C3D4E5F6"
PATIENCE_S = 20.0
CONSOLE_SCRIPT = (str(Path(sys.executable).with_name("ocpp-station")),)

LEASE_S = 10.0
RENEWAL_S = 6.0
"""A lease is renewed every 4 s; the rest is for a busy machine."""
SAMPLED_WITHIN = timedelta(seconds=2.5)
"""A value stands for a moment at most 2 s from its sampling."""
OPENS_S = 1.0
"""From a stop to the open contactor."""

CONFIG = """\
station: {{identity: CS001, vendor: Example, model: Post, serial: "4711"}}
csms:
  url: {url}
  security_profile: 3
  ca_file: root.pem
  certificate: station.pem
  key_file: station.key
state_directory: state
control_socket: control.sock
buses:
  rs485: {{kind: modbus-rtu, port: rs485, baud: 9600}}
  can: {{kind: can, interface: slcan, channel: can, bitrate: 250000}}
boards:
  board: {{driver: can, bus: can}}
meters:
  meter: {{driver: modbus, bus: rs485, template: eastron-sdm630, address: 1}}
readers:
  reader: {{driver: pn532, port: reader, debounce_s: 0.3, check_s: 2}}
evses:
- {{board: board, meter: meter, max_current_a: 16, connectors: [{{type: sType2, lock: true}}]}}
meter_period_s: 5
variables:
- {{component: TxCtrlr, variable: TxStartPoint, value: "EVConnected,Authorized"}}
- {{component: TxCtrlr, variable: TxStopPoint, value: "EVConnected,Authorized"}}
- {{component: SampledDataCtrlr, variable: TxUpdatedInterval, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffWaitMinimum, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRandomRange, value: 0}}
{more}"""


class Reading(NamedTuple):
    """An energy register in a TransactionEvent."""

    at: datetime
    context: str
    wh: float


class Post(Agent):
    """The agent of a charging post with real drivers, started by the console script."""

    def __init__(self, folder: Path, url: str, more: str) -> None:
        super().__init__(folder, url)
        self.program = CONSOLE_SCRIPT
        ports = {name: str(folder / name) for name in ("rs485", "can", "reader")}
        text = CONFIG.format(url=url, more=more)
        for name, port in ports.items():
            text = text.replace(f"port: {name}", f"port: {port}").replace(f"channel: {name}", f"channel: {port}")
        (folder / "station.yaml").write_text(text, "utf-8")


class Rig:
    """Agent, site and CSMS; all of it is ended with the `with`, whatever happens."""

    def __init__(self, folder: Path, more: str = "") -> None:
        pki = Authority.create("Test root", folder)
        pki.issue("CS001", Wish(organization="Example"))
        (folder / "CS001.pem").rename(folder / "station.pem")
        (folder / "CS001.key").rename(folder / "station.key")
        (folder / "root.pem").write_text(pki.root_pem, "ascii")
        self.site = Site(folder)
        self.csms = LiveCsms(tls=server(pki, client_root=pki.root_pem), compression="deflate")
        self.agent = Post(folder, self.csms.url, more)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.callback(self._tell)
            opening.enter_context(self.csms)
            opening.enter_context(self.site)
            opening.enter_context(self.agent)
            self.until_ready()
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, value, trace)

    def _tell(self) -> None:
        """What went on, for pytest to show when a test has failed."""
        sys.stderr.write(self.agent.log)
        for entry in sorted([*self.site.board.changes, *self.site.board.leases], key=lambda each: each[0]):
            sys.stderr.write(f"{entry}\n")
        for frame in self.csms.script.log:
            sys.stderr.write(f"{frame.at:%T.%f} {frame.by} {frame.kind} {frame.action} {frame.content}\n")

    # --- waiting

    def until_ready(self, boots: int = 1) -> None:
        """The CSMS has accepted the station and knows its connector."""
        self.csms.wait_for("BootNotification", boots)
        self.csms.until(lambda: self.status() == "Available", "the connector to be Available")

    def statuses(self) -> list[str]:
        """What the CSMS was told of the connector, without the Unavailable of a board that is not heard yet."""
        told = [each["connectorStatus"] for each in self.csms.script.received("StatusNotification")]
        return told[1:] if told[:1] == ["Unavailable"] else told

    def status(self) -> str:
        """The connector's status as the CSMS knows it."""
        return (self.statuses() or [""])[-1]

    def until_status(self, status: str) -> None:
        """The CSMS knows the connector as this."""
        self.csms.until(lambda: self.status() == status, f"the connector to be {status}")

    def events(self, trigger: str | None = None) -> list[Payload]:
        """The TransactionEvents so far, repetitions left out."""
        told = self.csms.script.received("TransactionEvent")
        return [each for each in told if trigger in {None, each["triggerReason"]}]

    def causes(self) -> list[str]:
        """Why there was a TransactionEvent, the periodic ones left out."""
        reasons = [event["triggerReason"] for event in self.events()]
        return [reason for reason in reasons if reason != "MeterValuePeriodic"]

    def until_event(self, what: str, holds: Callable[[Payload], Any]) -> Payload:
        """Wait for a TransactionEvent of which this holds; the last such."""
        self.csms.until(lambda: any(map(holds, self.events())), what)
        return [each for each in self.events() if holds(each)][-1]

    def until_more(self, trigger: str, more: int = 2) -> None:
        """Wait for so many more TransactionEvents with this trigger."""
        count = len(self.events(trigger)) + more
        self.csms.until(lambda: len(self.events(trigger)) >= count, f"{more} more {trigger}")

    # --- what a driver does

    def charge_by_cable_first(self) -> None:
        """Plug in, show the card, charge; some energy has been told."""
        self.site.plug_in()
        self.until_event("Started by the cable", lambda event: event["triggerReason"] == "CablePluggedIn")
        self.site.card(DRIVER)
        self.until_charging()

    def charge_by_card_first(self) -> None:
        """Show the card, plug in, charge; some energy has been told."""
        self.site.card(DRIVER)
        self.until_event("Started by the card", lambda event: event["triggerReason"] == "Authorized")
        self.site.plug_in()
        self.until_charging()

    def until_charging(self) -> None:
        """Energy flows and is told."""
        self.site.until(lambda: self.site.board.power_w > 0, "current")
        self.until_event("Charging", lambda event: event["transactionInfo"].get("chargingState") == "Charging")
        self.until_more("MeterValuePeriodic")

    def stop(self) -> Payload:
        """Show the card again, take the cable out; the Ended."""
        self.site.card(DRIVER)
        ended = self.csms.wait_for("TransactionEvent/Ended")[-1]
        self.site.plug_out()
        self.until_status("Available")
        return ended

    # --- the CSMS

    def csms_goes(self) -> None:
        """The CSMS hangs up and answers every attempt with 503."""
        self.csms.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
        self.csms.disconnect()

    def csms_returns(self) -> None:
        """It takes the station back."""
        self.csms.refuse_with = None
        self.csms.until(lambda: self.csms.connected, "the station to return")

    # --- what must always hold

    def judge(self, closings: int = 1) -> None:
        """One transaction, whole and paid for as the meter counted it, and current only while it was allowed.

        That every frame was valid and in its place (schemas, one CALL at a time, seqNo, Started and Ended) the CSMS has
        judged as they came.
        """
        self._judge_transaction()
        self._judge_energy()
        self._judge_contactor(closings)

    def _judge_transaction(self) -> None:
        events = self.events()
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        kinds = [event["eventType"] for event in events]
        assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"]
        assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1
        tokens = [event["idToken"]["idToken"] for event in events if "idToken" in event]
        assert set(tokens) <= {DRIVER}
        assert tokens, "nobody knows who pays"

    def _judge_energy(self) -> None:
        meter, readings = self.site.meter, energy(self.events())
        told = [each.wh for each in meter.told]
        strange = [each for each in readings if each.wh not in told]
        assert not strange, f"the meter never showed {strange}"
        ended = energy(self.events()[-1:])
        assert [each.context for each in ended] == ["Transaction.Begin", "Transaction.End"]
        closed = self.site.board.changes[0].at
        before = [each.wh for each in meter.told if each.at < closed]
        assert ended[0].wh == before[-1], "the session did not begin with what the meter showed before it"
        begun = [each for each in readings if each.context == "Transaction.Begin"]
        assert {each.wh for each in begun} == {ended[0].wh}
        assert len(begun) == 2, "the start value is told once, and again in Ended"
        updates = [each for each in readings if each.context == "Sample.Periodic"]
        assert all(one.wh <= other.wh for one, other in itertools.pairwise(updates))
        for each in updates:
            shown = [told.at for told in meter.told if told.wh == each.wh]
            assert any(abs(at - each.at) < SAMPLED_WITHIN for at in shown), f"told as of another time: {each}"
        assert ended[0].wh < ended[1].wh
        assert updates[-1].wh <= ended[1].wh

    def _judge_contactor(self, closings: int) -> None:
        changes, leases = self.site.board.changes, self.site.board.leases
        assert [change.closed for change in changes] == [True, False] * closings
        log = self.csms.script.log
        allowed = next(frame.at for frame in log if (frame.by, frame.action) == ("csms", "Authorize"))
        assert changes[0].at > max(allowed, self.site.plugged_at), "closed before card and cable"
        assert all(lease.seconds <= LEASE_S for lease in leases)
        for on, off in zip(changes[::2], changes[1::2], strict=True):
            covering = [lease for lease in leases if lease.at <= off.at and ends(lease) > on.at]
            assert covering, "closed without a lease"
            assert off.at <= max(map(ends, covering)) + timedelta(seconds=0.2)

    def judge_end(self, ended: Payload) -> None:
        """After an orderly stop: the contactor opened at the instant of the stop, and the bill has its last word."""
        stopped = moment(ended["timestamp"])
        last = self.site.board.changes[-1]
        assert not last.closed
        assert not last.lapsed, "nobody opened the contactor: its lease ran out"
        assert last.at - stopped < timedelta(seconds=OPENS_S)
        shown = [each.wh for each in self.site.meter.told if each.at > last.at]
        assert energy([ended])[-1].wh in shown, "the last register was read while energy still flowed"


def ends(lease: Any) -> datetime:
    """When a lease ends by itself."""
    end: datetime = lease.at + timedelta(seconds=lease.seconds)
    return end


def moment(text: str) -> datetime:
    """A time of OCPP."""
    return datetime.fromisoformat(text).astimezone(UTC)


def energy(events: Sequence[Payload]) -> list[Reading]:
    """The import registers told in these events, in order."""
    return [
        Reading(moment(told["timestamp"]), value.get("context", "Sample.Periodic"), value["value"])
        for event in events
        for told in event.get("meterValue", ())
        for value in told["sampledValue"]
        if value.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
        and "phase" not in value
    ]
