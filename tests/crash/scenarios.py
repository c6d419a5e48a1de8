"""What stations do, on a medium that records it, with a mark in the log for everything that left.

A scenario is a function of a bench; what it promises to outlive a power cut it marks by `promise`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hal.api import BoardEvent, Fault, MeterReading
from station.effects import TakeSample
from station.shell.outlet import Allow
from tests.bench import Bench
from tests.crash.recorder import VFS, Recorder
from tests.scenarios.e_transactions.story import bay
from tests.scenarios.profiles import clear, limit, put
from tests.scenarios.reservations import reserve, updates, used

VARIABLES = {
    "TxCtrlr.TxStartPoint": "PowerPathClosed",
    "TxCtrlr.TxStopPoint": "EVConnected,Authorized",
    "SampledDataCtrlr.TxUpdatedInterval": "30",
}
Scenario = Callable[[Bench], None]


class Sent(NamedTuple):
    """A mark: a frame left the station."""

    text: str


class Answered(NamedTuple):
    """A mark: the CSMS's answer arrived. A frame without it may have been lost on the wire, too."""

    message_id: str


class Closed(NamedTuple):
    """A mark: the board was permitted to close a contactor, for this transaction."""

    evse_id: int
    transaction_id: str | None


class Showed(NamedTuple):
    """A mark: what a charging point is like from now on. `plugged`: the connector with a vehicle, 0: none."""

    evse_id: int
    mwh: int
    closed: bool
    plugged: int


class Thins(NamedTuple):
    """A mark: from now on the queue may drop Updated events."""


class Promise(NamedTuple):
    """A mark: from now on this holds, in every later start."""

    holds: Callable[[Bench], bool]
    what: str


def promise(bench: Bench, holds: Callable[[Bench], bool], what: str) -> None:
    """Mark a promise, which must hold now."""
    assert holds(bench), f"{what} does not even hold at once"
    if isinstance(bench, MarkingBench):
        bench.recorder.mark(Promise(holds, what))


def kept(bench: Bench, table: str) -> set[str]:
    """The message ids in a table of the queue."""
    return {str(row[0]) for row in bench.database.execute(f"SELECT message_id FROM {table}").fetchall()}  # noqa: S608 - a constant


# --- what stations do


def card_after_cable(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=70)
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=10)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def cable_after_card_and_pulled_at_the_car(bench: Bench) -> None:
    bench.evse(2).present_token("04AABBCC")
    bench.advance(seconds=5)
    bench.evse(2).plug_in()
    bench.advance(seconds=40)
    bench.evse(2).unplug()
    bench.advance(seconds=10)


def two_at_once(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(2).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(seconds=65)
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(seconds=20)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def offline_from_beginning_to_end(bench: Bench) -> None:
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=65)
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    bench.csms.connect()
    bench.advance(seconds=5)


def the_csms_does_not_answer(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=5)
    bench.csms.silent("TransactionEvent")
    bench.advance(seconds=100)
    bench.csms.default("TransactionEvent")
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=6)


def the_csms_takes_the_permission_back(bench: Bench) -> None:
    """The card was in the cache; the CSMS says Blocked to the transaction's event (E05, C15)."""
    bench.csms.on("TransactionEvent", lambda told: {"idTokenInfo": {"status": "Blocked"}} if "idToken" in told else {})
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=40)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def started_and_stopped_from_afar(bench: Bench) -> None:
    token = {"idToken": "REMOTE", "type": "Central"}
    bench.csms.call("RequestStartTransaction", {"idToken": token, "remoteStartId": 7, "evseId": 1})
    bench.evse(1).plug_in()
    bench.advance(seconds=35)
    transaction = bench.events()[0]["transactionInfo"]["transactionId"]
    bench.csms.call("RequestStopTransaction", {"transactionId": transaction})
    bench.advance(seconds=10)


def a_fault_while_charging(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=20)
    bench.evse(1).fault(Fault.GROUND_FAULT)
    bench.advance(seconds=20)
    bench.evse(1).fault(Fault.GROUND_FAULT, on=False)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def given_up_after_the_last_attempt(bench: Bench) -> None:
    """What fell out of the queue is kept for the operator (E13.FR.04)."""
    for name, value in (("MessageAttempts", "2"), ("MessageAttemptInterval", "3")):
        variable = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": name, "instance": "TransactionEvent"}}
        bench.csms.call("SetVariables", {"setVariableData": [{**variable, "attributeValue": value}]})
    bench.csms.error("TransactionEvent")
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=1)
    given_up = kept(bench, "undelivered")
    assert given_up, "nothing was given up"
    promise(bench, lambda after: given_up <= kept(after, "undelivered"), "what was given up")
    bench.csms.default("TransactionEvent")
    bench.evse(1).unplug()
    bench.advance(minutes=1)


