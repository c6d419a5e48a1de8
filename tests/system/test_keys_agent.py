"""A real agent whose keys are in a TPM or an HSM: how it gets there, renews, restarts, and what `check` says of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from certs.throwaway import Authority, Wish
from tests import hardware
from tests.agent import PASSWORD, Agent
from tests.hardware import PIN, ROOT, TOKEN, SoftHsm, SoftwareTpm
from tests.live_csms import LiveCsms, server
from tests.octt.test_a_certificates import WISH, requested, send, serial, trigger

pytestmark = pytest.mark.system


class Place(NamedTuple):
    """A folder for a station, the chip its keys are in, and what its file says of that."""

    folder: Path
    chip: SoftwareTpm | SoftHsm
    pki: Authority
    section: str
    environment: dict[str, str]

    def agent(self, url: str, secrets: str, profile: int = 3) -> Agent:
        """A station with this chip."""
        made = Agent(self.folder, url, profile=profile, secrets=secrets, more=self.section)
        made.environment = self.environment
        return made

    def command(self, *words: str) -> tuple[int, str]:
        """A command of the installer's: exit code and what it said."""
        done = subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-m", "station", *words, "--config", str(self.folder / "station.yaml")],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def place(store: str, folder: Path) -> Iterator[Place]:
    """All of it, with an authority that station and CSMS trust."""
    pki = Authority.create("Test root", folder)
    (folder / "root.pem").write_text(pki.root_pem, "ascii")
    with hardware.opened(store, folder) as (_, chip):
        if isinstance(chip, SoftwareTpm):
            parent = f", parent: {hardware.PERSISTENT}" if store == "tpm-persistent" else ""
            section = f"keys: {{store: tpm, tcti: '{chip.tcti}'{parent}, provider: {hardware.provider('tpm2')}}}\n"
            yield Place(folder, chip, pki, section, {"TSS2_LOG": "all+none"})
            return
        (folder / "pin").write_text(f"{PIN}\n", "utf-8")
        (folder / "pin").chmod(0o600)
        section = (
            f'keys: {{store: pkcs11, module: {chip.module}, token: "{TOKEN}", pin_file: pin, '
            f"provider: {hardware.provider('pkcs11')}}}\n"
        )
        yield Place(folder, chip, pki, section, chip.environment)


def profile_2() -> str:
    """What a station's file says at first."""
    return "  password_file: password\n  ca_file: root.pem\n"


def profile_3(certificate: str = "station.pem", key: str = "station-1") -> str:
    """What it says once it has a certificate."""
    return f"  ca_file: root.pem\n  certificate: {certificate}\n  key: {key}\n"


def provisioned(given: Place, url: str) -> Agent:
    """What an installer or a factory does: key, request, certificate, and then the station's file for profile 3."""
    given.agent(url, profile_2(), profile=2)
    code, told = given.command("keys", "create", "station-1")
    assert code == 0, told
    code, request = given.command("keys", "csr", "station-1")
    assert code == 0, request
    (given.folder / "station.pem").write_text(given.pki.sign_request(request, Wish()), "ascii")
    return given.agent(url, profile_3())


@pytest.mark.parametrize("store", hardware.STORES)
def test_a_station_is_provisioned_connects_renews_and_reboots_with_keys_that_no_file_holds(
    store: str, tmp_path: Path
) -> None:
    """A02: the renewed key is made in the chip and takes over; the one before is destroyed if the station made it."""
    with place(store, tmp_path) as given:
        tls = server(given.pki, client_root=given.pki.root_pem)
        with LiveCsms(tls=tls) as csms, provisioned(given, csms.url) as agent:
            csms.wait_for("BootNotification")
            assert csms.handshakes[-1].client == "4711"

            chains = []
            for number in (1, 2):
                trigger(csms)
                chains.append(given.pki.sign_request(requested(csms, number), WISH))
                assert send(csms, chains[-1]) == "Accepted"
                csms.until(lambda: csms.handshakes[-1].serial == serial(chains[-1]), "the renewed certificate")
                agent.until(lambda status: status["link"]["up"], "the link")
                csms.until(lambda: csms.connected, "the connection")

            agent.kill()
            if isinstance(given.chip, SoftwareTpm):
                given.chip.power_cycle()  # as the machine's reboot does
            before = len(csms.handshakes)
            agent.start()
            csms.until(lambda: len(csms.handshakes) > before, "the connection after the reboot")
            assert csms.handshakes[-1].serial == serial(chains[-1])

            code, told = given.command("keys", "list")
            assert code == 0, told
            assert "station-1" in told.split()
            assert len(told.split()) == 2, told  # that of the factory, and the one in use
            assert agent.stop() == 0

        nothing_leaks(given)


