"""Files that others write, or that may be damaged: station.yaml, register maps, the essentials, notes of transfers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hal import template
from hal.errors import BadOptions
from station.commands import firmware
from station.config import Config, ConfigError, cache, load
from station.shell.transfer.hostkeys import HostKeys
from station.store import essentials
from tests.fuzz.target import Run, Target

EXAMPLE = Path(__file__).parents[2] / "systemd" / "station.yaml.example"
METER = template.FOLDER / "meter" / "eastron-sdm630.yaml"
SMALL = b"""station: {identity: CS001, vendor: Example, model: Wallbox, serial: "0042"}
csms: {url: "ws://127.0.0.1:9/ocpp", security_profile: 1, password_file: password}
state_directory: state
control_socket: control.sock
simulator: {evses: 2}
supply: {max_current_a: 63}
variables:
  - {component: TxCtrlr, variable: TxStartPoint, value: Authorized}
"""


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="ocpp-station-fuzz-"))


def station() -> tuple[Sequence[bytes], Run]:
    """station.yaml: a configuration, or every mistake in a line of its own; and nothing was made by reading it."""
    folder = _folder()
    password = folder / "password"
    password.touch(0o600)
    password.write_text("a secret of sixteen", "utf-8")
    file = folder / "station.yaml"

    def run(data: bytes) -> bool:
        file.write_bytes(data)
        try:
            config = load(file, cached=False)
        except ConfigError as error:
            assert error.mistakes
            for mistake in error.mistakes:
                assert mistake.startswith("station.yaml:"), mistake
                assert mistake.isprintable(), mistake
                assert "a secret of sixteen" not in mistake
            return False
        finally:
            assert {each.name for each in folder.iterdir()} == {"password", "station.yaml"}
        assert isinstance(config, Config)
        assert config.wiring.buses
        return True

    return [SMALL], run


def meter() -> tuple[Sequence[bytes], Run]:
    """A register map: a template whose every register can be read, or one mistake that names its place."""

    def run(data: bytes) -> bool:
        try:
            found = template.parse("meter", data.decode("utf-8", "replace"))
        except BadOptions as error:
            assert str(error).isprintable(), str(error)
            return False
        blocks = template.plan(found.registers.values(), found.bus.max_registers, found.bus.max_gap)
        assert all(0 < block.size <= 125 for block in blocks)
        return True

    return [METER.read_bytes()], run


def kept() -> tuple[Sequence[bytes], Run]:
    """The way to the CSMS: if the newest generation is damaged, the one before counts."""
    folder = _folder()
    file = folder / "essentials.json"
    profile = essentials.NetworkProfile(slot=1, url="wss://csms.example/ocpp", security_profile=2)
    old, new = (essentials.Essentials(identity=name, profiles=(profile,)) for name in ("old", "new"))
    essentials.save(file, old)
    essentials.save(file, new)
    genuine = file.read_bytes()

    def run(data: bytes) -> bool:
        file.write_bytes(data)
        found = essentials.load(file)
        assert found in (old, new)
        return found == new

    return [genuine], run


def notes() -> tuple[Sequence[bytes], Run]:
    """What lies beside a download, which SSH servers are known, the copy of station.yaml: read, or not there."""
    folder = _folder()
    hosts, image = HostKeys(folder / "hosts.json"), folder / "image"

    def run(data: bytes) -> bool:
        (folder / "hosts.json").write_bytes(data)
        (folder / "image.part").write_bytes(data)
        (folder / "cache").write_bytes(data)
        part = firmware._noted(image)
        assert part.durable >= 0
        assert cache.read(folder / "cache", "0" * 64) is None
        try:
            hosts.accepts("files.example:22", "SHA256:another")
        except OSError:  # damaged: nobody is let in
            return part != firmware.Part()
        return True

    part = msgspec.json.encode(firmware.Part('"1"', 4096))
    return [b'{"files.example:22":"SHA256:abc"}', part], run


TARGETS = {
    "station.yaml": Target(station, examples=25, longest=8192),
    "register-map": Target(meter, examples=25, longest=8192),
    "essentials": Target(kept),
    "notes": Target(notes),
}
