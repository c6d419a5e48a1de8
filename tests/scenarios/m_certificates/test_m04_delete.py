"""M04: the CSMS deletes a certificate."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from certs import atomic
from certs.throwaway import Wish
from station.state.network import NetworkProfile
from tests.bench import Bench
from tests.scenarios.m_certificates.roots import (
    ALWAYS,
    CSMS,
    HASHES,
    MO,
    V2G,
    connect_by,
    delete,
    installed,
    listed,
    named,
    names,
    root,
)
from tests.scenarios.variables import get


@pytest.fixture
def secured(tmp_path: Path) -> Bench:
    """A station of security profile 2."""
    profile = NetworkProfile(slot=0, url="wss://csms.example/ocpp", security_profile=2)
    return Bench(tmp_path, layout={"security_profile": 2}, profiles=(profile,))


@pytest.mark.req("M04.FR.01", "M04.FR.02")
@pytest.mark.parametrize("algorithm", HASHES)
def test_a_root_is_deleted_by_its_name(bench: Bench, tmp_path: Path, algorithm: str) -> None:
    """By whatever hash algorithm, in capitals and with zeroes in front; the other one stays."""
    first, second = root(tmp_path, "First").root_pem, root(tmp_path, "Second").root_pem
    installed(bench, first, V2G)
    installed(bench, second, V2G)
    name = named(first, algorithm=algorithm)
    name |= {key: name[key].upper() for key in ("issuerNameHash", "issuerKeyHash")}
    name["serialNumber"] = name["serialNumber"].upper().rjust(40, "0")

    assert delete(bench, name) == "Accepted"

    assert names(bench, V2G) == [named(second)]
    assert get(bench, "SecurityCtrlr.CertificateEntries") == "1"
    bench.crash()
    assert names(bench, V2G) == [named(second)]


@pytest.mark.req("M04.FR.02")
def test_a_certificate_of_two_types_is_deleted_from_both(bench: Bench, tmp_path: Path) -> None:
    """Its name says nothing about the type."""
    pem = root(tmp_path).root_pem
    installed(bench, pem, V2G)
    installed(bench, pem, MO)

    assert delete(bench, named(pem)) == "Accepted"

    assert listed(bench) == []


@pytest.mark.req("M04.FR.04")
@pytest.mark.parametrize("part", ["issuerNameHash", "issuerKeyHash", "serialNumber"])
def test_what_is_not_there_is_not_found(bench: Bench, tmp_path: Path, part: str) -> None:
    """All three parts of the name count."""
    pem = root(tmp_path).root_pem
    installed(bench, pem)
    name = named(pem)
    name[part] = "0" + name[part][1:] if name[part][0] != "0" else "1" + name[part][1:]

    assert delete(bench, name) == "NotFound"

    assert names(bench) == [named(pem)]


@pytest.mark.req("M04.FR.03", "M04.FR.06")
@pytest.mark.parametrize("kind", ["ChargingStationCertificate", "V2GCertificateChain"])
def test_the_stations_own_certificate_stays(bench: Bench, tmp_path: Path, kind: str) -> None:
    """It is replaced by CertificateSigned."""
    maker = root(tmp_path, "Maker")
    own = maker.issue("4711", Wish(valid=ALWAYS)).pem
    bench.own.by_kind[kind] = [own]
    installed(bench, maker.root_pem)

    assert delete(bench, named(own, issuer=maker.root_pem)) == "Failed"


@pytest.mark.req("M04.FR.03")
def test_the_root_that_vouches_for_the_csms_stays(secured: Bench, tmp_path: Path) -> None:
    """A station that is locked out needs a visit; by another root it can be tidied up."""
    used, other = root(tmp_path, "Used").root_pem, root(tmp_path, "Other").root_pem
    installed(secured, used)
    installed(secured, other)
    connect_by(secured, used)

    answer = secured.csms.call("DeleteCertificate", {"certificateHashData": named(used)})

    assert answer["status"] == "Failed"
    assert "vouches for the CSMS" in answer["statusInfo"]["additionalInfo"]
    assert names(secured)[-1] == named(used)
    connect_by(secured, other)
    assert delete(secured, named(used)) == "Accepted"


@pytest.mark.req("M04.FR.02", "M04.FR.03")
def test_of_two_roots_that_vouch_one_for_the_other_the_nearer_one_stays(secured: Bench, tmp_path: Path) -> None:
    """The old root signed the new one: after the change the old one can go."""
    old = root(tmp_path, "Old")
    new = old.successor("New", ALWAYS)
    installed(secured, old.root_pem)
    installed(secured, new.root_pem)
    connect_by(secured, new.root_pem, old.root_pem)

    assert delete(secured, named(new.root_pem, issuer=old.root_pem)) == "Failed"
    assert delete(secured, named(old.root_pem)) == "Accepted"


@pytest.mark.req("M04.FR.03")
def test_the_last_csms_root_stays_while_one_is_needed(secured: Bench, tmp_path: Path) -> None:
    """Even if it is not known which one is in use."""
    pem = root(tmp_path).root_pem
    installed(secured, pem)

    assert delete(secured, named(pem)) == "Failed"

    assert names(secured) == [named(pem)]


@pytest.mark.req("M04.FR.02")
def test_where_the_operator_says_so_the_csms_may_delete_any_root(secured: Bench, tmp_path: Path) -> None:
    """`csms.keep_root_in_use: false`: whoever runs the CSMS knows what he does."""
    pem = root(tmp_path).root_pem
    installed(secured, pem)
    connect_by(secured, pem)
    secured.roots._careful = False

    assert delete(secured, named(pem)) == "Accepted"

    assert listed(secured, CSMS) == []


@pytest.mark.req("M04.FR.02")
def test_a_station_without_tls_may_lose_its_last_csms_root(bench: Bench, tmp_path: Path) -> None:
    """It needs none."""
    pem = root(tmp_path).root_pem
    installed(bench, pem)

    assert delete(bench, named(pem)) == "Accepted"

    assert listed(bench, CSMS) == []


@pytest.mark.req("M04.FR.03")
def test_what_cannot_be_removed_fails(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes no writes."""
    pem = root(tmp_path).root_pem
    installed(bench, pem)

    def read_only(_path: Path) -> None:
        raise OSError(30, os.strerror(30))

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "remove", read_only)
        assert delete(bench, named(pem)) == "Failed"

    assert names(bench) == [named(pem)]
