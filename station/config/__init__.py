"""station.yaml -> what the parts of the agent want. Every mistake is told with its line and a remedy, all at once.

config = load(Path("station.yaml"))       raises ConfigError
config.setup("PowerUp")                   for app.Station
config.wiring                             for the hardware thread
config.link(...)                          for the link

schema.py     what may stand in the file         source.py    YAML -> plain data and lines
shape.py      plain data -> structs              checks.py    what types cannot say;  keys.py: of key stores
devices.py    hardware, simulated or real        sharing.py   what is claimed twice
equipment.py  what devices are in the device model   monitoring.py  what the station watches by itself
trial.py      each driver built once             mistakes.py  how a mistake is told
cache.py      the parsed file, for later starts       credentials.py   secrets that systemd hands over
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from certs import expiry
from device_model.build import ConnectorLayout, EvseLayout, InitialValue, Layout
from device_model.model import ComponentId, VariableId
from station.blocks.firmware.terms import FirmwareTerms
from station.config import cache, checks, devices, equipment, keys, monitoring
from station.config.credentials import handed
from station.config.mistakes import ConfigError, Lines, Mistake
from station.config.schema import LARGEST_BYTES, Evse, File
from station.setup import Setup
from station.shell.easing import Gentleness
from station.shell.outlet import Timing
from station.shell.transfer import protocols
from station.shell.wiring import Wiring
from station.state.network import PASSWORD, NetworkProfile
from station.state.own_certificates import Given
from station.version import VERSION

__all__ = ["Config", "ConfigError", "load"]

_DAY_S = 86_400.0
_MEGABYTE = 1_000_000
_DEFAULT_MEASURANDS: tuple[str, ...] = ("Energy.Active.Import.Register",)


class Config(msgspec.Struct, frozen=True):
    """A file without mistakes. `file` has simulated hardware written out; `folder` is where relative paths begin.

    `measurands` by the meter's name; `signing`: the names of the meters that sign.
    """

    file: File
    folder: Path
    measurands: Mapping[str, tuple[str, ...]]
    signing: frozenset[str]
    sha256: str
    remembered: bool = False

    def remember(self) -> None:
        """Keep what was read, so that the next start needs no parser. The state directory is there."""
        if not self.remembered:
            cache.write(self.state / cache.NAME, cache.Copy(self.sha256, self.file, self.measurands, self.signing))

    def locate(self, name: str) -> Path:
        """A path of the file as a whole one."""
        return handed(self.folder / name)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.locate(self.file.state_directory)

    @property
    def roots(self) -> Path:
        """Where the certificates of authorities are kept."""
        return self.state / "roots"

    @property
    def keys(self) -> Path:
        """Where private keys are kept."""
        directory = self.file.keys.directory
        return self.locate(directory) if directory is not None else self.state / "keys"

    @property
    def chains(self) -> Path:
        """Where the station's own certificates are kept."""
        return self.state / "certificates"

    @property
    def wiring(self) -> Wiring:
        """For the hardware thread."""
        return devices.wiring(self.file)

    @property
    def timing(self) -> Timing:
        """For the hardware thread: how gently the current changes."""
        supply = self.file.supply
        ramp_a_per_s = supply.ramp_a_per_s if supply.ramp_a_per_s is not None else math.inf
        return Timing(gentle=Gentleness(ramp_a_per_s, supply.phase_pause_s, supply.phase_dwell_s))

    @property
    def layout(self) -> Layout:
        """For the device model."""
        return layout(self.file, self.measurands, self.signing)

    def setup(self, found_boot_reason: str) -> Setup:
        """For `app.Station`."""
        csms = self.file.csms
        profile = NetworkProfile(
            slot=0, url=csms.url, security_profile=csms.security_profile, message_timeout_s=csms.message_timeout_s
        )
        return Setup(
            layout=self.layout,
            initial=(*self._password(), *map(checks.initial, self.file.variables)),
            versions=csms.versions,
            strict=csms.strict,
            found_boot_reason=found_boot_reason,
            message_timeout_s=csms.message_timeout_s,
            profiles=(profile,),
            certificates=frozenset(self._certificates()),
            keypad=self.file.keypad,
            resume=self.file.resume_transactions,
            queue_bytes=self.file.queue_mb * _MEGABYTE,
            main_meter=self.file.main_meter is not None,
            status_by_event=csms.status_by == "NotifyEvent",
            signals=tuple(equipment.signals(self.file)),
            curves=tuple(equipment.curves(self.file)),
            parts=equipment.parts(self.file),
            monitors=monitoring.factory(self.file),
            given_certificate=self._given(),
            renew_ahead_s=self.file.keys.renew_days_ahead * _DAY_S,
            firmware=self._firmware(),
        )

    def _firmware(self) -> FirmwareTerms | None:
        given = self.file.firmware
        if given is None:
            return None
        image = given.rauc or given.swupdate
        return FirmwareTerms(
            while_charging=given.while_charging,
            unsigned=given.unsigned,
            patience_s=given.patience_s,
            healthy_within_s=image.healthy_within_s if image is not None else None,
        )

    def _given(self) -> Given | None:
        """The period of the station's certificate; unknown of a file that cannot be read any more."""
        if self.file.csms.certificate is None:
            return None
        try:
            text = self.locate(self.file.csms.certificate).read_text("ascii", "replace")
        except OSError:
            return None
        return Given.of(text, expiry.validity(text))

    def _password(self) -> Iterator[InitialValue]:
        if self.file.csms.password_file is not None:
            password = checks.password_in(self.locate(self.file.csms.password_file))
            yield InitialValue(ComponentId(PASSWORD[0]), VariableId(PASSWORD[1]), password)

    def _certificates(self) -> Iterator[str]:
        """Kinds of certificates that the machine has by itself."""
        if self.file.csms.system_roots:
            yield "CSMSRootCertificate"


