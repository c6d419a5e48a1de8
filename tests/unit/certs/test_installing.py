"""Whatever a CSMS sends as a root: it is installed whole and can be used, or it is refused and nothing has changed."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certs.errors import BadCertificate, StoreFull
from certs.installing import Terms, install
from certs.throwaway import Authority
from certs.tls import TlsSettings, client_context
from certs.trust import Register, TrustStore, fingerprint
from tests.crash.medium import memory
from tests.unit.certs.test_own import SHA1

USE = "V2GRootCertificate"
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
TERMS = Terms(at=NOW, certain=True, most=3)


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


def signed_by_itself(key: PrivateKey) -> str:
    """A root in PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Root")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - HOUR, NOW + HOUR)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    own = isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey))
    return builder.sign(key, None if own else hashes.SHA256()).public_bytes(Encoding.PEM).decode()


class Site:
    """A store with one good root."""

    def __init__(self, folder: Path) -> None:
        self.store = TrustStore(folder / "roots")
        self.authority = Authority.create("Good", folder)
        self.good = install(self.store, USE, self.authority.root_pem, TERMS)

    def tried(self, pem: str) -> bool:
        """Whether a text was installed; what must hold in any case is checked."""
        try:
            root = install(self.store, USE, pem, TERMS)
        except (BadCertificate, StoreFull):
            assert self.store.roots() == [self.good]
            assert len(self.store.held()) == 1
            return False
        assert root in self.store.roots()
        assert root.names
        self.store.remove(root)
        self.store.add(USE, self.authority.root_pem)
        return True


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """In memory, since it is used again and again."""
    with memory() as folder:
        yield Site(folder)


@given(st.text(max_size=300))
def test_any_text(site: Site, text: str) -> None:
    """Bare, or dressed as a certificate."""
    assert not site.tried(text)
    assert not site.tried(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")


@given(st.binary(max_size=300))
def test_any_der(site: Site, der: bytes) -> None:
    """Well wrapped."""
    assert not site.tried(ssl.DER_cert_to_PEM_cert(der))


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_good_root_of_which_a_byte_was_changed(site: Site, place: float, change: int) -> None:
    """Its signature covers all that matters; what is installed can be told and loaded."""
    der = bytearray(site.authority._chain[0].public_bytes(Encoding.DER))
    der[int(place * len(der))] ^= change

    site.tried(ssl.DER_cert_to_PEM_cert(bytes(der)))


@given(st.floats(0, 1), st.binary(max_size=20))
def test_a_good_root_that_was_cut_or_lengthened(site: Site, keep: float, more: bytes) -> None:
    """What hangs on behind is not passed over."""
    der = site.authority._chain[0].public_bytes(Encoding.DER)
    text = ssl.DER_cert_to_PEM_cert(der[: int(keep * len(der))] + more)

    assert site.tried(text) == (text == ssl.DER_cert_to_PEM_cert(der))


@pytest.mark.parametrize(
    "key",
    [
        partial(rsa.generate_private_key, 65537, 3072),
        partial(ec.generate_private_key, ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate,
        ed448.Ed448PrivateKey.generate,
    ],
    ids=["RSA", "P-521", "Ed25519", "Ed448"],
)
def test_roots_of_all_sound_kinds_can_be_installed(tmp_path: Path, key: Callable[[], PrivateKey]) -> None:
    """ISO 15118-20 knows Ed448, too."""
    root = install(TrustStore(tmp_path), USE, signed_by_itself(key()), TERMS)

    assert [name.algorithm for name in root.names] == ["SHA256", "SHA384", "SHA512"]


def test_a_root_that_is_signed_with_an_outdated_hash_is_refused(tmp_path: Path) -> None:
    """A00.FR.504: though nobody checks how a root has signed itself, TLS the least."""
    with pytest.raises(BadCertificate, match="sha1, which is outdated"):
        install(TrustStore(tmp_path), USE, SHA1, TERMS)


def test_one_bad_root_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """As a file that was damaged: TLS goes on with those that can be read."""
    good = Authority.create("Good", tmp_path).root_pem
    bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    context = client_context(TlsSettings(roots_pem=bad + good))

    assert [fingerprint(ssl.DER_cert_to_PEM_cert(each)) for each in context.get_ca_certs(binary_form=True)] == [
        fingerprint(good)
    ]


def test_a_register_that_cannot_be_read_is_an_empty_one(tmp_path: Path) -> None:
    """Then all roots are equal again: the way to the CSMS is what counts."""
    store = TrustStore(tmp_path)
    old = Authority.create("Old", tmp_path)
    terms = TERMS._replace(replace=True, places=("wss://csms",))
    install(store, USE, old.root_pem, terms)
    install(store, USE, old.successor("New").root_pem, terms)
    assert store.fallback(USE) == {fingerprint(old.root_pem)}

    (tmp_path / "register.json").write_bytes(b"\x00")

    assert store.register() == Register()
    assert store.fallback(USE) == frozenset()
    assert store.bundle(USE).count("BEGIN") == 2


def test_a_successor_that_was_damaged_gives_its_place_back(tmp_path: Path) -> None:
    """With nothing else to try first, nobody would come to the one to fall back to."""
    store = TrustStore(tmp_path)
    old = Authority.create("Old", tmp_path)
    terms = TERMS._replace(replace=True, places=("wss://csms",))
    install(store, USE, old.root_pem, terms)
    new = install(store, USE, old.successor("New").root_pem, terms)

    new.file.write_bytes(b"\x00" * 100)

    assert store.fallback(USE) == frozenset()
    assert store.bundle(USE).strip() == old.root_pem.strip()


def test_what_the_file_named_and_somebody_removed_does_not_come_back(tmp_path: Path) -> None:
    """Until the file is changed: whoever does that means what it says; a factory reset begins anew."""
    store = TrustStore(tmp_path)
    first, second = (Authority.create(name, tmp_path).root_pem for name in ("First", "Second"))
    store.take_over(USE, first)
    store.remove(store.held()[0])

    store.take_over(USE, first)
    assert store.held() == []
    store.take_over(USE, first + second)
    assert {each.fingerprint for each in store.held()} == {fingerprint(first), fingerprint(second)}
    store.forget()
    store.take_over(USE, first)
    assert [each.fingerprint for each in store.held()] == [fingerprint(first)]
