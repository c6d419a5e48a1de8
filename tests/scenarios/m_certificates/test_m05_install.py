"""M05: the CSMS installs the certificate of an authority."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs import atomic
from certs.throwaway import Authority, Wish
from tests.bench import Bench
from tests.octt.provisioned import network_profile
from tests.scenarios.m_certificates.roots import (
    ALWAYS,
    CSMS,
    MANUFACTURER,
    MO,
    V2G,
    by_number,
    connect_by,
    install,
    installed,
    listed,
    named,
    names,
    root,
)
from tests.scenarios.variables import get, put

DAY = timedelta(days=1)
ENTRIES = "SecurityCtrlr.CertificateEntries"
CHECK = {"SecurityCtrlr.AdditionalRootCertificateCheck": "true"}


@pytest.mark.req("M05.FR.01", "M05.FR.02", "M03.FR.03", "M03.FR.04")
@pytest.mark.parametrize("kind", [CSMS, V2G, MO, MANUFACTURER])
def test_a_root_is_installed_and_listed_under_its_type(bench: Bench, tmp_path: Path, kind: str) -> None:
    """Two of one type stand side by side."""
    first, second = root(tmp_path, "First").root_pem, root(tmp_path, "Second").root_pem

    installed(bench, first, kind)
    installed(bench, second, kind)

    assert {each["certificateType"] for each in listed(bench)} == {kind}
    assert by_number(names(bench, kind)) == by_number([named(first), named(second)])
    assert get(bench, ENTRIES) == "2"


@pytest.mark.req("M05.FR.02")
def test_installed_roots_are_there_after_a_power_cut(bench: Bench, tmp_path: Path) -> None:
    """Also their number."""
    pem = root(tmp_path).root_pem
    installed(bench, pem)

    bench.crash()

    assert names(bench) == [named(pem)]
    assert get(bench, ENTRIES) == "1"


def test_a_lost_database_loses_no_root(bench: Bench, tmp_path: Path) -> None:
    """They lie in files of their own: the way to the CSMS must not hang on one damaged page."""
    pem = root(tmp_path).root_pem
    installed(bench, pem)
    bench.crash(boot=False)
    for file in tmp_path.glob("station.db*"):
        file.unlink()

    bench.boot()

    assert names(bench) == [named(pem)]


@pytest.mark.req("M05.FR.17")
def test_a_root_that_is_there_already_is_accepted_and_counted_once(bench: Bench, tmp_path: Path) -> None:
    """A CSMS repeats what it is not sure of; blanks around the text make no other certificate of it."""
    pem = root(tmp_path).root_pem
    installed(bench, pem)

    installed(bench, f"\n{pem}\n")

    assert names(bench) == [named(pem)]
    assert get(bench, ENTRIES) == "1"


def made(change: Callable[[x509.CertificateBuilder], x509.CertificateBuilder]) -> str:
    """A certificate signed by itself, made by hand."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Odd")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 4711, now + ALWAYS[0], now + ALWAYS[1])
    return change(builder).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


CA = x509.BasicConstraints(ca=True, path_length=None)
STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


def _hostile(folder: Path) -> dict[str, str]:
    """What must not be installed, by what is wrong with it."""
    good = root(folder)
    pem = good.root_pem
    (folder / "other").mkdir()
    body = pem.splitlines()
    return {
        "empty": "",
        "no PEM": "rubbish",
        "no DER": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "broken base64": "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n",
        "cut off": "\n".join([*body[:3], body[-1]]),
        "two": pem + root(folder, "Second").root_pem,
        "with a key": pem + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "no authority": good.issue("leaf", Wish(valid=ALWAYS)).pem,
        "no constraints": made(lambda it: it),
        "may not sign": made(
            lambda it: it.add_extension(CA, critical=True).add_extension(_usage(signs=False), critical=True)
        ),
        "critical and unknown": made(
            lambda it: it.add_extension(CA, critical=True).add_extension(STRANGE, critical=True)
        ),
        "weak RSA": root(folder, key=rsa.generate_private_key(65537, 1024)).root_pem,  # noqa: S505 - that is the point
        "weak curve": root(folder, key=ec.generate_private_key(ec.SECP192R1())).root_pem,
        "expired": Authority.create("Old", folder, None, (-9000 * DAY, -8000 * DAY)).root_pem,
        "not yet valid": Authority.create("Young", folder, None, (8000 * DAY, 9000 * DAY)).root_pem,
        "issuer unknown": root(folder / "other").subordinate("Sub").own_pem,
    }


