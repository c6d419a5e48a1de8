"""What hardware looks like to the agent: small protocols, and frozen values with their units in their names.

It knows volts and amps, not OCPP. `hal.context` tells how a driver is constructed. Every method that talks to a device
raises `DeviceError` of `hal.errors` and nothing else. An ability that not every device has is a further small protocol,
found by `isinstance`: `Identified`, `SignedMeter`, `LockingBoard`, `SensorWatch`, `Iso15118Bridge` of `hal.iso15118`.
Charging schedules go to the vehicle by `SchedulingBoard` of `hal.schedules`.

Invariant: instants are seconds of the monotonic clock in `DriverContext.clock`, taken when the device *sampled* the
value, never when somebody asked.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from hal.iso15118 import VehicleEvent
from hal.schedules import VehicleSchedule

LEASE_S = 10.0
"""The longest a permission to charge may be valid without renewal; boards cut it to this."""


@runtime_checkable
class Device(Protocol):
    """What every driver has."""

    name: str  # the configured name: used in errors, facts and logs

    async def open(self) -> None:
        """Finds the device and makes it ready; may be called again after `close`.

        Raises NotFound (no port, no answer at all), Timeout, BadReply (something else answers), Refused.
        """
        ...

    async def close(self) -> None:
        """Lets go of the device; harmless twice or without `open`. Raises nothing."""
        ...


class Identity(msgspec.Struct, frozen=True):
    """What a device says about itself; an empty text is unknown."""

    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


@runtime_checkable
class Identified(Protocol):
    """Ability: a device that can tell its make and serial number."""

    async def identify(self) -> Identity:
        """Reads it from the device. Raises Timeout, BadReply, Refused."""
        ...


class PerPhase(NamedTuple):
    """A quantity on L1, L2 and L3; None where the phase is absent or not measured."""

    l1: float | None = None
    l2: float | None = None
    l3: float | None = None


class Quality(enum.Enum):
    """How far a reading may be believed."""

    GOOD = "good"
    SUSPECT = "suspect"  # the driver saw something implausible, such as a register that fell


class SignedText(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's own signed record, which is passed on unchanged."""

    data: str
    encoding: str  # such as `OCMF`
    method: str = ""  # such as `ECDSA-secp256r1-SHA256`; empty where the data name it
    public_key: str = ""  # as the meter gives it; empty if it does not


