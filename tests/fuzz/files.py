"""Files that others write, or that may be damaged: station.yaml, register maps, the essentials, notes of transfers."""

from __future__ import annotations

import gzip
import hashlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hal import template
from hal.errors import BadOptions
from station.commands import firmware
from station.commands.installers import swupdate
from station.commands.installers.archive import BadBundle, Reader
from station.commands.installers.images import Refused
from station.commands.installers.manifest import first
from station.config import Config, ConfigError, cache, load
from station.shell.transfer.hostkeys import HostKeys
from station.store import essentials
from tests import bundles
from tests.fuzz.target import Run, Target
from tests.system import images

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


def bundle() -> tuple[Sequence[bytes], Run]:
    """New firmware of the agent's own: what is read of it is named by its manifest, is what that says, and no more.

    The inside is changed, which gzip's checksum would hide; and the outside.
    """
    folder = _folder()
    files_ = {"start.py": b"print()", "lib/a.py": b"a = 1\n" * 200}
    genuine = bundles.packed(folder / "good", msgspec.json.encode(bundles.told(files_, "9.0.0")), files_).read_bytes()

    def run(data: bytes) -> bool:
        packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1, mtime=0)
        reader, taken = Reader(io.BytesIO(packed)), {}
        try:
            _, manifest = first(reader)
            for name, entry in manifest.files.items():
                found = reader.member()
                if found is None or (found.name, found.size) != (name, entry.size):
                    return False
                content = b"".join(reader.content())
                assert len(content) == entry.size
                taken[name] = hashlib.sha256(content).hexdigest() == entry.sha256
            reader.member()
        except (BadBundle, OSError) as error:
            assert len(str(error)) < 1000
            return False
        for name in taken:
            inside = (folder / "slot" / name).resolve()
            assert inside.is_relative_to((folder / "slot").resolve()), name
            assert inside != (folder / "slot").resolve()
        return all(taken.values())

    return [genuine, gzip.decompress(genuine)], run


def image() -> tuple[Sequence[bytes], Run]:
    """An image of SWUpdate: its description in bounded size, or a refusal."""
    file = _folder() / "image"
    genuine = images.cpio("sw-description", b'software = { version = "1.2"; };') + images.cpio("", b"")

    def run(data: bytes) -> bool:
        file.write_bytes(data)
        try:
            text = swupdate.description(file)
        except Refused as error:
            assert str(error).isprintable()
            return False
        assert len(text) <= len(data)
        return True

    return [genuine], run


TARGETS = {
    "swupdate": Target(image),
    "bundle": Target(bundle, longest=8192),
    "station.yaml": Target(station, examples=25, longest=8192),
    "register-map": Target(meter, examples=25, longest=8192),
    "essentials": Target(kept),
    "notes": Target(notes),
}
