"""A model-based test of transactions: people, vehicles, CSMS, faults, power and clock in any order (block E, J02).

The machine does what can be done to a station; the rules that its record must obey are in records.py, and what the
hardware may show is checked after every deed. A short run belongs to every test run; a long one is `make model`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hal.api import Fault, MeterReading
from station.effects import TakeSample
from station.facts import VehicleStopped
from tests.bench import Bench
from tests.csms import Error
from tests.properties import records
from tests.scenarios.e_transactions.story import ALL_POINTS, CARD, OTHER_CARD, bay, invalid
from tests.scenarios.profiles import hold

POINTS = [
    ("PowerPathClosed", "EVConnected,Authorized"),
    ("EVConnected", "EVConnected"),
    ("EVConnected", "PowerPathClosed"),
    ("Authorized", "EVConnected,Authorized"),
    ("Authorized", "Authorized"),
    ("Authorized", "EVConnected"),
    ("EnergyTransfer", "PowerPathClosed"),
    ("ParkingBayOccupancy", "ParkingBayOccupancy"),
    ("ParkingBayOccupancy,Authorized", "EVConnected,ParkingBayOccupancy"),
    ("EVConnected,Authorized", "EVConnected,EnergyTransfer"),
]
"""Combinations that no vehicle can leave without ending its transaction."""

FAULTS = [Fault.OVER_TEMPERATURE, Fault.GROUND_FAULT, Fault.EMERGENCY_STOP, Fault.LOCK_JAMMED, Fault.PILOT_LOST]
INTERVAL_S = 20

evses = st.sampled_from([1, 1, 1, 2])
yes_or_no = st.booleans()
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "25"))


class Watched(Bench):
    """A bench that remembers what its meters showed."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.registers: dict[int, set[float]] = {}
        super().__init__(*args, **more)

    def reading(self, wanted: TakeSample) -> MeterReading:
        """As the bench, and remembered."""
        found = super().reading(wanted)
        self.registers.setdefault(wanted.evse_id, set()).add(round(found.energy_import_mwh / 1000, 3))
        return found


