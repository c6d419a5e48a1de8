"""The wiring diagram: every object of one station, built in order, and who gets what. No logic.

Read it from top to bottom: store, state objects, ports, blocks, engine, exchange. The order of the blocks is the order
in which they hear facts. All that belongs to one charging station hangs on one `Station`; nothing is kept in modules,
so that one process could run several.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from device_model import catalogue
from device_model.build import InitialValue, Layout, build, configure
from device_model.model import ComponentId, VariableId
from device_model.storage import Storage
from station.block import Block, Reloads, Vetoes
from station.blocks.authorization.block import Authorization
from station.blocks.authorization.wish import States as AuthorizationStates
from station.blocks.authorization.wish import World as AuthorizationWorld
from station.blocks.availability import Availability
from station.blocks.certificates import RootCertificates
from station.blocks.data_transfer import DataTransfers, Installed
from station.blocks.diagnostics.customers import CustomerInformation
from station.blocks.diagnostics.events import Notices
from station.blocks.diagnostics.hard_wired import HardWiring
from station.blocks.diagnostics.logs import LogRetrieval
from station.blocks.diagnostics.monitoring import VariableMonitoring
from station.blocks.display import Display
from station.blocks.firmware.block import Firmware
from station.blocks.firmware.terms import FirmwareTerms
from station.blocks.iso15118.ev_certificates import EvCertificates
from station.blocks.iso15118.secc import Secc
from station.blocks.local_list import LocalAuthorizationList
from station.blocks.metering.block import Metering
from station.blocks.own_certificates.expiry import CertificateExpiry
from station.blocks.own_certificates.signing import CertificateSigning
from station.blocks.own_certificates.switch import CertificateSwitch
from station.blocks.provisioning.boot import BootSequence
from station.blocks.provisioning.delivery import DeliverySettings
from station.blocks.provisioning.equipment import Equipment
from station.blocks.provisioning.network import NetworkProfiles
from station.blocks.provisioning.operator import Operator
from station.blocks.provisioning.reports import Reports
from station.blocks.provisioning.reset import Resetting
from station.blocks.provisioning.variables import VariableAccess
from station.blocks.remote_control import RemoteControl
from station.blocks.reservation import Reserving
from station.blocks.security import Security
from station.blocks.smart_charging.block import Parts, SmartCharging
from station.blocks.smart_charging.ceilings import Ceilings
from station.blocks.smart_charging.ceilings import States as SmartChargingStates
from station.blocks.smart_charging.external import Externals, Signal
from station.blocks.smart_charging.validation import Judge
from station.blocks.smart_charging.vehicle import Vehicles
from station.blocks.transactions.block import Transactions
from station.blocks.transactions.conduct import States as TransactionStates
from station.blocks.transactions.conduct import World as TransactionWorld
from station.csms import StepCsms
from station.effects import Effect, StepPorts
from station.engine import Ask, Engine, Happened
from station.exchange import Exchange
from station.facts import Fact, Facts, SecurityEventOccurred, StationStarted, StoreDegraded
from station.now import BootId, Instant, Now, to_datetime
from station.ocpp.rpc import Endpoint
from station.ocpp.speaker import Speaker
from station.ocpp.types import ChargingStationType
from station.ocpp.v201 import Speaker201
from station.ports import Ids
from station.stamps import Stamps
from station.state.certificates import Certificate, Certificates
from station.state.connectors import Connectors
from station.state.customers import Customers, Sources
from station.state.equipment import Part
from station.state.expiry import ExpiryTold
from station.state.factory import FactoryState
from station.state.firmware_updates import FirmwareUpdates
from station.state.limits import Limits
from station.state.local_list import LocalList
from station.state.log_uploads import LogUploads
from station.state.meters import Meters
from station.state.monitoring import Factory, Monitoring
from station.state.network import Network, NetworkProfile
from station.state.own_certificates import CHARGING_STATION, Given, OwnCertificates
from station.state.profiles import Profiles
from station.state.registration import Registration
from station.state.reservations import Reservations
from station.state.resets import Resets
from station.state.secc import CertificateStatuses
from station.state.security_log import SecurityLog
from station.state.sessions import Sessions
from station.state.tokens import Tokens
from station.state.variables import Variables
from station.store.boots import Boots
from station.store.db import Database
from station.store.intents import Intents
from station.store.outbox import Outbox
from station.store.traces import Traces

FEATURES = frozenset(
    {
        "auth_cache",
        "certificates",
        "iso15118",
        "local_list",
        "monitoring",
        "reservation",
        "security_downgrade",
        "smart_charging",
    }
)
"""What of the catalogue's optional features this agent has built in; what depends on the hardware, the layout says."""

