"""The OCA's test cases of block M about root certificates (part 6, 2.14); those about connecting: `test_m_tls.py`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certs.throwaway import Authority
from certs.trust import fingerprint
from device_model.build import EvseLayout
from station.state.network import NetworkProfile
from station.state.own_certificates import V2G as SECC
from tests.bench import Bench
from tests.scenarios.a_security.signing import Operator
from tests.scenarios.m_certificates.roots import CSMS, MANUFACTURER, MO, V2G, install, named, root

CHECK = {"SecurityCtrlr.AdditionalRootCertificateCheck": "true"}
CHAIN = "V2GCertificateChain"
DAY = timedelta(days=1)


class Tool:
    """The test tool: a station of security profile 2 that is connected by root 1, and the configured certificates."""

    def __init__(self, folder: Path, variables: dict[str, str] | None = None) -> None:
        profile = NetworkProfile(slot=0, url="wss://csms.example/ocpp", security_profile=2)
        layout = {"security_profile": 2}
        self.bench = Bench(folder, layout=layout, profiles=(profile,), variables=variables or {}, connected=False)
        self.csms = root(folder, "CSMS root 1")
        self.configured = {kind: root(folder, f"New {kind}").root_pem for kind in (CSMS, V2G, MO, MANUFACTURER)}
        self.bench.roots._store.add(CSMS, self.csms.root_pem)
        self.bench.path_to_root = (fingerprint(self.csms.root_pem),)
        self.bench.crash()
        self.bench.csms.connect()

    def certificate_installed(self, kind: str, pem: str = "") -> None:
        """CertificateInstalled."""
        assert install(self.bench, pem or self.configured[kind], kind)["status"] == "Accepted"

    def get(self, *kinds: str) -> dict[str, Any]:
        """GetInstalledCertificateIdsRequest."""
        return self.bench.csms.call("GetInstalledCertificateIds", {"certificateType": list(kinds)} if kinds else {})

    def get_installed_certificates(self, *kinds: str) -> list[dict[str, Any]]:
        """GetInstalledCertificates: the configured certificate of each type is told."""
        chains = self.told(*kinds)
        for kind in kinds or self.configured:
            assert {"certificateType": kind, "certificateHashData": named(self.configured[kind])} in chains
        return chains

    def told(self, *kinds: str) -> list[dict[str, Any]]:
        """As GetInstalledCertificates, whatever is told."""
        answer = self.get(*kinds)
        assert answer["status"] == "Accepted"
        chains: list[dict[str, Any]] = answer["certificateHashDataChain"]
        assert {each["certificateType"] for each in chains} <= set(kinds or (*self.configured, CHAIN))
        return chains

    def delete(self, name: dict[str, str]) -> str:
        """DeleteCertificateRequest; the status."""
        answer = self.bench.csms.call("DeleteCertificate", {"certificateHashData": name})
        return str(answer["status"])


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Without the additional check."""
    return Tool(tmp_path)


INSTALLS = [
    pytest.param(CSMS, id="01", marks=pytest.mark.octt("TC_M_01_CS")),
    pytest.param(MANUFACTURER, id="02", marks=pytest.mark.octt("TC_M_02_CS")),
    pytest.param(V2G, id="03", marks=pytest.mark.octt("TC_M_03_CS")),
    pytest.param(MO, id="04", marks=pytest.mark.octt("TC_M_04_CS")),
]


@pytest.mark.req("M05.FR.01", "M05.FR.02")
@pytest.mark.parametrize("kind", INSTALLS)
def test_a_root_is_installed_and_told(tool: Tool, kind: str) -> None:
    """TC_M_01 to 04: of each type."""
    tool.certificate_installed(kind)

    tool.get_installed_certificates(kind)


@pytest.mark.octt("TC_M_07_CS")
@pytest.mark.req("M05.FR.01", "M05.FR.07")
def test_tc_m_07_cs(tool: Tool, tmp_path: Path) -> None:
    """An expired root is rejected, and not told."""
    expired = Authority.create("Expired", tmp_path, None, (-9000 * DAY, -8000 * DAY)).root_pem

    answer = install(tool.bench, expired)

    assert answer["status"] == "Rejected"
    assert [each["certificateHashData"] for each in tool.told(CSMS)] == [named(tool.csms.root_pem)]


@pytest.mark.octt("TC_M_09_CS")
@pytest.mark.req("M05.FR.10", "M05.FR.11")
def test_tc_m_09_cs(tmp_path: Path) -> None:
    """With the additional check a root that the old one has not signed is rejected; the old one stays."""
    tool = Tool(tmp_path, CHECK)

    answer = install(tool.bench, tool.configured[CSMS])

    assert answer["status"] == "Rejected"
    assert [each["certificateHashData"] for each in tool.told(CSMS)] == [named(tool.csms.root_pem)]


