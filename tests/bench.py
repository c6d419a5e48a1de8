"""The bench: a whole station in virtual time, with simulated hardware and a scripted CSMS.

Everything but I/O is the real thing: the engine, the database (a file), the outbox, the RPC endpoint, the
reconciliation of the hardware, the physics of the simulator. The shell's two queues are played here: facts go in,
effects come out, in the order in which the shell would carry them. Time passes only in `advance`; two offline days take
seconds.

    bench.evse(1).plug_in()             what a person does in front of the charger
    bench.advance(minutes=30)
    bench.csms.disconnect()             what happens to the link
    bench.csms.received("TransactionEvent")
    bench.crash()                       kill -9: all memory is lost; a new station boots from the same file
"""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from certs.file_keys import FileKeys
from certs.own import OwnChains as ChainFiles
from certs.signature import MANUFACTURER_ROOT
from certs.trust import TrustStore
from device_model.build import ConnectorLayout, EvseLayout, InitialValue, Layout
from device_model.model import ComponentId, VariableId
from hal.api import BoardEvent, BoardSnapshot, Fault, Indication, MeterReading, SignMoment, Token, TokenType
from hal.sim.ev import EvSpec
from hal.sim.evse import EvseSpec
from hal.sim.ocmf import OcmfSigner
from hal.sim.world import Listener, SimWorld
from station import known
from station.app import Station
from station.block import Job, JobResult, NextPiece
from station.blocks.firmware.jobs import JudgeSigner
from station.blocks.firmware.terms import FirmwareTerms
from station.blocks.remote_control import Unlock, UnlockTried
from station.blocks.smart_charging.vehicle import OfferSchedules, SchedulesOffered
from station.commands import firmware
from station.commands.roots import JOBS, FileOwn, Roots
from station.commands.signing import KeyWork, Places
from station.commands.vehicles import CertificateWork
from station.commands.vehicles import Places as VehiclePlaces
from station.effects import (
    CancelJob,
    CarryOut,
    ContractVerdict,
    Effect,
    EquipSecc,
    EvCertificate,
    Indicate,
    KeepReading,
    Send,
    SetClock,
    SetWant,
    Show,
    StartJob,
    TakeSample,
    TellSnapshot,
    TellVehicle,
)
from station.facts import ClockStepped, LinkLost, LinkRestored, SampleFailed
from station.inputs import Ask, Canary, Happened
from station.now import Instant, Mono, Now, Rhythm, Wall, to_datetime
from station.setup import Setup, World
from station.shell import vehicles
from station.shell.clock import plausible
from station.shell.levels import presented, sampled
from station.shell.metering import MOMENT, MOMENTS, SIGNED
from station.shell.outlet import Action, Allow, Deny, MoveLock, Place
from station.shell.reconcile import Reconciler
from station.state.network import NetworkProfile
from station.store import files
from station.store.boots import Boots
from station.store.db import Database
from station.store.fallback import Fallback
from tests import only_reads
from tests.crash.medium import memory
from tests.csms import EPOCH, Csms
from tests.models import built

# Thousands of stations are started: what is always the same is made once.
known.build = built  # type: ignore[attr-defined]  # a name that is imported there
known.catalogue.load = functools.cache(known.catalogue.load)  # type: ignore[attr-defined]  # as above

MEASURANDS = (
    "Current.Import",
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Voltage",
)
IDLE_PERIOD_S = 60.0
SETTLE = 10_000
"""So many turns without time passing are a livelock."""


class OwnChains(FileOwn):
    """The station's own certificates: those in its files, and whatever a test puts beside them."""

    def __init__(self, signed: Path) -> None:
        super().__init__(None, signed)
        self.by_kind: dict[str, list[str]] = {}

    def chains(self, kind: str) -> list[str]:
        """PEM texts, leaf first."""
        return [*super().chains(kind), *self.by_kind.get(kind, [])]