TRIGGERS = frozenset(
    {
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SignChargingStationCertificate",
        "StatusNotification",
        "TransactionEvent",
    }
)
"""What TriggerMessage may ask for besides BootNotification (F06); SignV2GCertificate where there is an SECC."""

Seal = Callable[[str], str]


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What makes one station, already checked: from station.yaml, or from a test.

    `found_boot_reason`: why the process started, if no reboot of ours explains it. `versions`: the preferred one first.
    """

    layout: Layout
    initial: tuple[InitialValue, ...] = ()
    versions: tuple[str, ...] = ("2.0.1",)
    strict: bool = False
    found_boot_reason: str = "PowerUp"
    message_timeout_s: float = 35.0
    profiles: tuple[NetworkProfile, ...] = ()
    """Network connection profiles, the preferred one first; the first is of the layout's security profile."""
    installed: tuple[Certificate, ...] = ()
    """The certificates that are there at the start."""
    certificates: frozenset[str] = frozenset()
    """Kinds of certificates that the machine has besides, such as the roots of its operating system."""
    given_certificate: Given | None = None
    """The period of the ChargingStationCertificate that the file names."""
    renew_ahead_s: float = 30 * 86_400.0
    """How long before its end a certificate of the station is renewed (A03.FR.02)."""
    security_log_lost: bool = False
    """The security log of before is not there any more."""
    resume: bool = False
    """Go on with a transaction that a restart interrupted, instead of ending it."""
    queue_bytes: int = 64_000_000
    """What the database may hold before the queue drops Updated events (E04.FR.08)."""
    keypad: bool = False
    """There are a display and keys: digits come as KeyCode tokens, and a master pass may choose (C16.FR.01)."""
    main_meter: bool = False
    """The station has a meter of its own, told as EVSE 0 (J01.FR.04)."""
    monitors: tuple[Factory, ...] = ()
    """Hard-wired and preconfigured monitors (N03)."""
    status_by_event: bool = False
    """The status of connectors is told by NotifyEvent instead of StatusNotification (G01)."""
    signals: tuple[Signal, ...] = ()
    """Sensors by which other systems limit the station (K11)."""
    parts: Mapping[str, Part] = {}
    """Which component of the device model shows which device."""
    firmware: FirmwareTerms | None = None
    """On what terms firmware is updated; None: there is no installer."""
    extensions: tuple[Installed, ...] = ()
    """Vendors' messages of their own (P); the layout names the vendors, too."""


class World(msgspec.Struct, frozen=True):
    """What is passed in so that it can be anything in a test: ids, chance, and how secrets are sealed for the disk."""

    ids: Ids
    random: random.Random
    seal: Seal = str
    unseal: Seal = str


