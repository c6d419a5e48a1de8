"""An installer sets a station up on the machine it will live on: its key is made before the agent was ever started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.throwaway import Authority
from station.commands import dropin
from tests.live_csms import LiveCsms, server
from tests.system.machine import DROP_INS, UNIT, Machine, installed, missing

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"a machine that boots NOT TESTED: {missing()}"),
]
HARDWARE = """\
station: {identity: EXAMPLE, vendor: Example, model: Wallbox}
csms: {url: "wss://example.invalid", security_profile: 3}
simulator: {evses: 1}
"""
ANSWERS = """\
identity: CS001
vendor: Example
model: Wallbox
serial: "4711"
security_profile: 3
url: URL
ca_file: root.pem
key: station-1
installer: Anna
energise: [1]
displays: {meter-1: 0.0}
"""
BEGIN = ("--base", "/mnt/hardware.yaml", "--answers", "/mnt", "--yes")
GO_ON = ("--answers", "/mnt", "--set", "certificate=station.pem", "--yes")
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """On which the package was installed."""
    made = Machine(tmp_path_factory.mktemp("place") / "machine", installed(tmp_path_factory))
    try:
        made.boot()
        yield made
    finally:
        made.end()


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """And nothing else."""
    yield booted
    booted.tried("systemctl", "stop", UNIT)
    booted.shell(
        f"rm -rf /etc/ocpp-station/* /var/lib/private/ocpp-station/* {DROP_INS} /mnt/*; systemctl daemon-reload"
    )


def test_a_key_made_before_the_first_start_is_the_agents(machine: Machine, tmp_path: Path) -> None:
    """From the stick to a connection by the certificate: root types, the service's user connects."""
    pki = Authority.create("Root", tmp_path)
    with LiveCsms(tls=server(pki, client_root=pki.root_pem)) as csms:
        machine.put("/mnt/hardware.yaml", HARDWARE)
        machine.put("/mnt/ocpp-station.yaml", ANSWERS.replace("URL", csms.url))
        machine.put("/mnt/root.pem", pki.root_pem)
        begun = machine.tried("ocpp-station", "commission", *BEGIN)
        assert begun.returncode == 3, begun.stderr
        request = machine.run("cat", "/etc/ocpp-station/station-1.csr")
        machine.put("/mnt/station.pem", pki.sign_request(request))

        told = machine.run("ocpp-station", "commission", *GO_ON)
        machine.shell(
            f"mkdir -p {DROP_INS}; ocpp-station drop-in > {DROP_INS}/10-station.conf; systemctl daemon-reload"
        )
        machine.run("systemctl", "start", UNIT)
        csms.wait_for("BootNotification", timeout_s=PATIENCE_S)

        assert "ok      test EVSE 1            plugged in" in told
        assert csms.handshakes[-1].client == "4711"
        sealed = machine.run("ocpp-station", "commission", "--verify", "/etc/ocpp-station/commissioning.txt")
        assert "signed by station-1" in sealed


def test_another_password_is_used_though_the_service_is_still_handed_the_one_of_before(machine: Machine) -> None:
    """The drop-in is older than the file: the service starts all the same. What is told then makes it good."""
    first, second = "the first of the passwords", "the second of the passwords"
    answers = ANSWERS.replace("security_profile: 3", "security_profile: 1").replace("key: station-1\n", "")
    with LiveCsms(password=first) as csms:
        machine.put("/mnt/hardware.yaml", HARDWARE)
        for number, password in enumerate((first, second), 1):
            csms.password = password
            machine.put("/mnt/ocpp-station.yaml", answers.replace("URL", csms.url) + f"password: {password}\n")
            told = machine.tried("ocpp-station", "commission", *BEGIN)
            assert told.returncode in {0, 1}, told.stderr
            if password == first:
                machine.shell(f"mkdir -p {DROP_INS}; {dropin.REMAKE}")
            machine.run("systemctl", "restart", UNIT)
            csms.wait_for("BootNotification", number, timeout_s=PATIENCE_S)

        assert f"the service is still handed /etc/ocpp-station/password: {dropin.REMAKE}" in told.stdout
        machine.shell(dropin.REMAKE)
        machine.run("systemctl", "restart", UNIT)
        csms.wait_for("BootNotification", 3, timeout_s=PATIENCE_S)
        machine.tried("ocpp-station", "commission", *BEGIN)
        assert machine.run("sh", "-c", "ls /etc/ocpp-station/password*").split() == ["/etc/ocpp-station/password-2"]
