"""The Debian package on a machine: installed, killed, hung, upgraded, without network, without power, removed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent import PASSWORD
from tests.live_csms import LiveCsms
from tests.system import packages
from tests.system.machine import DROP_INS, UNIT, Machine, install, installed, needs_machine
from tests.system.post import Post, wires
from tests.system.post import transaction as running
from tests.system.site import Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), needs_machine]

STATION = """\
station: {{identity: CS001, vendor: Example, model: Wallbox}}
csms: {{url: "{url}", security_profile: 1, password_file: password}}
state_directory: /var/lib/ocpp-station
control_socket: /run/ocpp-station/control.sock
simulator: {{evses: 1}}
variables:
- {{component: OCPPCommCtrlr, variable: RetryBackOffWaitMinimum, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRandomRange, value: 0}}
"""
SHORT = "[Service]\nWatchdogSec=3\nRestartSec=0.3\n"


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    """A CSMS on loopback, which the machine shares unless it is booted without network."""
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this machine."""
    return packages.package(tmp_path_factory)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that is off."""
    made = Machine(tmp_path / "machine")
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def fitted(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that is off, on which the package was installed."""
    made = Machine(tmp_path / "machine", installed(tmp_path_factory))
    try:
        yield made
    finally:
        made.end()


def commission(machine: Machine, url: str) -> None:
    """A station.yaml, a password of root's, and the drop-in that is made from the file."""
    machine.put("/etc/ocpp-station/station.yaml", STATION.format(url=url))
    machine.shell("chown root:ocpp-station /etc/ocpp-station/station.yaml")
    machine.put("/etc/ocpp-station/password", PASSWORD + "\n", 0o600)
    machine.put(f"{DROP_INS}/90-short.conf", SHORT)
    machine.shell(f"ocpp-station drop-in > {DROP_INS}/10-station.conf; systemctl daemon-reload")


def sim(machine: Machine, *words: str) -> None:
    """Move the simulated hardware."""
    machine.run("ocpp-station", "sim", *words)


def charge(machine: Machine) -> str:
    """Plug in and swipe; the transaction when current flows."""
    sim(machine, "plug_in", "evse=1", "current_a=16")
    sim(machine, "swipe", "id_token=04AABBCC", "evses=[1]")
    machine.until(lambda: transaction(machine).get("charging_state") == "Charging", "current")
    return str(transaction(machine)["id"])


def transaction(machine: Machine) -> dict[str, Any]:
    """What runs at the EVSE; empty if nothing or no agent."""
    done = machine.tried("ocpp-station", "status", "--json")
    told: dict[str, Any] = json.loads(done.stdout)["evses"][0].get("transaction", {}) if done.returncode == 0 else {}
    return told


def events(csms: LiveCsms, kind: str) -> list[dict[str, Any]]:
    """TransactionEvents of a kind, as the CSMS has them."""
    return [dict(each) for each in csms.script.received("TransactionEvent") if each["eventType"] == kind]


def memory_mb(machine: Machine) -> float:
    """What is resident of the agent."""
    status = machine.shell(f"cat /proc/{machine.show('MainPID')}/status")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def test_a_package_makes_a_station_that_heals_itself(
    machine: Machine, package: Path, csms: LiveCsms, record_property: Callable[[str, object], None]
) -> None:
    """Installed; not started before it is commissioned; accepted; killed, hung, misconfigured: it comes back."""
    machine.boot()
    install(machine, package)
    assert machine.show("ActiveState") == "inactive", "there is no station.yaml yet"
    assert "ocpp-station" in machine.run("getent", "passwd", "ocpp-station")

    commission(machine, csms.url)
    begun = time.monotonic()
    machine.run("systemctl", "start", UNIT)
    assert csms.wait_for("BootNotification")[0]["reason"] == "PowerUp"
    record_property("figure", f"start of the service to BootNotification: {time.monotonic() - begun:.1f} s")
    machine.until(lambda: machine.tried("ocpp-station", "status", "--health").returncode in {0, 1}, "an answer")
    record_property("figure", f"memory of the agent under systemd: {memory_mb(machine):.0f} MB")
    assert machine.shell("stat -c '%U %a' /etc/ocpp-station/password").split() == ["root", "600"]

    lines = [json.loads(line) for line in machine.run("journalctl", "-o", "json", "-u", UNIT).splitlines()]
    said = [line for line in lines if line.get("_COMM", "").startswith("ocpp-station")]
    assert any(line["MESSAGE"].startswith("link.up ") and line["PRIORITY"] == "6" for line in said)

    machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
    assert csms.wait_for("BootNotification", 2)[1]["reason"] == "ApplicationReset"
    machine.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", UNIT)
    assert csms.wait_for("BootNotification", 3)[2]["reason"] == "Watchdog"

    good = (machine.root / "etc/ocpp-station/station.yaml").read_text("utf-8")
    machine.put("/etc/ocpp-station/station.yaml", "nonsense: [\n")
    machine.tried("systemctl", "restart", UNIT)
    machine.until(lambda: int(machine.show("NRestarts")) >= 3, "three attempts")
    assert machine.show("ActiveState") == "activating"
    machine.until(lambda: machine.show("ExecMainStatus") == "78", "the exit code of a wrong file")
    machine.put("/etc/ocpp-station/station.yaml", good)
    csms.wait_for("BootNotification", 4, 60.0)  # the pauses have grown

    machine.run("systemctl", "stop", UNIT)
    assert (machine.show("ActiveState"), machine.show("Result")) == ("inactive", "success")


