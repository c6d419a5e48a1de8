"""What may stand in station.yaml, as structs; `systemd/station.yaml.example` shows all of it.

Devices carry the options of their drivers beside our own keys, so they are plain mappings here; `devices.py` takes them
apart. Annotations are evaluated here, unlike elsewhere: msgspec asks for them at every start, and texts cost 1 ms.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

Amperes = Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)]
Watts = Annotated[float, msgspec.Meta(gt=0.0, le=10_000_000.0)]
Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=86_400.0)]
Number = Annotated[int, msgspec.Meta(ge=1, le=100)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
LARGEST_BYTES = 262_144
"""Of the whole file."""

FileName = Annotated[str, msgspec.Meta(min_length=1)]
Options = Mapping[str, Any]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of every mapping in the file."""


class Identity(Section, frozen=True):
    """Who the station is."""

    identity: Annotated[str, msgspec.Meta(min_length=1, max_length=48, pattern=r"^[A-Za-z0-9*_=+|@.\-]+$")]
    """As the CSMS knows it: the last part of the URL and the user name."""
    vendor: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    serial: Annotated[str, msgspec.Meta(max_length=25)] = ""
    firmware_version: Annotated[str, msgspec.Meta(max_length=50)] = ""
    """The agent's version if it is not said."""
    organization: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Whom the certificates name: the operator. The vendor if it is not said."""
    country: Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$")] = ""


class Csms(Section, frozen=True):
    """Where the CSMS is, and how each side proves who it is. Secrets stand in files of their own."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    """The endpoint without the identity."""
    security_profile: Literal[1, 2, 3]
    versions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("2.0.1",)
    """Of OCPP, the preferred one first."""
    password_file: FileName | None = None
    user_name: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[ -9;-~]*$")] | None = None
    """Instead of the identity, where a CSMS wants another one."""
    ca_file: FileName | None = None
    """PEM: the authorities that a CSMS may be certified by."""
    status_by: Literal["StatusNotification", "NotifyEvent"] = "StatusNotification"
    """How the status of connectors is told."""
    system_roots: bool = False
    """Trust those of the operating system, too."""
    revocation: Literal["off", "soft", "hard"] = "soft"
    """Whether responders (OCSP) named by a certificate are asked, and whether one must answer: that of a CSMS, of a
    server of files (HTTPS, FTPS), of a signer of firmware."""
    crl_files: Annotated[tuple[FileName, ...], msgspec.Meta(max_length=16)] = ()
    """PEM or DER: lists of such certificates that were revoked, read each time."""
    keep_root_in_use: bool = True
    """The CSMS may not delete the root that vouches for it, nor the last one while TLS needs it."""
    certificate: FileName | None = None
    """PEM: the station's certificate followed by its intermediates."""
    key_file: FileName | None = None
    """PEM: its private key."""
    key: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    """Instead of the file: the name of a key in the store of `keys`."""
    compression: bool = True
    strict: bool = False
    """Refuse unknown fields of a CSMS instead of logging them."""
    message_timeout_s: Annotated[float, msgspec.Meta(ge=1.0, le=3600.0)] = 40.0


class Keys(Section, frozen=True):
    """Where private keys are kept that the agent makes, and the key that seals its passwords."""

    store: Literal["file", "tpm", "pkcs11"] = "file"
    directory: FileName | None = None
    """`keys` in the state directory if it is not said."""
    kind: Literal["ec-p256", "rsa-2048", "rsa-3072"] = "ec-p256"
    """Of the keys that the agent makes; one for vehicles is always ec-p256."""
    renew_days_ahead: Annotated[float, msgspec.Meta(ge=1.0, le=365.0)] = 30.0
    """How long before its end a certificate is renewed; of one that lives for weeks the last third of its life."""
    passphrase_file: FileName | None = None
    """Of `file`: encrypts what is made from then on."""
    tcti: Annotated[str, msgspec.Meta(min_length=1)] = "device:/dev/tpmrm0"
    """Of `tpm`: the way to it, as tpm2-tss writes that."""
    parent: Annotated[int, msgspec.Meta(ge=0x8100_0000, le=0x81FF_FFFF)] | None = None
    """Of `tpm`: the persistent handle below which keys are made; it is made if it is not there."""
    owner_auth_file: FileName | None = None
    """Of `tpm`: the password of the owner's hierarchy, for whoever makes the parent."""
    module: FileName | None = None
    """Of `pkcs11`: the PKCS#11 module."""
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=32)] | None = None
    """Of `pkcs11`: its label."""
    pin_file: FileName | None = None
    """Of `pkcs11`: the user's PIN and nothing else."""
    provider: FileName | None = None
    """Of `tpm` and `pkcs11`: the file of OpenSSL's provider, where it is not among OpenSSL's modules."""