def nothing_leaks(given: Place) -> None:
    """Neither key nor PIN nor password lies in any file of the station's state or in its log."""
    for file in (*(given.folder / "state").rglob("*"), given.folder / "agent.log"):
        if file.is_file():
            content = file.read_bytes()
            assert b"BEGIN PRIVATE KEY" not in content, file
            assert b"BEGIN EC PRIVATE KEY" not in content, file
            assert PIN.encode() not in content, file
            assert b"another password of 16+" not in content, file


@pytest.mark.parametrize("store", [hardware.STORES[1], hardware.STORES[2]])
def test_a_password_of_the_csms_is_sealed_by_the_chip(store: str, tmp_path: Path) -> None:
    """A01: it is used after a restart, and is in no file; without the chip it is not, and nothing else is sent."""
    new = "another password of 16+"
    with place(store, tmp_path) as given:
        with (
            LiveCsms(password=PASSWORD, tls=server(given.pki)) as csms,
            given.agent(csms.url, profile_2(), profile=2) as agent,
        ):
            csms.wait_for("BootNotification")
            csms.password = new
            answer = csms.call("SetVariables", {"setVariableData": [password_of(new)]})
            assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
            csms.disconnect()
            csms.until(lambda: len(csms.handshakes) > 1, "the connection with the new password")
            csms.until(lambda: csms.connected, "the connection")
            assert agent.stop() == 0
            agent.start()
            csms.until(lambda: len(csms.handshakes) > 2 and csms.connected, "the connection after the restart")
            assert agent.stop() == 0
        nothing_leaks(given)


def password_of(text: str) -> dict[str, object]:
    """An element of SetVariables."""
    return {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": text,
    }


@pytest.mark.parametrize("store", hardware.STORES)
def test_check_tells_what_is_missing_on_the_way_to_a_key(store: str, tmp_path: Path) -> None:
    """Chip, provider, key and certificate, each with its remedy; and that all is well when it is."""
    with place(store, tmp_path) as given, LiveCsms(tls=server(given.pki, client_root=given.pki.root_pem)) as csms:
        provisioned(given, csms.url)
        csms.script.on(
            "BootNotification", {"status": "Accepted", "interval": 300, "currentTime": "2026-01-01T00:00:00Z"}
        )

        code, told = given.command("check")
        assert code == 0, told
        assert "belongs to the certificate" in told
        assert "key provider" in told

        file = tmp_path / "station.yaml"
        whole = file.read_text("utf-8")
        name = "tpm2" if store != "pkcs11" else "pkcs11"
        file.write_text(whole.replace(str(hardware.provider(name)), str(given.folder / "root.pem")), "utf-8")
        code, told = given.command("check")
        assert code == 1, told
        assert "key provider" in told

        file.write_text(whole, "utf-8")
        if isinstance(given.chip, SoftwareTpm):
            given.chip.power_off()
            code, told = given.command("check")
            assert "is it there and switched on" in told
        else:
            (given.folder / "pin").write_text("wrong", "utf-8")
            code, told = given.command("check")
            assert "put the right PIN into the file" in told
            assert "wrong PIN" in told
        assert code == 1, told
        assert "Traceback" not in told