def test_an_upgrade_goes_on_with_the_session_and_only_a_purge_forgets(
    fitted: Machine, package: Path, csms: LiveCsms, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A vehicle on real wires charges on through the next revision: one transaction, paid for as its meter counts."""
    machine = fitted
    with Site(tmp_path) as site:
        machine.boot(*wires(tmp_path))
        post = Post(machine, site, csms)
        post.set_up()
        post.start()
        csms.wait_for("BootNotification")
        post.plug_in_and_swipe()
        session = running(machine)["id"]
        post.until_more_events()

        machine.run("systemctl", "enable", "--now", "ocpp-station-reboot.path")
        newer = packages.newer(package, tmp_path)
        shutil.copy(newer, machine.root / "root" / newer.name)
        machine.run("apt-get", "install", "-y", f"/root/{newer.name}")

        assert machine.run("dpkg-query", "-W", "-f", "${Version}", "ocpp-station").endswith("-2")
        assert machine.tried("systemctl", "is-active", "ocpp-station-reboot.path").returncode == 0
        assert csms.wait_for("BootNotification", 2, 60.0)[1]["reason"] == "ApplicationReset"
        site.until(lambda: site.board.power_w > 0, "current", 60.0)
        assert running(machine)["id"] == session
        assert post.interruptions() == 1
        opened, closed = (each.at for each in site.board.changes[-2:])
        record_property("figure", f"an upgrade of the package takes the current away for {(closed - opened).seconds} s")
        post.until_more_events()
        post.stop_charging()
        post.judge()

    machine.run("dpkg", "--remove", "ocpp-station")
    assert machine.shell("ls /var/lib/ocpp-station/").split(), "what the station knows is kept"
    assert not (machine.root / "opt/ocpp-station").exists()
    assert machine.show("ActiveState") in {"inactive", ""}

    machine.run("dpkg", "--purge", "ocpp-station")
    left = machine.shell("find / -xdev -path /proc -prune -o -name '*ocpp-station*' -print").splitlines()
    assert [name for name in left if not name.startswith(("/root/", "/proc/"))] == [f"{DROP_INS}"]


def test_whatever_asks_for_a_restart_of_the_machine_gets_one(fitted: Machine) -> None:
    """A folder with something in it, too: whoever can make that file can make such a one."""
    fitted.boot()
    fitted.shell("mkdir -p /var/lib/ocpp-station/reboot/again; touch /var/lib/ocpp-station/reboot/again/and-again")
    fitted.run("systemctl", "enable", "--now", "ocpp-station-reboot.path")
    fitted.until_off("the restart")

    fitted.boot()

    assert not (fitted.root / "var/lib/ocpp-station/reboot").exists()
    assert fitted.run("systemctl", "is-active", "ocpp-station-reboot.path").strip() == "active"


def test_power_is_lost_in_a_session_and_comes_back_without_network(fitted: Machine, csms: LiveCsms) -> None:
    """The agent works without a network; when there is one again, the CSMS hears how the session ended."""
    machine = fitted
    machine.boot()
    commission(machine, csms.url)
    machine.run("systemctl", "start", UNIT)
    csms.wait_for("BootNotification")
    session = charge(machine)
    machine.cut_power()

    machine.boot("--private-network")
    machine.until(lambda: machine.tried("ocpp-station", "status", "--health").returncode == 1, "the agent")
    assert machine.run("ocpp-station", "status", "--health", check=False).startswith("link:")
    assert machine.show("ActiveState") == "active"
    machine.cut_power()
    assert len(csms.script.received("BootNotification")) == 1

    machine.boot()
    assert csms.wait_for("BootNotification", 2)[1]["reason"] == "PowerUp"
    csms.until(lambda: events(csms, "Ended"), "how it ended")
    assert [each["transactionInfo"]["transactionId"] for each in events(csms, "Started")] == [session]
    ended = events(csms, "Ended")[0]["transactionInfo"]
    assert (ended["transactionId"], ended["stoppedReason"]) == (session, "PowerLoss")


def test_a_root_that_cannot_be_written_needs_only_the_state_directory(
    fitted: Machine, csms: LiveCsms, tmp_path: Path
) -> None:
    """As an image of an appliance has it: everything read-only but /var/lib and what is in memory."""
    machine = fitted
    machine.boot()
    commission(machine, csms.url)
    machine.cut_power()
    kept = tmp_path / "kept"
    kept.mkdir()

    machine.boot("--read-only", f"--bind={kept}:/var/lib", "--tmpfs=/var/log", "--tmpfs=/var/tmp")

    csms.wait_for("BootNotification")
    assert machine.tried("touch", "/opt/ocpp-station/x").returncode != 0
    charge(machine)
    csms.until(lambda: events(csms, "Started"), "the transaction")