class Clock(Section, frozen=True):
    """Who may set what."""

    set_system_clock: bool = False
    """Whether the agent sets the machine's clock by what the CSMS tells: `ocpp-station drop-in` lets it."""


class Transfers(Section, frozen=True):
    """How files are brought and fetched: logs, firmware."""

    rate_limit_kbit_s: Annotated[int, msgspec.Meta(ge=8, le=1_000_000)] | None = None
    """No faster than this: on a line that others use, too."""
    known_hosts: FileName | None = None
    """The only SFTP servers, in OpenSSH's form; without it a server is believed at first sight and has to stay the
    same."""
    this_machine: bool = False
    """Whether URLs of the CSMS may lead to this machine itself."""


class LimitSignal(Section, frozen=True):
    """A sensor by which another system limits the station or an EVSE: a contact of the grid operator, a value."""

    sensor: Name
    value: str | bool | int | float = True
    """While it shows this, `max_current_a` holds."""
    max_current_a: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] | None = None
    """Per phase; what the sensor shows, in amperes, if it is not said."""
    evse: Number | None = None
    """The whole station if it is not said."""
    source: Literal["SO", "EMS", "Other"] = "SO"
    """What the CSMS is told: a system operator, an energy management system, or another."""


class Supply(Section, frozen=True):
    """The connection to the grid, as far as charging profiles need it."""

    max_current_a: Amperes | None = None
    """What all EVSEs together may draw per phase, whatever the CSMS says (K04.FR.02)."""
    voltage_v: Annotated[float, msgspec.Meta(ge=50.0, le=1000.0)] = 230.0
    """Between phase and neutral: limits in watts are converted by it (K01.FR.50)."""
    phase_switching: bool = False
    """The boards can change between one phase and all of them (Phases3to1)."""
    phase_pause_s: Annotated[float, msgspec.Meta(ge=1.0, le=300.0)] = 5.0
    """How long no current flows when they do."""
    phase_dwell_s: Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)] = 60.0
    """How long a number of phases stays before there may be more of them; fewer come at once."""
    ramp_a_per_s: Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)] | None = None
    """How fast the offered current may rise; at once if it is not said. It falls at once."""
    signals: tuple[LimitSignal, ...] = ()
    """What else limits; then ExternalControlSignalsEnabled is true at first."""


Command = Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=1)]
"""A program and its first arguments."""


class Bundle(Section, frozen=True):
    """The agent alone is updated: versions of it beside each other in the state directory."""

    healthy_within_s: Annotated[float, msgspec.Meta(ge=1.0, le=86_400.0)] = 900.0
    """So long a new version may take until the CSMS has accepted it and the hardware answers."""


class Image(Section, frozen=True):
    """System images by RAUC or SWUpdate."""

    healthy_within_s: Annotated[float, msgspec.Meta(ge=1.0, le=86_400.0)] = 900.0
    """So long new firmware may take until the CSMS has accepted it and the hardware answers."""


class Rauc(Image, frozen=True):
    """RAUC does the work, asked over the system's D-Bus."""


class Swupdate(Image, frozen=True):
    """SWUpdate does the work, asked by its client."""

    client: Command = ("swupdate-client",)
    running: Command = ("swupdate", "-g")
    """Prints which copy of the system runs, such as its root device: another one after the restart."""
    mark_good: Command | None = None
    """Makes the running copy permanent."""
    mark_bad: Command | None = None
    """Makes the machine start the other one."""


