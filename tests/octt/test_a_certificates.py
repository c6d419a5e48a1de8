"""The OCA's test cases of block A about the station's own certificates: a real agent, real TLS (part 6, 2.2)."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.throwaway import Authority, Wish
from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms, server_context
from tests.octt.provisioned import network_profile
from tests.octt.test_a_tls import RESTART, SECRETS, booted, events, get, good, pki, put

__all__ = ["pki"]
pytestmark = pytest.mark.system

STATION, V2G = "ChargingStationCertificate", "V2GCertificate"
WISH = Wish(valid=(-timedelta(minutes=5), timedelta(days=300)))
SIGN_SOON = (
    "- {component: SecurityCtrlr, variable: CertSigningWaitMinimum, value: 2}\n"
    "- {component: SecurityCtrlr, variable: CertSigningRepeatTimes, value: 1}\n"
)


def demanding(pki: Authority) -> ssl.SSLContext:
    """A CSMS of security profile 3."""
    return server_context(good(pki), client_root=pki.root_pem)


def station(folder: Path, csms: LiveCsms, more: str = "") -> Agent:
    """A station that connects by profile 3 with the certificate it was delivered with."""
    return Agent(folder, csms.url, profile=3, secrets=SECRETS[3], more=more)


def trigger(csms: LiveCsms, what: str = "SignChargingStationCertificate") -> None:
    """Steps 1 and 2."""
    assert csms.call("TriggerMessage", {"requestedMessage": what})["status"] == "Accepted"


def requested(csms: LiveCsms, count: int = 1, use: str = STATION) -> str:
    """Step 3, and what must be true of the request; gives it."""
    told = csms.wait_for("SignCertificate", count)[count - 1]
    assert told["certificateType"] == use
    assert told["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----")
    request = x509.load_pem_x509_csr(told["csr"].encode())
    assert request.is_signature_valid
    key = request.public_key()
    assert isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey))
    assert key.key_size >= (2048 if isinstance(key, rsa.RSAPublicKey) else 224)
    return str(told["csr"])


def send(csms: LiveCsms, chain: str, use: str = STATION) -> str:
    """CertificateSigned; gives the status."""
    return str(csms.call("CertificateSigned", {"certificateChain": chain, "certificateType": use})["status"])


def serial(chain: str) -> str:
    """The serial number of a chain's first certificate, as a server sees it."""
    number = f"{x509.load_pem_x509_certificate(chain.encode()).serial_number:X}"
    return number.zfill(len(number) + len(number) % 2)


def shown(status: dict[str, Any]) -> list[str]:
    """Until when the station's own certificates are valid that it tells of."""
    return [each["until"] for each in status["certificates"] if each["role"] == STATION]


def renewed(csms: LiveCsms, pki: Authority) -> str:
    """RenewChargingStationCertificate; gives the chain."""
    before = csms.script.actions().count("SignCertificate")
    trigger(csms)
    chain = pki.sign_request(requested(csms, before + 1), WISH)
    assert send(csms, chain) == "Accepted"
    return chain


@pytest.mark.octt("TC_A_11_CS")
@pytest.mark.req("A02.FR.02", "A02.FR.03", "A02.FR.06", "A02.FR.08", "A02.FR.10", "F06.FR.04", "F06.FR.05")
def test_tc_a_11_cs(tmp_path: Path, pki: Authority) -> None:
    """The station's certificate is renewed: it connects with it, and goes on doing so after a restart."""
    with LiveCsms(tls=demanding(pki)) as csms, station(tmp_path, csms) as agent:
        booted(csms)
        chain = renewed(csms, pki)

        csms.until(lambda: len(csms.handshakes) > 1, "the reconnection")
        assert csms.handshakes[-1].client == "4711"
        assert csms.handshakes[-1].serial == serial(chain)
        (key,) = (tmp_path / "state" / "keys").glob("*.key")
        assert key.stat().st_mode & 0o777 == 0o600
        ends = x509.load_pem_x509_certificate(chain.encode()).not_valid_after_utc.isoformat().replace("+00:00", "Z")
        agent.until(lambda status: shown(status) == [ends], "a status without the one that was replaced")

        agent.kill()
        agent.start()
        csms.until(lambda: len(csms.handshakes) > 2, "the connection after the restart")
        assert csms.handshakes[-1].serial == serial(chain)


@pytest.mark.octt("TC_A_12_CS")
@pytest.mark.req("A02.FR.02", "A02.FR.03", "A02.FR.06", "A02.FR.13", "F06.FR.04", "F06.FR.05")
def test_tc_a_12_cs(tmp_path: Path, pki: Authority) -> None:
    """A V2G certificate is asked for and installed; the connection to the CSMS has nothing to do with it."""
    (tmp_path / "v2g").mkdir()
    v2g = Authority.create("V2G root", tmp_path / "v2g")
    with LiveCsms(tls=demanding(pki)) as csms:
        agent = station(tmp_path, csms)
        file = tmp_path / "station.yaml"
        file.write_text(file.read_text().replace("simulator: {evses: 2}", "simulator: {evses: 2, iso15118: true}"))
        with agent:
            booted(csms)
            root = {"certificateType": "V2GRootCertificate", "certificate": v2g.root_pem}
            assert csms.call("InstallCertificate", root)["status"] == "Accepted"
            wanted = {"SeccId": "NL*EX*SECC1", "CountryName": "NL", "OrganizationName": "Example"}
            assert put(csms, "ISO15118Ctrlr", **wanted) == {"Accepted"}

            trigger(csms, "SignV2GCertificate")
            request = requested(csms, use=V2G)
            read = x509.load_pem_x509_csr(request.encode())
            assert isinstance(read.public_key(), ec.EllipticCurvePublicKey)
            assert read.public_key().key_size >= 256  # type: ignore[union-attr]  # see the line before
            assert "CN=NL*EX*SECC1" in read.subject.rfc4514_string()

            assert send(csms, v2g.subordinate("SubCA1").sign_request(request, WISH), V2G) == "Accepted"
            assert len(csms.handshakes) == 1


