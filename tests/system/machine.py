"""A Debian that boots in systemd-nspawn: a real systemd and package manager, and power that can be cut.

The root tree (.ci/machine) is made once and never written: each machine has a layer of its own above, which stays when
the power is cut, and goes with the test. A layer with the package installed is made once for all tests of a run.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.system import packages

T = TypeVar("T")

RELEASE = os.environ.get("DEBIAN_RELEASE") or "bookworm"
TREE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    / "ocpp-station"
    / ("machine" if RELEASE == "bookworm" else f"machine-{RELEASE}")
)
UNIT = "ocpp-station.service"
DROP_INS = f"/etc/systemd/system/{UNIT}.d"
PATIENCE_S = 120.0
_CLONE_NEWNET = 0x40000000


def missing() -> str:
    """What this machine lacks to boot another one in it; empty if nothing."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("systemd-nspawn", "nsenter", "mount"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return packages.missing() or ("" if (TREE / ".complete").exists() else "no root tree, see .ci/machine")


needs_machine = pytest.mark.skipif(bool(missing()), reason=f"the package in a booted machine NOT TESTED: {missing()}")


class Machine:
    """One machine. Off until `boot`; `end` takes all of it away. `below`: what another one has left (`installed`)."""

    def __init__(self, folder: Path, below: Path | None = None) -> None:
        self._folder = folder
        for name in ("layer", "work", "root"):
            (folder / name).mkdir(parents=True)
        self.root = folder / "root"
        lower = f"{below}:{TREE}" if below else str(TREE)
        layers = f"lowerdir={lower},upperdir={folder / 'layer'},workdir={folder / 'work'}"
        _host("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = ""

    def boot(self, *options: str) -> None:
        """Switch it on; returns when systemd has started all."""
        self.switch_on(*options)
        self.until(self._booted, "systemd")

    def switch_on(self, *options: str) -> None:
        """Power is there. Before it has booted nothing can be asked of it."""
        command = ["systemd-nspawn", "-q", "-D", str(self.root), "-b", "--register=no", "--keep-unit", "--console=pipe"]
        with (self._folder / "console").open("ab") as console:
            self._process = subprocess.Popen(  # noqa: S603 - our own
                [*command, *options], stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )

    def cut_power(self) -> None:
        """Every process is gone at once; what it had written is there."""
        if self._process is not None:
            if leader := self._leader or self._first():
                os.kill(int(leader), signal.SIGKILL)  # process 1: all others end with it
            else:
                self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process, self._leader = None, ""

    def until_off(self, what: str) -> None:
        """It restarts, or goes off by itself; `boot` switches it on again."""
        assert self._process is not None
        process = self._process
        self.until(lambda: process.poll() is not None, what)
        self._process, self._leader = None, ""

    def end(self) -> None:
        """Off, and nothing of it is left."""
        self.cut_power()
        if self.root.is_mount():
            _host("umount", "--lazy", str(self.root))
        shutil.rmtree(self._folder, ignore_errors=True)

    def leave(self, layer: Path) -> None:
        """The end, but for what was written on its disk."""
        self.cut_power()
        _host("umount", "--lazy", str(self.root))
        (self._folder / "layer").rename(layer)
        shutil.rmtree(self._folder, ignore_errors=True)

    def connected(self, make: Callable[[], T]) -> T:
        """What `make` makes, with its sockets in the network of this machine."""

        def inside() -> T:
            with Path(f"/proc/{self._leader}/ns/net").open("rb") as network:
                moved = ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET)
            assert moved == 0, os.strerror(ctypes.get_errno())
            return make()

        with ThreadPoolExecutor(1) as pool:  # a thread that is in another network never comes back
            return pool.submit(inside).result(PATIENCE_S)

    def network(self, *, up: bool) -> None:
        """Its only interface, where it was booted with `--private-network`."""
        _host("nsenter", "-t", self._leader, "-n", "ip", "link", "set", "lo", "up" if up else "down")

    @property
    def inside(self) -> Path:
        """Its files as its own processes see them, those in memory too."""
        return Path(f"/proc/{self._leader}/root")

    def run(self, *command: str, check: bool = True) -> str:
        """A command in it; what it says."""
        return self.tried(*command, check=check).stdout

    def shell(self, script: str) -> str:
        """A line of shell in it."""
        return self.run("sh", "-ec", script)

    def tried(self, *command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """A command in it, and how it ended."""
        enter = ("nsenter", "-t", self._leader, "-m", "-p", "-u", "-i", "-n", "-C", "--", "env", "-i", "LANG=C.UTF-8")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(  # noqa: S603 - our own
            [*enter, path, *command], capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def put(self, name: str, text: str, mode: int = 0o644) -> None:
        """A file in it."""
        self.shell(f"mkdir -p $(dirname {name})")
        path = self.root / name.lstrip("/")
        path.write_text(text, "utf-8")
        path.chmod(mode)

    def show(self, name: str) -> str:
        """A property of the agent's unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()

    def status(self) -> dict[str, Any]:
        """The agent's state."""
        told: dict[str, Any] = json.loads(self.run("ocpp-station", "status", "--json"))
        return told

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Ask again and again."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"waited for {what}: {self._told()}"
            time.sleep(0.02)

    def _booted(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._told()
        self._leader = self._first()
        states = {"running", "degraded"}
        return bool(self._leader) and self.tried("systemctl", "is-system-running").stdout.strip() in states

    def _first(self) -> str:
        """Its process 1, as it is called here; empty before there is one."""
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        children = [child for thread in threads for child in (thread / "children").read_text("ascii").split()]
        return children[0] if children else ""

    def _told(self) -> str:
        console = (self._folder / "console").read_text("utf-8", "replace")[-2000:]
        if self._process is not None and self._process.poll() is None:
            self._leader = self._first()
        if not self._leader:
            return console
        log = self.tried("journalctl", "--no-pager", "-n", "40", "-u", UNIT, "-b")
        return f"{console}{log.stdout}{log.stderr}"


def install(machine: Machine, package: Path) -> str:
    """As an installer does; what dpkg says."""
    shutil.copy(package, machine.root / "root" / package.name)
    return machine.run("dpkg", "-i", f"/root/{package.name}")


def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer of a machine on which the package was installed, made by whoever comes first."""
    package = packages.package(tmp_path_factory)
    layer = package.parent / "installed"
    with (package.parent / "installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not layer.exists():
            machine = Machine(package.parent / "first-machine")
            try:
                machine.boot()
                install(machine, package)
                machine.leave(layer)
            finally:
                machine.end()
    return layer


def _host(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)  # noqa: S603 - our own
