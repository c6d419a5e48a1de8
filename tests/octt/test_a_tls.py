"""The OCA's test cases of block A (security) about the connection, with a real agent and real TLS (part 6, 2.2)."""

from __future__ import annotations

import base64
import re
import shutil
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certs.throwaway import Authority, Issued, Wish
from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms, server_context
from tests.octt.provisioned import network_profile

pytestmark = pytest.mark.system

NAMES = ("localhost", "127.0.0.1")
DAY = timedelta(days=1)
SECRETS = {
    2: "  password_file: password\n  ca_file: root.pem\n",
    3: "  ca_file: root.pem\n  certificate: station.pem\n  key_file: station.key\n",
}
STARTED = {"StartupOfTheDevice", "ResetOrReboot"}
NEW = "NewPassword-4567"
RESTART = 3
"""The exit code of an agent that wants to be started anew."""


@pytest.fixture
def pki(tmp_path: Path) -> Authority:
    """The authority that the station trusts; it has a certificate of its own from it."""
    (tmp_path / "pki").mkdir()
    authority = Authority.create("Test root", tmp_path / "pki")
    (tmp_path / "root.pem").write_text(authority.root_pem, "ascii")
    station = authority.issue("4711", Wish(organization="Operator"))
    shutil.copy(station.chain, tmp_path / "station.pem")
    shutil.copy(station.key, tmp_path / "station.key")
    (tmp_path / "station.key").chmod(0o600)
    return authority


def good(pki: Authority) -> Issued:
    return pki.issue("localhost", Wish(names=NAMES))


def switching(first: ssl.SSLContext) -> tuple[ssl.SSLContext, list[ssl.SSLContext]]:
    """A context for a server that shows another certificate as soon as the list's last entry is another one."""
    shown = [first]

    def choose(sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        sock.context = shown[-1]

    first.sni_callback = choose
    return first, shown


def booted(csms: LiveCsms) -> None:
    """Booted: the introduction, the status of each connector, the event of the start."""
    csms.wait_for("BootNotification")
    statuses = csms.wait_for("StatusNotification", 2)
    told = {(each["evseId"], each["connectorId"]): each["connectorStatus"] for each in statuses}
    assert told == {(1, 1): "Available", (2, 1): "Available"}
    csms.until(lambda: STARTED & set(events(csms)), "the event of the start")


def events(csms: LiveCsms) -> list[str]:
    return [each["type"] for each in csms.script.received("SecurityEventNotification")]


def put(csms: LiveCsms, component: str, **values: str) -> set[str]:
    """SetVariables; the statuses."""
    elements = [
        {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}
        for name, value in values.items()
    ]
    results = csms.call("SetVariables", {"setVariableData": elements})["setVariableResult"]
    return {str(each["attributeStatus"]) for each in results}


def get(csms: LiveCsms, component: str, variable: str) -> str:
    """GetVariables; the value."""
    asked = [{"component": {"name": component}, "variable": {"name": variable}}]
    (result,) = csms.call("GetVariables", {"getVariableData": asked})["getVariableResult"]
    return str(result["attributeValue"])


@pytest.mark.octt("TC_A_01_CS")
@pytest.mark.req("A00.FR.202", "A00.FR.203", "A00.FR.204", "A00.FR.205", "B01.FR.01", "B01.FR.05")
def test_tc_a_01_cs(tmp_path: Path) -> None:
    """Basic authentication: user name is the identity that ends the URL, the password is sent as it is."""
    with LiveCsms(password=PASSWORD) as csms, Agent(tmp_path, csms.url):
        booted(csms)

        (shown,) = csms.handshakes
        name, password = credentials(csms)
        assert shown.authorization.startswith("Basic ")
        assert shown.path.rsplit("/", 1)[-1] == name
        assert password == PASSWORD
        assert 16 <= len(password) <= 40


def credentials(csms: LiveCsms) -> tuple[str, str]:
    """User name and password of the last connection request."""
    name, _, password = (
        base64.b64decode(csms.handshakes[-1].authorization.removeprefix("Basic ")).decode().partition(":")
    )
    return name, password


def restarted(csms: LiveCsms, agent: Agent) -> None:
    """Booted, after a power cut."""
    agent.kill()
    csms.until(lambda: not csms.connected, "the end of the connection")
    csms.script.forget()
    csms.script.order.rebooted()
    agent.start()
    booted(csms)


@pytest.mark.octt("TC_A_09_CS")
@pytest.mark.req("A01.FR.01")
def test_tc_a_09_cs(tmp_path: Path) -> None:
    """Update of the password, accepted: the station connects with the new one, and needs no introduction."""
    with LiveCsms(password=PASSWORD) as csms, Agent(tmp_path, csms.url) as agent:
        booted(csms)
        csms.script.forget()

        assert put(csms, "SecurityCtrlr", BasicAuthPassword=NEW) == {"Accepted"}

        csms.password = NEW
        csms.until(lambda: len(csms.handshakes) > 1 and csms.connected, "the connection with the new password")
        assert credentials(csms) == ("CS001", NEW)
        assert NEW not in agent.log
        restarted(csms, agent)
        assert credentials(csms) == ("CS001", NEW)


@pytest.mark.octt("TC_A_10_CS")
@pytest.mark.req("A01.FR.01")
def test_tc_a_10_cs(tmp_path: Path) -> None:
    """Update of the password, rejected since it is shorter than 16 characters: the old one is used."""
    with LiveCsms(password=PASSWORD) as csms, Agent(tmp_path, csms.url) as agent:
        booted(csms)

        assert put(csms, "SecurityCtrlr", BasicAuthPassword=NEW[:15]) == {"Rejected"}

        csms.disconnect()
        csms.until(lambda: len(csms.handshakes) > 1 and csms.connected, "the next connection")
        assert credentials(csms) == ("CS001", PASSWORD)
        restarted(csms, agent)
        assert credentials(csms) == ("CS001", PASSWORD)


SUITES = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]