class MeterReading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look at a meter. Energy is in integer milliwatt-hours; None means: not measured.

    Import flows into the vehicle. `power_import_w` and `power_export_w` are never negative.
    """

    sampled_at: float
    energy_import_mwh: int
    energy_export_mwh: int | None = None
    power_import_w: float | None = None
    power_export_w: float | None = None
    power_import_phase_w: PerPhase | None = None
    energy_import_phase_mwh: tuple[int | None, int | None, int | None] | None = None
    voltage_v: PerPhase | None = None
    current_a: PerPhase | None = None
    current_neutral_a: float | None = None
    frequency_hz: float | None = None
    reactive_import_var: float | None = None
    energy_reactive_import_mvarh: int | None = None
    power_factor: float | None = None
    temperature_c: float | None = None
    soc_percent: float | None = None  # of the vehicle's battery, where the outlet knows it
    quality: Quality = Quality.GOOD
    signed: SignedText | None = None


class MeterInfo(msgspec.Struct, frozen=True):
    """What a meter can measure: field names of `MeterReading` that it fills, and the number of phases (1 to 3)."""

    quantities: frozenset[str]
    phases: int = 3


@runtime_checkable
class Meter(Device, Protocol):
    """A register that counts energy."""

    @property
    def info(self) -> MeterInfo:
        """Known before `open`: from the template or the data sheet."""
        ...

    async def read(self) -> MeterReading:
        """Every quantity, as nearly at one instant as the device allows; `sampled_at` is the energy register's.

        Raises NotFound (gone), Timeout, BadReply (damaged or implausible), Refused (exception code).
        """
        ...


class SignMoment(enum.Enum):
    """Why a signed reading is asked for."""

    BEGIN = "begin"
    SAMPLE = "sample"
    END = "end"


@runtime_checkable
class SignedMeter(Protocol):
    """Ability: a meter that signs."""

    async def sign(self, moment: SignMoment, label: str) -> MeterReading:
        """Signs now, giving a reading with `signed`; `label` (an id token or transaction id) goes into its text.

        May take 15 s. BEGIN first closes a meter session left open by a power loss. END asked again gives the same
        session again. A meter whose one record holds the whole session signs at END only: until then `signed` is None.
        Raises Timeout, BadReply, Refused.
        """
        ...


class PilotState(enum.Enum):
    """The control pilot of IEC 61851-1."""

    A = "A"  # no vehicle
    B = "B"  # vehicle, not ready
    C = "C"  # vehicle ready
    D = "D"  # vehicle ready, wants ventilation
    E = "E"  # pilot shorted or lost
    F = "F"  # the station is not available

    @property
    def plugged(self) -> bool:
        """A vehicle is certainly connected."""
        return self._value_ in "BCD"

    @property
    def ready(self) -> bool:
        """The vehicle asks for the contactor to close."""
        return self._value_ in "CD"


class Fault(enum.Enum):
    """What is wrong with one channel. Each keeps the contactor open; CONTACTOR_WELDED says that this fails."""

    GROUND_FAULT = "GroundFault"
    RCD = "ResidualCurrent"
    OVER_CURRENT = "OverCurrent"
    OVER_TEMPERATURE = "OverTemperature"
    OVER_VOLTAGE = "OverVoltage"
    UNDER_VOLTAGE = "UnderVoltage"
    PILOT_LOST = "PilotLost"
    DIODE = "DiodeFault"
    PROXIMITY = "ProximityFault"
    CONTACTOR_WELDED = "ContactorWelded"
    CONTACTOR_OPEN = "ContactorDidNotClose"
    LOCK_JAMMED = "LockJammed"
    EMERGENCY_STOP = "EmergencyStop"
    INTERNAL = "Internal"


class LockState(enum.Enum):
    """A connector lock."""

    ABSENT = "absent"  # tethered cable, or no motor
    UNLOCKED = "unlocked"
    LOCKED = "locked"
    JAMMED = "jammed"  # the motor moved and the feedback did not follow


class BoardSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a board knows about one channel, at one instant."""

    channel: int
    sampled_at: float
    pilot: PilotState
    contactor_closed: bool  # by its feedback contact where there is one
    limit_a: float = 0.0
    """The current offered to the vehicle now, per phase; 0 while none is offered or no lease is valid."""
    phases: int = 3  # the phases that are, or would be, connected: 1 to 3
    connector: int = 1  # which of the EVSE's connectors is meant, from 1; the plugged one while one is
    cable_rating_a: float | None = None  # from the proximity pilot; None for a tethered cable or without a plug
    flowing: bool | None = None  # current flows, by the board's own threshold; None for a board that cannot tell
    lock: LockState = LockState.ABSENT
    faults: frozenset[Fault] = frozenset()


class BoardInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel can do."""

    min_a: float = 6.0
    max_a: float = 32.0
    phases: int = 3
    phase_switching: bool = False
    """The board can change between one and three phases by itself, with the pause that needs."""
    connectors: int = 1


class Permit(msgspec.Struct, frozen=True):
    """A lease: permission to energise, which ends by itself."""

    limit_a: float  # per phase; at least `BoardInfo.min_a`
    phases: int  # 1, 2 or 3. Ignored by a board that cannot switch
    lease_s: float = LEASE_S
    """The board falls back to `deny` this long after it received the permit, unless renewed; at most LEASE_S."""


BoardEvent = BoardSnapshot | VehicleEvent | VehicleSchedule


@runtime_checkable
class Board(Device, Protocol):
    """The controller of pilot and contactor; one driver serves the channels (one per EVSE) of one board.

    The board itself closes the contactor when a permit is valid and the vehicle is ready, and opens it within 100 ms
    on unplug, fault, or the end of the lease: no timing of the agent carries safety.
    """

    def channels(self) -> tuple[int, ...]:
        """The channel numbers there are, from 1. Known before `open`."""
        ...

    def info(self, channel: int) -> BoardInfo:
        """What the channel can do. Raises NotFound for a channel that does not exist."""
        ...

    async def snapshot(self, channel: int) -> BoardSnapshot:
        """The state now, read from the board or, if it reports each change by itself, from its last report.

        Raises NotFound (board or channel), Timeout (silent for longer than its period), BadReply.
        """
        ...

    async def allow(self, channel: int, permit: Permit) -> None:
        """Gives or renews the permission. Returns when the board has accepted it, not when the contactor has closed.

        Raises NotFound, Timeout, BadReply, Refused (limit out of range, or a fault is active).
        """
        ...

    async def deny(self, channel: int) -> None:
        """Withdraws the permission: no current is offered and the contactor opens. Idempotent.

        Raises NotFound, Timeout, BadReply.
        """
        ...

    def events(self) -> AsyncIterator[BoardEvent]:
        """Each change as it comes: a whole snapshot of the channel that changed. First, one snapshot per channel.

        One reader at a time. Raises a DeviceError when the board is lost; `open` again afterwards. An unchanged board
        wakes nobody, unless it must be polled.
        """
        ...


@runtime_checkable
class LockingBoard(Protocol):
    """Ability: a board that drives the connector locks."""

    async def lock(self, channel: int, *, locked: bool) -> None:
        """Moves the lock and waits for its feedback.

        Raises Refused (jammed, or asked to unlock while the contactor is closed), NotFound, Timeout, BadReply.
        """
        ...


class TokenType(enum.Enum):
    """How a driver identified himself."""

    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    EM4100 = "EM4100"  # 125 kHz: not a secure credential
    KEY_CODE = "KeyCode"
    CENTRAL = "Central"  # an identifier made by a server: a QR or app terminal
    MAC_ADDRESS = "MacAddress"
    EMAID = "eMAID"
    BUTTON = "Button"  # a start button: nobody is identified


class Token(msgspec.Struct, frozen=True):
    """A card or tag that was held to a reader once; the reader has debounced it."""

    uid_hex: str
    """The whole identifier, upper-case hex without separators; as typed or given for types that are not cards."""
    type: TokenType = TokenType.ISO14443
    random_uid: bool = False
    """The card gives another identifier each time (ISO 14443 single-size UID beginning with 08)."""
    outlet: int | None = None  # which EVSE the driver chose at the reader, where it can ask; None where it cannot


@runtime_checkable
class TokenReader(Device, Protocol):
    """A card reader or key pad."""

    def tokens(self) -> AsyncIterator[Token]:
        """Each token once per presentation, never one that was held before the call. One reader at a time.

        Raises a DeviceError when the reader is lost; `open` again afterwards.
        """
        ...


@runtime_checkable
class Lock(Device, Protocol):
    """A connector lock that is a device of its own."""

    async def state(self) -> LockState:
        """By its feedback. Raises NotFound, Timeout, BadReply."""
        ...

    async def move(self, *, locked: bool) -> None:
        """Moves the lock and waits for its feedback. Raises Refused (jammed), NotFound, Timeout, BadReply."""
        ...


@runtime_checkable
class Display(Device, Protocol):
    """Something that shows text to the driver."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; (0, 0) for a display that wraps by itself."""
        ...

    async def show(self, text: str) -> None:
        """Replaces what is shown; an empty text clears. Raises NotFound, Timeout, BadReply, Refused."""
        ...


class Indication(enum.Enum):
    """What an EVSE looks like to a driver who comes."""

    AVAILABLE = "Available"
    RESERVED = "Reserved"
    OCCUPIED = "Occupied"  # a vehicle is there, and nobody has identified himself, or the transaction is over
    CHARGING = "Charging"
    SUSPENDED = "Suspended"  # vehicle or station pauses
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


@runtime_checkable
class Lamp(Device, Protocol):
    """A status light of one EVSE."""

    async def indicate(self, indication: Indication) -> None:
        """Shows it until told otherwise. Raises NotFound, Timeout, BadReply."""
        ...


class SensorReading(msgspec.Struct, frozen=True):
    """One look at a sensor, in the unit that `SensorInfo` gives."""

    sampled_at: float
    value: float | bool | str


class SensorInfo(msgspec.Struct, frozen=True):
    """The unit of a sensor's numbers (`Celsius`, `rpm`, `V`); empty for on/off and texts."""

    unit: str = ""


@runtime_checkable
class Sensor(Device, Protocol):
    """Anything else that is measured: temperature, door contact, fan."""

    @property
    def info(self) -> SensorInfo:
        """Known before `open`."""
        ...

    async def read(self) -> SensorReading:
        """Raises NotFound, Timeout, BadReply."""
        ...


@runtime_checkable
class SensorWatch(Protocol):
    """Ability: a sensor that tells its changes, so that nobody has to poll it."""

    def changes(self) -> AsyncIterator[SensorReading]:
        """The present value first, then each change. Raises a DeviceError when the sensor is lost."""
        ...
