"""Real RAUC and SWUpdate on files instead of partitions, and a boot loader that is a shell script.

A `Machine` has two copies of its system, A and B. `restart` is what the boot loader makes of the next start.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

BOOT = """\
#!/bin/sh
# What RAUC tells the boot loader, whose environment is changed at once or not at all.
cd "${0%/*}" && . ./environment
case $1 in
get-primary) echo $primary; exit ;;
get-state) eval [ \\$left_$2 = 0 ] && echo bad || echo good; exit ;;
set-primary) primary=$2; eval left_$2=@attempts@ ;;
set-state) echo "$2 $3" >>marks; case $3 in good) eval left_$2=kept ;; *) eval left_$2=0 ;; esac ;;
esac
printf 'primary=%s\\nleft_A=%s\\nleft_B=%s\\n' $primary $left_A $left_B >new-$$ && sync new-$$ && mv new-$$ environment
while [ -e hold-$1 ]; do sleep 0.05; done
"""
ATTEMPTS = 2
"""So often the boot loader starts a copy that nobody has found good since it became the first choice."""
ENVIRONMENT = {"primary": "A", "left_A": "kept", "left_B": "0"}
RAUC = """\
[system]
compatible=twin-22
bootloader=custom
statusfile={folder}/status
[handlers]
bootloader-custom-backend={folder}/boot
[keyring]
path={folder}/ca.pem
[slot.rootfs.0]
device={folder}/a.img
type=raw
bootname=A
[slot.rootfs.1]
device={folder}/b.img
type=raw
bootname=B
"""
BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
<allow send_type="method_call"/></policy></busconfig>
"""
MANIFEST = """\
[update]
compatible={compatible}
version={version}
[bundle]
format=plain
[image.rootfs]
filename=rootfs.img
"""
DESCRIPTION = """\
software = {{
    version = "{version}";
    hardware-compatibility: [ "1.0" ];
    images: ( {{ filename = "rootfs.img"; device = "{target}"; type = "raw"; sha256 = "{sha256}"; }} );
}}
"""
SWUPDATE = """\
globals:
{{
    verbose = true;
}};
"""
EXTENSIONS = "extendedKeyUsage=emailProtection\nbasicConstraints=CA:FALSE\n"
SIZE = 1 << 20
PATIENCE_S = 30.0


def missing(*programs: str) -> str:
    """What is not installed here."""
    return ", ".join(each for each in programs if shutil.which(each) is None)


def cpio(name: str, data: bytes) -> bytes:
    """A file in an archive of the form `crc`; without a name the end of it."""
    named = (name or "TRAILER!!!").encode() + b"\0"
    fields = (0, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(named), sum(data) & 0xFFFFFFFF)
    header = b"070702" + b"".join(b"%08X" % field for field in fields) + named
    return header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)


def ran(folder: Path, *command: str) -> None:
    """A program, in a folder."""
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=PATIENCE_S)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr.decode()


