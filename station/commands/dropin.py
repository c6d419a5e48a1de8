"""`ocpp-station drop-in`: what a station's unit may touch, made from its station.yaml, on stdout.

The shipped unit lets every station at every kind of serial line and no station at CAN, GPIO, a TPM or the clock. This
writes the exact list: kinds of devices, not nodes, because an adapter that is plugged in again is another node (udev's
rules say which nodes the agent's user may open).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from station.commands import errors
from station.config import Config, ConfigError, load
from station.config.credentials import name_of

PLACE = "/etc/systemd/system/ocpp-station.service.d/10-station.conf"
REMAKE = f"ocpp-station drop-in > {PLACE} && systemctl daemon-reload"

CLOCK = "ocpp-station-clock.socket"
"""Who sets the machine's clock for the agent, which has no right to."""

SERIAL = ("char-ttyS", "char-ttyAMA", "char-ttyUSB", "char-ttyACM")
"""What a name of udev's may stand for while its device is away."""

_KINDS = {
    "/dev/ttyS": SERIAL[:1],
    "/dev/ttyAMA": SERIAL[1:2],
    "/dev/ttyUSB": SERIAL[2:3],
    "/dev/ttyACM": SERIAL[3:],
    "/dev/serial/": SERIAL[2:],
    "/dev/gpiochip": ("char-gpiochip",),
    "/dev/input/": ("char-input",),
    "/dev/tpm": ("char-tpm",),
}


def drop_in(path: Path) -> int:
    """Print it."""
    try:
        config = load(path, cached=False)
    except ConfigError as error:
        return errors.tell_config(error)
    sys.stdout.write("".join(f"{line}\n" for line in lines(config, path.absolute())))
    return 0


def lines(config: Config, path: Path) -> Iterator[str]:
    """The drop-in."""
    file = config.file
    yield f"# What this station's unit may touch, from {path}. Make it anew when buses, devices or secrets change:"
    yield f"#   {REMAKE}"
    yield "[Service]"
    yield "DeviceAllow="
    yield from (f"DeviceAllow={kind} rw" for kind in sorted(set(_devices(config))))
    if any(options.get("interface") == "socketcan" for options in file.buses.values()):
        yield "RestrictAddressFamilies=AF_CAN"
    if writes := sorted({each for each in _named(file.boards, file.locks, file.displays) if each.startswith("/sys/")}):
        yield f"ReadWritePaths={' '.join(_quoted(f'-{each}') for each in writes)} -/sys/devices/platform"
    if file.keys.store == "tpm":
        yield "SupplementaryGroups=tss"
        yield "Environment=TSS2_LOG=all+none"
    yield from (f"LoadCredential={name_of(secret)}:{secret}".replace("%", "%%") for secret in _secrets(config))
    if file.clock.set_system_clock:
        yield from ("[Unit]", f"Wants={CLOCK}", f"After={CLOCK}")


def _secrets(config: Config) -> Iterator[Path]:
    csms, keys = config.file.csms, config.file.keys
    for name in (csms.password_file, csms.key_file, keys.passphrase_file, keys.owner_auth_file, keys.pin_file):
        if name is not None:
            yield (config.folder / name).absolute()


def _devices(config: Config) -> Iterator[str]:
    file = config.file
    for name in _named(file.buses, file.boards, file.meters, file.readers, file.sensors, file.displays, file.locks):
        if name.startswith("/dev/"):
            yield from kinds(name)
    if file.keys.store == "tpm":
        yield from kinds(file.keys.tcti.removeprefix("device:"))


def kinds(device: str, drivers: str | None = None) -> tuple[str, ...]:
    """The kinds that a device is of: as the kernel tells, or, while it is away, as its name does."""
    try:
        major = os.major(Path(device).stat().st_rdev)
    except OSError:
        return next((kind for start, kind in _KINDS.items() if device.startswith(start)), SERIAL)
    told = drivers if drivers is not None else Path("/proc/devices").read_text("ascii")
    characters = told.partition("Block devices:")[0]
    names = re.findall(rf"^ *{major} (\S+)$", characters, re.MULTILINE)
    return tuple(f"char-{name}" for name in names if not name.startswith("/"))


def _named(*sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Each text among the options of devices, however deep it stands."""
    waiting: list[Any] = list(sections)
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case Mapping() as options:
                waiting += options.values()
            case list() | tuple() as several:
                waiting += several
            case _:
                pass


def _quoted(word: str) -> str:
    """As one word of a unit, which stands for itself (systemd.syntax(7), systemd.unit(5))."""
    plain = word.replace("%", "%%")
    if not re.search(r"""[\s"'\\]""", plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