class Firmware(Section, frozen=True):
    """How new firmware is installed (L01, L02); docs/update.md. One of the first four."""

    command: Command | None = None
    """A program of the manufacturer's; `install` or `confirm` and the file follow."""
    bundle: Bundle | None = None
    rauc: Rauc | None = None
    swupdate: Swupdate | None = None
    oldest: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """No older version is ever installed, except by `command`."""
    while_charging: Literal["nothing", "download", "install"] = "download"
    """What may be done beside transactions; what may not waits for their end."""
    unsigned: bool = False
    """Whether firmware without a signing certificate is taken, too (L02)."""
    largest_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1024
    """What is larger is not fetched."""
    patience_s: Seconds = 1800.0
    """How long the installer may take."""


class Board(Section, frozen=True):
    """Which channel of which board."""

    name: Name
    channel: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


class Connector(Section, frozen=True):
    """A cable or a socket."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] = "cType2"
    """ConnectorEnumType."""
    max_current_a: Amperes | None = None
    """The EVSE's if it is not said."""
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None
    lock: bool | None = None
    """Whether the plug is locked; if it is not said, when the EVSE names a lock."""


class Evse(Section, frozen=True):
    """One EVSE; they are numbered from 1 in the order of the file."""

    board: Board | Name
    meter: Name | None = None
    lock: Name | None = None
    """A lock that is a device of its own."""
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 3
    phase_rotation: Annotated[str, msgspec.Meta(pattern="^[RSTx]{3}$")] | None = None
    max_current_a: Amperes = 32.0
    max_power_w: Watts | None = None
    """The supply's voltage times current times phases if it is not said."""
    iso15118: bool = False
    iso15118_evse_id: Annotated[str, msgspec.Meta(max_length=37)] = ""
    connectors: Annotated[tuple[Connector, ...], msgspec.Meta(min_length=1, max_length=32)] = (Connector(),)


class SimSensor(Section, frozen=True):
    """A simulated sensor and the variable that it feeds."""

    component: Name
    variable: Name
    instance: str = ""
    evse: Number | None = None
    connector: Number | None = None
    variable_instance: str = ""
    value: float | bool | str = 0.0
    unit: str = ""


class Simulator(Section, frozen=True):
    """Simulated hardware in place of what is not configured."""

    evses: Annotated[int, msgspec.Meta(ge=1, le=32)] = 2
    connectors: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 3
    max_current_a: Amperes = 32.0
    min_current_a: Amperes = 6.0
    phase_switching: bool = False
    lock: bool = False
    """Sockets with a lock motor instead of tethered cables."""
    iso15118: bool = False
    energy_wh: Annotated[float, msgspec.Meta(ge=0.0, le=1e12)] = 0.0
    """What the meters show at the start."""
    signed_meters: bool = False
    """Meters that sign what they show (OCMF)."""
    sensors: tuple[SimSensor, ...] = ()


class OwnVariable(Section, frozen=True):
    """A variable of a component that the file describes. A generic name brings type and unit along."""

    name: Name
    instance: Annotated[str, msgspec.Meta(max_length=50)] = ""
    type: Literal["string", "decimal", "integer", "dateTime", "boolean", "OptionList", "SequenceList", "MemberList"] | (
        None
    ) = None
    unit: Annotated[str, msgspec.Meta(min_length=1, max_length=16)] | None = None
    access: Literal["RO", "RW", "WO"] | None = None
    value: str | bool | int | float | None = None
    """The first one; of what can only be read, the only one. Without it a sensor may feed the variable."""
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()
    """Of a list, what may stand in it."""

    @property
    def text(self) -> str | None:
        """The value as the device model writes it."""
        return None if self.value is None else worded(self.value)


