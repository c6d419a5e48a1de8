"""The OCA's test cases of block M, and of B with a new CSMS root, with a real agent and TLS (part 6, 2.3, 2.14)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certs.throwaway import Authority, Wish
from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms, server_context
from tests.octt.provisioned import network_profile
from tests.octt.test_a_certificates import renewed, serial
from tests.octt.test_a_tls import NAMES, RESTART, booted, put, switching
from tests.scenarios.m_certificates.roots import CSMS, named

pytestmark = pytest.mark.system

SECRETS = "  password_file: password\n  ca_file: root.pem\n"
SECRETS_3 = "  ca_file: root.pem\n  certificate: station.pem\n  key_file: station.key\n"
CHECK = "- {component: SecurityCtrlr, variable: AdditionalRootCertificateCheck, value: true}\n"
ONE_ATTEMPT = "- {component: OCPPCommCtrlr, variable: NetworkProfileConnectionAttempts, value: 1}\n"


class Change:
    """The authorities of a CSMS that changes its root: an old one, and a new one that the old one signed."""

    def __init__(self, folder: Path) -> None:
        (folder / "pki").mkdir()
        self.old = Authority.create("Old root", folder / "pki")
        self.new = self.old.successor("New root")
        (folder / "root.pem").write_text(self.old.root_pem, "ascii")
        self.name_of_old = named(self.old.root_pem)
        self.name_of_new = named(self.new.root_pem, issuer=self.old.root_pem)


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """The station trusts the old root, by its file."""
    return Change(tmp_path)


def shows(authority: Authority, clients: str = "") -> Any:
    """A server with a certificate of this authority; `clients` (PEM): who may have certified a station."""
    return server_context(authority.issue("localhost", Wish(names=NAMES)), clients)


def installed(csms: LiveCsms, change: Change) -> None:
    """CertificateInstalled: the new root."""
    request = {"certificateType": CSMS, "certificate": change.new.root_pem}
    assert csms.call("InstallCertificate", request) == {"status": "Accepted"}


def names(csms: LiveCsms) -> Iterator[dict[str, str]]:
    """The CSMS roots that the station tells."""
    answer = csms.call("GetInstalledCertificateIds", {"certificateType": [CSMS]})
    assert answer["status"] == "Accepted"
    for each in answer["certificateHashDataChain"]:
        assert each["certificateType"] == CSMS
        yield each["certificateHashData"]


def restarted(csms: LiveCsms, agent: Agent) -> None:
    """Reset OnIdle; the station starts anew."""
    assert csms.call("Reset", {"type": "OnIdle"})["status"] == "Accepted"
    assert agent.wait() == RESTART
    csms.until(lambda: not csms.connected, "the end of the connection")
    csms.script.forget()
    csms.script.order.rebooted()
    agent.start()


def migrates(csms: LiveCsms, url: str) -> None:
    """Another endpoint gets the other slot and the first place."""
    request = network_profile(1, 2, ocppCsmsUrl=url)
    assert csms.call("SetNetworkProfile", request)["status"] == "Accepted"
    assert put(csms, "OCPPCommCtrlr", NetworkConfigurationPriority="1,0") <= {"Accepted", "RebootRequired"}


@pytest.mark.octt("TC_M_30_CS")
@pytest.mark.req("M05.FR.12", "M05.FR.13")
def test_tc_m_30_cs(tmp_path: Path, change: Change) -> None:
    """The CSMS comes back with a certificate of the new root: the old one is removed."""
    context, shown = switching(shows(change.old))
    with (
        LiveCsms(password=PASSWORD, tls=context) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECRETS, more=CHECK) as agent,
    ):
        booted(csms)
        installed(csms, change)
        shown.append(shows(change.new))

        restarted(csms, agent)

        booted(csms)
        csms.until(lambda: list(names(csms)) == [change.name_of_new], "the old root to go")


@pytest.mark.octt("TC_M_30_CS")
@pytest.mark.req("M05.FR.12", "M05.FR.13", "A02.FR.06")
@pytest.mark.parametrize("signer", ["old", "new"])
def test_tc_m_30_cs_in_profile_3(tmp_path: Path, change: Change, signer: str) -> None:
    """The station's certificate is renewed before, too: signed by either root, since both are there."""
    station = change.old.issue("4711", Wish(organization="Operator"))
    shutil.copy(station.chain, tmp_path / "station.pem")
    shutil.copy(station.key, tmp_path / "station.key")
    both = change.old.root_pem + change.new.root_pem
    context, shown = switching(shows(change.old, both))
    with (
        LiveCsms(tls=context) as csms,
        Agent(tmp_path, csms.url, profile=3, secrets=SECRETS_3, more=CHECK) as agent,
    ):
        booted(csms)
        installed(csms, change)
        chain = renewed(csms, getattr(change, signer))
        csms.until(lambda: len(csms.handshakes) > 1 and csms.connected, "the reconnection")
        agent.until_logged("link.root_replaced")
        shown.append(shows(change.new, both))

        restarted(csms, agent)

        booted(csms)
        assert csms.handshakes[-1].serial == serial(chain)
        csms.until(lambda: list(names(csms)) == [change.name_of_new], "the old root to go")