@pytest.mark.octt("TC_A_14_CS")
@pytest.mark.req("A02.FR.07", "A03.FR.07")
def test_tc_a_14_cs(tmp_path: Path, pki: Authority) -> None:
    """An invalid certificate is rejected and told; the station stays connected as it was."""
    (tmp_path / "stranger").mkdir()
    stranger = Authority.create("Stranger", tmp_path / "stranger")
    with LiveCsms(tls=demanding(pki)) as csms, station(tmp_path, csms):
        booted(csms)
        trigger(csms)

        assert send(csms, stranger.sign_request(requested(csms))) == "Rejected"

        csms.until(lambda: "InvalidChargingStationCertificate" in events(csms), "the event")
        assert len(csms.handshakes) == 1


@pytest.mark.octt("TC_A_15_CS")
def test_tc_a_15_cs(tmp_path: Path, pki: Authority) -> None:
    """A CSMS that rejects the request: the trigger was accepted all the same."""
    with LiveCsms(tls=demanding(pki)) as csms, station(tmp_path, csms) as agent:
        booted(csms)
        csms.script.on("SignCertificate", {"status": "Rejected"})

        trigger(csms)

        csms.wait_for("SignCertificate")
        agent.until_logged("certificate.refused")


@pytest.mark.octt("TC_A_23_CS")
@pytest.mark.req("A02.FR.17", "A02.FR.18")
def test_tc_a_23_cs(tmp_path: Path, pki: Authority) -> None:
    """No certificate comes: the request is repeated after the wait, and after twice the wait; then each is answered."""
    with LiveCsms(tls=demanding(pki)) as csms, station(tmp_path, csms, more=SIGN_SOON):
        booted(csms)
        trigger(csms)
        requests = [requested(csms, count) for count in (1, 2, 3)]

        at = [frame.at for frame in csms.script.frames("SignCertificate")]
        assert (at[1] - at[0]).total_seconds() >= 1.9
        assert (at[2] - at[1]).total_seconds() >= 3.9
        answers = []
        for request in requests:
            csms.until(lambda: csms.connected, "the connection")
            answers.append(send(csms, pki.sign_request(request, WISH)))
            if answers[-1] == "Accepted":
                csms.until(lambda: len(csms.handshakes) > answers.count("Accepted"), "the reconnection")
        assert answers[0] == "Accepted"
        assert set(answers) <= {"Accepted", "Rejected"}


@pytest.mark.req("A02.FR.28", "A02.FR.29", "A03.FR.24", "A03.FR.25")
def test_a_certificate_that_the_csms_refuses_is_given_up_for_the_one_before(tmp_path: Path, pki: Authority) -> None:
    """The CSMS has signed it with an authority that its own front end does not know."""
    front = pki.subordinate("Front end")
    delivered = front.issue("4711", WISH._replace(organization="Operator"))
    (tmp_path / "station.pem").write_text(delivered.pem)
    (tmp_path / "station.key").write_bytes(delivered.key.read_bytes())
    context = server_context(good(pki), client_root=front.own_pem)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with LiveCsms(tls=context) as csms, station(tmp_path, csms) as agent:
        booted(csms)
        renewed(csms, pki)

        csms.until(lambda: len(csms.handshakes) > 1, "a connection with the one before", timeout_s=60)
        assert csms.handshakes[-1].serial == serial(delivered.pem)
        csms.until(lambda: "DiscardedRenewedClientCertificate" in events(csms), "the event")
        agent.until_logged("link.down", kind="tls_client")
        csms.until(lambda: not list((tmp_path / "state" / "keys").glob("*.key")), "the end of the key")


@pytest.mark.req("A05.FR.03", "A05.FR.04", "A05.FR.05", "A05.FR.06", "A00.FR.001")
def test_a_station_without_any_certificate_is_brought_up_to_profile_3(tmp_path: Path, pki: Authority) -> None:
    """By profile 2 and its password: a certificate first, then the profile; after that nothing but profile 3."""
    with (
        LiveCsms(password=PASSWORD, tls=server_context(good(pki))) as second,
        LiveCsms(tls=demanding(pki)) as third,
        Agent(tmp_path, second.url, profile=2, secrets=SECRETS[2]) as agent,
    ):
        booted(second)
        profile = network_profile(1, 3, ocppCsmsUrl=third.url)
        assert second.call("SetNetworkProfile", profile)["status"] == "Accepted"
        assert put(second, "OCPPCommCtrlr", NetworkConfigurationPriority="1,0") == {"Rejected"}
        chain = renewed(second, pki)
        assert put(second, "OCPPCommCtrlr", NetworkConfigurationPriority="1,0") <= {"Accepted", "RebootRequired"}
        assert second.call("Reset", {"type": "OnIdle"})["status"] == "Accepted"
        assert agent.wait() == RESTART
        agent.start()

        booted(third)
        (shown,) = third.handshakes
        assert (shown.serial, shown.authorization) == (serial(chain), "")
        assert get(third, "SecurityCtrlr", "SecurityProfile") == "3"
        before = len(second.handshakes)
        agent.kill()
        agent.start()
        third.until(lambda: len(third.handshakes) > 1, "the connection after a power cut")
        assert len(second.handshakes) == before