class OwnComponent(Section, frozen=True):
    """A component beside the standard ones, or more variables of one of these."""

    name: Name
    instance: Annotated[str, msgspec.Meta(max_length=50)] = ""
    evse: Number | None = None
    connector: Number | None = None
    variables: Annotated[tuple[OwnVariable, ...], msgspec.Meta(max_length=100)] = ()


def worded(value: str | bool | float) -> str:  # noqa: FBT001 - a value, not a switch
    """A value of the file as the device model writes it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


class InitialVariable(Section, frozen=True):
    """The first value of a variable of the device model."""

    component: Name
    variable: Name
    value: str | bool | int | float
    instance: str = ""
    evse: Number | None = None
    connector: Number | None = None
    variable_instance: str = ""
    attribute: Literal["Actual", "Target", "MinSet", "MaxSet"] = "Actual"


class OwnMonitor(Section, frozen=True):
    """A monitor that the station has by itself; the CSMS may change and clear it unless it is hard-wired."""

    component: Name
    variable: Name
    type: Literal["UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned"]
    severity: Annotated[int, msgspec.Meta(ge=0, le=9)]
    """0: danger, to 9: debug."""
    value: float = 1.0
    """In the variable's unit; in seconds for periods. Of no meaning for a Delta of what is no number."""
    instance: str = ""
    evse: Number | None = None
    connector: Number | None = None
    variable_instance: str = ""
    transaction: bool = False
    """Only while a transaction runs."""
    hard_wired: bool = False
    id: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    """The first that is free if it is not said."""


class File(Section, frozen=True):
    """The whole file."""

    station: Identity
    csms: Csms
    state_directory: Annotated[str, msgspec.Meta(min_length=1)] = "/var/lib/ocpp-station"
    control_socket: Annotated[str, msgspec.Meta(min_length=1)] | None = "/run/ocpp-station/control.sock"
    """A path, or 127.0.0.1:PORT; null: none."""
    control_group: Name | None = None
    """Who besides the agent may use it; else nobody."""
    metrics: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """127.0.0.1:PORT: figures for a monitoring system of this machine, in OpenMetrics' form; none if it is not said."""
    buses: Mapping[Name, Options] = {}
    """What devices share, by a name of your choice: `kind`, and what that kind takes."""
    boards: Mapping[Name, Options] = {}
    """Controllers of EVSEs: `driver`, and what that driver takes; so for all devices."""
    meters: Mapping[Name, Options] = {}
    readers: Mapping[Name, Options] = {}
    locks: Mapping[Name, Options] = {}
    sensors: Mapping[Name, Options] = {}
    displays: Mapping[Name, Options] = {}
    lamps: Mapping[Name, Options] = {}
    main_meter: Name | None = None
    """That of the whole station, told as EVSE 0."""
    supply: Supply = Supply()
    evses: Annotated[tuple[Evse, ...], msgspec.Meta(max_length=100)] = ()
    simulator: Simulator | None = None
    """Instead of hardware that is not configured."""
    keys: Keys = Keys()
    clock: Clock = Clock()
    transfers: Transfers = Transfers()
    firmware: Firmware | None = None
    """Without it UpdateFirmware is not built in."""
    extensions: Mapping[Name, Options] = {}
    """Vendors' messages (P): the name of an installed extension, and its options."""
    components: Annotated[tuple[OwnComponent, ...], msgspec.Meta(max_length=200)] = ()
    """Of the device model, what the vendor adds to it."""
    variables: tuple[InitialVariable, ...] = ()
    monitors: tuple[OwnMonitor, ...] = ()
    keypad: bool = False
    """Drivers can type digits that one of the readers tells as a key code; with a display, a master pass may choose."""
    resume_transactions: bool = False
    """Go on with a transaction that a restart interrupted, if the vehicle is still there; else it is ended."""
    queue_mb: Annotated[int, msgspec.Meta(ge=8, le=100_000)] = 64
    """Megabytes that the database may hold before Updated events of long transactions are thinned out (E04.FR.08)."""
    reboot_command: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()
    """What restarts the machine on a Reset; without it only the agent is restarted."""
    meter_period_s: Seconds = 60.0
    """How often a meter is read that nobody asks."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