@pytest.mark.octt("TC_A_04_CS")
@pytest.mark.req("A00.FR.301", "A00.FR.302", "A00.FR.304", "A00.FR.309", "A00.FR.312", "A00.FR.313", "A00.FR.319")
@pytest.mark.parametrize("suite", SUITES)
def test_tc_a_04_cs(tmp_path: Path, pki: Authority, suite: str) -> None:
    """A valid server certificate: TLS 1.2 with both suites that must be there, the password inside of it."""
    context = server_context(good(pki))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    with LiveCsms(password=PASSWORD, tls=context) as csms, Agent(tmp_path, csms.url, profile=2, secrets=SECRETS[2]):
        booted(csms)

        (shown,) = csms.handshakes
        assert shown.tls == "TLSv1.2"
        assert shown.authorization.startswith("Basic ")


def invalid(pki: Authority, folder: Path) -> Iterator[tuple[str, Issued]]:
    """The invalid certificates of the errata."""
    (folder / "other").mkdir()
    stranger = Authority.create("Test root", folder / "other")
    yield "expired", pki.issue("expired", Wish(names=NAMES, valid=(-9 * DAY, -DAY)))
    yield "future", pki.issue("future", Wish(names=NAMES, valid=(DAY, 9 * DAY)))
    yield "unknown", stranger.issue("localhost", Wish(names=NAMES))
    yield "elsewhere", pki.issue("csms.example.com", Wish(names=("csms.example.com",)))
    yield "wildcard", pki.issue("*.localhost", Wish(names=("*.localhost",)))


@pytest.mark.octt("TC_A_05_CS")
@pytest.mark.req("A00.FR.309", "A00.FR.310", "A00.FR.311")
def test_tc_a_05_cs(tmp_path: Path, pki: Authority) -> None:
    """Each kind of invalid server certificate in turn: no HTTP over it; over a valid one its event is told."""
    right = server_context(good(pki))
    context, shown = switching(server_context(good(pki)))
    with (
        LiveCsms(password=PASSWORD, tls=context) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECRETS[2]) as agent,
    ):
        booted(csms)
        csms.disconnect()
        csms.until(lambda: len(csms.handshakes) > 1 and csms.connected, "the connection of steps 2 and 3")
        for count, (kind, wrong) in enumerate(invalid(pki, tmp_path), 1):
            before = len(csms.handshakes)
            shown.append(server_context(wrong))
            csms.disconnect()
            agent.until_logged("link.down", count=count, kind="tls_certificate")
            assert len(csms.handshakes) == before, kind

            shown.append(right)
            csms.until(lambda: csms.connected, "the connection by a valid certificate")
            csms.until(lambda n=count: events(csms).count("InvalidCsmsCertificate") == n, f"the event: {kind}")  # type: ignore[misc]  # one for each turn