class Station:
    """One charging station. Built over an open database whose boot has begun (`Boots.begin`)."""

    def __init__(self, setup: Setup, world: World, db: Database, boots: Boots, boot: BootId) -> None:
        self.setup = setup
        self.db = db
        self.boots = boots
        self.facts = Facts()
        self.intents = Intents(db)
        self.outbox = Outbox(db, boot, world.ids.uuid)
        self.outbox.configure(self.outbox.settings._replace(quota_bytes=setup.queue_bytes))
        self.stamps = Stamps(db=db, boots=boots, outbox=self.outbox)
        self.ports = StepPorts(self.intents)
        speakers = _speakers(setup)
        self.csms = StepCsms(outbox=self.outbox, speakers=speakers, facts=self.facts, wall_of=boots.wall_of)

        features = FEATURES | ({"firmware"} if setup.firmware is not None else set())
        model = build(catalogue.load(), setup.layout, features)
        configure(model, (*_network_values(setup), *setup.initial))
        storage = Storage(db, world.seal, world.unseal)
        self.variables = Variables(model=model, storage=storage, facts=self.facts)
        self.monitoring = Monitoring(db=db, variables=self.variables, storage=storage, factory=setup.monitors)
        self.registration = Registration(
            db=db, intents=self.intents, facts=self.facts, found_reason=setup.found_boot_reason
        )
        self.network = Network(
            db=db,
            variables=self.variables,
            given=setup.profiles,
            given_level=setup.layout.security_profile,
            seal=world.seal,
            unseal=world.unseal,
        )
        self.certificates = Certificates(setup.installed, setup.certificates)
        self.own_certificates = OwnCertificates(db=db, variables=self.variables, given=setup.given_certificate)
        self.expiry_told = ExpiryTold(db)
        self.certificate_statuses = CertificateStatuses(db)
        self.resets = Resets(db)
        self.connectors = Connectors(layout=setup.layout, db=db)
        self.sessions = Sessions(db)
        self.security_log = SecurityLog(db)
        self.log_uploads = LogUploads(db=db, seal=world.seal, unseal=world.unseal)
        self.firmware_updates = FirmwareUpdates(db=db, seal=world.seal, unseal=world.unseal)
        self.tokens = Tokens(db)
        self.local_list = LocalList(db)
        self.reservations = Reservations(
            db=db, connectors=self.connectors, sessions=self.sessions, variables=self.variables
        )
        self.profiles = Profiles(db=db, sessions=self.sessions)
        self.judge = Judge(
            profiles=self.profiles, sessions=self.sessions, connectors=self.connectors, variables=self.variables
        )
        self.externals = Externals(
            profiles=self.profiles,
            connectors=self.connectors,
            variables=self.variables,
            csms=self.csms,
            signals=setup.signals,
        )
        self.meters = Meters()
        self.limits = Limits()
        self.times = Walls(boots, self.stamps)
        self.ids = world.ids
        self.vetoes = Vetoes()
        self.operator = Operator(
            variables=self.variables,
            vetoes=self.vetoes,
            sessions=self.sessions,
            factory=FactoryState(db),
            station=self.ports,
            facts=self.facts,
        )
        self.data_transfers = DataTransfers(csms=self.csms, variables=self.variables, installed=setup.extensions)
        blocks = self._blocks()
        for block in blocks:
            self.vetoes.add(block.guards())
        self.engine = Engine(
            db=db, facts=self.facts, ports=self.ports, csms=self.csms, states=self._states(), blocks=blocks
        )
        self.exchange = Exchange(
            engine=self.engine,
            csms=self.csms,
            outbox=self.outbox,
            stamps=self.stamps,
            intents=self.intents,
            registration=self.registration,
            endpoint=Endpoint(call_timeout_s=setup.message_timeout_s),
            speakers=speakers,
        )

    def _states(self) -> Sequence[Reloads]:
        """What is known, in the order in which it is read from the tables."""
        return [
            self.boots,
            self.intents,
            self.variables,
            self.monitoring,
            self.registration,
            self.network,
            self.own_certificates,
            self.expiry_told,
            self.certificate_statuses,
            self.resets,
            self.connectors,
            self.sessions,
            self.log_uploads,
            self.firmware_updates,
            self.tokens,
            self.local_list,
            self.reservations,
            self.profiles,
        ]

    def _blocks(self) -> Sequence[Block]:
        """Who acts on it, in the order in which facts are heard."""
        return [
            DeliverySettings(variables=self.variables, csms=self.csms),
            Security(
                registration=self.registration,
                security_log=self.security_log,
                variables=self.variables,
                csms=self.csms,
                times=self.times,
            ),
            self._network_profiles(),
            RootCertificates(
                certificates=self.certificates,
                network=self.network,
                variables=self.variables,
                jobs=self.ports,
                facts=self.facts,
            ),
            CertificateSigning(
                own=self.own_certificates,
                network=self.network,
                variables=self.variables,
                csms=self.csms,
                jobs=self.ports,
                station=self.ports,
                ids=self.ids,
                facts=self.facts,
                renew_ahead_s=self.setup.renew_ahead_s,
            ),
            CertificateSwitch(own=self.own_certificates, jobs=self.ports, station=self.ports, facts=self.facts),
            *self._iso15118(),
            CertificateExpiry(told=self.expiry_told, own=self.own_certificates, jobs=self.ports, facts=self.facts),
            BootSequence(
                identity=_identity(self.setup.layout),
                registration=self.registration,
                variables=self.variables,
                csms=self.csms,
                station=self.ports,
            ),
            VariableAccess(variables=self.variables, vetoes=self.vetoes),
            Equipment(parts=self.setup.parts, variables=self.variables),
            Reports(variables=self.variables, csms=self.csms, clock=self.csms),
            self._reserving(),
            Availability(
                connectors=self.connectors,
                sessions=self.sessions,
                variables=self.variables,
                csms=self.csms,
                facts=self.facts,
                times=self.times,
                by_event=self.setup.status_by_event,
            ),
            self._monitoring(),
            self._authorization(),
            LocalAuthorizationList(
                local_list=self.local_list, variables=self.variables, disk_fails=lambda: self.engine.fallback.active
            ),
            self._transactions(),
            self._smart_charging(),
            Metering(
                sessions=self.sessions,
                connectors=self.connectors,
                limits=self.limits,
                meters=self.meters,
                variables=self.variables,
                csms=self.csms,
                hardware=self.ports,
                times=self.times,
                facts=self.facts,
                main_meter=self.setup.main_meter,
            ),
            RemoteControl(
                registration=self.registration,
                sessions=self.sessions,
                connectors=self.connectors,
                reservations=self.reservations,
                facts=self.facts,
                judge=self.judge,
                triggers=TRIGGERS | ({"SignV2GCertificate"} if _has_secc(self.setup.layout) else set()),
                own_certificates=self.own_certificates,
            ),
            self._customer_information(),
            LogRetrieval(
                uploads=self.log_uploads,
                security_log=self.security_log,
                variables=self.variables,
                csms=self.csms,
                jobs=self.ports,
                identity=self.setup.layout.identity,
            ),
            Display(displays=self.ports),
            self.data_transfers,
            self.operator,
            self._firmware(),
            Resetting(
                resets=self.resets,
                sessions=self.sessions,
                connectors=self.connectors,
                variables=self.variables,
                firmware_updates=self.firmware_updates,
                station=self.ports,
                hardware=self.ports,
                facts=self.facts,
            ),
        ]

    def _firmware(self) -> Firmware:
        """After all that ends a transaction."""
        return Firmware(
            terms=self.setup.firmware,
            updates=self.firmware_updates,
            registration=self.registration,
            sessions=self.sessions,
            connectors=self.connectors,
            variables=self.variables,
            csms=self.csms,
            jobs=self.ports,
            station=self.ports,
            facts=self.facts,
            ids=self.ids,
            disk_fails=lambda: self.engine.fallback.active,
        )

    def _network_profiles(self) -> NetworkProfiles:
        return NetworkProfiles(
            network=self.network,
            variables=self.variables,
            csms=self.csms,
            station=self.ports,
            facts=self.facts,
            installed=self._installed,
            disk_fails=lambda: self.engine.fallback.active,
        )

    def _iso15118(self) -> Sequence[Block]:
        """Of no use where no board speaks it."""
        if not _has_secc(self.setup.layout):
            return []
        return [
            EvCertificates(sessions=self.sessions, variables=self.variables, csms=self.csms, vehicles=self.ports),
            Secc(
                own=self.own_certificates,
                statuses=self.certificate_statuses,
                variables=self.variables,
                csms=self.csms,
                jobs=self.ports,
                vehicles=self.ports,
            ),
        ]

    def _installed(self, kind: str, now: Now) -> bool:
        """A05.FR.02, A05.FR.03."""
        if kind == CHARGING_STATION:
            return self.own_certificates.valid(kind, now) or kind in self.setup.certificates
        return self.certificates.valid(kind, now)

    def _monitoring(self) -> VariableMonitoring:
        """After availability, whose states it watches; before transactions: the last reading is still theirs."""
        notices = Notices(
            monitoring=self.monitoring,
            sessions=self.sessions,
            variables=self.variables,
            csms=self.csms,
            facts=self.facts,
        )
        return VariableMonitoring(
            monitoring=self.monitoring,
            sessions=self.sessions,
            variables=self.variables,
            notices=notices,
            hard_wiring=HardWiring(
                monitoring=self.monitoring, connectors=self.connectors, variables=self.variables, notices=notices
            ),
            csms=self.csms,
            clock=self.csms,
        )

    def _customer_information(self) -> CustomerInformation:
        sources = Sources(
            tokens=self.tokens,
            local_list=self.local_list,
            reservations=self.reservations,
            sessions=self.sessions,
            traces=Traces(self.db, self.outbox.hides),
        )
        return CustomerInformation(
            customers=Customers(sources),
            csms=self.csms,
            clock=self.csms,
            disk_fails=lambda: self.engine.fallback.active,
        )

    def _authorization(self) -> Authorization:
        states = AuthorizationStates(
            tokens=self.tokens,
            local_list=self.local_list,
            sessions=self.sessions,
            connectors=self.connectors,
            reservations=self.reservations,
            registration=self.registration,
            variables=self.variables,
        )
        world = AuthorizationWorld(
            csms=self.csms, facts=self.facts, jobs=self.ports, vehicles=self.ports, keypad=self.setup.keypad
        )
        return Authorization(states=states, world=world, disk_fails=lambda: self.engine.fallback.active)

    def _transactions(self) -> Transactions:
        states = TransactionStates(
            sessions=self.sessions,
            connectors=self.connectors,
            limits=self.limits,
            meters=self.meters,
            variables=self.variables,
            registration=self.registration,
        )
        world = TransactionWorld(csms=self.csms, hardware=self.ports, times=self.times, ids=self.ids, facts=self.facts)
        return Transactions(states=states, world=world, resume=self.setup.resume)

    def _smart_charging(self) -> SmartCharging:
        states = SmartChargingStates(
            profiles=self.profiles,
            sessions=self.sessions,
            connectors=self.connectors,
            limits=self.limits,
            variables=self.variables,
        )
        return SmartCharging(
            states=states,
            judge=self.judge,
            parts=Parts(
                ceilings=Ceilings(states, times=self.times, facts=self.facts),
                externals=self.externals,
                vehicles=Vehicles(
                    profiles=self.profiles,
                    sessions=self.sessions,
                    connectors=self.connectors,
                    csms=self.csms,
                    jobs=self.ports,
                ),
            ),
            csms=self.csms,
        )

    def _reserving(self) -> Reserving:
        return Reserving(
            reservations=self.reservations,
            connectors=self.connectors,
            sessions=self.sessions,
            resets=self.resets,
            variables=self.variables,
            csms=self.csms,
            facts=self.facts,
        )

    def start(self, now: Now) -> list[Effect]:
        """Read the tables: the station is as it was when it stopped, its contactors wanted open."""
        self.engine.load(now)
        learnt = self.exchange.give(Ask(self.stamps.learn), now)
        news: list[Fact] = [StationStarted(at=now.instant)]
        if self.setup.security_log_lost:
            lost = "it begins anew: the database was lost or damaged"
            news.append(SecurityEventOccurred(type="SecurityLogWasCleared", tech_info=lost))
        if self.db.failed is not None:  # the start itself found the disk failing
            news.append(StoreDegraded(kind=self.db.failed.kind.name))
        return [*learnt, *self.exchange.give(Happened(tuple(news)), now)]


