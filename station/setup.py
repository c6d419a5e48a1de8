"""What makes one station, and what follows from it before anything is built."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

import msgspec

from device_model.build import InitialValue, Layout
from device_model.model import ComponentId, VariableId
from station.blocks.data_transfer import Installed
from station.blocks.firmware.terms import FirmwareTerms
from station.blocks.smart_charging.derating import Curve
from station.blocks.smart_charging.external import Signal
from station.ocpp.speaker import Speaker
from station.ocpp.types import ChargingStationType
from station.ocpp.v201 import Speaker201
from station.ports import Ids
from station.state.certificates import Certificate
from station.state.equipment import Part
from station.state.monitoring import Factory
from station.state.network import NetworkProfile
from station.state.own_certificates import Given

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
    curves: tuple[Curve, ...] = ()
    """Sensors by whose temperature EVSEs offer less."""
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


def network_values(setup: Setup) -> Iterator[InitialValue]:
    """What the profiles say of the variables that go with them, unless the file says otherwise."""
    comm, timeout_s = ComponentId("OCPPCommCtrlr"), setup.message_timeout_s
    if setup.signals:
        yield InitialValue(ComponentId("SmartChargingCtrlr"), VariableId("ExternalControlSignalsEnabled"), "true")
    if setup.profiles:
        slots = ",".join(str(profile.slot) for profile in setup.profiles)
        yield InitialValue(comm, VariableId("NetworkConfigurationPriority"), slots)
        timeout_s = setup.profiles[0].message_timeout_s
    yield InitialValue(comm, VariableId("MessageTimeout", "Default"), str(round(timeout_s)))


def has_secc(layout: Layout) -> bool:
    """Whether a board speaks ISO 15118."""
    return any(evse.iso15118 for evse in layout.evses)


def speakers(setup: Setup) -> list[Speaker]:
    """What puts our messages in the words of each version, the preferred one first."""
    made: dict[str, Callable[[], Speaker]] = {"2.0.1": lambda: Speaker201(strict=setup.strict)}
    return [made[version]() for version in setup.versions]


def identity(layout: Layout) -> ChargingStationType:
    """As BootNotification tells it."""
    return ChargingStationType(
        model=layout.model,
        vendor_name=layout.vendor_name,
        serial_number=layout.serial_number or None,
        firmware_version=layout.firmware_version or None,
    )