@pytest.mark.octt("TC_A_06_CS")
@pytest.mark.req("A00.FR.314", "A00.FR.316")
def test_tc_a_06_cs(tmp_path: Path, pki: Authority) -> None:
    """A server with TLS 1.1 only: no HTTP over it; over TLS 1.2 the event is told."""
    old = server_context(good(pki))
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with LiveCsms(password=PASSWORD, tls=old) as csms:
        agent = Agent(tmp_path, csms.url, profile=2, secrets=SECRETS[2])
        agent.start()
        csms.until(lambda: re.search("tls_version", agent.log), "the refusal")
        assert csms.handshakes == []
        port = csms.port
    try:
        with LiveCsms(password=PASSWORD, tls=server_context(good(pki)), port=port) as csms:
            booted(csms)
            csms.until(lambda: "InvalidTLSVersion" in events(csms), "the event")
    finally:
        agent.kill()


@pytest.mark.octt("TC_A_07_CS")
@pytest.mark.req("A00.FR.401", "A00.FR.402", "A00.FR.415", "A00.FR.416", "A00.FR.503", "A00.FR.508")
@pytest.mark.parametrize("suite", SUITES)
def test_tc_a_07_cs(tmp_path: Path, pki: Authority, suite: str) -> None:
    """Profile 3: the station shows its certificate, with its serial number as common name, and sends no password."""
    own = x509.load_pem_x509_certificate((tmp_path / "station.pem").read_bytes())
    context = server_context(good(pki), client_root=pki.root_pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    with LiveCsms(tls=context) as csms, Agent(tmp_path, csms.url, profile=3, secrets=SECRETS[3]):
        booted(csms)

        (shown,) = csms.handshakes
        assert shown.tls == "TLSv1.2"
        assert (shown.client, shown.authorization) == ("4711", "")
        introduction = csms.script.received("BootNotification")[0]
        assert introduction["chargingStation"]["serialNumber"] == shown.client
        key = own.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.key_size >= 224
        assert own.serial_number > 0


@pytest.mark.octt("TC_A_19_CS")
@pytest.mark.req("A05.FR.04", "A05.FR.05", "A05.FR.06")
def test_tc_a_19_cs_from_profile_1(tmp_path: Path, pki: Authority) -> None:
    """Upgrade from profile 1 to 2; a CSMS that then offers profile 1 only is not connected, whichever it was."""
    secured = server_context(good(pki))
    with LiveCsms(password=PASSWORD) as first:
        with (
            LiveCsms(password=PASSWORD, tls=secured) as second,
            Agent(tmp_path, first.url) as agent,
        ):
            booted(first)
            upgraded(first, pki, second.url)
            assert agent.wait() == RESTART
            before = len(first.handshakes)
            agent.start()
            booted(second)
            assert get(second, "SecurityCtrlr", "SecurityProfile") == "2"
            assert get(second, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "1"
            port = second.port
        agent.start()
        try:
            with LiveCsms(password=PASSWORD, port=port) as second:
                agent.until_logged("link.down", count=4)
                assert (second.handshakes, len(first.handshakes)) == ([], before)
            with LiveCsms(password=PASSWORD, tls=secured, port=port) as second:
                booted(second)
        finally:
            agent.kill()


def upgraded(csms: LiveCsms, pki: Authority, url: str) -> None:
    """The root is installed; then steps 1 to 6."""
    root = {"certificateType": "CSMSRootCertificate", "certificate": pki.root_pem}
    assert csms.call("InstallCertificate", root) == {"status": "Accepted"}
    assert csms.call("SetNetworkProfile", network_profile(1, 2, ocppCsmsUrl=url))["status"] == "Accepted"
    assert put(csms, "OCPPCommCtrlr", NetworkConfigurationPriority="1,0") <= {"Accepted", "RebootRequired"}
    assert csms.call("Reset", {"type": "OnIdle"})["status"] == "Accepted"