class CountedIds:
    """Ids that a test can foretell."""

    def __init__(self) -> None:
        self.count = 0

    def uuid(self) -> str:
        """The next one."""
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012d}"


@functools.cache
def empty_database() -> bytes:
    """What the first start makes, made once: the migrations take half the time of a whole start."""
    with memory() as path:
        Database.open(path / "station.db").close()
        return (path / "station.db").read_bytes()


def setup(  # noqa: PLR0913 - by keyword, what a test wants different
    *,
    evses: int = 2,
    connectors: int = 1,
    lock: bool = False,
    variables: Mapping[str, str] | None = None,
    signing: bool = False,
    iso15118: bool = False,
    layout: Mapping[str, Any] | None = None,
    **more: Any,
) -> Setup:
    """A station to test: AC, three phases, 32 A. `signing`: its meters sign on request.

    `iso15118`: its board speaks that. `variables`: initial values by name, `{"TxCtrlr.TxStartPoint": "Authorized",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3"}`.
    """
    connector = ConnectorLayout(type="sType2" if lock else "cType2", max_current_a=32.0, lock=lock)
    evse = EvseLayout(
        max_power_w=22_080.0,
        phases=3,
        connectors=(connector,) * connectors,
        measurands=MEASURANDS,
        signs=signing,
        iso15118=iso15118,
    )
    built = Layout(
        vendor_name="Bench",
        model="Twin",
        serial_number="B-1",
        firmware_version="1.0",
        **{
            "identity": "CS-BENCH",
            "evses": (evse,) * evses,
            "file_transfer_protocols": ("FTP", "FTPS", "HTTP", "HTTPS", "SFTP"),
            **(layout or {}),
        },
    )
    profile = NetworkProfile(slot=0, url="ws://csms.example/ocpp", security_profile=built.security_profile)
    values = tuple(initial(name, value) for name, value in (variables or {}).items())
    return Setup(layout=built, initial=values, **{"profiles": (profile,), "firmware": FirmwareTerms(), **more})


def initial(name: str, value: str) -> InitialValue:
    """`Component.Variable[instance]` as the station's file would give it."""
    component, _, rest = name.partition(".")
    variable, _, instance = rest.rstrip("]").partition("[")
    return InitialValue(ComponentId(component), VariableId(variable, instance), value)


