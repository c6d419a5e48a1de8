"""Who acts: every block of one station and what it is given, in the order in which they hear facts. No logic."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from station.block import Block
from station.blocks.authorization.block import Authorization
from station.blocks.authorization.wish import States as AuthorizationStates
from station.blocks.authorization.wish import World as AuthorizationWorld
from station.blocks.availability import Availability
from station.blocks.certificates import RootCertificates
from station.blocks.diagnostics.customers import CustomerInformation
from station.blocks.diagnostics.events import Notices
from station.blocks.diagnostics.hard_wired import HardWiring
from station.blocks.diagnostics.logs import LogRetrieval
from station.blocks.diagnostics.monitoring import VariableMonitoring
from station.blocks.display import Display
from station.blocks.firmware.block import Firmware
from station.blocks.firmware.requests import FirmwareRequests
from station.blocks.iso15118.ev_certificates import EvCertificates
from station.blocks.iso15118.secc import Secc
from station.blocks.lamps import Lights
from station.blocks.local_list import LocalAuthorizationList
from station.blocks.metering.block import Metering
from station.blocks.own_certificates.expiry import CertificateExpiry
from station.blocks.own_certificates.intake import CertificateIntake
from station.blocks.own_certificates.signing import CertificateSigning
from station.blocks.own_certificates.switch import CertificateSwitch
from station.blocks.provisioning.boot import BootSequence
from station.blocks.provisioning.delivery import DeliverySettings
from station.blocks.provisioning.equipment import Equipment
from station.blocks.provisioning.network import NetworkProfiles
from station.blocks.provisioning.reports import Reports
from station.blocks.provisioning.reset import Resetting
from station.blocks.provisioning.variables import VariableAccess
from station.blocks.remote_control import RemoteControl
from station.blocks.reservation import Reserving
from station.blocks.security import Security
from station.blocks.smart_charging.block import Parts, SmartCharging
from station.blocks.smart_charging.ceilings import Ceilings
from station.blocks.smart_charging.ceilings import States as SmartChargingStates
from station.blocks.smart_charging.derating import Derating
from station.blocks.smart_charging.vehicle import Vehicles
from station.blocks.transactions.block import Transactions
from station.blocks.transactions.conduct import States as TransactionStates
from station.blocks.transactions.conduct import World as TransactionWorld
from station.known import Known
from station.now import Now
from station.setup import has_secc, identity
from station.state.customers import Customers, Sources
from station.state.own_certificates import CHARGING_STATION
from station.store.traces import Traces

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


def blocks(its: Known) -> Sequence[Block]:
    """Who acts on it, in the order in which facts are heard."""
    return [*_link(its), *_equipment(its), *_charging(its), *_service(its)]


def _link(its: Known) -> Sequence[Block]:
    """The way to the CSMS: what it is sent, security, network profiles, certificates."""
    return [
        DeliverySettings(variables=its.variables, csms=its.csms),
        Security(
            registration=its.registration,
            security_log=its.security_log,
            variables=its.variables,
            csms=its.csms,
            times=its.times,
        ),
        _network_profiles(its),
        RootCertificates(
            certificates=its.certificates,
            network=its.network,
            variables=its.variables,
            jobs=its.ports,
            facts=its.facts,
        ),
        CertificateSigning(
            own=its.own_certificates,
            network=its.network,
            variables=its.variables,
            csms=its.csms,
            jobs=its.ports,
            ids=its.ids,
            renew_ahead_s=its.setup.renew_ahead_s,
        ),
        CertificateIntake(
            own=its.own_certificates,
            network=its.network,
            variables=its.variables,
            jobs=its.ports,
            station=its.ports,
            facts=its.facts,
        ),
        CertificateSwitch(own=its.own_certificates, jobs=its.ports, station=its.ports, facts=its.facts),
        *_iso15118(its),
        CertificateExpiry(told=its.expiry_told, own=its.own_certificates, jobs=its.ports, facts=its.facts),
    ]


def _equipment(its: Known) -> Sequence[Block]:
    """What the station is, and what state it is in."""
    return [
        BootSequence(
            identity=identity(its.setup.layout),
            registration=its.registration,
            variables=its.variables,
            csms=its.csms,
            station=its.ports,
        ),
        VariableAccess(variables=its.variables, vetoes=its.vetoes),
        Equipment(parts=its.setup.parts, variables=its.variables),
        Reports(variables=its.variables, csms=its.csms, clock=its.csms),
        _reserving(its),
        Availability(
            connectors=its.connectors,
            sessions=its.sessions,
            variables=its.variables,
            csms=its.csms,
            facts=its.facts,
            times=its.times,
            by_event=its.setup.status_by_event,
        ),
        _monitoring(its),
    ]


def _charging(its: Known) -> Sequence[Block]:
    """Who may charge, and what is metered, offered and told of it."""
    return [
        _authorization(its),
        LocalAuthorizationList(local_list=its.local_list, variables=its.variables, disk_fails=its.disk_fails),
        _transactions(its),
        _smart_charging(its),
        Metering(
            sessions=its.sessions,
            connectors=its.connectors,
            limits=its.limits,
            meters=its.meters,
            variables=its.variables,
            csms=its.csms,
            hardware=its.ports,
            times=its.times,
            facts=its.facts,
            main_meter=its.setup.main_meter,
        ),
        RemoteControl(
            registration=its.registration,
            sessions=its.sessions,
            connectors=its.connectors,
            reservations=its.reservations,
            facts=its.facts,
            judge=its.judge,
            triggers=TRIGGERS | ({"SignV2GCertificate"} if has_secc(its.setup.layout) else set()),
            own_certificates=its.own_certificates,
        ),
    ]


def _service(its: Known) -> Sequence[Block]:
    """What operators do with it, and at last what stops it."""
    return [
        _customer_information(its),
        LogRetrieval(
            uploads=its.log_uploads,
            security_log=its.security_log,
            variables=its.variables,
            csms=its.csms,
            jobs=its.ports,
            identity=its.setup.layout.identity,
        ),
        Display(displays=its.ports),
        Lights(connectors=its.connectors, sessions=its.sessions, lamps=its.ports),
        its.data_transfers,
        its.operator,
        *_firmware(its),
        Resetting(
            resets=its.resets,
            sessions=its.sessions,
            connectors=its.connectors,
            variables=its.variables,
            firmware_updates=its.firmware_updates,
            station=its.ports,
            hardware=its.ports,
            facts=its.facts,
        ),
    ]


def _firmware(its: Known) -> Sequence[Block]:
    """After all that ends a transaction."""
    return [
        FirmwareRequests(
            terms=its.setup.firmware,
            updates=its.firmware_updates,
            variables=its.variables,
            csms=its.csms,
            jobs=its.ports,
            facts=its.facts,
            ids=its.ids,
            disk_fails=its.disk_fails,
        ),
        Firmware(
            terms=its.setup.firmware,
            updates=its.firmware_updates,
            registration=its.registration,
            sessions=its.sessions,
            connectors=its.connectors,
            variables=its.variables,
            csms=its.csms,
            jobs=its.ports,
            station=its.ports,
            facts=its.facts,
            disk_fails=its.disk_fails,
        ),
    ]


def _network_profiles(its: Known) -> NetworkProfiles:
    return NetworkProfiles(
        network=its.network,
        variables=its.variables,
        csms=its.csms,
        station=its.ports,
        facts=its.facts,
        installed=functools.partial(_installed, its),
        disk_fails=its.disk_fails,
    )


def _iso15118(its: Known) -> Sequence[Block]:
    """Of no use where no board speaks it."""
    if not has_secc(its.setup.layout):
        return []
    return [
        EvCertificates(sessions=its.sessions, variables=its.variables, csms=its.csms, vehicles=its.ports),
        Secc(
            own=its.own_certificates,
            statuses=its.certificate_statuses,
            variables=its.variables,
            csms=its.csms,
            jobs=its.ports,
            vehicles=its.ports,
        ),
    ]


def _installed(its: Known, kind: str, now: Now) -> bool:
    """A05.FR.02, A05.FR.03."""
    if kind == CHARGING_STATION:
        return its.own_certificates.valid(kind, now) or kind in its.setup.certificates
    return its.certificates.valid(kind, now)


def _monitoring(its: Known) -> VariableMonitoring:
    """After availability, whose states it watches; before transactions: the last reading is still theirs."""
    notices = Notices(
        monitoring=its.monitoring,
        sessions=its.sessions,
        variables=its.variables,
        csms=its.csms,
        facts=its.facts,
    )
    return VariableMonitoring(
        monitoring=its.monitoring,
        sessions=its.sessions,
        variables=its.variables,
        notices=notices,
        hard_wiring=HardWiring(
            monitoring=its.monitoring, connectors=its.connectors, variables=its.variables, notices=notices
        ),
        csms=its.csms,
        clock=its.csms,
    )


def _customer_information(its: Known) -> CustomerInformation:
    sources = Sources(
        tokens=its.tokens,
        local_list=its.local_list,
        reservations=its.reservations,
        sessions=its.sessions,
        traces=Traces(its.db, its.outbox.hides),
    )
    return CustomerInformation(
        customers=Customers(sources),
        csms=its.csms,
        clock=its.csms,
        disk_fails=its.disk_fails,
    )


def _authorization(its: Known) -> Authorization:
    states = AuthorizationStates(
        tokens=its.tokens,
        local_list=its.local_list,
        sessions=its.sessions,
        connectors=its.connectors,
        reservations=its.reservations,
        registration=its.registration,
        variables=its.variables,
    )
    world = AuthorizationWorld(
        csms=its.csms, facts=its.facts, jobs=its.ports, vehicles=its.ports, keypad=its.setup.keypad
    )
    return Authorization(states=states, world=world, disk_fails=its.disk_fails)


def _transactions(its: Known) -> Transactions:
    states = TransactionStates(
        sessions=its.sessions,
        connectors=its.connectors,
        limits=its.limits,
        meters=its.meters,
        variables=its.variables,
        registration=its.registration,
    )
    world = TransactionWorld(csms=its.csms, hardware=its.ports, times=its.times, ids=its.ids, facts=its.facts)
    return Transactions(states=states, world=world, resume=its.setup.resume)


def _smart_charging(its: Known) -> SmartCharging:
    states = SmartChargingStates(
        profiles=its.profiles,
        sessions=its.sessions,
        connectors=its.connectors,
        limits=its.limits,
        variables=its.variables,
    )
    return SmartCharging(
        states=states,
        judge=its.judge,
        parts=Parts(
            ceilings=Ceilings(states, times=its.times, facts=its.facts),
            externals=its.externals,
            derating=Derating(its.setup.curves),
            vehicles=Vehicles(
                profiles=its.profiles,
                sessions=its.sessions,
                connectors=its.connectors,
                csms=its.csms,
                jobs=its.ports,
            ),
        ),
        csms=its.csms,
    )


def _reserving(its: Known) -> Reserving:
    return Reserving(
        reservations=its.reservations,
        connectors=its.connectors,
        sessions=its.sessions,
        resets=its.resets,
        variables=its.variables,
        csms=its.csms,
        facts=its.facts,
    )