class Walls:
    """`ports.Times` by the clock of each boot."""

    def __init__(self, boots: Boots, stamps: Stamps) -> None:
        self._boots = boots
        self._stamps = stamps

    def utc(self, at: Instant) -> datetime:
        """The aware UTC datetime of an instant."""
        return to_datetime(self._boots.wall_of(at))

    def elapsed_s(self, since: Instant, now: Now) -> float | None:
        """By one boot's own clock, else by the wall."""
        if since.boot == now.boot:
            return now.mono - since.mono
        if not (now.trusted and self._boots.knows(since.boot)):
            return None
        elapsed_s = now.wall - self._boots.wall_of(since)
        return elapsed_s if elapsed_s >= 0 else None

    def seen_until(self, transaction_id: str, at_least: float) -> float:
        """What has left already."""
        return self._stamps.seen_until(transaction_id, at_least)


def _network_values(setup: Setup) -> Iterator[InitialValue]:
    """What the profiles say of the variables that go with them, unless the file says otherwise."""
    comm, timeout_s = ComponentId("OCPPCommCtrlr"), setup.message_timeout_s
    if setup.signals:
        yield InitialValue(ComponentId("SmartChargingCtrlr"), VariableId("ExternalControlSignalsEnabled"), "true")
    if setup.profiles:
        slots = ",".join(str(profile.slot) for profile in setup.profiles)
        yield InitialValue(comm, VariableId("NetworkConfigurationPriority"), slots)
        timeout_s = setup.profiles[0].message_timeout_s
    yield InitialValue(comm, VariableId("MessageTimeout", "Default"), str(round(timeout_s)))


def _has_secc(layout: Layout) -> bool:
    return any(evse.iso15118 for evse in layout.evses)


def _speakers(setup: Setup) -> list[Speaker]:
    made: dict[str, Callable[[], Speaker]] = {"2.0.1": lambda: Speaker201(strict=setup.strict)}
    return [made[version]() for version in setup.versions]


def _identity(layout: Layout) -> ChargingStationType:
    return ChargingStationType(
        model=layout.model,
        vendor_name=layout.vendor_name,
        serial_number=layout.serial_number or None,
        firmware_version=layout.firmware_version or None,
    )