WRONG = (
    "empty", "no PEM", "no DER", "broken base64", "cut off", "two", "with a key", "no authority", "no constraints",
    "may not sign", "critical and unknown", "weak RSA", "weak curve", "expired", "not yet valid", "issuer unknown",
)  # fmt: skip


@pytest.mark.req("M05.FR.07")
@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_certificate_is_rejected_and_changes_nothing(bench: Bench, tmp_path: Path, wrong: str) -> None:
    """The CSMS hears why."""
    text = _hostile(tmp_path)[wrong]

    answer = install(bench, text, V2G)

    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "InvalidCertificate"
    assert answer["statusInfo"]["additionalInfo"]
    assert listed(bench) == []
    assert get(bench, ENTRIES) == "0"


@pytest.mark.req("M05.FR.07")
def test_a_certificate_whose_bytes_were_changed_is_rejected(bench: Bench, tmp_path: Path) -> None:
    """Its signature is its own, and wrong."""
    certificate = x509.load_pem_x509_certificate(root(tmp_path).root_pem.encode())
    der = bytearray(certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    assert install(bench, ssl.DER_cert_to_PEM_cert(bytes(der)))["status"] == "Rejected"
    assert listed(bench) == []


@pytest.mark.req("M05.FR.07")
def test_before_the_time_is_known_nothing_is_too_young(tmp_path: Path) -> None:
    """A clock that stands still cannot tell; what has expired by the time that has passed for sure is expired."""
    bench = Bench(tmp_path)
    bench.trusted = False
    young = Authority.create("Young", tmp_path, None, (8000 * DAY, 9000 * DAY)).root_pem
    old = Authority.create("Old", tmp_path, None, (-9000 * DAY, -8000 * DAY)).root_pem

    assert install(bench, young)["status"] == "Accepted"
    assert install(bench, old)["status"] == "Rejected"


@pytest.mark.req("M05.FR.06")
def test_more_certificates_than_there_is_room_for_are_rejected(tmp_path: Path) -> None:
    """CertificateEntries.maxLimit counts all types, and the station's own; one that is there is no further one."""
    bench = Bench(tmp_path)
    own = root(tmp_path, "Maker").issue("4711", Wish(valid=ALWAYS)).pem
    bench.own.by_kind["ChargingStationCertificate"] = [own * 48]
    first, second, third = (root(tmp_path, name).root_pem for name in ("First", "Second", "Third"))
    installed(bench, first)
    installed(bench, second, V2G)

    answer = install(bench, third, MO)

    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "TooManyElements"
    installed(bench, first)
    assert get(bench, ENTRIES) == "50"


@pytest.mark.req("M05.FR.03")
def test_what_cannot_be_written_fails_and_is_not_there(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk."""

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "replace", full)
        answer = install(bench, root(tmp_path).root_pem)

    assert answer["status"] == "Failed"
    assert answer["statusInfo"]["reasonCode"] == "OutOfStorage"
    assert listed(bench) == []


@pytest.mark.req("M05.FR.03")
def test_a_job_that_never_ends_is_answered_in_time(bench: Bench, tmp_path: Path) -> None:
    """The CSMS waits for half a minute."""
    bench.idle_jobs = True
    call = bench.csms.send("InstallCertificate", {"certificateType": CSMS, "certificate": root(tmp_path).root_pem})
    assert call.answer is None

    bench.advance(seconds=26)

    assert call.answer is not None
    assert call.answer["status"] == "Failed"


def test_installing_a_root_is_in_the_security_log(bench: Bench, tmp_path: Path) -> None:
    """Who trusts whom is a matter of security."""
    installed(bench, root(tmp_path, "New").root_pem)

    last = bench.station.security_log.entries()[-1]
    assert last.type == "ReconfigurationOfSecurityParameters"
    assert "CSMSRootCertificate CN=New" in last.info


# --- AdditionalRootCertificateCheck


@pytest.fixture
def checked(tmp_path: Path) -> Bench:
    """A station that lets only the old CSMS root sign the new one."""
    return Bench(tmp_path, variables=CHECK)


@pytest.mark.req("M05.FR.10", "M05.FR.11")
def test_a_csms_root_that_the_old_one_did_not_sign_is_rejected(checked: Bench, tmp_path: Path) -> None:
    """Whoever holds the CSMS cannot bring an authority of his own."""
    old = root(tmp_path, "Old").root_pem
    installed(checked, old)

    answer = install(checked, root(tmp_path, "New").root_pem)

    assert answer["status"] == "Rejected"
    assert "not signed by" in answer["statusInfo"]["additionalInfo"]
    assert names(checked) == [named(old)]


@pytest.mark.req("M05.FR.09")
def test_other_types_are_free_of_that_check(checked: Bench, tmp_path: Path) -> None:
    """It is about CSMS roots."""
    for name in ("First", "Second"):
        installed(checked, root(tmp_path, name).root_pem, V2G)

    assert len(names(checked, V2G)) == 2


@pytest.mark.req("M05.FR.09", "M05.FR.10", "M05.FR.12", "M05.FR.13", "M03.FR.04")
def test_a_new_csms_root_replaces_the_old_one_as_soon_as_it_has_vouched_for_the_csms(
    checked: Bench, tmp_path: Path
) -> None:
    """Until then both are there; the hash data of the new one name the old one, even when that has gone."""
    old = root(tmp_path, "Old")
    new = old.successor("New", ALWAYS)
    installed(checked, old.root_pem)
    connect_by(checked, old.root_pem)

    installed(checked, new.root_pem)
    both = names(checked)
    connect_by(checked, new.root_pem)

    of_new = named(new.root_pem, issuer=old.root_pem)
    assert by_number(both) == by_number([named(old.root_pem), of_new])
    assert names(checked) == [of_new]
    assert get(checked, ENTRIES) == "1"
    checked.crash()
    assert names(checked) == [of_new]


@pytest.mark.req("M05.FR.14")
def test_the_old_root_stays_as_long_as_it_is_the_one_that_vouches(checked: Bench, tmp_path: Path) -> None:
    """Over any number of connections and restarts."""
    old = root(tmp_path, "Old")
    new = old.successor("New", ALWAYS)
    installed(checked, old.root_pem)
    installed(checked, new.root_pem)

    for _ in range(3):
        connect_by(checked, old.root_pem)
        checked.crash()

    assert len(names(checked)) == 2


@pytest.mark.req("M05.FR.09")
def test_a_successor_that_is_replaced_before_it_was_used_leaves_the_proven_root_as_fallback(
    checked: Bench, tmp_path: Path
) -> None:
    """Only one root and one to fall back to; and that one is known to work."""
    old = root(tmp_path, "Old")
    second = old.successor("Second", ALWAYS)
    third = second.successor("Third", ALWAYS)
    installed(checked, old.root_pem)
    installed(checked, second.root_pem)

    installed(checked, third.root_pem)

    there = {each.subject for each in checked.roots._store.roots(CSMS)}
    assert there == {"CN=Old,O=Throw-away", "CN=Third,O=Throw-away"}
    connect_by(checked, third.root_pem)
    assert names(checked) == [named(third.root_pem, issuer=second.root_pem)]


@pytest.mark.req("M05.FR.15", "M05.FR.16")
def test_for_a_csms_that_came_after_the_first_change_the_old_root_is_no_good(checked: Bench, tmp_path: Path) -> None:
    """Also if the root is changed once more: it may vouch where it did when it was the only one."""
    old = root(tmp_path, "Old")
    second = old.successor("Second", ALWAYS)
    installed(checked, old.root_pem)
    installed(checked, second.root_pem)
    known = checked.roots._store.register().places
    another = "ws://another.example/ocpp"
    assert checked.csms.call("SetNetworkProfile", network_profile(1, ocppCsmsUrl=another))["status"] == "Accepted"
    assert put(checked, "OCPPCommCtrlr.NetworkConfigurationPriority", "0,1") == "RebootRequired"
    checked.crash()
    assert another in {each.url for each in checked.station.network.profiles()}

    installed(checked, second.successor("Third", ALWAYS).root_pem)

    assert checked.roots._store.register().places == known


@pytest.mark.req("M05.FR.10")
def test_the_first_csms_root_needs_no_signature(checked: Bench, tmp_path: Path) -> None:
    """There is none that it replaces: a station of security profile 1 gets its first root by OCPP."""
    installed(checked, root(tmp_path).root_pem)