@functools.cache
def maker() -> Mapping[str, bytes]:
    """The files of whoever makes the images: an authority, and a signer that it certified. Made once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "extensions").write_text(EXTENSIONS, "ascii")
        ca = "-x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj /CN=Maker"
        ran(folder, "openssl", "req", *ca.split())
        request = "-newkey rsa:2048 -nodes -keyout signer.key -out signer.csr -subj /CN=Signer"
        ran(folder, "openssl", "req", *request.split())
        signed = "-req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out signer.pem -days 3650"
        ran(folder, "openssl", "x509", *signed.split(), "-extfile", "extensions")
        return {file: (folder / file).read_bytes() for file in ("ca.pem", "ca.key", "signer.pem", "signer.key")}


class Machine:
    """What a machine has on its disk."""

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "boot").write_text(BOOT.replace("@attempts@", str(ATTEMPTS)), "ascii")
        (folder / "boot").chmod(0o755)
        (folder / "booted").write_text("A\n", "ascii")
        self._keep(ENVIRONMENT)
        for name in ("a.img", "b.img"):
            with (folder / name).open("wb") as file:
                file.truncate(size)
        self._certify()

    def _certify(self) -> None:
        for name, content in maker().items():
            (self.folder / name).write_bytes(content)

    def run(self, *command: str) -> None:
        """A program in the machine's folder."""
        ran(self.folder, *command)

    def said(self, name: str) -> str:
        """What is in one of its files."""
        return (self.folder / name).read_text("ascii").strip()

    @property
    def environment(self) -> dict[str, str]:
        """Of the boot loader: the first choice, and for each copy how often it may still be started, or `kept`."""
        return dict(line.split("=") for line in self.said("environment").splitlines())

    def _keep(self, environment: Mapping[str, str]) -> None:
        new = self.folder / "new"
        new.write_text("".join(f"{name}={value}\n" for name, value in environment.items()), "ascii")
        new.rename(self.folder / "environment")

    def restart(self) -> str:
        """The copy that is started now: the first choice, unless it is bad, or was started too often."""
        environment = self.environment
        first = environment["primary"]
        other = {"A": "B", "B": "A"}[first]
        given_up = environment[f"left_{first}"] == "0" and environment[f"left_{other}"] != "0"
        booted = other if given_up else first
        if environment[f"left_{booted}"] not in {"0", "kept"}:
            environment[f"left_{booted}"] = str(int(environment[f"left_{booted}"]) - 1)
            self._keep(environment)
        (self.folder / "booted").write_text(booted + "\n", "ascii")
        return booted

    # RAUC

    def rauc_bundle(self, version: str, content: bytes, compatible: str = "twin-22") -> Path:
        """Signed by the maker."""
        return self._rauc_bundle(version, content, compatible, ("signer", "ca"))

    def stranger_s_bundle(self, version: str, content: bytes) -> Path:
        """Signed by somebody else."""
        themselves = "-x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=Other"
        self.run("openssl", "req", *themselves.split())
        return self._rauc_bundle(version, content, "twin-22", ("other", "other"))

    def _rauc_bundle(self, version: str, content: bytes, compatible: str, by: tuple[str, str]) -> Path:
        inside, file = self.folder / f"in-{version}-{compatible}", self.folder / f"{version}-{compatible}.raucb"
        inside.mkdir()
        (inside / "rootfs.img").write_bytes(content)
        (inside / "manifest.raucm").write_text(MANIFEST.format(version=version, compatible=compatible), "ascii")
        signer, root = by
        signed = ("--cert", f"{signer}.pem", "--key", f"{signer}.key", "--keyring", f"{root}.pem")
        self.run("rauc", *signed, "bundle", str(inside), str(file))
        return file

    @contextmanager
    def rauc(self) -> Iterator[Mapping[str, str]]:
        """RAUC's service in the copy that was booted, on a bus of its own; the environment to reach it by."""
        (self.folder / "system.conf").write_text(RAUC.format(folder=self.folder), "ascii")
        (self.folder / "bus.conf").write_text(BUS.format(folder=self.folder), "ascii")
        (self.folder / "bus").unlink(missing_ok=True)
        reached = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.folder}/bus"}
        service = ("rauc", "-c", "system.conf", f"--override-boot-slot={self.said('booted')}", "service")
        with self._service({}, "dbus-daemon", "--config-file=bus.conf", "--nofork"):
            self.until((self.folder / "bus").exists, "the bus")
            with self._service(reached, *service):
                self.until(lambda: self._answers({**os.environ, **reached}), "RAUC")
                yield reached

    @staticmethod
    def _answers(environment: Mapping[str, str]) -> bool:
        asks = ("busctl", "--system", "status", "de.pengutronix.rauc")
        return subprocess.run(asks, env=environment, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own

    @contextmanager
    def _service(self, environment: Mapping[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "services.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command, cwd=self.folder, stdout=log, stderr=log, env={**os.environ, **environment}
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE_S)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Asked again and again."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"waited for {what}: {(self.folder / 'services.log').read_text()}"
            time.sleep(0.05)

    # SWUpdate

    def swu(self, version: str, content: bytes, *, description: str = "") -> Path:
        """Signed by the maker, for copy B."""
        target, file = self.folder / "b.img", self.folder / f"{version}.swu"
        sha256 = hashlib.sha256(content).hexdigest()
        text = description or DESCRIPTION.format(version=version, target=target, sha256=sha256)
        (self.folder / "sw-description").write_text(text, "ascii")
        (self.folder / "rootfs.img").write_bytes(content)
        signed = "cms -sign -in sw-description -out sw-description.sig -signer signer.pem -inkey signer.key"
        self.run("openssl", *signed.split(), *["-outform", "DER", "-nosmimecap", "-binary"])
        names = ("sw-description", "sw-description.sig", "rootfs.img")
        packed = [cpio(name, (self.folder / name).read_bytes()) for name in names]
        file.write_bytes(b"".join(packed) + cpio("", b""))
        return file

    @contextmanager
    def swupdate(self) -> Iterator[None]:
        """SWUpdate's service, on its own sockets."""
        (self.folder / "swupdate.cfg").write_text(SWUPDATE.format(), "ascii")
        service = ("swupdate", "-f", "swupdate.cfg", "-k", "ca.pem", "-H", "twin:1.0", "-m", "-M", "-l", "4")
        environment = {"TMPDIR": str(self.folder)}
        with self._service(environment, *service):
            self.until((self.folder / "sockinstctrl").exists, "SWUpdate")
            yield
