"""A wallbox whose agent is part of a system of which its machine has two copies, and a real RAUC that fills them.

Copy A is what is on the machine's disk; copy B is an image, mounted over it where the agent lies. What starts, the
boot loader decides, which is played (images.py). RAUC is this machine's, with its own libraries: bound into the other
one, as a service on that one's system bus; the slot may keep it waiting (held_slot.c).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from station.version import VERSION
from tests.system import images
from tests.system.releases import NEEDED, renamed
from tests.system.wallbox import Wallbox

FOLDER = "/var/lib/copies"
HOST = "/host"
HELD = "held-slot.so"
SIZE = 48_000_000
AGENT = "opt/ocpp-station"

POLICY = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
<policy context="default"><allow send_destination="de.pengutronix.rauc"/></policy>
<policy user="root"><allow own="de.pengutronix.rauc"/></policy>
</busconfig>
"""
"""As Debian's rauc-service has it."""

UNIT = """\
[Unit]
After=dbus.service
[Service]
Type=dbus
BusName=de.pengutronix.rauc
ExecStartPre=sh -c 'mknod /dev/loop-control c 10 237; for i in $(seq 0 63); do mknod /dev/loop$i b 7 $i; done'
WorkingDirectory={folder}
ExecStart=sh -c 'exec rauc -c system.conf --mount=/run/rauc --override-boot-slot=$(cat booted) service'
RuntimeDirectory=rauc
[Install]
WantedBy=multi-user.target
"""


def missing() -> str:
    """What this machine lacks; empty if nothing."""
    return images.missing("rauc", "mksquashfs", "unsquashfs", "openssl", "ldd", "gcc")


class TwoCopies:
    """The box, its copies, and its boot loader."""

    def __init__(self, box: Wallbox, folder: Path, layer: Path) -> None:
        self.box = box
        self.disk = images.Machine(folder / "copies", SIZE)
        self._layer = layer
        self._folder = folder
        self.disk.run("gcc", "-shared", "-fPIC", "-o", HELD, str(Path(__file__).with_name("held_slot.c")))
        (self.disk.folder / "system.conf").write_text(images.RAUC.format(folder=FOLDER), "ascii")
        root = box.machine.root
        (root / HOST.lstrip("/")).mkdir()
        (root / "etc/dbus-1/system.d").mkdir(parents=True, exist_ok=True)
        (root / "etc/dbus-1/system.d/de.pengutronix.rauc.conf").write_text(POLICY, "ascii")
        for name, more in {"rauc": f"--preload {FOLDER}/{HELD}", "unsquashfs": ""}.items():
            program = root / "usr/local/bin" / name
            program.write_text(f'#!/bin/sh\nexec {_lent(name, more)} "$@"\n', "ascii")
            program.chmod(0o755)
        (root / "etc/systemd/system/rauc.service").write_text(UNIT.format(folder=FOLDER), "ascii")

    def boot(self) -> str:
        """Power is there: what the boot loader starts, and systemd has started all."""
        booted, options = self._chosen()
        self.box.machine.boot(*options)
        return booted

    def switch_on(self) -> str:
        """Power is there: what the boot loader starts."""
        booted, options = self._chosen()
        self.box.machine.switch_on(*options)
        return booted

    def _chosen(self) -> tuple[str, list[str]]:
        booted = self.disk.restart()
        over = self.box.machine.root / AGENT
        if over.is_mount():
            self.disk.run("umount", "--lazy", str(over))
        if booted == "B":
            self.disk.run("mount", "-o", "loop,ro", "b.img", str(over))
        binds = [f"--bind={self.disk.folder}:{FOLDER}", f"--bind-ro=/usr:{HOST}"]
        return booted, ["--capability=CAP_MKNOD", *binds]

    @property
    def first_choice(self) -> str:
        """Of the boot loader."""
        return self.disk.environment["primary"]

    def runs_for_good(self, name: str) -> bool:
        """Whether this copy was booted, and is started from now on however often that is."""
        environment = self.disk.environment
        return (self.disk.said("booted"), environment["primary"], environment[f"left_{name}"]) == (name, name, "kept")

    def empty(self) -> None:
        """Copy B, which does not run: then it shows how far it is filled."""
        for size in (0, SIZE):
            os.truncate(self.disk.folder / "b.img", size)

    def filled(self, version: str, share: float) -> bool:
        """Whether this share of an image has come to where there was nothing."""
        with (self.disk.folder / "b.img").open("rb") as file:
            file.seek(self._part(version, share))
            return any(file.read(4096))

    def take(self, version: str, share: float) -> None:
        """For now no more than this share of an image is written to a slot."""
        (self.disk.folder / "takes").write_text(str(self._part(version, share)), "ascii")

    def take_all(self) -> None:
        """Whatever comes."""
        (self.disk.folder / "takes").unlink()

    @contextmanager
    def only_the_boot_loader_knows(self) -> Iterator[None]:
        """When its first choice was changed, nobody is told so."""
        hold = self.disk.folder / "hold-set-primary"
        hold.touch()
        yield
        hold.unlink()

    def system(self, version: str) -> bytes:
        """A bundle with a copy of the system in which the agent has another number."""
        tree = self._folder / version
        shutil.copytree(self._layer / AGENT / "bin", tree / "bin")
        for path in (self._layer / AGENT / "lib").iterdir():
            if path.name in NEEDED or path.name.startswith("_cffi_backend"):
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, tree / "lib" / path.name)
        renamed(tree / "lib", VERSION, version)
        return self._packed(tree, version)

    def system_without_agent(self, version: str) -> bytes:
        """What is called the agent ends at once."""
        tree = self._folder / version
        (tree / "bin").mkdir(parents=True)
        launcher = tree / "bin" / "ocpp-station-launch"
        launcher.write_text("#!/bin/sh\nexit 1\n", "ascii")
        launcher.chmod(0o755)
        return self._packed(tree, version)

    def system_of_a_stranger(self, version: str) -> bytes:
        """Signed by somebody whom RAUC does not know."""
        return self.disk.stranger_s_bundle(version, bytes(SIZE // 100)).read_bytes()

    def _part(self, version: str, share: float) -> int:
        return int(self._image(version).stat().st_size * share)

    def _image(self, version: str) -> Path:
        return self._folder / f"{version}.img"

    def _packed(self, tree: Path, version: str) -> bytes:
        image = self._image(version)
        self.disk.run("mksquashfs", str(tree), str(image), "-quiet", "-no-progress", "-comp", "lz4")
        return self.disk.rauc_bundle(version, image.read_bytes()).read_bytes()


def _lent(name: str, more: str) -> str:
    """How a program of this machine is called inside, with all that it is linked to. `more`: for its linker."""
    program = Path(str(shutil.which(name))).resolve()
    told = subprocess.run(["ldd", str(program)], check=True, capture_output=True, text=True).stdout  # noqa: S603, S607 - our own
    paths = [Path(word).resolve() for word in told.split() if word.startswith("/")]
    (linker,) = (path for path in paths if path.name.startswith("ld-"))
    libraries = sorted({_inside(path.parent) for path in paths})
    return f"{_inside(linker)} {more} --library-path {':'.join(libraries)} {_inside(program)}"


def _inside(path: Path) -> str:
    return str(Path(HOST) / path.relative_to("/usr"))
