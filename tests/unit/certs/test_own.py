"""What a signed certificate of the station must be like, and where it is kept (A02.FR.06, A02.FR.07)."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from certs import path
from certs.errors import BadCertificate
from certs.file_keys import FileKeys
from certs.keystore import KeyKind, Subject
from certs.own import Expected, OwnChains, Signed, judged
from certs.throwaway import Authority, Wish

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SUBJECT = Subject("4711", "Operator")


class Case(NamedTuple):
    """A station with a key, and the operator's authority."""

    root: Authority
    request: str
    expected: Expected

    def judge(self, pem: str, *, roots: str | None = None, at: datetime = NOW) -> Signed:
        return judged(pem, self.expected, self.root.root_pem if roots is None else roots, at)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    keys = FileKeys(tmp_path / "keys")
    keys.create("own", KeyKind.EC_P256)
    root = Authority.create("Operator root", tmp_path, clock=lambda: NOW)
    return Case(root, keys.csr("own", SUBJECT), Expected(keys.public_key("own"), "4711"))


@pytest.mark.req("A02.FR.06", "A03.FR.06", "A00.FR.507")
def test_a_certificate_of_the_operators_authority_is_good(case: Case) -> None:
    """It is kept as PEM, leaf first, without the root."""
    signed = case.judge(case.root.sign_request(case.request) + case.root.root_pem)

    assert signed.pem.count("BEGIN CERTIFICATE") == 1
    assert x509.load_pem_x509_certificate(signed.pem.encode()).subject.rfc4514_string() == "CN=4711,O=Operator"
    assert (signed.not_before, signed.not_after) == (NOW - timedelta(hours=1), NOW + DAY)


def test_intermediates_lead_to_the_root_in_any_order(case: Case) -> None:
    chain = case.root.subordinate("Sub").sign_request(case.request)
    leaf, sub = (f"{part}-----END CERTIFICATE-----\n" for part in chain.split("-----END CERTIFICATE-----\n")[:2])

    assert case.judge(chain).pem == chain
    assert case.judge(leaf + case.root.root_pem + sub).pem == chain


def test_an_intermediate_may_be_the_root_that_is_installed(case: Case) -> None:
    sub = case.root.subordinate("Sub")

    assert case.judge(sub.sign_request(case.request), roots=sub.own_pem).pem.count("BEGIN") == 1


def _with(value: x509.ExtensionType, *, critical: bool = True) -> Wish:
    return Wish(extensions=[x509.Extension(value.oid, critical, value)])