QUESTIONS = [
    pytest.param((CSMS,), id="12", marks=pytest.mark.octt("TC_M_12_CS")),
    pytest.param((MANUFACTURER,), id="13", marks=pytest.mark.octt("TC_M_13_CS")),
    pytest.param((V2G,), id="14", marks=pytest.mark.octt("TC_M_14_CS")),
    pytest.param((MO,), id="16", marks=pytest.mark.octt("TC_M_16_CS")),
    pytest.param((CSMS, MANUFACTURER), id="17", marks=pytest.mark.octt("TC_M_17_CS")),
]


@pytest.mark.req("M03.FR.01", "M03.FR.03", "M03.FR.04")
@pytest.mark.parametrize("kinds", QUESTIONS)
def test_installed_roots_are_told_by_type(tool: Tool, kinds: tuple[str, ...]) -> None:
    """TC_M_12 to 14, 16, 17: there are others, which are not told."""
    for kind in tool.configured:
        tool.certificate_installed(kind)

    tool.get_installed_certificates(*kinds)


@pytest.mark.octt("TC_M_15_CS")
@pytest.mark.req("M03.FR.01", "M03.FR.03", "M03.FR.04", "M03.FR.05")
def test_tc_m_15_cs(tmp_path: Path) -> None:
    """The chain of the station's V2G certificate has children; it was asked for and signed before."""
    csms = Operator(
        tmp_path,
        layout={"evses": (EvseLayout(iso15118=True),), "secc_id": "SECC-1", "country_name": "DE"},
        variables={"ISO15118Ctrlr.V2GCertificateInstallationEnabled": "true"},
    )
    middle = csms.v2g.subordinate("Sub 1")
    assert csms.trigger(SECC) == "Accepted"
    assert csms.send(csms.signed(by=middle), SECC)["status"] == "Accepted"

    answer = csms.bench.csms.call("GetInstalledCertificateIds", {"certificateType": [CHAIN]})

    assert answer["status"] == "Accepted"
    (chain,) = answer["certificateHashDataChain"]
    assert chain["certificateType"] == CHAIN
    assert chain["childCertificateHashData"] == [named(middle.own_pem, issuer=csms.v2g.root_pem)]


@pytest.mark.octt("TC_M_18_CS")
@pytest.mark.req("M03.FR.01", "M03.FR.03", "M03.FR.04")
def test_tc_m_18_cs(tool: Tool) -> None:
    """All types, if none is named."""
    for kind in tool.configured:
        tool.certificate_installed(kind)

    tool.get_installed_certificates()


@pytest.mark.octt("TC_M_19_CS")
@pytest.mark.req("M03.FR.01", "M03.FR.02")
def test_tc_m_19_cs(tool: Tool) -> None:
    """There is none of this type."""
    answer = tool.get(MO)

    assert answer["status"] == "NotFound"
    assert "certificateHashDataChain" not in answer


@pytest.mark.octt("TC_M_20_CS")
@pytest.mark.req("M04.FR.01", "M04.FR.02")
def test_tc_m_20_cs(tool: Tool) -> None:
    """The first one that is told is deleted: it is not the one that the connection hangs on."""
    tool.certificate_installed(CSMS)
    name = tool.told(CSMS)[0]["certificateHashData"]

    assert tool.delete(name) == "Accepted"

    assert name not in [each["certificateHashData"] for each in tool.told(CSMS)]


@pytest.mark.octt("TC_M_23_CS")
@pytest.mark.req("M04.FR.01", "M04.FR.06")
def test_tc_m_23_cs(tmp_path: Path) -> None:
    """The certificate that the station has just been given, and shows, cannot be deleted."""
    csms = Operator(tmp_path)
    key = csms.renew()
    told = csms.bench.csms.call("GetInstalledCertificateIds")["certificateHashDataChain"]
    assert {each["certificateType"] for each in told} == {CSMS, V2G}
    own = (tmp_path / "certificates" / f"{key}.pem").read_text("ascii")
    wanted = {"certificateHashData": named(own, issuer=csms.root.root_pem)}

    assert csms.bench.csms.call("DeleteCertificate", wanted)["status"] == "Failed"

    assert csms.files() == [key]
    assert csms.bench.station.own_certificates.ways()[0] == key


@pytest.mark.octt("TC_M_22_CS")
@pytest.mark.req("M04.FR.01", "M04.FR.04")
def test_tc_m_22_cs(tool: Tool) -> None:
    """What is unknown is not found."""
    tool.told(CSMS)

    assert tool.delete(named(tool.configured[MO])) == "NotFound"
