"""A wallbox whose agent is part of a system of which its machine has two copies, and a real RAUC that fills them.

Copy A is what is on the machine's disk; copy B is an image, mounted over it where the agent lies. What starts, the
boot loader decides, which is played here: it takes the first choice, but one that was never found good only twice.
RAUC is this machine's, with its own libraries: bound into the other one, as a service on that one's system bus.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from station.version import VERSION
from tests.system import images
from tests.system.releases import NEEDED, renamed
from tests.system.wallbox import Wallbox

FOLDER = "/var/lib/copies"
HOST = "/host"
MOST_ATTEMPTS = 2
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
    return images.missing("rauc", "mksquashfs", "unsquashfs", "openssl", "ldd")


class TwoCopies:
    """The box, its copies, and its boot loader."""

    def __init__(self, box: Wallbox, folder: Path, layer: Path) -> None:
        self.box = box
        self.disk = images.Machine(folder / "copies", SIZE)
        self._layer = layer
        self._folder = folder
        self._attempts = 0
        (self.disk.folder / "system.conf").write_text(images.RAUC.format(folder=FOLDER), "ascii")
        root = box.machine.root
        (root / HOST.lstrip("/")).mkdir()
        (root / "etc/dbus-1/system.d").mkdir(parents=True, exist_ok=True)
        (root / "etc/dbus-1/system.d/de.pengutronix.rauc.conf").write_text(POLICY, "ascii")
        for name in ("rauc", "unsquashfs"):
            program = root / "usr/local/bin" / name
            program.write_text(f'#!/bin/sh\nexec {_lent(name)} "$@"\n', "ascii")
            program.chmod(0o755)
        (root / "etc/systemd/system/rauc.service").write_text(UNIT.format(folder=FOLDER), "ascii")

    def boot(self) -> str:
        """Power is there: what the boot loader starts."""
        if self.disk.said("primary") == "B" and not self.proven:
            self._attempts += 1
            if self._attempts > MOST_ATTEMPTS:
                (self.disk.folder / "state-B").write_text("bad\n", "ascii")
        booted = self.disk.restart()
        over = self.box.machine.root / AGENT
        if over.is_mount():
            self.disk.run("umount", "--lazy", str(over))
        if booted == "B":
            self.disk.run("mount", "-o", "loop,ro", "b.img", str(over))
        binds = (f"--bind={self.disk.folder}:{FOLDER}", f"--bind-ro=/usr:{HOST}")
        self.box.machine.boot("--capability=CAP_MKNOD", *binds)
        return booted

    @property
    def proven(self) -> bool:
        """Whether copy B was found good since it was filled."""
        marks = self.disk.folder / "marks"
        return marks.exists() and marks.read_text("ascii").splitlines()[-1] == "B good"

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

    def _packed(self, tree: Path, version: str) -> bytes:
        image = self._folder / f"{version}.img"
        self.disk.run("mksquashfs", str(tree), str(image), "-quiet", "-no-progress", "-comp", "lz4")
        self._attempts = 0
        return self.disk.rauc_bundle(version, image.read_bytes()).read_bytes()


def _lent(name: str) -> str:
    """How a program of this machine is called inside, with all that it is linked to."""
    program = Path(str(shutil.which(name))).resolve()
    told = subprocess.run(["ldd", str(program)], check=True, capture_output=True, text=True).stdout  # noqa: S603, S607 - our own
    paths = [Path(word).resolve() for word in told.split() if word.startswith("/")]
    (linker,) = (path for path in paths if path.name.startswith("ld-"))
    libraries = sorted({_inside(path.parent) for path in paths})
    return f"{_inside(linker)} --library-path {':'.join(libraries)} {_inside(program)}"


def _inside(path: Path) -> str:
    return str(Path(HOST) / path.relative_to("/usr"))