def what_the_csms_ordered(bench: Bench) -> None:
    """An order that was answered with Accepted holds after a power cut (B05, B09, G03.FR.08)."""
    value = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}}
    bench.csms.call("SetVariables", {"setVariableData": [{**value, "attributeValue": "77"}]})
    promise(bench, lambda b: b.station.variables.integer("OCPPCommCtrlr", "OfflineThreshold") == 77, "the variable")
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}})
    promise(bench, lambda b: not b.station.connectors.operative(2), "EVSE 2 is out of service")
    profile = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "ws://other.example/ocpp",
        "messageTimeout": 30,
        "securityProfile": 1,
        "ocppInterface": "Wired0",
    }
    answer = bench.csms.call("SetNetworkProfile", {"configurationSlot": 1, "connectionData": profile})
    assert answer["status"] == "Accepted"
    promise(bench, lambda b: b.station.network.stored(1) is not None, "the network profile")
    card_after_cable(bench)


def reserved_and_used_or_not(bench: Bench) -> None:
    """A reservation is kept until the CSMS has heard what became of it (B01.FR.13, H01.FR.15, H04.FR.01)."""
    assert reserve(bench, 1, "04AABBCC", evseId=1) == "Accepted"
    promise(bench, lambda after: is_known(after, 1), "the reservation that is used")
    assert reserve(bench, 2, "04DDEEFF", expires_s=30, evseId=2) == "Accepted"
    promise(bench, lambda after: is_known(after, 2), "the reservation that ends")
    card_after_cable(bench)
    assert used(bench) == [("Started", 1)]
    assert updates(bench) == [(2, "Expired")]


def is_known(bench: Bench, number: int) -> bool:
    """The reservation is there, or the CSMS has heard of its end."""
    told = {each for each, _ in updates(bench)} | {each for _, each in used(bench)}
    return number in told or bench.station.reservations.find(number) is not None


