"""The reusable states of a charging session (part 6, 2.18 with its errata): one driver at one EVSE.

A method named after a state does what the driver or the CSMS does there, and checks what the station has to tell. What
that is follows from TxStartPoint and TxStopPoint, so that one procedure serves every configuration. In between,
nothing may be told that no state expects; readings of the meter alone are passed over.

    session = Session(bench)                    local: by card;  Session(bench, remote=True): by the CSMS
    session.ev_connected_pre_session()
    session.authorized()
    session.energy_transfer_started()

`plug`, `present`, `unplug` and `bay` are the manual actions alone, for what happens while the station is offline.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

from tests.bench import Bench
from tests.octt.states import VALID, authorizes, id_token, status
from tests.scenarios.e_transactions.story import bay
from tests.scenarios.variables import get

Payload = dict[str, Any]
Allowed = str | Collection[str | None]

SETTLED_S = 2
ENERGY_S = 10
"""Within this time the contactor has closed and energy flows."""
DURATION_S = 20
"""How long the tool lets a transaction run."""
SAMPLES = {"MeterValuePeriodic", "MeterValueClock"}
PLUGGED: Allowed = {"CablePluggedIn", "ChargingStateChanged"}
ENDED_WITH_AUTHORIZATION = {"Authorized", "PowerPathClosed", "EnergyTransfer"}
"""Stop points that are reached when the authorization ends."""


class Session:
    """See the module's first lines. `evse`: where; `token`: whose; `remote`: by the CSMS instead of by card.

    `reservation`: the one that the token uses up, which the first event after the authorization must tell.

    Its transaction is the first one that it does not know when it is made: of two sessions at once, the second is made
    when the first has started.
    """

    def __init__(
        self, bench: Bench, *, evse: int = 1, token: str = VALID, remote: bool = False, reservation: int | None = None
    ) -> None:
        self.bench = bench
        self.reservation = reservation
        self.evse = evse
        self.token = token
        self.remote = remote
        self.starts = set(get(bench, "TxCtrlr.TxStartPoint").split(","))
        self.stops = set(get(bench, "TxCtrlr.TxStopPoint").split(","))
        self.transaction_id = ""
        self.last: Payload = {}
        """The event that was read last."""
        self.charging_state = ""
        """The chargingState that was read last."""
        self.in_bay = self.is_connected = self.is_authorized = False
        self._others = {event["transactionInfo"]["transactionId"] for event in bench.events()}
        self._seq_no = -1
        self._owed: Payload = {}
        """What the next event must carry: the first after a token, a cable or a remote start says so."""

    # --- what has been told ---------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the transaction has started and not ended, by what was read."""
        return bool(self.last) and self.last["eventType"] != "Ended"

    def unread(self) -> list[Payload]:
        """The events that no state has read yet, without those that only bring readings."""
        found = [event for event in self.bench.events() if self._is_ours(event)]
        samples = [event for event in found if event["triggerReason"] in SAMPLES]
        assert {event["eventType"] for event in samples} <= {"Updated"}
        return [event for event in found if event not in samples]

    def _is_ours(self, event: Payload) -> bool:
        transaction_id = event["transactionInfo"]["transactionId"]
        if not self.transaction_id and transaction_id not in self._others:
            self.transaction_id = transaction_id
        return bool(transaction_id == self.transaction_id and event["seqNo"] > self._seq_no)

    def next(self, **allowed: Allowed) -> Payload:
        """The next event. `allowed`: values of its fields and those of transactionInfo; None: left out."""
        unread = self.unread()
        assert unread, f"no TransactionEvent was sent; expected {allowed}"
        event = unread[0]
        fields = {**event, **event["transactionInfo"]}
        owed, self._owed = self._owed, {}
        for name, value in owed.items():
            assert fields.get(name) == value, f"{name} is {fields.get(name)}, not {value}, in {event}"
        for name, values in allowed.items():
            among = {values} if isinstance(values, str) else values
            assert fields.get(name) in among, f"{name} is {fields.get(name)}, not {values}, in {event}"
        self._read(event)
        return event

    def queued(self) -> list[Payload]:
        """All that the station had queued while it was offline, its readings too; now they are read."""
        found = [event for event in self.bench.events() if self._is_ours(event)]
        queue = list(itertools.takewhile(lambda event: event.get("offline"), found))
        assert queue, "nothing was queued"
        self._owed = {}
        for event in queue:
            self._read(event)
        return queue

    def _read(self, event: Payload) -> None:
        self.last, self._seq_no = event, event["seqNo"]
        self.charging_state = event["transactionInfo"].get("chargingState", self.charging_state)

    def nothing_else(self) -> None:
        """No state expects what was told, so nothing must have been."""
        assert self.unread() == []

    def connector_is(self, connector_status: str) -> None:
        """The last status told is this connector's."""
        told = status(self.bench)
        assert (told["evseId"], told["connectorId"]) == (self.evse, 1)
        assert told["connectorStatus"] == connector_status

    # --- what people do -------------------------------------------------------------------------------------------

    def bay_is(self, *, occupied: bool) -> None:
        """The vehicle stands in the bay, or has left it; of interest where the bay starts or stops transactions."""
        self.in_bay = occupied
        if "ParkingBayOccupancy" in self.starts | self.stops:
            bay(self.bench, occupied=occupied, evse_id=self.evse)
            self.bench.advance(SETTLED_S)

    def plug(self, *, charge: bool = True) -> None:
        """Connect the vehicle, which asks for energy a moment later, or not."""
        self.is_connected = True
        self._owed |= {"evse": {"id": self.evse, "connectorId": 1}}
        self.bench.evse(self.evse).plug_in(charge=False)
        self.bench.advance(1)
        if charge:
            self.bench.evse(self.evse).ev("charge")
        self.bench.advance(1)

    def present(self, token: str | None = None) -> None:
        """Hold a card to the reader: the driver's own, or another."""
        self.bench.evse(self.evse).present_token(token or self.token)
        self.bench.advance(SETTLED_S)

    def pause(self) -> None:
        """The vehicle asks for no more energy for the moment."""
        self.bench.evse(self.evse).ev("pause")
        self.bench.advance(SETTLED_S)

    def unplug(self) -> None:
        """Disconnect the vehicle."""
        self.is_connected = False
        self.bench.evse(self.evse).unplug()
        self.bench.advance(SETTLED_S)

    # --- before energy flows --------------------------------------------------------------------------------------

    def parking_bay_occupied(self) -> None:
        """ParkingBayOccupied."""
        if self.in_bay:
            return
        self.bay_is(occupied=True)
        if "ParkingBayOccupancy" in self.starts:
            self.next(eventType="Started", triggerReason="EVDetected", chargingState={"Idle", None})
        self.nothing_else()

    def ev_connected_pre_session(self, *, charge: bool = True) -> None:
        """EVConnectedPreSession."""
        self.parking_bay_occupied()
        self.plug(charge=charge)
        self.connector_is("Occupied")
        self.told_connected()

    def told_connected(self) -> None:
        """What is told when the cable is in."""
        closes = self.is_authorized and "PowerPathClosed" in self.starts
        states = {"EVConnected", "SuspendedEVSE"} | ({"Charging"} if self.is_authorized else set())
        if self.running or closes or "EVConnected" in self.starts:
            self.next(
                eventType=self._starts_or_goes_on(),
                triggerReason={"RemoteStart"} if "remoteStartId" in self._owed else PLUGGED,
                chargingState=states,
            )
        if not self.is_authorized:
            self.nothing_else()

    def _starts_or_goes_on(self) -> str:
        return "Updated" if self.running else "Started"

    def authorized(self, *, known: bool = False) -> None:
        """Authorized, by card (main A) or by the CSMS (main B). `known`: the station need not ask about the token."""
        self.parking_bay_occupied()
        asked = len(authorizes(self.bench))
        if self.remote:
            self._request_start()
            known = known or get(self.bench, "AuthCtrlr.AuthorizeRemoteStart") == "false"
        else:
            self.present()
        requests = self.bench.csms.received("Authorize")[asked:]
        assert requests == ([] if known else [{"idToken": id_token(self.token)}])
        self.is_authorized = True
        self._owed |= {"idToken": id_token(self.token), "reservationId": self.reservation}
        self.told_authorized()

    def told_authorized(self) -> None:
        """What is told when the driver has been authorized."""
        closes = self.is_connected and "PowerPathClosed" in self.starts
        if self.running or closes or "Authorized" in self.starts:
            trigger = "RemoteStart" if self.remote else "Authorized"
            self.next(eventType=self._starts_or_goes_on(), triggerReason=trigger)
        if not self.is_connected:
            self.nothing_else()

    def _request_start(self) -> None:
        request = {"remoteStartId": 4711, "evseId": self.evse, "idToken": id_token(self.token)}
        answer = self.bench.csms.call("RequestStartTransaction", request)
        assert answer["status"] == "Accepted"
        assert answer.get("transactionId") == (self.transaction_id if self.running else None)
        self._owed |= {"remoteStartId": 4711}
        self.bench.advance(SETTLED_S)

    # --- while energy flows ---------------------------------------------------------------------------------------

    def energy_transfer_started(self) -> None:
        """EnergyTransferStarted."""
        if not self.is_authorized:
            self.authorized()
        if not self.is_connected:
            self.ev_connected_pre_session()
        self.bench.advance(ENERGY_S)
        self.told_energy_transfer()
        assert self.bench.evse(self.evse).charging

    def told_energy_transfer(self) -> None:
        """What is told until energy flows."""
        first = {"RemoteStart"} if "remoteStartId" in self._owed else None
        if "DataSigned" in self.starts and not self.running:
            self.next(eventType="Started", triggerReason=first or {"SignedDataReceived"})
            first = None
        elif self.running and [event["triggerReason"] for event in self.unread()[:1]] == ["SignedDataReceived"]:
            self.next(eventType="Updated")  # the start value of a transaction that had started before it was known
        self.next(
            eventType=self._starts_or_goes_on(),
            triggerReason=first or {"ChargingStateChanged"},
            chargingState="Charging",
        )
        self.nothing_else()

    def energy_transfer_suspended(self) -> None:
        """EnergyTransferSuspended, by the vehicle."""
        if self.charging_state != "Charging":
            self.energy_transfer_started()
        self.bench.advance(DURATION_S)
        self.nothing_else()
        self.pause()
        self.told_suspended()
        self.nothing_else()

    def told_suspended(self) -> None:
        """What is told when the vehicle pauses."""
        ends = "EnergyTransfer" in self.stops
        self.next(
            eventType="Ended" if ends else "Updated",
            triggerReason="ChargingStateChanged",
            chargingState="EVConnected" if ends else "SuspendedEV",
            stoppedReason={"StoppedByEV"} if ends else {None},
        )

    # --- the end --------------------------------------------------------------------------------------------------

    def stop_authorized(self, token: str | None = None) -> None:
        """StopAuthorized, by card (main A) or by the CSMS (main B). `token`: another one that may stop it."""
        self.bench.advance(DURATION_S)
        self.nothing_else()
        if self.remote:
            request = {"transactionId": self.transaction_id}
            assert self.bench.csms.call("RequestStopTransaction", request) == {"status": "Accepted"}
            self.bench.advance(SETTLED_S)
        else:
            self.present(token)
        self.told_stop_authorized(token)
        self.nothing_else()
        assert not self.bench.evse(self.evse).contactor_closed

    def told_stop_authorized(self, token: str | None = None, *, reasons: Allowed | None = None) -> None:
        """What is told when the driver or the CSMS stops it. `reasons`: other than of an ordinary stop."""
        first = self.next(triggerReason="RemoteStop" if self.remote else "StopAuthorized")
        assert first.get("idToken") in (None, id_token(token or self.token))
        if self.running and self.charging_state != "EVConnected":
            self.next(triggerReason="ChargingStateChanged", chargingState="EVConnected")
        self._check_ends(reasons or ({"Remote"} if self.remote else {"Local", None}))

    def deauthorized(self) -> None:
        """Deauthorized, from step 3 on: the CSMS has found the token to be invalid."""
        self.next(triggerReason="Deauthorized", chargingState={"EVConnected", "SuspendedEVSE"})
        self._check_ends("DeAuthorized")
        self.nothing_else()
        assert not self.bench.evse(self.evse).contactor_closed

    def _check_ends(self, reasons: Allowed) -> None:
        ends = bool(self.stops & ENDED_WITH_AUTHORIZATION)
        reason = self.last["transactionInfo"].get("stoppedReason")
        assert self.last["eventType"] == ("Ended" if ends else "Updated")
        assert reason in (({reasons} if isinstance(reasons, str) else reasons) if ends else {None})
        self.is_authorized = False

    def ev_connected_post_session(self) -> None:
        """EVConnectedPostSession."""
        if self.is_authorized:
            self.stop_authorized()
        if self.running and self.charging_state != "EVConnected":
            self.next(triggerReason="ChargingStateChanged", chargingState="EVConnected")
        self.nothing_else()

    def ev_disconnected(self, connector_status: str = "Available") -> None:
        """EVDisconnected; the connector is not Available where an order waits for it."""
        self.ev_connected_post_session()
        self.unplug()
        self.connector_is(connector_status)
        self.told_disconnected()

    def told_disconnected(self) -> None:
        """What is told when the cable is out; the end of the transaction where that is its stop point."""
        if self.running:
            ends = "EVConnected" in self.stops
            reasons = {"Remote", "EVDisconnected"} if self.remote else {"Local", "EVDisconnected", None}
            self.next(
                eventType="Ended" if ends else "Updated",
                triggerReason="EVCommunicationLost",
                chargingState="Idle",
                stoppedReason=reasons if ends else {None},
            )
        self.nothing_else()

    def parking_bay_unoccupied(self, connector_status: str = "Available") -> None:
        """ParkingBayUnoccupied: whatever was configured, the transaction has ended."""
        if self.is_connected:
            self.ev_disconnected(connector_status)
        self.bay_is(occupied=False)
        self.told_departed()

    def told_departed(self) -> None:
        """What is told when the vehicle has left the bay."""
        if self.running:
            reason = "Remote" if self.remote else "Local"
            self.next(eventType="Ended", triggerReason="EVDeparted", stoppedReason=reason)
        assert not self.running
        self.nothing_else()
