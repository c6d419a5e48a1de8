"""What a step asks of the shell, as values.

Collected while the step runs, released when it has committed, forgotten when it failed.
`StepPorts` implements the ports `Hardware`, `Displays`, `Lamps`, `Vehicles`, `Jobs` and `Station` for the blocks.
Nothing here waits or does I/O.
Invariant: an effect leaves only after the commit of the step that asked for it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from hal.api import Indication
from hal.iso15118 import SeccSetup
from station.block import Job
from station.now import Mono, Rhythm, Wall, to_wall
from station.ports import Precondition
from station.store.intents import Intent, Intents


class Want(msgspec.Struct, frozen=True):
    """The wanted condition of an EVSE (design A6): `limit_a` per phase; energise False means no current is offered."""

    energise: bool
    limit_a: float
    phases: int = 3
    lock: bool = False


class Send(msgspec.Struct, frozen=True):
    """A text frame for the connection `connection`; dropped if that one is gone."""

    text: str
    connection: int


class SetWant(msgspec.Struct, frozen=True):
    """The hardware thread shall make this true."""

    evse_id: int
    want: Want


class TakeSample(msgspec.Struct, frozen=True):
    """The hardware thread shall read the meter of this EVSE; `label` goes into what the meter signs."""

    evse_id: int
    purpose: str
    by: Mono
    label: str = ""


class KeepReading(msgspec.Struct, frozen=True):
    """The hardware thread shall read the meter of this EVSE in this rhythm; None: no more."""

    evse_id: int
    rhythm: Rhythm | None


class Show(msgspec.Struct, frozen=True):
    """The displays shall show this text."""

    text: str


class Indicate(msgspec.Struct, frozen=True):
    """The lamp of this EVSE shall show this."""

    evse_id: int
    indication: Indication


class ContractVerdict(msgspec.Struct, frozen=True):
    """Whether a vehicle that presented its contract may charge."""

    accepted: bool


class EvCertificate(msgspec.Struct, frozen=True):
    """The answer to a vehicle that asked for its contract certificate; base64."""

    accepted: bool
    exi_response: str = ""


VehicleAnswer = ContractVerdict | EvCertificate


class TellVehicle(msgspec.Struct, frozen=True):
    """The vehicle at this EVSE shall hear this."""

    evse_id: int
    answer: VehicleAnswer


class EquipSecc(msgspec.Struct, frozen=True):
    """The boards that speak ISO 15118 shall show and offer this to vehicles."""

    setup: SeccSetup


class StartJob(msgspec.Struct, frozen=True):
    """Slow work to be done."""

    generation: int
    job: Job


class CancelJob(msgspec.Struct, frozen=True):
    """Slow work no longer wanted."""

    kind: type[Job]


class SetClock(msgspec.Struct, frozen=True):
    """A time heard from `source`, for the clock discipline."""

    wall: Wall
    source: str


class TellSnapshot(msgspec.Struct, frozen=True):
    """The core forgot what it had seen: the hardware thread tells every state again (design A3)."""


class CarryOut(msgspec.Struct, frozen=True):
    """An intent whose precondition holds: reconnect or reboot, after what was sent before is flushed."""

    intent: Intent


Effect = (
    Send
    | SetWant
    | TakeSample
    | KeepReading
    | Show
    | Indicate
    | TellVehicle
    | EquipSecc
    | StartJob
    | CancelJob
    | SetClock
    | TellSnapshot
    | CarryOut
)


class StepPorts:
    """The ports of one station as the blocks see them."""

    def __init__(self, intents: Intents) -> None:
        self._intents = intents
        self._wants: dict[int, Want] = {}
        self._told: dict[int, Want] = {}
        self._rhythms: dict[int, Rhythm | None] = {}
        self._told_rhythms: dict[int, Rhythm | None] = {}
        self._looks: dict[int, Indication] = {}
        self._looked: dict[int, Indication] = {}
        self._pending: list[Effect] = []
        self._generation = 0
        self._jobs: dict[int, Job] = {}
        self._unwanted: set[int] = set()
        self._shut: set[int] = set()

    # Hardware

    def want(self, evse_id: int, *, energise: bool, limit_a: float, phases: int = 3, lock: bool = False) -> None:
        """State the wanted condition; only a change of what was last told becomes an effect."""
        energise = energise and evse_id not in self._shut
        self._wants[evse_id] = Want(energise, limit_a if energise else 0.0, phases, lock)

    def shut(self, evse_id: int) -> None:
        """Want this EVSE off from now on, whatever a block may say: nothing more is heard of it (design A3)."""
        self._shut.add(evse_id)

    def sample(self, evse_id: int, purpose: str, by: Mono, label: str = "") -> None:
        """Ask for a fresh reading."""
        self._pending.append(TakeSample(evse_id, purpose, by, label))

    def keep_reading(self, evse_id: int, rhythm: Rhythm | None) -> None:
        """State in which rhythm a meter is read; only a change of what was last told becomes an effect."""
        self._rhythms[evse_id] = rhythm

    def look_again(self) -> None:
        """Let the hardware tell its whole state again."""
        self._pending.append(TellSnapshot())

    # Displays

    def show(self, text: str) -> None:
        """Replace what is shown."""
        self._pending.append(Show(text))

    # Lamps

    def indicate(self, evse_id: int, indication: Indication) -> None:
        """State what an EVSE looks like; only a change of what was last told becomes an effect."""
        self._looks[evse_id] = indication

    # Vehicles

    def answer_contract(self, evse_id: int, *, accepted: bool) -> None:
        """End a vehicle's wait for its contract to be judged."""
        self._pending.append(TellVehicle(evse_id, ContractVerdict(accepted)))

    def answer_certificate(self, evse_id: int, *, accepted: bool, exi_response: str = "") -> None:
        """End a vehicle's wait for its contract certificate."""
        self._pending.append(TellVehicle(evse_id, EvCertificate(accepted, exi_response)))

    def equip(self, setup: SeccSetup) -> None:
        """Say what vehicles are shown and offered."""
        self._pending.append(EquipSecc(setup))

    # Jobs

    def start(self, job: Job) -> int:
        """Start slow work."""
        self._generation += 1
        self._jobs[self._generation] = job
        self._pending.append(StartJob(self._generation, job))
        return self._generation

    def cancel(self, kind: type[Job]) -> None:
        """Stop slow work; its result counts no more, even if it is on its way already."""
        self._unwanted |= {number for number, job in self._jobs.items() if isinstance(job, kind)}
        self._pending.append(CancelJob(kind))

    def awaits(self, kind: type[Job]) -> bool:
        """Whether one was started that has neither ended nor been stopped."""
        return any(isinstance(job, kind) for number, job in self._jobs.items() if number not in self._unwanted)

    def is_current(self, generation: int) -> bool:
        """Whether a result of this start still matters."""
        job = self._jobs.get(generation)
        return job is not None and not any(
            later > generation and each.key == job.key for later, each in self._jobs.items()
        )

    def ended(self, generation: int) -> None:
        """The step that took the result has committed; what older starts of the same bring is news no more."""
        job = self._jobs.get(generation)
        if job is not None:
            self._jobs = {n: each for n, each in self._jobs.items() if each.key != job.key or n > generation}

    # Station

    def reconnect(self, *, after: Precondition = "reply") -> None:
        """Close the connection and connect anew."""
        self._intents.add("reconnect", after=after)

    def reboot(self, reason: str, *, after: Precondition = "reply", by: Mono | None = None) -> None:
        """Restart, and tell `reason` after it."""
        self._intents.add("reboot", after=after, reason=reason, by=by)

    def set_clock(self, wall: datetime, source: str) -> None:
        """Discipline the wall clock."""
        self._pending.append(SetClock(to_wall(wall), source))

    # The engine

    def take(self) -> list[Effect]:
        """What the committed step asked for, wants first: they are the most urgent."""
        for evse_id in self._shut - self._wants.keys():
            if (told := self._told.get(evse_id)) is None or told.energise:
                self._wants[evse_id] = Want(energise=False, limit_a=0.0)
        wants: list[Effect] = [
            SetWant(evse_id, want) for evse_id, want in self._wants.items() if self._told.get(evse_id) != want
        ]
        self._told.update(self._wants)
        effects = wants + self._pending
        if self._rhythms:
            effects += self._changed_rhythms()
        if self._looks:
            effects += [Indicate(each, look) for each, look in self._looks.items() if self._looked.get(each) != look]
            self._looked.update(self._looks)
        for number in self._unwanted:
            self._jobs.pop(number, None)
        self._wants, self._looks, self._pending, self._unwanted = {}, {}, [], set()
        return effects

    def _changed_rhythms(self) -> list[Effect]:
        rhythms, self._rhythms = self._rhythms, {}
        changed = {each: rhythm for each, rhythm in rhythms.items() if self._told_rhythms.get(each) != rhythm}
        self._told_rhythms |= changed
        return [KeepReading(each, rhythm) for each, rhythm in changed.items()]

    def clear(self) -> None:
        """Forget what the failed step asked for; a job that was never started supersedes none."""
        for effect in self._pending:
            if isinstance(effect, StartJob):
                self._jobs.pop(effect.generation, None)
        self._wants, self._rhythms, self._looks, self._pending, self._unwanted = {}, {}, {}, [], set()

    def wanted(self, evse_id: int) -> Want | None:
        """What was last told to the hardware."""
        return self._told.get(evse_id)
