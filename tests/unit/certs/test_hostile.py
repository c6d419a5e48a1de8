"""Certificates that a trusted authority would never sign, signed by one: whoever is asked says no in a line, at once.

The library builds no such thing, so the content of a good certificate is changed and signed anew.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ObjectIdentifier

from certs import contract, own, signature
from certs.errors import BadCertificate, BadSignature, StoreFull
from certs.installing import Terms, install
from certs.throwaway import Authority, Wish
from certs.trust import TrustStore
from tests.responder import NOW

NAME = "DE8AA1A2B3C4D5"
PATIENCE_S = 2.0
"""Of the processor, on a busy machine; each takes some milliseconds."""


def der(tag: int, content: bytes) -> bytes:
    """A value with its length."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def values(content: bytes) -> Iterator[bytes]:
    """The values in a value, each with its tag."""
    at = 0
    while at < len(content):
        size, head = content[at + 1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(content[at + 2 : at + head], "big")
        yield content[at : at + head + size]
        at += head + size


def inside(value: bytes) -> bytes:
    """Without tag and length."""
    head = 2 + (value[1] & 0x7F if value[1] & 0x80 else 0)
    return value[head:]


class Fields(NamedTuple):
    """What a certificate says, as it is encoded."""

    version: bytes
    serial: bytes
    algorithm: bytes
    issuer: bytes
    validity: bytes
    subject: bytes
    key: bytes
    extensions: bytes


Change = Callable[[Fields], Fields]


class Forger:
    """An authority that signs whatever it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.root = Authority.create("Root", folder)
        self.good = self.root.issue(NAME, Wish(organization="Operator"))

    def signed(self, change: Change, base: x509.Certificate | None = None) -> str:
        """A good certificate that was changed, by this authority."""
        fields = Fields(*values(inside((base or self.good.certificate).tbs_certificate_bytes)))
        content = der(0x30, b"".join(change(fields)))
        seal = self.root._key.sign(content, ec.ECDSA(hashes.SHA256()))  # type: ignore[call-arg,arg-type]  # it is EC
        return ssl.DER_cert_to_PEM_cert(der(0x30, content + fields.algorithm + der(0x03, b"\0" + seal)))

    def judges(self, folder: Path) -> dict[str, Callable[[str], object]]:
        """Everybody who takes certificates out of a message."""
        key = self.good.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        root = self.root.root_pem
        store = TrustStore(folder / "store")
        return {
            "CertificateSigned": lambda pem: own.judged(pem, own.Expected(key, NAME), root, NOW),
            "a vehicle's contract": lambda pem: _judged_contract(pem, root),
            "UpdateFirmware": lambda pem: signature.check_signer(pem, root, NOW),
            "InstallCertificate": lambda pem: install(
                store, "V2GRootCertificate", pem, Terms(NOW, certain=True, most=3)
            ),
        }


def _judged_contract(pem: str, root: str) -> None:
    found = contract.judged(pem, NAME, [root], NOW)
    if found.flaw:
        raise BadCertificate(found.flaw)


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    return Forger(tmp_path_factory.mktemp("forger"))


def named(text: bytes, tag: int = 0x0C) -> Change:
    """With this common name."""
    attribute = der(0x30, bytes.fromhex("0603550403") + der(tag, text))
    organization = der(0x30, bytes.fromhex("060355040a") + der(0x0C, b"Operator"))
    subject = der(0x30, der(0x31, attribute) + der(0x31, organization))
    return lambda fields: fields._replace(subject=subject)


def valid(first: bytes, last: bytes) -> Change:
    """With this period, as GeneralizedTime."""
    period = der(0x30, der(0x18, first) + der(0x18, last))
    return lambda fields: fields._replace(validity=period)


def serial(content: bytes) -> Change:
    """With this serial number."""
    return lambda fields: fields._replace(serial=der(0x02, content))


def extended(*more: bytes) -> Change:
    """With these extensions besides."""
    return lambda fields: fields._replace(
        extensions=der(0xA3, der(0x30, inside(inside(fields.extensions)) + b"".join(more)))
    )


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """One, encoded."""
    name = x509.UnrecognizedExtension(ObjectIdentifier(oid), value)
    code = name.oid.dotted_string.split(".")
    first = bytes((int(code[0]) * 40 + int(code[1]), *map(int, code[2:])))
    return der(0x30, der(0x06, first) + (b"\x01\x01\xff" if critical else b"") + der(0x04, value))


def _large_key(fields: Fields) -> Fields:
    key = rsa.RSAPublicNumbers(65537, (1 << 16383) + 0x1357).public_key()
    return fields._replace(key=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _large_exponent(fields: Fields) -> Fields:
    modulus = (1 << 8191) + 0x1357
    key = der(0x30, der(0x02, b"\0" + modulus.to_bytes(1024, "big")) + der(0x02, b"\x7f" + b"\xff" * 1023))
    return fields._replace(key=der(0x30, bytes.fromhex("300d06092a864886f70d0101010500") + der(0x03, b"\0" + key)))


BASIC = extension("2.5.29.19", bytes.fromhex("30030101ff"), critical=True)
HOSTILE: dict[str, Change] = {
    "a NUL in its name": named(b"DE8AA1A2B3C4D5\0.csms.example"),
    "a line end in its name": named(b"DE8AA1A2B3C4D5\r\nlevel=error told=lies"),
    "a terminal's commands in its name": named(b"\x1b]0;owned\x07\x1b[2J"),
    "a path as its name": named(b"../../../../etc/passwd"),
    "letters that are none in its name": named(b"\xff\xfe\xc0\x80"),
    "no name at all": lambda fields: fields._replace(subject=der(0x30, b"")),
    "a name as long as a book": named(b"x" * 60_000),
    "a name in 32 bits": named("DE8AA1A2B3C4D5".encode("utf-32-be"), 0x1C),
    "an end in the year 0": valid(b"00000101000000Z", b"00001231235959Z"),
    "an end in the year 9999, a beginning too": valid(b"99990101000000Z", b"99991231235959Z"),
    "a day that is none": valid(b"20260231000000Z", b"20270231000000Z"),
    "an end before its beginning": valid(b"20300101000000Z", b"20200101000000Z"),
    "a version that is none": lambda fields: fields._replace(version=bytes.fromhex("a003020142")),
    "an extension that is critical and unknown": extended(extension("1.2.3.4.5", b"\x05\0", critical=True)),
    "the same extension twice": extended(BASIC, BASIC),
    "name constraints": extended(extension("2.5.29.30", bytes.fromhex("3000"), critical=True)),
    "an extension that cannot be read": extended(extension("2.5.29.15", b"\x30\x80\xff", critical=True)),
    "thousands of extensions": extended(*(extension(f"1.2.{n % 100}.{n // 100}", b"") for n in range(5000))),
    "a key of 16384 bits": _large_key,
    "an exponent as long as its key": _large_exponent,
}


SIGNER = frozenset({"UpdateFirmware"})
ALL = frozenset({"CertificateSigned", "a vehicle's contract", "UpdateFirmware"})
TAKEN: dict[str, frozenset[str]] = {
    # A signer's name is for the log alone, which shows it in a line.
    **dict.fromkeys([kind for kind in HOSTILE if kind.endswith(" its name")], SIGNER),
    "a path as its name": SIGNER,
    "no name at all": SIGNER,
    "letters that are none in its name": frozenset(),
    # What is odd and no more than that.
    "a name in 32 bits": ALL,
    "thousands of extensions": ALL,
    "an exponent as long as its key": ALL - {"CertificateSigned"},
}
"""Who takes it nevertheless."""


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("judge", [*sorted(ALL), "InstallCertificate"])
def test_a_hostile_certificate_is_refused_in_a_line_and_at_once(
    forger: Forger, tmp_path: Path, kind: str, judge: str
) -> None:
    """Although the authority is trusted and its signature right; or it is harmless to whom it is shown."""
    pem = forger.signed(HOSTILE[kind])
    began = time.process_time()

    if judge in TAKEN.get(kind, ()):
        forger.judges(tmp_path)[judge](pem)
    else:
        with pytest.raises((BadCertificate, StoreFull), match=r"."):
            forger.judges(tmp_path)[judge](pem)

    assert time.process_time() - began < PATIENCE_S
    assert list(tmp_path.iterdir()) == [], "something was written"


def test_a_signature_by_an_exponent_as_long_as_its_key_takes_no_time(forger: Forger, tmp_path: Path) -> None:
    """It would keep a small controller busy for seconds, each time."""
    pem = forger.signed(_large_exponent)
    (tmp_path / "image").write_bytes(b"firmware")
    began = time.process_time()

    with pytest.raises(BadSignature):
        signature.check(tmp_path / "image", pem, "A" * 1364 + "AA==")

    assert time.process_time() - began < PATIENCE_S


@pytest.mark.parametrize("content", [b"\x80", b"\0", b"\x01" + b"\xff" * 20, b"\x7f" * 400])
def test_a_root_whose_number_no_message_can_name_is_not_installed(
    forger: Forger, tmp_path: Path, content: bytes
) -> None:
    """Negative, zero, longer than 20 octets: nobody could have it deleted again."""
    pem = forger.signed(serial(content), forger.root._chain[0])

    with pytest.raises(BadCertificate):
        forger.judges(tmp_path)["InstallCertificate"](pem)

    assert list(tmp_path.iterdir()) == []


class Ladder:
    """Authorities one above the other, and a certificate below them."""

    def __init__(self, folder: Path, count: int) -> None:
        self.root = Authority.create("Root", folder)
        above = [self.root]
        for number in range(count):
            above.append(above[-1].subordinate(f"Sub {number}", below=count))
        self.pem = above[-1].issue(NAME, Wish(organization="Operator")).pem


@pytest.mark.parametrize("count", [8, 9, 100])
def test_a_chain_is_as_long_as_it_may_be(tmp_path: Path, count: int) -> None:
    """Ten certificates are followed, a hundred are not even looked at."""
    ladder = Ladder(tmp_path, count)
    began = time.process_time()

    if count < 10:
        signature.check_signer(ladder.pem, ladder.root.root_pem, NOW)
    else:
        with pytest.raises(BadCertificate, match="a chain of 101"):
            signature.check_signer(ladder.pem, ladder.root.root_pem, NOW)

    assert time.process_time() - began < PATIENCE_S


def test_authorities_that_sign_each_other_lead_nowhere(tmp_path: Path) -> None:
    """Four of them, each by each: whoever followed every way would not come to an end."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]
    rings = [Authority.create(f"Ring {n}", tmp_path, key) for n, key in enumerate(keys)]
    crossed = [
        each.subordinate(f"Ring {n}", Wish(key=keys[n], organization="Throw-away"), below=5).own_pem
        for each in rings
        for n in range(4)
    ]
    leaf = rings[0].issue(NAME).pem
    began = time.process_time()

    with pytest.raises(BadCertificate):
        signature.check_signer(leaf + "".join(crossed[:9]), Authority.create("Root", tmp_path).root_pem, NOW)

    assert time.process_time() - began < PATIENCE_S