class Errors(logging.Handler):
    """What the station logs as an error: it recovers from its own bugs, and a test must not overlook them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.seen.append(f"{record.getMessage()} {record.exc_info[1]!r}" if record.exc_info else record.getMessage())


class Transactions(RuleBasedStateMachine):
    """Two EVSEs, and everybody who has to do with them."""

    @initialize(
        points=st.sampled_from(POINTS),
        lock=yes_or_no,
        resume=yes_or_no,
        stops=yes_or_no,
        ev_side=yes_or_no,
        before=yes_or_no,
        allowance=st.sampled_from(["0", "50"]),
        clock=st.sampled_from([0.0, 0.0, -86_400.0 * 400, 3_600.0]),
    )
    def build(  # noqa: PLR0913 - what makes one station
        self,
        *,
        points: tuple[str, str],
        lock: bool,
        resume: bool,
        stops: bool,
        ev_side: bool,
        before: bool,
        allowance: str,
        clock: float,
    ) -> None:
        """A station, whose clock may be wrong before it hears the CSMS for the first time."""
        self.folder = tempfile.TemporaryDirectory()
        self.errors = Errors()
        logging.getLogger("station").addHandler(self.errors)
        self.dark_wh = dict.fromkeys((1, 2), 0.0)
        start, stop = points
        self.cable_waits = lock and not ev_side and stop == "Authorized"
        """A cable pulled off the vehicle stays locked for its owner, and the transaction with it (E10.FR.01)."""
        variables = {
            "TxCtrlr.TxStartPoint": start,
            "TxCtrlr.TxStopPoint": stop,
            "TxCtrlr.StopTxOnInvalidId": str(stops).lower(),
            "TxCtrlr.MaxEnergyOnInvalidId": allowance,
            "TxCtrlr.StopTxOnEVSideDisconnect": str(ev_side).lower(),
            "TxCtrlr.EVConnectionTimeOut": "60",
            "TxCtrlr.TxBeforeAcceptedEnabled": str(before).lower(),
            "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
            "SampledDataCtrlr.TxUpdatedInterval": str(INTERVAL_S),
            "SampledDataCtrlr.TxEndedInterval": "30",
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "1000",
            "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "1",
        }
        self.bench = Watched(
            Path(self.folder.name),
            evses=2,
            lock=lock,
            resume=resume,
            variables=variables,
            layout=ALL_POINTS,
            boot=False,
        )
        for number in (1, 2):
            self.bench.world.meter(number, energy_import_wh=1000.0 * number)
        self.misset(clock)
        self.bench.boot()

    # --- people and vehicles

    @rule(evse=evses, charge=yes_or_no)
    def plug_in(self, evse: int, charge: bool) -> None:  # noqa: FBT001 - given by hypothesis
        """A vehicle is connected, ready or not."""
        if self.bench.world.evse(evse).ev is None:
            self.bench.evse(evse).plug_in(charge=charge)

    @rule(evse=evses)
    def unplug(self, evse: int) -> None:
        """The cable is pulled off the vehicle."""
        if self.bench.world.evse(evse).ev is not None:
            self.bench.evse(evse).unplug()

    @rule(evse=evses, state=st.sampled_from(["charge", "charge", "pause"]))
    def wish(self, evse: int, state: str) -> None:
        """The vehicle wants energy, or none for now."""
        if self.bench.world.evse(evse).ev is not None:
            self.bench.evse(evse).ev(state)

    @rule(evse=evses, card=st.sampled_from([CARD, OTHER_CARD]), seconds=st.sampled_from([1.0, 30.0, 90.0]))
    def session(self, evse: int, card: str, seconds: float) -> None:
        """What mostly happens: somebody comes, plugs in, shows his card, and it charges for a while."""
        self.plug_in(evse=evse, charge=True)
        self.card(evse=evse, card=card)
        self.wait(seconds=seconds)

    @rule(evse=evses)
    def vehicle_stops(self, evse: int) -> None:
        """ISO 15118 SessionStop."""
        if self.bench.world.evse(evse).ev is not None:
            self.bench.hardware.tell(VehicleStopped(evse_id=evse, at=self.bench.now.instant))
            self.bench.settle()

    @rule(evse=evses, card=st.sampled_from([CARD, CARD, OTHER_CARD]))
    def card(self, evse: int, card: str) -> None:
        """A card is held to the reader of an EVSE."""
        self.bench.evse(evse).present_token(card)

    @rule(evse=evses, occupied=yes_or_no)
    def bay(self, evse: int, occupied: bool) -> None:  # noqa: FBT001 - given by hypothesis
        """The detector of the bay sees a vehicle or none; it is not blind to one that is plugged in."""
        bay(self.bench, occupied=occupied or self.bench.world.evse(evse).ev is not None, evse_id=evse)

    # --- the CSMS

    @rule(answer=st.sampled_from([None, invalid("Blocked"), Error("InternalError"), {}]))
    def judges_tokens(self, answer: Any) -> None:
        """Authorize is answered with Accepted ({}), something else, an error, or not at all."""
        self.bench.csms.on("Authorize", answer) if answer != {} else self.bench.csms.default("Authorize")

    @rule(answer=st.sampled_from([None, invalid(), invalid("Expired"), Error("InternalError"), {}, {}]))
    def judges_events(self, answer: Any) -> None:
        """The same with TransactionEvent."""
        self.bench.csms.on("TransactionEvent", answer) if answer != {} else self.bench.csms.default("TransactionEvent")

    @precondition(lambda self: self.bench.csms.connected)
    @rule(evse=evses, number=st.integers(1, 1000))
    def remote_start(self, evse: int, number: int) -> None:
        """RequestStartTransaction."""
        token = {"idToken": CARD, "type": "Central"}
        self.send("RequestStartTransaction", {"remoteStartId": number, "evseId": evse, "idToken": token})

    @precondition(lambda self: self.bench.csms.connected)
    @rule(evse=evses)
    def remote_stop(self, evse: int) -> None:
        """RequestStopTransaction."""
        transaction_id = self.bench.station.sessions.get(evse).transaction_id or "unknown"
        self.send("RequestStopTransaction", {"transactionId": transaction_id})

    @precondition(lambda self: self.bench.csms.connected)
    @rule(evse=evses, what=st.sampled_from(["TransactionEvent", "MeterValues", "StatusNotification"]))
    def trigger(self, evse: int, what: str) -> None:
        """TriggerMessage."""
        place = {"id": evse, "connectorId": 1} if what == "StatusNotification" else {"id": evse}
        self.send("TriggerMessage", {"requestedMessage": what, "evse": place})

    @precondition(lambda self: self.bench.csms.connected)
    @rule(evse=evses)
    def unlock(self, evse: int) -> None:
        """UnlockConnector."""
        self.send("UnlockConnector", {"evseId": evse, "connectorId": 1})

    @precondition(lambda self: self.bench.csms.connected)
    @rule(evse=evses, status=st.sampled_from(["Operative", "Inoperative"]))
    def availability(self, evse: int, status: str) -> None:
        """ChangeAvailability."""
        self.send("ChangeAvailability", {"operationalStatus": status, "evse": {"id": evse}})

    @precondition(lambda self: self.bench.csms.connected)
    @rule(kind=st.sampled_from(["Immediate", "OnIdle"]))
    def reset(self, kind: str) -> None:
        """Reset of the station."""
        self.send("Reset", {"type": kind})

    def send(self, action: str, payload: dict[str, Any]) -> None:
        """A CALL; whatever the station says to it."""
        self.bench.csms.send(action, payload)

    @rule(evse=evses, amperes=st.sampled_from([None, 0.0, 10.0, 32.0]))
    def limit(self, evse: int, amperes: float | None) -> None:
        """A profile or the load balancer changes what may be offered."""
        hold(self.bench, evse, amperes)

    # --- what breaks

    @rule(up=yes_or_no)
    def link(self, up: bool) -> None:  # noqa: FBT001 - given by hypothesis
        """The link comes or goes."""
        if self.bench.csms.connected != up:
            (self.bench.csms.connect if up else self.bench.csms.disconnect)()

    @rule(evse=evses, fault=st.sampled_from(FAULTS), on=yes_or_no)
    def fault(self, evse: int, fault: Fault, on: bool) -> None:  # noqa: FBT001 - given by hypothesis
        """Something breaks, or is mended."""
        self.bench.evse(evse).fault(fault, on=on)

    @rule(evse=evses, on=yes_or_no)
    def meter(self, evse: int, on: bool) -> None:  # noqa: FBT001 - given by hypothesis
        """A meter stops answering, or answers again."""
        if on and not self.bench.world.is_lost(f"meter-{evse}"):
            self.unmetered(evse)
        self.bench.world.lose(f"meter-{evse}", on=on)

    def unmetered(self, evse: int) -> None:
        """From now on energy may flow that no reading will have seen: everything until the end of the run."""
        self.dark_wh[evse] = float("inf")

    @rule(down_s=st.sampled_from([0.5, 3.0, 30.0]), clock=st.sampled_from([0.0, 0.0, -7200.0, 5400.0]))
    def power_cut(self, down_s: float, clock: float) -> None:
        """Kill -9; the clock may be wrong afterwards."""
        self.misset(clock)
        self.bench.crash(down_s=down_s)

    def misset(self, seconds: float) -> None:
        """The clock loses its time; the next start does not trust it until the CSMS has told the right one."""
        self.bench.offset += seconds
        self.bench.trusted = self.bench.trusted and not seconds

    # --- time

    @rule(seconds=st.sampled_from([0.3, 2.0, 11.0, 61.0, 200.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.bench.advance(seconds)

    # --- what must hold

    @invariant()
    def no_contactor_is_closed_that_must_not_be(self) -> None:
        """Closed means: plugged in, authorized, no grave fault, the start register in the table, and wanted."""
        for number in (1, 2):
            if not self.bench.evse(number).contactor_closed:
                continue
            session = self.bench.station.sessions.get(number)
            assert session.authorized
            assert session.plugged
            assert session.offering
            assert session.secured
            assert session.closing is None
            assert not session.suspended
            assert self.bench.world.evse(number).ev is not None
            row = self.bench.database.execute("SELECT count(*) FROM session WHERE evse_id = ?", (number,)).fetchone()
            assert row == (1,)

    @invariant()
    def no_bug_was_recovered_from(self) -> None:
        """The engine goes on after a bug; here it must have had none."""
        assert self.errors.seen == []

    @invariant()
    def the_record_so_far_obeys_the_rules(self) -> None:
        """Also before the end; what waits in the queue comes later."""
        for story in records.stories(self.bench.events()).values():
            records.check(story)

    def teardown(self) -> None:
        """Everything is mended and answered, everybody leaves, and the bill is right."""
        if not hasattr(self, "bench"):
            return
        try:
            self.everybody_leaves()
            self.the_bill_is_right()
        finally:
            logging.getLogger("station").removeHandler(self.errors)
            self.bench.station.db.connection.close()
            self.folder.cleanup()

    def everybody_leaves(self) -> None:
        """And nobody comes for a while."""
        for action in ("Authorize", "TransactionEvent"):
            self.bench.csms.default(action)
        for number in (1, 2):
            self.bench.world.lose(f"meter-{number}", on=False)
            for fault in FAULTS:
                self.bench.evse(number).fault(fault, on=False)
        self.link(up=True)
        for number in (1, 2):
            self.unplug(number)
            bay(self.bench, occupied=False, evse_id=number)
        self.bench.advance(minutes=10)
        if self.cable_waits:
            for number in (1, 2):
                self.remote_stop(evse=number)
            self.bench.advance(minutes=1)

    def the_bill_is_right(self) -> None:
        """One Started and one Ended each; told is what meters showed; what was delivered is billed, and no more."""
        assert self.errors.seen == []
        assert self.bench.station.sessions.running() == []
        assert not self.bench.csms.call("GetTransactionStatus")["messagesInQueue"]
        billed = dict.fromkeys((1, 2), 0.0)
        for story in records.stories(self.bench.events()).values():
            records.check(story)
            assert story[-1]["eventType"] == "Ended"
            evse = records.evse_of(story)
            if evse is not None:
                billed[evse] += records.billed_wh(story)
                assert records.registers(story) <= self.bench.registers[evse]
        for number in (1, 2):
            delivered = self.bench.evse(number).energy_wh - 1000.0 * number
            assert not self.bench.evse(number).contactor_closed
            assert -0.01 <= delivered - billed[number] <= self.dark_wh[number] + 0.01


TestTransactions = pytest.mark.timeout(60 + 10 * EXAMPLES)(Transactions.TestCase)
TestTransactions.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