def a_reset_while_charging(bench: Bench) -> None:
    """The transaction ends, is told, and the station restarts with its reason (B12)."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=40)
    bench.csms.call("Reset", {"type": "Immediate"})
    bench.advance(seconds=30)
    assert bench.reboots == ["RemoteReset"]
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def the_first_boot_of_all(bench: Bench) -> None:
    """From a directory without any file."""
    bench.boot()
    card_after_cable(bench)


def the_allowance_of_an_invalid_token_is_used_up(bench: Bench) -> None:
    """Energy up to MaxEnergyOnInvalidId, then none; the vehicle stays a while (E05.FR.03)."""
    bench.csms.on("TransactionEvent", lambda told: {"idTokenInfo": {"status": "Invalid"}} if "idToken" in told else {})
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=60)
    assert not bench.evse(1).contactor_closed
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def a_limit_leaves_no_current_for_a_while(bench: Bench) -> None:
    """A charging profile suspends a transaction, and lets it go on (K01)."""
    assert put(bench, limit((0, 16), (15, 0), (30, 10))) == "Accepted"
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=20)
    assert not bench.evse(1).charging
    bench.advance(seconds=30)
    assert bench.evse(1).charging
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def profiles_come_and_go(bench: Bench) -> None:
    """What was accepted stays, what was cleared is gone, and no TxProfile outlives its transaction (K01.FR.27, K02)."""
    assert put(bench, limit(20, id=1)) == "Accepted"
    promise(bench, lambda b: _has(b, 1), "profile 1")
    assert put(bench, limit(16, id=2), 2) == "Accepted"
    wish = {"idToken": {"idToken": "04AABBCC", "type": "Central"}, "remoteStartId": 5, "evseId": 1}
    profile = limit(12, id=3, purpose="TxProfile")
    assert bench.csms.call("RequestStartTransaction", {**wish, "chargingProfile": profile})["status"] == "Accepted"
    promise(bench, _only_of_running, "a TxProfile has its transaction")
    bench.evse(1).plug_in()
    bench.advance(seconds=20)
    assert bench.world.evse(1).offered_a == 12.0
    assert clear(bench, 2) == "Accepted"
    promise(bench, lambda b: not _has(b, 2), "profile 2 is cleared")
    bench.evse(1).unplug()
    bench.advance(seconds=10)


def _has(bench: Bench, number: int) -> bool:
    return bench.station.profiles.find(number) is not None


def _only_of_running(bench: Bench) -> bool:
    running = {session.transaction_id for session in bench.station.sessions.running()}
    return all(each.profile.transaction_id in {None, *running} for each in bench.station.profiles.all())


def nobody_plugs_in(bench: Bench) -> None:
    """EVConnectionTimeOut ends what a card and a remote start began (E03.FR.05)."""
    bench.evse(1).present_token("04AABBCC")
    token = {"idToken": "REMOTE", "type": "Central"}
    bench.csms.call("RequestStartTransaction", {"idToken": token, "remoteStartId": 8, "evseId": 2})
    bench.advance(seconds=60)


def a_bay_is_entered_and_left(bench: Bench) -> None:
    """The detector of the parking bay is told of, too."""
    bay(bench, occupied=True)
    bench.advance(seconds=5)
    card_after_cable(bench)
    bay(bench, occupied=False)
    bench.advance(seconds=5)


def the_vehicle_pauses_and_goes_on(bench: Bench) -> None:
    """Where the flow of energy starts and ends transactions, each pause does."""
    bench.evse(1).plug_in(charge=False)
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=15)
    for wish in ("charge", "pause", "charge"):
        bench.evse(1).ev(wish)
        bench.advance(seconds=35)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def every_evse_is_busy(bench: Bench) -> None:
    """One is closing, one begins, one charges, one only waits."""
    for number in bench.world.numbers:
        bench.evse(number).plug_in()
        bench.evse(number).present_token(f"04AABB0{number}")
        bench.advance(seconds=7)
    bench.evse(1).present_token("04AABB01")
    bench.evse(2).ev("pause")
    bench.advance(seconds=31)
    for number in bench.world.numbers:
        bench.evse(number).unplug()
    bench.advance(seconds=5)


def a_local_list_comes_while_it_charges(bench: Bench) -> None:
    """Written in pieces beside the events of a transaction; what was answered is in force (D01.FR.01)."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=5)
    entries = [
        {"idToken": {"idToken": f"LIST{n:04}", "type": "Central"}, "idTokenInfo": {"status": "Accepted"}}
        for n in range(300)
    ]
    update = {"versionNumber": 3, "updateType": "Full", "localAuthorizationList": entries}
    assert bench.csms.call("SendLocalList", update)["status"] == "Accepted"
    promise(bench, lambda after: after.station.local_list.version == 3, "version 3 of the local list")
    bench.advance(seconds=30)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def offline_over_the_quota(bench: Bench) -> None:
    """Every second Updated goes, never Started or Ended (E04.FR.08)."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=5)
    if isinstance(bench, MarkingBench):
        bench.recorder.mark(Thins())
    bench.csms.order.gaps_allowed = True
    bench.csms.disconnect()
    quota_bytes = bench.database.used_bytes() + 10_000
    bench.station.outbox.configure(bench.station.outbox.settings._replace(quota_bytes=quota_bytes))
    bench.advance(seconds=50)
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    bench.csms.connect()
    bench.advance(seconds=30)
    story = bench.events()
    assert len(story) < story[-1]["seqNo"] + 1, "nothing was dropped"


class MarkingBench(Bench):
    """Every effect that leaves is marked in the recorder's log, in its place between the writes."""

    def __init__(self, recorder: Recorder, **given: Any) -> None:
        self.recorder = recorder
        super().__init__(recorder.root, vfs=VFS, **given)

    def sends(self, text: str) -> None:
        """A frame leaves."""
        self.recorder.mark(Sent(text))
        super().sends(text)

    def reading(self, wanted: TakeSample) -> MeterReading:
        """A meter shows something."""
        reading = super().reading(wanted)
        self._shows(wanted.evse_id, reading.energy_import_mwh)
        return reading

    def _saw(self, event: BoardEvent) -> None:
        self._shows(event.channel, self.world.reading(event.channel).energy_import_mwh)
        super()._saw(event)

    def _shows(self, evse_id: int, mwh: int) -> None:
        point = self.world.evse(evse_id)
        plugged = point.ev.connector if point.ev is not None else 0
        self.recorder.mark(Showed(evse_id, mwh, point.snapshot().contactor_closed, plugged))

    def _act(self, action: Any) -> str | None:
        if isinstance(action, Allow):
            session = self.station.sessions.on_evse(action.evse_id)
            self.recorder.mark(Closed(action.evse_id, session.transaction_id if session else None))
        return super()._act(action)

    def _csms_turn(self) -> bool:
        for text in self.csms._out:
            if text.startswith(("[3,", "[4,")):
                self.recorder.mark(Answered(json.loads(text)[1]))
        return super()._csms_turn()
