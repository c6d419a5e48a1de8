"""All simulated hardware of one station, and what a person in front of it can do: plug in, swipe, break things.

Drivers of `hal.sim.driver` show one world to the agent; a bench moves it by hand. Every command first catches up with
the clock, so physics before the command used the old state. Not thread-safe: all calls come from the hardware's thread.
Bad commands raise ValueError and change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from hal.api import BoardEvent, BoardSnapshot, Fault, Indication, MeterReading, Permit, Token, TokenType
from hal.iso15118 import (
    CERTIFICATE_S,
    CertificateWanted,
    ContractPresented,
    SeccSetup,
    SessionStopped,
    VehicleIdentified,
    VehicleNeeds,
)
from hal.schedules import ScheduleOffer, VehicleSchedule
from hal.sim.ev import EvSpec
from hal.sim.evse import EvseSpec, SimEvse

LARGEST_WH = 1e12
LARGEST_W = 1e9
"""What no meter of a charging station shows more of; beyond it numbers would no longer be exact."""

MAIN_METER = 0
"""The EVSE number of the station's main meter: the sum of all."""


class Contract(msgspec.Struct, frozen=True):
    """The contract of a plug-and-charge vehicle."""

    emaid: str
    certificate_pem: str = ""


class Listener(msgspec.Struct, frozen=True):
    """Who is told of changes. `touched` comes after anything that may have made `next_change()` earlier."""

    board: Callable[[BoardEvent], None]
    touched: Callable[[], None]