@pytest.mark.octt("TC_M_31_CS")
@pytest.mark.req("M05.FR.12", "M05.FR.14")
def test_tc_m_31_cs(tmp_path: Path, change: Change) -> None:
    """The CSMS still shows a certificate of the old root: the new one is tried, then the old one, which stays."""
    with (
        LiveCsms(password=PASSWORD, tls=shows(change.old)) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECRETS, more=CHECK) as agent,
    ):
        booted(csms)
        installed(csms, change)

        restarted(csms, agent)

        booted(csms)
        agent.until_logged("link.root_replaced")
        assert change.name_of_old in list(names(csms))


@pytest.mark.octt("TC_B_47_CS")
@pytest.mark.req("M05.FR.15", "M05.FR.16")
def test_tc_b_47_cs(tmp_path: Path, change: Change) -> None:
    """Another CSMS shows a certificate of the old root: refused; back to the first one, for which that is good."""
    with (
        LiveCsms(password=PASSWORD, tls=shows(change.old)) as csms,
        LiveCsms(password=PASSWORD, tls=shows(change.old)) as other,
        Agent(tmp_path, csms.url, profile=2, secrets=SECRETS, more=CHECK + ONE_ATTEMPT) as agent,
    ):
        booted(csms)
        installed(csms, change)
        migrates(csms, other.url)

        restarted(csms, agent)

        booted(csms)
        agent.until_logged("link.down", kind="tls_certificate")
        assert other.handshakes == []
        assert change.name_of_old in list(names(csms))


@pytest.mark.octt("TC_B_50_CS")
@pytest.mark.req("M05.FR.13", "B10.FR.04")
def test_tc_b_50_cs(tmp_path: Path, change: Change) -> None:
    """Another CSMS shows a certificate of the new root: the station moves there, and the old root goes."""
    with (
        LiveCsms(password=PASSWORD, tls=shows(change.old)) as csms,
        LiveCsms(password=PASSWORD, tls=shows(change.new)) as other,
        Agent(tmp_path, csms.url, profile=2, secrets=SECRETS, more=CHECK) as agent,
    ):
        booted(csms)
        installed(csms, change)
        migrates(csms, other.url)

        restarted(csms, agent)

        booted(other)
        other.until(lambda: list(names(other)) == [change.name_of_new], "the old root to go")


def test_a_new_root_vouches_from_the_next_connection_on(tmp_path: Path, change: Change) -> None:
    """Without a restart, and without the additional check, too: then both stay."""
    context, shown = switching(shows(change.old))
    stranger = Authority.create("Another root", tmp_path / "pki")
    with (
        LiveCsms(password=PASSWORD, tls=context) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECRETS) as agent,
    ):
        booted(csms)
        request = {"certificateType": CSMS, "certificate": stranger.root_pem}
        assert csms.call("InstallCertificate", request) == {"status": "Accepted"}
        shown.append(shows(stranger))

        csms.disconnect()

        csms.until(lambda: csms.connected and len(csms.handshakes) > 1, "the station to return")
        assert len(list(names(csms))) == 2
        assert {each["role"] for each in agent.command("status")["certificates"]} == {CSMS}
        last = named(stranger.root_pem)
        assert csms.call("DeleteCertificate", {"certificateHashData": last})["status"] == "Failed"
        assert csms.call("DeleteCertificate", {"certificateHashData": change.name_of_old})["status"] == "Accepted"