def _usage(**more: bool) -> x509.KeyUsage:
    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    flags = dict.fromkeys([*names.split(), "crl_sign", "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(**{**flags, **more})


def _stranger(case: Case, tmp_path: Path) -> str:
    """The same name as the operator's authority, another key."""
    return Authority.create("Operator root", tmp_path, clock=lambda: NOW).sign_request(case.request)


def _another_key(case: Case, tmp_path: Path) -> str:
    del tmp_path
    return case.root.issue("4711", Wish(organization="Operator")).pem


def _weak_authority(case: Case, tmp_path: Path) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
    builder = case.root._signed_by_us("Weak", key, Wish())
    authority = Authority(key, [_authority(builder, case.root), *case.root._chain], tmp_path, lambda: NOW)
    return authority.sign_request(case.request)


def _authority(builder: x509.CertificateBuilder, signer: Authority) -> x509.Certificate:
    basic = x509.BasicConstraints(ca=True, path_length=None)
    return builder.add_extension(basic, critical=True).sign(signer._key, hashes.SHA256())


def _no_authority(case: Case, tmp_path: Path) -> str:
    """Signed by the key of another station's certificate."""
    issued = case.root.issue("another")
    key = load_pem_private_key(issued.key.read_bytes(), None)
    chain = [issued.certificate, *case.root._chain]
    return Authority(key, chain, tmp_path, lambda: NOW).sign_request(case.request)  # type: ignore[arg-type]  # ours


def _too_deep(case: Case, tmp_path: Path) -> str:
    """The intermediate allows no other below it."""
    del tmp_path
    return case.root.subordinate("One").subordinate("Two").sign_request(case.request)


def _by(wish: Wish) -> Callable[[Case, Path], str]:
    return lambda case, _path: case.root.sign_request(case.request, wish)


WRONG: dict[str, tuple[Callable[[Case, Path], str], str]] = {
    "no certificate": (lambda _case, _path: "nonsense", "not a chain"),
    "not yet valid": (_by(Wish(valid=(DAY, 9 * DAY))), "not valid before 2030-05-02"),
    "expired": (_by(Wish(valid=(-9 * DAY, -DAY))), "expired on 2030-04-30"),
    "of a stranger": (_stranger, "not signed by"),
    "for another key": (_another_key, "another key"),
    "of a weak authority": (_weak_authority, "RSA key of 1024 bits"),
    "signed by a station": (_no_authority, "no authority"),
    "too deep": (_too_deep, "allows 0 authorities"),
    "an authority's": (_by(_with(x509.BasicConstraints(ca=True, path_length=None))), "of an authority"),
    "for encryption": (_by(_with(_usage(key_encipherment=True))), "key usage"),
    "for servers": (_by(_with(x509.ExtendedKeyUsage([Purpose.SERVER_AUTH]))), "lacks clientAuth"),
    "with a riddle": (
        _by(_with(x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"))),
        "1.2.3.4 is critical and not understood",
    ),
}


@pytest.mark.req("A02.FR.06", "A03.FR.06", "A00.FR.501", "A00.FR.502")
@pytest.mark.parametrize("kind", WRONG)
def test_a_certificate_that_is_not_good_is_refused_with_the_reason(case: Case, tmp_path: Path, kind: str) -> None:
    make, reason = WRONG[kind]

    with pytest.raises(BadCertificate, match=reason):
        case.judge(make(case, tmp_path))


SHA1 = """\
-----BEGIN CERTIFICATE-----
MIIBmTCCAUCgAwIBAgIUaweWhHp0LP9LU9a0LQQqV9XnRyEwCQYHKoZIzj0EATAi
MREwDwYDVQQKDAhPcGVyYXRvcjENMAsGA1UEAwwENDcxMTAgFw0yNjExMjcxNjUw
MzdaGA8yMTI2MTEwMzE2NTAzN1owIjERMA8GA1UECgwIT3BlcmF0b3IxDTALBgNV
BAMMBDQ3MTEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASMNGDChjieiClzbhlK
IThDATsVylN7ZDsw2/p0R91Mnmn1TnQ6WZz6STj0tVS/RTQpVQ42wJQf7EyJiLBa
WN2Po1MwUTAdBgNVHQ4EFgQUFkMomvrAfAuh5/+0jm0t1YzsAuwwHwYDVR0jBBgw
FoAUFkMomvrAfAuh5/+0jm0t1YzsAuwwDwYDVR0TAQH/BAUwAwEB/zAJBgcqhkjO
PQQBA0gAMEUCIQC++QRlr7GsQRcDcyVwY68ngSfEZkMYshufiCE9zpKw8AIgOt7Q
XPg3cqZX66EpkaKuFbDmIeBsoLvlkt6O796IWx0=
-----END CERTIFICATE-----
"""


@pytest.mark.req("A00.FR.504")
def test_an_outdated_signature_is_refused() -> None:
    """SHA-1, wherever in a chain. OpenSSL made it in 2026; it is valid for a hundred years."""
    with pytest.raises(BadCertificate, match="sha1, which is outdated"):
        path.sound(x509.load_pem_x509_certificate(SHA1.encode()), NOW)


@pytest.mark.req("A00.FR.509", "A00.FR.511")
@pytest.mark.parametrize(
    "subject, reason",
    [
        (Subject("0815", "Operator"), "names 0815 instead of 4711"),
        (Subject("4711", ""), "organization"),
    ],
)
def test_it_must_name_this_station_and_its_owner(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subject: Subject, reason: str
) -> None:
    """Whatever an authority made of the request."""
    named = [x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name)]
    if subject.organization:
        named.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organization))
    keys = FileKeys(tmp_path / "keys")
    monkeypatch.setattr("certs.csr.name", lambda _subject: x509.Name(named))

    with pytest.raises(BadCertificate, match=reason):
        case.judge(case.root.sign_request(keys.csr("own", subject)))


@pytest.mark.parametrize("purposes", [[Purpose.CLIENT_AUTH], [Purpose.ANY_EXTENDED_KEY_USAGE, Purpose.OCSP_SIGNING]])
def test_purposes_that_hold_ours_are_good(case: Case, purposes: list[ObjectIdentifier]) -> None:
    wish = _with(x509.ExtendedKeyUsage(purposes), critical=False)

    assert case.judge(case.root.sign_request(case.request, wish))


def test_without_any_root_nothing_is_good(case: Case) -> None:
    with pytest.raises(BadCertificate, match="no root is installed"):
        case.judge(case.root.sign_request(case.request), roots="")


def test_a_chain_of_many_is_not_even_looked_at(case: Case) -> None:
    """Neither are endless rings followed: each certificate is looked at once."""
    leaf = case.root.sign_request(case.request)

    with pytest.raises(BadCertificate, match="11 certificates"):
        case.judge(leaf * 11)
    assert case.judge(leaf + case.root.root_pem * 9)


@given(data=st.data())
def test_no_bytes_do_more_than_be_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A chain with any of its bytes changed is refused, or it is good: nothing else comes of it (a fuzz test)."""
    case, good = _SHARED.setdefault("case", _shared(tmp_path_factory))
    der = bytearray(x509.load_pem_x509_certificate(good.encode()).public_bytes(Encoding.DER))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of odd serial numbers
        try:
            case.judge(ssl.DER_cert_to_PEM_cert(bytes(der)))
        except BadCertificate as error:
            assert str(error)  # noqa: PT017 - either is right
        else:
            assert bytes(der) == x509.load_pem_x509_certificate(good.encode()).public_bytes(Encoding.DER)


_SHARED: dict[str, tuple[Case, str]] = {}


def _shared(factory: pytest.TempPathFactory) -> tuple[Case, str]:
    folder = factory.mktemp("fuzz")
    keys = FileKeys(folder / "keys")
    keys.create("own", KeyKind.EC_P256)
    root = Authority.create("Operator root", folder, clock=lambda: NOW)
    case = Case(root, keys.csr("own", SUBJECT), Expected(keys.public_key("own"), "4711"))
    return case, root.sign_request(case.request)


def test_the_files_hold_what_was_kept(tmp_path: Path, case: Case) -> None:
    """Readable by the agent alone; a name that is a path is none."""
    chains = OwnChains(tmp_path / "own")
    signed = case.judge(case.root.sign_request(case.request))

    assert chains.read("cs-1") == ""
    chains.keep("cs-1", signed.pem)

    assert chains.read("cs-1") == signed.pem
    assert chains.path("cs-1").stat().st_mode & 0o777 == 0o600
    chains.remove("cs-1")
    chains.remove("cs-1")
    assert chains.read("cs-1") == ""
    with pytest.raises(ValueError, match="not a name"):
        chains.path("../../etc/passwd")


def test_the_key_that_was_asked_for_is_the_stores(tmp_path: Path) -> None:
    """A02.FR.05: what is compared is public."""
    keys = FileKeys(tmp_path)
    keys.create("own", KeyKind.RSA_2048)
    request = x509.load_pem_x509_csr(keys.csr("own", SUBJECT).encode())

    assert request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == keys.public_key("own")
