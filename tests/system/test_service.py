"""The agent under a real systemd: ready, killed, hung, stopped; and what the CSMS hears of it.

A `systemd --user` in namespaces of its own (no D-Bus, no root file tree) runs a unit made of the lines of
systemd/ocpp-station.service that matter here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "ocpp-station.service"
SYSTEMD = Path("/usr/lib/systemd/systemd")
NAME = "ocpp-station.service"
PATIENCE_S = 30.0

UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")


def _has_namespaces() -> bool:
    """Whether this machine gives a process namespaces of its own: not in a plain chroot, nor in most containers."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603 - our own


pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        os.geteuid() != 0 or not SYSTEMD.exists() or not _has_namespaces(),
        reason="needs root, systemd, and namespaces of its own",
    ),
]

TAKEN = ("Type=", "NotifyAccess=", "Restart=", "Environment=", "ExecStopPost=", "TimeoutStopSec=")
"""Lines of the real unit that the test's unit has, too."""


class Manager:
    """A systemd that runs the agent of `folder`."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        units = folder / "config" / "systemd" / "user"
        units.mkdir(parents=True)
        (units / NAME).write_text(_unit(folder), "utf-8")
        mounts = "mount -t tmpfs none /run && mount -t cgroup2 none /sys/fs/cgroup"  # since 256 it takes no other
        script = f"{mounts} && mkdir -p /run/systemd/system {runtime} && {SYSTEMD} --user; exit"
        with (folder / "systemd.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*UNSHARE, "sh", "-c", script], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def systemctl(self, *words: str) -> str:
        """Talk to it from inside its namespaces; what it says."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("ascii").split()
        if not children:
            return ""
        enter = ["nsenter", "-t", children[0], "-m", "-p", "-r", "systemctl", "--user", *words]
        done = subprocess.run(  # noqa: S603 - our own command
            enter, env=self._environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        return done.stdout.strip()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Ask again and again."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"waited for {what}: {self.systemctl('status', NAME)}"
            time.sleep(0.1)

    def show(self, name: str) -> str:
        """A property of the service."""
        return self.systemctl("show", "--value", f"--property={name}", NAME)

    def signal(self, number: signal.Signals) -> None:
        """Send the agent a signal."""
        self.systemctl("kill", "--kill-who=main", f"--signal={number.name}", NAME)

    def end(self) -> None:
        """Everything goes with its init."""
        self._process.kill()
        self._process.wait(PATIENCE_S)


def _unit(folder: Path) -> str:
    """The unit of the test: short times, this interpreter."""
    taken = [line for line in UNIT.read_text("utf-8").splitlines() if line.startswith(TAKEN)]
    lines = [
        "[Unit]",
        "StartLimitIntervalSec=0",
        "[Service]",
        *taken,
        f"Environment=STATE_DIRECTORY={folder}/state",
        f"WorkingDirectory={ROOT}",
        f"ExecStart={sys.executable} -m station run --config {folder}/station.yaml",
        "WatchdogSec=2",
        "RestartSec=0.2",
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.fixture
def manager(tmp_path: Path, csms: LiveCsms) -> Iterator[Manager]:
    """A systemd that has started the agent."""
    Agent(tmp_path, csms.url)  # writes its files
    started = Manager(tmp_path, Path("/run/user/0"))
    try:
        started.until(lambda: started.systemctl("is-system-running") in {"running", "degraded"}, "systemd")
        started.systemctl("start", NAME)
        yield started
    finally:
        started.end()


@pytest.mark.req("B01.FR.09")
def test_a_killed_agent_is_started_again_and_a_hung_one_too(manager: Manager, csms: LiveCsms) -> None:
    """Active when ready; SIGKILL and a watchdog that was not fed lead to a restart, and the CSMS hears why."""
    assert csms.wait_for("BootNotification")[0]["reason"] == "PowerUp"
    manager.until(lambda: manager.show("ActiveState") == "active", "ready")

    manager.signal(signal.SIGKILL)
    assert csms.wait_for("BootNotification", 2)[1]["reason"] == "ApplicationReset"
    assert manager.show("NRestarts") == "1"

    manager.signal(signal.SIGSTOP)
    assert csms.wait_for("BootNotification", 3)[2]["reason"] == "Watchdog"
    assert manager.show("NRestarts") == "2"


def test_a_stop_is_orderly(manager: Manager, csms: LiveCsms, tmp_path: Path) -> None:
    """`systemctl stop`: inactive, not failed, and the socket is gone."""
    csms.wait_for("BootNotification")
    manager.until(lambda: manager.show("ActiveState") == "active", "ready")

    manager.systemctl("stop", NAME)

    assert (manager.show("ActiveState"), manager.show("Result")) == ("inactive", "success")
    assert not (tmp_path / "control.sock").exists()


def test_a_reset_by_the_csms_is_a_restart(manager: Manager, csms: LiveCsms) -> None:
    """Exit code 3, which the unit answers like any other end."""
    csms.wait_for("BootNotification")
    manager.until(lambda: manager.show("ActiveState") == "active", "ready")

    assert csms.call("Reset", {"type": "Immediate"}) == {"status": "Accepted"}

    assert csms.wait_for("BootNotification", 2)[1]["reason"] == "RemoteReset"