class Bench:
    """One station under test. See the module's first lines.

    `path`: an empty directory. `connected=False`: the CSMS is not there yet. `vfs`: the storage medium, see
    `tests/crash`. `csms`: one that knows this station already. Further arguments as for `setup`.
    """

    def __init__(  # noqa: PLR0915 - all that a test may turn
        self,
        path: Path,
        *,
        connected: bool = True,
        boot: bool = True,
        vfs: str | None = None,
        csms: Csms | None = None,
        **given: Any,
    ) -> None:
        self._vfs = vfs
        self.path = path
        self.setup = setup(**given)
        self.mono = 1000.0
        self.offset = EPOCH.timestamp() - self.mono
        self.true_offset = self.offset
        self.trusted = True
        self.ids = CountedIds()
        self.random = random.Random(7)  # noqa: S311 - chance that a test can repeat
        self.own = OwnChains(path / "certificates")
        self.roots = Roots(TrustStore(path / "roots"), self.own)
        self.idle_jobs = False
        """Whoever does slow work has no time: it waits in `jobs`."""
        self.path_to_root: tuple[str, ...] = ()
        """The fingerprints of those that vouch for the CSMS from the next connection on."""
        self.jobs: list[StartJob] = []
        self._pieces: deque[tuple[int, JobResult]] = deque()
        self.lamps: dict[int, Indication] = {}
        self.shown: list[str] = []
        """What the displays showed, one text after the other; "" is nothing."""
        self.busy = False
        """Other inputs always come first: long work goes on only by `piece()`."""
        self.intents: list[CarryOut] = []
        self.reboots: list[str] = []
        self.clock_set: list[SetClock] = []
        self._downtime: float | None = None
        self._idle_at = 0.0
        self._late: list[SampleFailed] = []
        self._rhythms: dict[int, tuple[float, Rhythm]] = {}
        """The meters that are read without being asked: when next, and in which rhythm."""
        self.unreachable: set[int] = set()
        """Slots of network profiles whose CSMS does not answer."""
        self.keys = KeyWork(
            Places(
                keys=FileKeys(path / "keys", files.replace),
                chains=ChainFiles(path / "certificates", files.replace),
                roots=lambda use: TrustStore(path / "roots").bundle(use),
                installed=lambda _given: [
                    (file.parent.name, file) for file in sorted((path / "roots").glob("*/*.pem"))
                ],
            )
        )
        """What makes keys and checks certificates, at once."""
        self.certificate_work = CertificateWork(
            VehiclePlaces(roots=TrustStore(path / "roots"), chains=ChainFiles(path / "certificates"))
        )
        """What looks at the certificates of vehicles and of the SECC, at once."""
        self.keys_busy = False
        """Whoever does that has no time: it waits in `jobs`."""
        self.refused: set[str] = set()
        """Names of certificates of the station that the CSMS does not take."""
        self.password: str | None = None
        """The only password that the CSMS takes; None: it takes any."""
        self._profile: NetworkProfile | None = None
        lock = any(connector.lock for connector in self.setup.layout.evses[0].connectors)
        connectors = len(self.setup.layout.evses[0].connectors)
        self.world = SimWorld(
            {n: EvseSpec(lock=lock, connectors=connectors) for n, _ in enumerate(self.setup.layout.evses, 1)},
            lambda: self.mono,
        )
        self.csms = csms or Csms(message_timeout_s=self.setup.message_timeout_s)
        self.csms.clock = lambda: self.true_utc
        self.csms.seconds = lambda: self.mono
        self.csms.attach(pump=self.settle, link=lambda up: self._link(up=up))
        self.csms.connected = connected
        self.signers = {n: OcmfSigner(f"meter-{n}") for n, evse in enumerate(self.setup.layout.evses, 1) if evse.signs}
        self._readers()
        if boot:
            self.boot()

    # ------------------------------------------------------------------------------------------------ time

    @property
    def now(self) -> Now:
        """The present as the station knows it."""
        return Now(self.station_boot, Mono(self.mono), Wall(self.mono + self.offset), self.trusted)

    @property
    def utc(self) -> datetime:
        """What the station's clock says."""
        return to_datetime(Wall(self.mono + self.offset))

    @property
    def true_utc(self) -> datetime:
        """What the CSMS's clock says."""
        return to_datetime(Wall(self.mono + self.true_offset))

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Let time pass; everything due happens at its own instant."""
        until = self.mono + timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days).total_seconds()
        self.settle()
        while (at := self._next_due()) < until:
            self.mono = max(self.mono, at)
            self._turn()
        self.mono = until
        self._turn()

    def _next_due(self) -> float:
        due = [self.world.next_change(), self.hardware.next_due(self.mono), self._idle_at]
        due += [failed.at.mono for failed in self._late]
        due += [at for at, _ in self._rhythms.values()]
        deadline = self.station.exchange.next_deadline(self.now)
        assert self.station.engine.next_due(self.now) == self.station.engine.next_due_by_all(self.now), (
            "a deadline moved unseen"
        )
        if deadline is not None:
            due.append(self.mono + deadline)
        return min(due)

    def _turn(self) -> None:
        self.world.advance(self.mono)
        if self.mono >= self._idle_at:
            self._idle_readings()
        for evse_id in [each for each, (at, _) in self._rhythms.items() if at <= self.mono]:
            self._rhythms[evse_id] = (self._rhythms[evse_id][1].after(self.mono), self._rhythms[evse_id][1])
            if not self.world.is_lost(f"meter-{evse_id}"):
                self._sample(TakeSample(evse_id, MOMENT, Mono(self.mono)))
        for failed in [each for each in self._late if each.at.mono <= self.mono]:
            self._late.remove(failed)
            self.hardware.tell(failed)
        self._do(self.station.exchange.tick(self.now))
        self.settle()

    # ------------------------------------------------------------------------------------------------ life and death

    def boot(self) -> None:
        """Start the station over whatever the database holds."""
        if self._vfs is None and not any(self.path.glob("station.db*")):
            files.make_directory(self.path)
            files.create(self.path / "station.db", [empty_database()])
        self.database = Database.open(self.path / "station.db", vfs=self._vfs)
        boots = Boots(self.database)
        disk = Fallback(self.database)
        self.station_boot = disk.attempt(lambda: boots.begin(Mono(self.mono), Wall(self.mono + self.offset)))
        world = World(ids=self.ids, random=self.random)
        setup = msgspec.structs.replace(self.setup, installed=self.roots.installed())
        self.station = Station(setup, world, self.database, boots, self.station_boot)
        places = tuple(
            Place(evse_id=number, board="board", channel=number, info=self.world.evse(number).info)
            for number in self.world.numbers
        )
        self.hardware = Reconciler(places, self.station_boot)
        self._stop_listening = self.world.listen(Listener(board=self._saw, touched=lambda: None))
        self._do(self.station.start(self.now))
        if not self.world.is_lost("board"):
            self.found_board()
        self._idle_readings()
        if self.csms.connected:
            self._link(up=True)
        self.settle()

    def found_board(self) -> None:
        """The board answers (again) and tells its whole state."""
        for number in self.world.numbers:
            self.hardware.saw(number, self.world.evse(number).snapshot(), self.mono)

    def crash(self, *, down_s: float = 5.0, boot: bool = True) -> None:
        """Kill -9 or a power cut of the controller: memory is gone, the file and the hardware stay."""
        self._stop_listening()
        self.station.db.connection.close()
        self.csms.order.rebooted()
        self.mono += down_s
        self.world.advance(self.mono)
        self._downtime = self._profile = None
        self._late.clear()
        self._rhythms.clear()
        self._pieces.clear()
        self.jobs.clear()
        if boot:
            self.boot()

    # ------------------------------------------------------------------------------------------------ the link

    def _link(self, *, up: bool) -> None:
        if up:
            offline_s = None if self._downtime is None else self.mono - self._downtime
            self._downtime = None
            profile = self._dialled()
            shown = self._shown(profile)
            restored = LinkRestored(
                profile_slot=profile.slot,
                security_profile=profile.security_profile,
                offline_s=offline_s,
                new_profile=self._profile not in {None, profile},
                credentials=self._place(shown),
                certificate=shown,
                path=self.path_to_root,
            )
            self._profile = profile
            self._do(self.station.exchange.connected("ocpp2.0.1", restored, self.now))
        else:
            self._downtime = self.mono
            lost = LinkLost(kind="closed", detail="the test cut it", was_up=True)
            self._do(self.station.exchange.disconnected(lost, self.now))

    def _dialled(self) -> NetworkProfile:
        """The profile by which the link gets through: the one used last, else the first in the order."""
        profiles = self.station.network.profiles()
        last = [profile for profile in profiles if profile == self._profile]
        return next(profile for profile in (*last, *profiles) if profile.slot not in self.unreachable)

    def _shown(self, profile: NetworkProfile) -> str:
        """The certificate that gets the link through: the first that the CSMS takes; none below profile 3."""
        ways = self.station.own_certificates.ways() if profile.security_profile == 3 else ()
        return next((each for each in ways if each not in self.refused), "")

    def _place(self, shown: str) -> int:
        """Whether it was the first choice."""
        if shown:
            return self.station.own_certificates.ways().index(shown)
        return self.station.network.passwords().index(self.password) if self.password else 0

    # ------------------------------------------------------------------------------------------------ the shell's part

    def settle(self) -> None:
        """Carry everything to and fro until all are quiet, without time passing."""
        for _ in range(SETTLE):
            if not (self._hardware_turn() or self._csms_turn() or self._due_turn() or self._piece_turn()):
                return
        raise AssertionError("the station never comes to rest")

    def _piece_turn(self) -> bool:
        return not self.busy and self.piece()

    def piece(self) -> bool:
        """Long work goes on by one step, if there is any."""
        if not self._pieces:
            return False
        self._do(self.station.exchange.job_done(*self._pieces.popleft(), self.now))
        return True

    def _due_turn(self) -> bool:
        deadline = self.station.exchange.next_deadline(self.now)
        if deadline is None or deadline > 0:
            return False
        self._do(self.station.exchange.tick(self.now))
        return True

    def _csms_turn(self) -> bool:
        frames = self.csms.outgoing() if self.csms.connected else []
        exchange = self.station.exchange
        for text in frames:
            untouched = only_reads.Untouched(self.station, self.now)
            effects = exchange.receive(text, self.now)
            if not exchange.moved:
                untouched.check()
            self._do(effects)
        return bool(frames)

    def _hardware_turn(self) -> bool:
        moved = False
        for action in self.hardware.actions(self.mono):
            error = self._act(action)
            self.hardware.did(action, error, self.mono)
            moved = True
        batch = self.hardware.batch(self.mono)
        if batch is not None:
            given = Happened(batch.facts) if batch.facts else Canary()
            self._do(self.station.exchange.give(given, self.now))
            self.hardware.committed(batch.number, self.mono)
            moved = True
        return moved

    def _act(self, action: Action) -> str | None:
        if self.world.is_lost("board"):
            return "board: gone"
        match action:
            case Allow(evse_id, permit):
                reason = self.world.allow(evse_id, permit)
            case Deny(evse_id):
                self.world.deny(evse_id)
                reason = ""
            case MoveLock(evse_id, locked):
                reason = self.world.move_lock(evse_id, locked=locked)
        return reason or None

    def _saw(self, event: BoardEvent) -> None:
        if self.world.is_lost("board"):
            return
        if isinstance(event, BoardSnapshot):
            self.hardware.saw(event.channel, event, self.mono)
        elif (fact := vehicles.told(event, event.channel, self.now.instant)) is not None:
            self.hardware.tell(fact)

    def _do(self, effects: Sequence[Effect]) -> None:  # noqa: C901, PLR0912 - a line for each kind of effect
        for effect in effects:
            match effect:
                case Send(text, connection):
                    if connection == self.station.exchange.connection and self.csms.connected:
                        self.sends(text)
                case SetWant(evse_id, want):
                    self.hardware.want(evse_id, want)
                case TakeSample():
                    self._sample(effect)
                case KeepReading(evse_id, rhythm):
                    self._rhythms.pop(evse_id, None)
                    if rhythm is not None:
                        self._rhythms[evse_id] = (rhythm.after(self.mono), rhythm)
                case TellSnapshot():
                    self.hardware.snapshot_again()
                case SetClock():
                    self._set_clock(effect)
                case Show(text):
                    self.shown.append(text)
                case Indicate(evse_id, indication):
                    self.lamps[evse_id] = indication
                case StartJob(_, OfferSchedules(evse_id=evse_id, schedules=schedules)):
                    offered = SchedulesOffered(evse_id=evse_id, reason=self.world.offer(evse_id, schedules))
                    self._do(self.station.exchange.job_done(effect.generation, offered, self.now))
                case StartJob(_, Unlock() as unlock):
                    self._unlock(effect, unlock)
                case StartJob(generation, NextPiece(due=due)):
                    self._pieces.append((generation, due))
                case StartJob() if self.idle_jobs:
                    self.jobs.append(effect)
                case StartJob(generation, job) if isinstance(job, JOBS):
                    self._do(self.station.exchange.job_done(generation, self.roots.do(job), self.now))
                case StartJob(generation, job) if job in self.keys and not self.keys_busy:
                    self._do(self.station.exchange.job_done(generation, self.keys.do(job), self.now))
                case StartJob(generation, job) if job in self.certificate_work and not self.keys_busy:
                    self._do(self.station.exchange.job_done(generation, self.certificate_work.do(job), self.now))
                case TellVehicle():
                    self._tell_vehicle(effect)
                case EquipSecc(setup):
                    self.world.secc = setup
                case StartJob(generation, JudgeSigner() as job):
                    judged = firmware.judge(job, TrustStore(self.path / "roots").bundle(MANUFACTURER_ROOT))
                    self._do(self.station.exchange.job_done(generation, judged, self.now))
                case StartJob():
                    self.jobs.append(effect)
                case CancelJob(kind):
                    self.jobs = [job for job in self.jobs if not isinstance(job.job, kind)]
                case CarryOut():
                    self._carry_out(effect)

    def _tell_vehicle(self, told: TellVehicle) -> None:
        match told.answer:
            case ContractVerdict(accepted):
                self.world.authorized(told.evse_id, accepted=accepted)
            case EvCertificate(accepted, exi_response):
                if self.world.evse(told.evse_id).ev is not None:
                    self.world.give_certificate(told.evse_id, accepted=accepted, exi_response=exi_response)

    def _unlock(self, effect: StartJob, unlock: Unlock) -> None:
        reason = self.world.move_lock(unlock.evse_id, locked=False)
        tried = UnlockTried(
            evse_id=unlock.evse_id,
            connector_id=unlock.connector_id,
            unlocked=not reason,
            at=self.now.instant,
            reason=reason,
        )
        self._do(self.station.exchange.job_done(effect.generation, tried, self.now))

    def _idle_readings(self) -> None:
        """Meters are read once a minute when nobody asks, and when they are found."""
        self._idle_at = self.mono + IDLE_PERIOD_S
        for number in self.world.numbers:
            if not self.world.is_lost(f"meter-{number}"):
                self._sample(TakeSample(number, "idle", Mono(self.mono)))

    def sends(self, text: str) -> None:
        """A frame leaves the station and arrives."""
        self.csms._out.extend(self.csms.feed(text))

    def _sample(self, wanted: TakeSample) -> None:
        evse_id, purpose = wanted.evse_id, wanted.purpose
        if self.world.is_lost(f"meter-{evse_id}"):
            at = Instant(self.station_boot, wanted.by)
            self._late.append(SampleFailed(evse_id=evse_id, at=at, purpose=purpose, reason="silent"))
            return
        self.hardware.tell(sampled(evse_id, self.reading(wanted), purpose, self.station_boot))

    def reading(self, wanted: TakeSample) -> MeterReading:
        """What the meter shows, signed if that is wanted and it can."""
        reading, signer = self.world.reading(wanted.evse_id), self.signers.get(wanted.evse_id)
        kind = wanted.purpose.removesuffix(SIGNED)
        if signer is None or kind == wanted.purpose:
            return reading
        moment, wall = MOMENTS.get(kind, SignMoment.SAMPLE), self.true_utc.timestamp()
        signed = signer.sign(moment, wanted.label, reading.energy_import_mwh, wall)
        return msgspec.structs.replace(reading, signed=signed)

    def _set_clock(self, effect: SetClock) -> None:
        self.clock_set.append(effect)
        if not plausible(effect.wall):  # as the real clock judges
            return
        offset = effect.wall - self.mono
        step, self.offset, self.trusted = offset - self.offset, offset, True
        if abs(step) > 1e-6:
            fact = ClockStepped(by_s=step, source=effect.source)
            self._do(self.station.exchange.clock_stepped(fact, self.now))

    def _carry_out(self, effect: CarryOut) -> None:
        self.intents.append(effect)
        if effect.intent.kind == "reboot":
            self.reboots.append(effect.intent.reason)
            self._do(
                self.station.exchange.give(Ask(lambda _now: self.station.outbox.flush()), self.now)
            )  # orderly stop
            self.csms.connected, was = False, self.csms.connected
            self.crash(boot=False)
            self.csms.connected = was
            self.boot()
        elif effect.intent.kind == "reconnect":
            self._do(self.station.exchange.carried_out(effect.intent, self.now))
            if self.csms.connected:
                self.csms.disconnect()
                self.csms.connect()

    def job(self, kind: type[Job]) -> StartJob:
        """The oldest job of a kind that waits to be done."""
        return next(job for job in self.jobs if isinstance(job.job, kind))

    def job_done(self, job: StartJob, result: JobResult) -> None:
        """Slow work has ended."""
        self.jobs.remove(job)
        self._do(self.station.exchange.job_done(job.generation, result, self.now))
        self.settle()

    # ------------------------------------------------------------------------------------------------ people

    def _readers(self) -> None:
        for number in self.world.numbers:
            self.world.add_reader(f"reader-{number}", (number,), self._reader((number,)))
        self.world.add_reader("reader", self.world.numbers, self._reader(self.world.numbers))

    def _reader(self, evse_ids: tuple[int, ...]) -> Callable[[Token], None]:
        def present(token: Token) -> None:
            self.hardware.tell(presented(token, evse_ids, self.now.instant))

        return present

    def evse(self, number: int) -> Evse:
        """One charging point and the people before it."""
        return Evse(self, number)

    def swipe(self, uid: str, type_: TokenType = TokenType.ISO14443) -> None:
        """Hold a card to the reader that serves all EVSEs."""
        self._present_at("reader", uid, type_)

    def _present_at(self, reader: str, uid: str, type_: TokenType) -> None:
        others = {name: self.world._readers.pop(name) for name in list(self.world._readers) if name != reader}
        try:
            self.world.swipe(uid, type_)
        finally:
            self.world._readers.update(others)
        self.settle()

    # ------------------------------------------------------------------------------------------------ what was sent

    def events(self, number: int | None = None) -> list[dict[str, Any]]:
        """The TransactionEvents that the CSMS received, of one transaction if `number` (counted from 0) is given."""
        received = self.csms.received("TransactionEvent")
        if number is None:
            return received
        ids = list(dict.fromkeys(event["transactionInfo"]["transactionId"] for event in received))
        return [event for event in received if event["transactionInfo"]["transactionId"] == ids[number]]


class Evse:
    """What a person does at one EVSE."""

    def __init__(self, bench: Bench, number: int) -> None:
        self.bench = bench
        self.number = number

    def plug_in(self, connector: int = 1, *, charge: bool = True, **ev: Any) -> None:
        """Connect a vehicle, described as `EvSpec`; it asks for energy at once if `charge`."""
        self.bench.world.plug_in(self.number, connector, EvSpec(**ev), charge=charge)
        self.bench.settle()

    def unplug(self) -> None:
        """Disconnect the vehicle."""
        self.bench.world.unplug(self.number)
        self.bench.settle()

    def ev(self, state: str) -> None:
        """`charge`, `pause` or `stop`."""
        self.bench.world.ev(self.number, state)
        self.bench.settle()

    def present_token(self, uid: str, type_: TokenType = TokenType.ISO14443) -> None:
        """Hold a card to this EVSE's own reader."""
        self.bench._present_at(f"reader-{self.number}", uid, type_)

    def fault(self, fault: Fault, *, on: bool = True) -> None:
        """Break it, or mend it."""
        self.bench.world.fault(self.number, fault, on=on)
        self.bench.settle()

    @property
    def energy_wh(self) -> float:
        """The meter's register."""
        return self.bench.world.reading(self.number).energy_import_mwh / 1000

    @property
    def charging(self) -> bool:
        """Whether current flows."""
        return self.bench.world.evse(self.number).current_a > 0

    @property
    def contactor_closed(self) -> bool:
        """Whether the vehicle is connected to the grid."""
        return self.bench.world.evse(self.number).snapshot().contactor_closed
