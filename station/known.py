"""What one station knows: its state objects and ports, built in order, each given what it needs. No logic.

The blocks that act on it are listed in `roster.py`; `app.py` puts both together.
"""

from __future__ import annotations

from collections.abc import Sequence

from device_model import catalogue
from device_model.build import build, configure
from device_model.storage import Storage
from station.block import Reloads, Vetoes
from station.blocks.data_transfer import DataTransfers
from station.blocks.provisioning.operator import Operator
from station.blocks.smart_charging.external import Externals
from station.blocks.smart_charging.validation import Judge
from station.csms import StepCsms
from station.effects import StepPorts
from station.engine import Engine
from station.facts import Facts
from station.now import BootId
from station.setup import FEATURES, Setup, World, network_values, speakers
from station.stamps import Stamps
from station.state.certificates import Certificates
from station.state.connectors import Connectors
from station.state.expiry import ExpiryTold
from station.state.factory import FactoryState
from station.state.firmware_updates import FirmwareUpdates
from station.state.limits import Limits
from station.state.local_list import LocalList
from station.state.log_uploads import LogUploads
from station.state.meters import Meters
from station.state.monitoring import Monitoring
from station.state.network import Network
from station.state.own_certificates import OwnCertificates
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
from station.walls import Walls


class Known:
    """State objects over an open database, and the ports. `engine` is built last, by `Station`."""

    engine: Engine

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
        self.speakers = speakers(setup)
        self.csms = StepCsms(outbox=self.outbox, speakers=self.speakers, facts=self.facts, wall_of=boots.wall_of)

        features = FEATURES | ({"firmware"} if setup.firmware is not None else set())
        model = build(catalogue.load(), setup.layout, features)
        configure(model, (*network_values(setup), *setup.initial))
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

    def states(self) -> Sequence[Reloads]:
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

    def disk_fails(self) -> bool:
        """Whether what is stored now is kept in memory only."""
        return self.engine.fallback.active