def load(path: Path, *, cached: bool = True) -> Config:
    """Read and check the file. Raises ConfigError with all that is wrong; OSError never."""
    raw = _raw(path)
    folder = path.absolute().parent
    sha256 = cache.digest(raw)
    copy = cache.read(cache.place(raw, folder), sha256) if cached else None
    if copy is not None and not any(_secrets(copy.file, folder)):
        return Config(copy.file, folder, copy.measurands, copy.signing, sha256, remembered=True)
    return _read(path, raw, sha256)


def _raw(path: Path) -> bytes:
    """What is read of the file, which may be any. Raises ConfigError."""
    remedy = "give the path of station.yaml by --config"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a device or a pipe may have no end
            raise ConfigError([f"{path}: is no file - {remedy}"])
        with path.open("rb") as file:
            return file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror} - {remedy}"]) from error


def _secrets(file: File, folder: Path) -> list[Mistake]:
    """What may have changed without the file: the files it names."""

    def locate(name: str) -> Path:
        return handed(folder / name)

    return [*checks.network(file, locate), *keys.mistakes(file, locate)]


def _read(path: Path, raw: bytes, sha256: str) -> Config:
    from station.config import shape, sharing, source, trial  # noqa: PLC0415 - they bring the YAML parser along

    folder = path.absolute().parent
    parsed = source.parse(raw)
    if parsed.mistakes and not isinstance(parsed.data, dict):
        raise _error(path, parsed.mistakes, parsed.lines)
    file, wrong = shape.shaped(parsed.data)
    told = {each.path for each in parsed.mistakes}
    mistakes = [*parsed.mistakes, *(each for each in wrong if each.path not in told)]
    if file is None:
        raise _error(path, mistakes, parsed.lines)
    file = devices.completed(file)
    mistakes += _secrets(file, folder)
    mistakes += [*checks.control(file, lambda name: folder / name), *checks.evses(file), *checks.firmware(file)]
    ill_formed = devices.form(file)
    mistakes += [*ill_formed, *devices.references(file), *sharing.conflicts(file)]
    tried = trial.Trial([], {}, frozenset(), {}) if ill_formed else trial.build(devices.wiring(file))
    mistakes += tried.mistakes
    misplaced = [] if ill_formed else list(equipment.misplaced(file))
    sound = msgspec.structs.replace(file, sensors={}, components=()) if ill_formed or misplaced else file
    built = layout(sound, tried.measurands, tried.signing)
    mistakes += [
        *misplaced,
        *equipment.deaf(file),
        *equipment.senseless(sound),
        *equipment.mistakes(sound, built, tried.units),
        *checks.variables(sound, built),
    ]
    mistakes += monitoring.mistakes(sound, built)
    if mistakes:
        raise _error(path, mistakes, parsed.lines)
    return Config(file, folder, tried.measurands, tried.signing, sha256)


def _error(path: Path, mistakes: list[Mistake], lines: Lines) -> ConfigError:
    told = dict.fromkeys((each.line or 0, each.told(path.name, lines)) for each in mistakes)
    placed = [(line or _line_in(text), text) for line, text in told]
    return ConfigError([text for _, text in sorted(placed, key=lambda each: each[0])])


def _line_in(text: str) -> int:
    number = text.partition(":")[2].partition(":")[0]
    return int(number) if number.isdigit() else 0


def layout(file: File, measurands: Mapping[str, tuple[str, ...]], signing: frozenset[str]) -> Layout:
    """What is bolted together, for the device model. `measurands` and `signing` by the meter's name."""
    station, supply, sim = file.station, file.supply, file.simulator
    return Layout(
        vendor_name=station.vendor,
        model=station.model,
        evses=tuple(_evse(evse, supply.voltage_v, measurands, signing) for evse in file.evses),
        phase_switching=supply.phase_switching or (sim is not None and sim.phase_switching),
        fuse_a=supply.max_current_a,
        supply_voltage_v=supply.voltage_v,
        serial_number=station.serial,
        firmware_version=station.firmware_version or VERSION,
        identity=station.identity,
        organization_name=station.organization,
        country_name=station.country,
        readers=tuple(file.readers) if len(file.readers) > 1 else ("",) * len(file.readers),
        displays=tuple(file.displays) if len(file.displays) > 1 else ("",) * len(file.displays),
        security_profile=file.csms.security_profile,
        file_transfer_protocols=protocols(),
        equipment=equipment.equipment(file),
    )


def _evse(evse: Evse, volts: float, measurands: Mapping[str, tuple[str, ...]], signing: frozenset[str]) -> EvseLayout:
    watts = evse.max_power_w if evse.max_power_w is not None else volts * evse.max_current_a * evse.phases
    connectors = tuple(
        ConnectorLayout(
            type=each.type,
            max_current_a=each.max_current_a or evse.max_current_a,
            phases=each.phases,
            lock=each.lock if each.lock is not None else evse.lock is not None,
        )
        for each in evse.connectors
    )
    return EvseLayout(
        max_power_w=watts,
        phases=evse.phases,
        connectors=connectors,
        measurands=measurands.get(evse.meter, _DEFAULT_MEASURANDS) if evse.meter is not None else (),
        phase_rotation=evse.phase_rotation,
        signs=evse.meter in signing,
        iso15118=evse.iso15118,
        iso15118_evse_id=evse.iso15118_evse_id,
    )