class SimWorld:
    """EVSEs by number from 1, readers, sensors, displays and lamps by name.

    `clock` gives the monotonic seconds that commands and readings happen at.
    """

    def __init__(self, evses: Mapping[int, EvseSpec], clock: Callable[[], float]) -> None:
        self.clock = clock
        self._evses = {number: SimEvse(number, spec, clock()) for number, spec in evses.items()}
        self._told = {number: _still(evse.snapshot()) for number, evse in self._evses.items()}
        self._listeners: list[Listener] = []
        self._readers: dict[str, tuple[frozenset[int], Callable[[Token], None]]] = {}
        self._watchers: dict[str, list[Callable[[], None]]] = {}
        self._lost: set[str] = set()
        self._sampled_at: dict[int, float] = {}
        self.sensors: dict[str, float | bool | str] = {}
        self.displays: dict[str, str] = {}
        self.lamps: dict[str, Indication] = {}
        self.offers: dict[int, list[tuple[ScheduleOffer, ...]]] = {}
        """The schedules that each EVSE's vehicles were offered."""
        self._waiting: set[int] = set()
        self.certificates: dict[int, tuple[bool, str]] = {}
        """The last answer to each EVSE's `CertificateWanted`: accepted or not, and the EXI response."""
        self._wanting: dict[int, Callable[[bool, str], None]] = {}
        self.contracts: dict[int, bool] = {}
        """Whether the contract that was presented last at each EVSE was accepted; absent while the vehicle waits."""
        self.secc: SeccSetup | None = None
        """What vehicles are shown and offered; everything, until somebody says."""

    # --- time

    def next_change(self) -> float:
        """The next instant at which something changes by itself; infinite at rest."""
        return min((evse.next_change() for evse in self._evses.values()), default=math.inf)

    def advance(self, to: float) -> None:
        """Let time pass until `to`, telling each change at its own instant. A `to` of the past changes nothing."""
        while True:
            change = self.next_change()
            stop = min(to, change)
            for evse in self._evses.values():
                evse.advance(max(stop, evse.time))
            if stop >= change:
                for number in self._evses:
                    self._tell_change(number)
            if stop >= to:
                return

    def catch_up(self) -> None:
        """Let time pass until the present."""
        self.advance(self.clock())

    def evse(self, number: int) -> SimEvse:
        """One charging point, caught up. Raises ValueError if there is none of this number.

        The others need not follow: what happens to one is nothing to the others.
        """
        found = self._evses.get(number)
        if found is None:
            raise ValueError(f"no EVSE {number} (there are: {', '.join(map(str, sorted(self._evses)))})")
        now = self.clock()
        if not found.follow(now):
            self.advance(now)
        return found

    def outlet(self, evse: int, connector: int | None) -> None:
        """Raises ValueError if there is no such EVSE, or it has no such connector."""
        point = self.evse(evse)
        if connector is not None and not 1 <= connector <= point.spec.connectors:
            raise ValueError(f"EVSE {evse} has no connector {connector}")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the EVSEs."""
        return tuple(sorted(self._evses))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` each change from now on; gives the way to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- what a person can do

    def plug_in(
        self,
        evse: int,
        connector: int = 1,
        ev: EvSpec | None = None,
        *,
        charge: bool = True,
        contract: Contract | None = None,
    ) -> None:
        """Connect a vehicle that wants energy at once, or with `charge=False` only after `ev(evse, "charge")`.

        A vehicle with `evcc_id` names itself; one with a contract presents it, if that is offered, and waits for
        `authorized`.
        """
        spec = ev or EvSpec()
        point = self.evse(evse)
        if self.secc is not None and not self.secc.contract:
            contract = None
        point.plug_in(spec, connector, willing=charge and contract is None)
        self._changed(evse)
        if spec.evcc_id is not None:
            self._emit(VehicleIdentified(evse, spec.evcc_id))
        if contract is not None:
            self.present(evse, contract)

    def unplug(self, evse: int) -> None:
        """Disconnect the vehicle, at its side of the cable."""
        self.evse(evse).unplug()
        self._end_wait(evse, accepted=False)
        self._changed(evse)

    def ev(self, evse: int, state: str) -> None:
        """`charge`: it wants energy; `pause`: not for now; `stop`: it is done. The last two differ for people only."""
        if state not in {"charge", "pause", "stop"}:
            raise ValueError(f"no such state of a vehicle: {state!r} (charge, pause, stop)")
        self.evse(evse).will(willing=state == "charge")
        self._changed(evse)

    def swipe(self, uid: str, type_: TokenType = TokenType.ISO14443, evses: Iterable[int] = ()) -> None:
        """Hold a card to the reader that serves these EVSEs; without any, to the first reader.

        One EVSE at a reader for several means that the driver chose it there.
        """
        wanted = frozenset(evses)
        for name, (serves, present) in self._readers.items():
            if wanted <= serves and name not in self._lost:
                chosen = next(iter(wanted)) if len(wanted) == 1 and len(serves) > 1 else None
                random_uid = type_ is TokenType.ISO14443 and len(uid) == 8 and uid.startswith("08")  # noqa: PLR2004 - 4 bytes
                present(Token(uid_hex=_normal(uid, type_), type=type_, random_uid=random_uid, outlet=chosen))
                return
        raise ValueError(f"no working reader serves EVSE {', '.join(map(str, sorted(wanted))) or 'any'}")

    def fault(self, evse: int, fault: Fault, *, on: bool = True) -> None:
        """Make a fault of a charging point appear or go."""
        self.evse(evse).fault(fault, on=on)
        self._changed(evse)

    def jam_lock(self, evse: int, *, on: bool = True) -> None:
        """Make the connector lock fail from now on, or work again."""
        self.evse(evse).lock_jams = on

    def meter(
        self,
        evse: int,
        energy_import_wh: float | None = None,
        power_import_w: float | None = None,
        sampled_at: float | None = None,
    ) -> None:
        """Set the register, and the power that the meter reports and counts from now until the next plug-in or out.

        `sampled_at`: the instant that the next reading bears.
        """
        if energy_import_wh is not None and not 0 <= energy_import_wh <= LARGEST_WH:
            raise ValueError(f"no register shows {energy_import_wh} Wh (0 to {LARGEST_WH:g})")
        if power_import_w is not None and not abs(power_import_w) <= LARGEST_W:
            raise ValueError(f"no meter shows {power_import_w} W (at most {LARGEST_W:g})")
        point = self.evse(evse)
        if energy_import_wh is not None:
            point.energy_j = energy_import_wh * 3600
        if power_import_w is not None:
            point.tell_power(power_import_w)
        if sampled_at is not None:
            self._sampled_at[evse] = sampled_at
        self._changed(evse)

    def sensor(self, name: str, value: float | bool | str) -> None:  # noqa: FBT001 - a value, not a switch
        """Set what a sensor measures. Raises ValueError for a sensor that no driver shows."""
        if name not in self.sensors:
            raise ValueError(f"no sensor {name!r} (there are: {', '.join(sorted(self.sensors)) or 'none'})")
        self.sensors[name] = value
        self._wake(name)

    def lose(self, device: str, *, on: bool = True) -> None:
        """Make a driver's device stop answering, or answer again; `device` is the driver's configured name.

        A lost board goes on by itself: its leases run out.
        """
        self.catch_up()
        (self._lost.add if on else self._lost.discard)(device)
        self._wake(device)

    def end_session(self, evse: int) -> None:
        """The vehicle ends the ISO 15118 session by itself, and wants no more energy."""
        self.ev(evse, "stop")
        self._emit(SessionStopped(evse))

    def state_needs(self, evse: int, energy_wh: int = 20_000, departs_in_s: float | None = None) -> None:
        """An ISO 15118 vehicle says what it needs, and waits for schedules. Raises ValueError if none is there."""
        ev = self.evse(evse).ev
        if ev is None or ev.spec.evcc_id is None:
            raise ValueError(f"EVSE {evse}: no vehicle that speaks ISO 15118")
        self._waiting.add(evse)
        spec = ev.spec
        self._emit(
            VehicleNeeds(
                channel=evse,
                energy_wh=energy_wh,
                min_a=spec.min_a,
                max_a=spec.max_a,
                phases=spec.phases,
                departs_in_s=departs_in_s,
            )
        )

    def offer(self, evse: int, schedules: tuple[ScheduleOffer, ...]) -> str:
        """The vehicle gets schedules and chooses the first: as much of it as it can take, if it tells that at all."""
        ev = self.evse(evse).ev
        if ev is None or ev.spec.evcc_id is None:
            return "no vehicle that speaks ISO 15118"
        self.offers.setdefault(evse, []).append(schedules)
        if evse not in self._waiting:  # it renegotiates, and states its needs again
            self.state_needs(evse)
        self._waiting.discard(evse)
        chosen = schedules[0]
        own = tuple((start, min(amperes, ev.spec.max_a)) for start, amperes in chosen.periods)
        self._emit(VehicleSchedule(evse, chosen.id, own if ev.spec.tells_schedule else ()))
        return ""

    def present(self, evse: int, contract: Contract) -> None:
        """The vehicle presents a contract, whatever is offered, and waits for `authorized`."""
        self.contracts.pop(evse, None)
        self._emit(ContractPresented(evse, contract.emaid, contract.certificate_pem))

    def want_certificate(  # noqa: PLR0913 - what a vehicle says, by keyword
        self,
        evse: int,
        schema_version: str,
        exi_request: str,
        *,
        update: bool = False,
        patience_s: float = CERTIFICATE_S,
        answered: Callable[[bool, str], None] | None = None,
    ) -> None:
        """The vehicle asks for its contract certificate; `answered` hears what it is told, or that it left."""
        if self.evse(evse).ev is None:
            raise ValueError(f"EVSE {evse}: nothing is plugged in")
        self._end_wait(evse, accepted=False)
        self.certificates.pop(evse, None)
        if answered is not None:
            self._wanting[evse] = answered
        self._emit(CertificateWanted(evse, schema_version, exi_request, update, patience_s))

    def _end_wait(self, evse: int, *, accepted: bool, exi_response: str = "") -> None:
        answered = self._wanting.pop(evse, None)
        if answered is not None:
            answered(accepted, exi_response)

    # --- what the agent can do (the drivers call these)

    def allow(self, evse: int, permit: Permit) -> str:
        """Give or renew a permission; gives the reason of a refusal, or an empty text."""
        point = self.evse(evse)
        if point.renews(permit):  # a later end of the lease: nobody has to be told, or to look earlier
            return ""
        reason = point.allow(permit)
        self._changed(evse)
        return reason

    def deny(self, evse: int) -> None:
        """Withdraw the permission."""
        self.evse(evse).deny()
        self._changed(evse)

    def move_lock(self, evse: int, *, locked: bool) -> str:
        """Drive the lock motor; gives the reason of a failure, or an empty text."""
        reason = self.evse(evse).move_lock(locked=locked)
        self._changed(evse)
        return reason

    def authorized(self, evse: int, *, accepted: bool) -> None:
        """End a contract vehicle's wait: it wants energy, or gives up."""
        point = self.evse(evse)
        if point.ev is not None:
            self.contracts[evse] = accepted
            point.will(willing=accepted)
            self._changed(evse)

    def give_certificate(self, evse: int, *, accepted: bool, exi_response: str) -> None:
        """The vehicle hears what became of its request."""
        self.certificates[evse] = (accepted, exi_response)
        self._end_wait(evse, accepted=accepted, exi_response=exi_response)

    def reading(self, evse: int) -> MeterReading:
        """The meter of an EVSE, or the main meter, now."""
        if evse == MAIN_METER:
            self.catch_up()
            readings = [point.reading() for point in self._evses.values()]
            reading = MeterReading(
                sampled_at=self.clock(),
                energy_import_mwh=sum(r.energy_import_mwh for r in readings),
                power_import_w=sum(r.power_import_w or 0.0 for r in readings),
                frequency_hz=50.0,
            )
        else:
            reading = self.evse(evse).reading()
        told = self._sampled_at.pop(evse, None)
        return reading if told is None else msgspec.structs.replace(reading, sampled_at=told)

    def is_lost(self, device: str) -> bool:
        """Whether a device does not answer."""
        return device in self._lost

    def add_reader(self, name: str, serves: Iterable[int], present: Callable[[Token], None]) -> Callable[[], None]:
        """A reader listens; gives the way to stop."""
        self._readers[name] = (frozenset(serves), present)
        return lambda: self._readers.pop(name, None) and None

    def watch(self, device: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when the device is lost, returns, or (a sensor) measures another value; gives the way to stop."""
        self._watchers.setdefault(device, []).append(wake)
        return lambda: self._watchers[device].remove(wake)

    # --- inside

    def _wake(self, device: str) -> None:
        for wake in list(self._watchers.get(device, ())):
            wake()

    def _changed(self, evse: int) -> None:
        self._tell_change(evse)
        for listener in list(self._listeners):
            listener.touched()

    def _tell_change(self, evse: int) -> None:
        snapshot = self._evses[evse].snapshot()
        still = _still(snapshot)
        if still != self._told[evse]:
            self._told[evse] = still
            self._emit(snapshot)

    def _emit(self, event: BoardEvent) -> None:
        for listener in list(self._listeners):
            listener.board(event)


def _still(snapshot: BoardSnapshot) -> BoardSnapshot:
    """A snapshot without its instant, to compare."""
    return msgspec.structs.replace(snapshot, sampled_at=0.0)


def _normal(uid: str, type_: TokenType) -> str:
    """Identifiers of cards are hex and upper case; others are kept as typed."""
    cards = {TokenType.ISO14443, TokenType.ISO15693, TokenType.EM4100}
    return uid.upper() if type_ in cards else uid
