"""Commands of the control socket that move simulated hardware: what a person does in front of a charger.

Each is a struct, so that a wrong argument is told by name; unknown ones are refused. They run in the hardware's thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from hal.api import Fault, TokenType
from hal.errors import NotFound
from hal.iso15118 import CERTIFICATE_S
from hal.sim.ev import EvSpec
from hal.sim.world import Contract, SimWorld
from station.facts import Fact, SensorRead
from station.now import Instant, Now, to_wall
from station.shell.clock import StationClock
from station.shell.control import Answer, CommandError, Handler
from station.shell.devices import HardwareThread
from station.shell.levels import as_text
from station.shell.link import Link
from station.shell.wiring import Wiring

T = TypeVar("T")

Positive = Annotated[int, msgspec.Meta(ge=1)]
Faults = {fault.value: fault for fault in Fault}
GRACE_S = 1.0
"""How much longer than the vehicle whoever asked for it waits."""
EVCC_ID = "0A1B2C3D4E5F"
"""The MAC address of a simulated vehicle that speaks ISO 15118 and names none."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of all commands."""

    cmd: str


class ContractOfEv(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A contract for plug and charge; without a `certificate` (a chain in PEM) the simulator's own authority makes one.

    That one's root is told with the answer; it is trusted only if it is installed, as any other.
    """

    emaid: str
    certificate: str = ""


class PlugIn(Command, frozen=True, kw_only=True):
    """A vehicle arrives. `charge` false: it does not want energy yet."""

    evse: Positive = 1
    connector: Positive = 1
    protocol: Literal["iec61851", "iso15118-2", "iso15118-20"] = "iec61851"
    charge: bool = True
    current_a: Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)] = 32.0
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 3
    payment: Literal["contract", "external"] = "external"
    contract: ContractOfEv | None = None
    capacity_wh: float = 60_000.0
    soc_percent: float = 20.0
    target_percent: float = 100.0
    ramp_a_per_s: float = 4.0
    """How fast its current follows the offer; 0: at once."""
    cable_a: float | None = None
    """What the cable it brings along is coded for; none if the cable is the station's."""


class EvCertificateRequest(Command, frozen=True, kw_only=True):
    """The vehicle asks for its contract certificate (M01, M02); answered when it is."""

    evse: Positive = 1
    action: Literal["Install", "Update"]
    schema_version: str
    exi_request: str
    patience_s: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = CERTIFICATE_S


class Unplug(Command, frozen=True, kw_only=True):
    """It leaves."""

    evse: Positive = 1
    connector: Positive = 1


class Ev(Command, frozen=True, kw_only=True):
    """It wants energy, or not."""

    evse: Positive = 1
    state: Literal["charge", "pause", "stop"]


class Needs(Command, frozen=True, kw_only=True):
    """A vehicle that speaks ISO 15118 says what it needs, and waits for charging schedules (K15)."""

    evse: Positive = 1
    energy_wh: Annotated[int, msgspec.Meta(gt=0, le=1_000_000)] = 20_000
    departs_in_s: Annotated[float, msgspec.Meta(gt=0.0)] | None = None


class Swipe(Command, frozen=True, kw_only=True):
    """A card is held to a reader; `evses`: those that the reader serves, or the one chosen there."""

    id_token: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    type: str = "ISO14443"
    evses: tuple[Positive, ...] = ()


class SetFault(Command, frozen=True, kw_only=True):
    """A fault appears or goes."""

    evse: Positive = 1
    connector: Positive | None = None
    fault: str
    on: bool = True


class Meter(Command, frozen=True, kw_only=True):
    """What the meter shows; without values, it only tells."""

    evse: Annotated[int, msgspec.Meta(ge=0)] = 1
    energy_import_wh: float | None = None
    power_import_w: float | None = None
    timestamp: datetime | None = None


class Lock(Command, frozen=True, kw_only=True):
    """Whether the lock motor works from now on."""

    evse: Positive = 1
    connector: Positive = 1
    result: str


class SetSensor(Command, frozen=True, kw_only=True):
    """What a sensor measures."""

    component: str
    variable: str
    evse: Positive | None = None
    connector: Positive | None = None
    instance: str | None = None
    variable_instance: str | None = None
    value: float | bool | str


class Display(Command, frozen=True, kw_only=True):
    """What is shown."""

    evse: Positive | None = None


LOCK_WORKS: Mapping[str, bool] = {
    **dict.fromkeys(("works", "ok", "unlocked", "locked", "accepted"), True),
    **dict.fromkeys(("jams", "jammed", "fails", "failed", "unlockfailed"), False),
}
"""Words for what a lock does when it is moved, in lower case."""


class Simulation:
    """The commands of one simulated station. `tell` gives a fact to the core."""

    def __init__(
        self, hardware: HardwareThread, wiring: Wiring, clock: StationClock, tell: Callable[[Fact], None]
    ) -> None:
        self._hardware = hardware
        self._wiring = wiring
        self._clock = clock
        self._tell = tell
        self._operator: Any = None  # a throwaway.Mobility, made when it is first needed
        self._issuing = threading.Lock()

    def commands(self) -> dict[str, Handler]:
        """By name."""
        return {
            "plug_in": self._on(PlugIn, self.plug_in),
            "ev_certificate_request": self._on(EvCertificateRequest, self.ev_certificate_request),
            "unplug": self._on(Unplug, self.unplug),
            "ev": self._on(Ev, lambda given: self._do(lambda world: world.ev(given.evse, given.state))),
            "needs": self._on(Needs, self.needs),
            "swipe": self._on(Swipe, self.swipe),
            "fault": self._on(SetFault, self.fault),
            "meter": self._on(Meter, self.meter),
            "lock": self._on(Lock, self.lock),
            "sensor": self._on(SetSensor, self.sensor),
            "display": self._on(Display, self.display),
        }

    def _on(self, kind: type[T], do: Callable[[T], Awaitable[Any]]) -> Handler:
        async def handle(line: bytes) -> Answer:
            return await do(msgspec.json.decode(line, type=kind)) or {}

        return handle

    async def _do(self, command: Callable[[SimWorld], T]) -> T:
        """Run a command in the hardware's thread. Raises ValueError for a bad one."""

        def run(resources: Mapping[str, object]) -> T:
            for thing in resources.values():
                if isinstance(thing, SimWorld):
                    return command(thing)
            raise CommandError("the hardware of this station is not simulated")

        try:
            return await asyncio.wrap_future(self._hardware.call(run))
        except NotFound as error:  # the agent stops
            raise CommandError(str(error)) from error

    async def _at(self, evse: int | None, connector: int | None, command: Callable[[SimWorld], T]) -> T:
        """Run a command that is about an EVSE, or a connector of it. Raises ValueError if it is not there."""

        def run(world: SimWorld) -> T:
            if evse is not None:
                world.outlet(evse, connector)
            return command(world)

        return await self._do(run)

    async def plug_in(self, given: PlugIn) -> Answer:
        """A vehicle arrives."""
        speaks = given.protocol != "iec61851"
        pays = given.payment == "contract" or given.contract is not None
        if pays and (not speaks or given.contract is None):
            raise CommandError('a contract needs protocol iso15118-2 or -20 and "contract": {"emaid": ...}')
        ev = EvSpec(
            capacity_wh=given.capacity_wh,
            soc_percent=given.soc_percent,
            target_percent=given.target_percent,
            max_a=given.current_a,
            min_a=min(6.0, given.current_a),
            phases=given.phases,
            ramp_a_per_s=given.ramp_a_per_s,
            cable_a=given.cable_a,
            evcc_id=EVCC_ID if speaks else None,
        )
        contract, told = await self._contract(given.contract)
        await self._do(
            lambda world: world.plug_in(given.evse, given.connector, ev, charge=given.charge, contract=contract)
        )
        return told

    async def _contract(self, given: ContractOfEv | None) -> tuple[Contract | None, Answer]:
        """The vehicle's contract, and what is told of one that was made for it."""
        if given is None:
            return None, {}
        if given.certificate:
            return Contract(given.emaid, given.certificate), {}
        chain, root = await asyncio.to_thread(self._made, given.emaid)
        return Contract(given.emaid, chain), {"certificate": chain, "mo_root": root}

    def _made(self, emaid: str) -> tuple[str, str]:
        from certs import throwaway  # noqa: PLC0415 - heavy, used rarely

        with self._issuing:
            if self._operator is None:
                self._operator = throwaway.Mobility()
            return self._operator.contract(emaid), self._operator.root_pem

    async def ev_certificate_request(self, given: EvCertificateRequest) -> Answer:
        """A vehicle asks for its contract certificate, and waits."""
        heard: Future[tuple[bool, str]] = Future()

        def hear(accepted: bool, exi_response: str) -> None:  # noqa: FBT001 - a callback: what the vehicle was told
            if not heard.done():
                heard.set_result((accepted, exi_response))

        await self._at(
            given.evse,
            None,
            lambda world: world.want_certificate(
                given.evse,
                given.schema_version,
                given.exi_request,
                update=given.action == "Update",
                patience_s=given.patience_s,
                answered=hear,
            ),
        )
        done, _ = await asyncio.wait({asyncio.wrap_future(heard)}, timeout=given.patience_s + GRACE_S)
        if not done:
            heard.cancel()
            raise CommandError("the vehicle has heard nothing: does this EVSE speak ISO 15118 (simulator: iso15118)?")
        accepted, exi_response = heard.result()
        return {"status": "Accepted" if accepted else "Failed", "exi_response": exi_response}

    async def unplug(self, given: Unplug) -> None:
        """It leaves."""
        await self._at(given.evse, given.connector, lambda world: world.unplug(given.evse))

    async def needs(self, given: Needs) -> None:
        """A vehicle says what it needs."""
        await self._do(lambda world: world.state_needs(given.evse, given.energy_wh, given.departs_in_s))

    async def swipe(self, given: Swipe) -> None:
        """A card is held to a reader."""
        types = {kind.value.lower(): kind for kind in TokenType}
        types |= {"local": TokenType.EM4100, "noauthorization": TokenType.BUTTON}
        kind = types.get(given.type.lower())
        if kind is None:
            raise CommandError(f"no token is of type {given.type!r} (there are: {', '.join(sorted(types))})")
        await self._do(lambda world: world.swipe(given.id_token, kind, given.evses))

    async def fault(self, given: SetFault) -> None:
        """A fault appears or goes."""
        wanted = given.fault.replace("_", "").lower()
        fault = next((each for name, each in Faults.items() if name.lower() == wanted), None)
        if fault is None:
            raise CommandError(f"no fault is called {given.fault!r} (there are: {', '.join(Faults)})")
        await self._at(given.evse, given.connector, lambda world: world.fault(given.evse, fault, on=given.on))

    async def meter(self, given: Meter) -> Answer:
        """What the meter shows, and when it says that it was read; gives what it shows now."""
        sampled_at = None if given.timestamp is None else self._clock.mono_of(to_wall(given.timestamp))

        def read(world: SimWorld) -> Answer:
            if (given.energy_import_wh, given.power_import_w, sampled_at) != (None, None, None):
                world.meter(given.evse, given.energy_import_wh, given.power_import_w, sampled_at)
                return {}
            reading = world.reading(given.evse)
            return {"energy_import_wh": reading.energy_import_mwh / 1000, "power_import_w": reading.power_import_w}

        return await self._do(read)

    async def lock(self, given: Lock) -> None:
        """Whether the lock motor works."""
        works = LOCK_WORKS.get(given.result.lower())
        if works is None:
            raise CommandError(f"result is {given.result!r} (works, or jams)")
        await self._at(given.evse, given.connector, lambda world: world.jam_lock(given.evse, on=not works))

    async def sensor(self, given: SetSensor) -> None:
        """What a sensor measures; a variable without a configured sensor is told as if it had one."""
        wanted = (given.component, given.instance, given.evse, given.connector, given.variable, given.variable_instance)
        for entry in self._wiring.sensors:
            place = (entry.component, entry.instance, entry.evse_id, entry.connector_id)
            if (*place, entry.variable, entry.variable_instance) == wanted:
                await self._do(lambda world, name=entry.device: world.sensor(name, given.value))  # type: ignore[misc]  # a default binds it
                return
        now: Now = self._clock.now()
        self._tell(
            SensorRead(
                component=given.component,
                variable=given.variable,
                instance=given.instance,
                evse_id=given.evse,
                connector_id=given.connector,
                variable_instance=given.variable_instance,
                value=as_text(given.value),
                at=Instant(now.boot, now.mono),
            )
        )

    async def display(self, given: Display) -> Answer:
        """What every display shows."""
        shown = await self._at(given.evse, None, lambda world: dict(world.displays))
        return {"displays": shown, "text": next(iter(shown.values()), "")}


class Network(Command, frozen=True, kw_only=True):
    """The cable to the CSMS: pulled, or put back."""

    up: bool


def network_switch(link: Link) -> Handler:
    """The command `network`: drop or restore the connection at once."""

    async def handle(line: bytes) -> Answer:
        link.enable(msgspec.json.decode(line, type=Network).up)
        return {}

    return handle
