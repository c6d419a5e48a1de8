"""M03: the CSMS asks which certificates are installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.throwaway import Authority, Key, Wish
from certs.x509 import load_chain
from tests.bench import Bench
from tests.scenarios.a_security.signing import Operator
from tests.scenarios.m_certificates.roots import ALWAYS, CSMS, MANUFACTURER, MO, V2G, installed, listed, named, root
from tests.scenarios.variables import get


@pytest.mark.req("M03.FR.01", "M03.FR.02")
def test_nothing_is_not_found(bench: Bench, tmp_path: Path) -> None:
    """Of any type, or of this one."""
    assert listed(bench) == []
    installed(bench, root(tmp_path).root_pem, V2G)

    assert listed(bench, MO, CSMS) == []


@pytest.mark.req("M03.FR.03", "M03.FR.04")
@pytest.mark.parametrize(
    "key",
    [partial(rsa.generate_private_key, 65537, 2048), partial(ec.generate_private_key, ec.SECP521R1())],
    ids=["RSA", "P-521"],
)
def test_a_root_is_named_as_an_ocsp_request_names_it(bench: Bench, tmp_path: Path, key: Callable[[], Key]) -> None:
    """Hashes of its issuer's name and key, and its serial number."""
    pem = Authority.create("Root", tmp_path, key(), ALWAYS).root_pem
    installed(bench, pem)

    assert listed(bench, CSMS) == [{"certificateType": CSMS, "certificateHashData": named(pem)}]


@pytest.mark.req("M03.FR.04")
def test_only_the_types_that_were_asked_for_are_listed(bench: Bench, tmp_path: Path) -> None:
    """Several at once."""
    for kind in (CSMS, V2G, MO, MANUFACTURER):
        installed(bench, root(tmp_path, kind).root_pem, kind)

    assert {each["certificateType"] for each in listed(bench, CSMS, MANUFACTURER)} == {CSMS, MANUFACTURER}
    assert len(listed(bench)) == 4


@pytest.mark.req("M03.FR.04")
def test_a_root_that_another_one_signed_is_named_by_its_issuer(bench: Bench, tmp_path: Path) -> None:
    """Also when the issuer has been deleted."""
    top = root(tmp_path, "Top")
    sub = top.successor("Sub", ALWAYS)
    installed(bench, top.root_pem, V2G)
    installed(bench, sub.root_pem, MO)
    bench.csms.call("DeleteCertificate", {"certificateHashData": named(top.root_pem)})

    assert [each["certificateHashData"] for each in listed(bench)] == [named(sub.root_pem, issuer=top.root_pem)]


@pytest.mark.req("M03.FR.05")
def test_the_v2g_chain_is_listed_with_its_sub_authorities(bench: Bench, tmp_path: Path) -> None:
    """They are children of the station's V2G certificate; the root is no part of the chain."""
    top = root(tmp_path, "V2G root")
    middle = top.subordinate("Sub 1")
    own = middle.issue("SECC", Wish(valid=ALWAYS)).pem
    bench.own.by_kind["V2GCertificateChain"] = [own]
    installed(bench, top.root_pem, V2G)

    (chain,) = listed(bench, "V2GCertificateChain")

    assert len(load_chain(own)) == 2
    assert chain["certificateHashData"] == named(own, issuer=middle.own_pem)
    assert chain["childCertificateHashData"] == [named(middle.own_pem, issuer=top.root_pem)]


def test_the_stations_own_certificates_are_counted_as_they_come_and_go(tmp_path: Path) -> None:
    """CertificateEntries: two roots and the station's own, which another one replaces."""
    csms = Operator(tmp_path, given=None, level=1)
    assert get(csms.bench, "SecurityCtrlr.CertificateEntries") == "2"
    csms.renew()
    assert get(csms.bench, "SecurityCtrlr.CertificateEntries") == "3"

    csms.renew()
    csms.bench.advance(minutes=1)

    assert len(csms.files()) == 1
    assert get(csms.bench, "SecurityCtrlr.CertificateEntries") == "3"


@pytest.mark.req("M03.FR.04")
def test_a_damaged_file_hides_no_other_one(bench: Bench, tmp_path: Path) -> None:
    """One bad sector."""
    pem = root(tmp_path).root_pem
    installed(bench, pem)
    folder = tmp_path / "roots" / CSMS
    (folder / "a.pem").write_bytes(b"\x00\xff")
    (folder / "b.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ascii")

    assert [each["certificateHashData"] for each in listed(bench)] == [named(pem)]
