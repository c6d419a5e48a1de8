"""What every key store does the same, wherever it keeps the keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.errors import BadCertificate, KeyExists, KeyUnavailable, NoSuchKey
from certs.file_keys import FileKeys
from certs.keystore import KeyKind, KeyStore, Subject
from certs.pkcs11_keys import Pkcs11Keys, Pkcs11Settings
from tests import hardware
from tests.hardware import PIN, TOKEN, SoftHsm, SoftwareTpm, needs_hsm, needs_tpm

ANNA = Subject("CS0001", "Operator Ltd")
EVERY = ("file", "encrypted", *hardware.STORES)


@contextlib.contextmanager
def opened(kind: str, folder: Path) -> Iterator[KeyStore]:
    """An empty store of a kind."""
    if kind in {"file", "encrypted"}:
        yield FileKeys(folder / "keys", password=lambda: "a long password" if kind == "encrypted" else "")
        return
    with hardware.opened(kind, folder) as (keys, _):
        yield keys


def uses(*each: Callable[[], object]) -> tuple[Callable[[], object], ...]:
    """Ways to use a store, one of which raises nothing only by mistake."""
    return each


@pytest.fixture(params=EVERY)
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    """Each kind of store in turn."""
    with opened(request.param, tmp_path) as store:
        yield store


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_key_signs_and_makes_requests_but_never_changes(keys: KeyStore, kind: KeyKind) -> None:
    """A00.FR.501 to 503: the kinds on offer are strong enough; A02.FR.03: PKCS#10 in PEM with O and CN."""
    keys.create("station-1", kind)

    public = load_der_public_key(keys.public_key("station-1"))
    request = x509.load_pem_x509_csr(keys.csr("station-1", ANNA).encode())
    signature = keys.sign("station-1", b"challenge")

    assert request.is_signature_valid
    assert request.public_key() == public
    assert [part.value for part in request.subject] == ["Operator Ltd", "CS0001"]
    if isinstance(public, ec.EllipticCurvePublicKey):
        assert public.key_size == 256
        public.verify(signature, b"challenge", ec.ECDSA(hashes.SHA256()))
    else:
        assert isinstance(public, rsa.RSAPublicKey)
        assert public.key_size == {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}[kind]
        public.verify(signature, b"challenge", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    with pytest.raises(KeyExists):
        keys.create("station-1", kind)
    assert keys.names() == ["station-1"]


def test_keys_are_known_by_name_and_live_apart(keys: KeyStore) -> None:
    """A02.FR.10: the key of a discarded certificate goes, the others stay."""
    for name in ("old", "new"):
        keys.create(name, KeyKind.EC_P256)
    kept = keys.public_key("new")

    keys.delete("old")

    assert keys.names() == ["new"]
    assert keys.public_key("new") == kept
    keys.create("old", KeyKind.EC_P256)
    assert keys.public_key("old") != kept


def test_a_key_that_is_not_there_cannot_be_used(keys: KeyStore) -> None:
    """One error for all uses."""
    for use in (keys.public_key, keys.tls_key, keys.delete):
        with pytest.raises(NoSuchKey):
            use("station-1")
    with pytest.raises(NoSuchKey):
        keys.sign("station-1", b"")
    with pytest.raises(NoSuchKey):
        keys.csr("station-1", ANNA)


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "x" * 65])
def test_a_name_cannot_leave_the_directory(keys: KeyStore, name: str) -> None:
    """Names may come from configuration."""
    for use in uses(lambda: keys.create(name, KeyKind.EC_P256), lambda: keys.unseal(name), lambda: keys.tls_key(name)):
        with pytest.raises(ValueError, match="not a name"):
            use()


@pytest.mark.parametrize("kind", EVERY)
def test_secrets_are_made_once_and_found_again_by_another_process(kind: str, tmp_path: Path) -> None:
    """What they encrypted must be readable after a restart."""
    if kind in {"file", "encrypted"}:
        with opened(kind, tmp_path) as first, opened(kind, tmp_path) as second:
            assert first.unseal("master") == second.unseal("master")
        return
    with hardware.opened(kind, tmp_path) as (first, place):
        secret = first.unseal("master")
        if isinstance(place, SoftwareTpm):
            place.power_cycle()
            again = place.keys(tmp_path / "keys", hardware.PERSISTENT if kind == "tpm-persistent" else None)
            assert again.unseal("master") == secret
        else:
            assert place.keys(tmp_path / "keys").unseal("master") == secret

        assert len(secret) == 32
        assert first.unseal("another") != secret


@pytest.mark.parametrize("kind", EVERY[1:])
def test_no_file_holds_a_key_or_a_secret_that_can_be_used_without_the_store(kind: str, tmp_path: Path) -> None:
    """A02.FR.05: whoever copies the disk has nothing."""
    with opened(kind, tmp_path) as keys:
        keys.create("station-1", KeyKind.EC_P256)
        secret = keys.unseal("master")

        files = {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}

        assert len(files) == 2
        for name, content in files.items():
            assert secret not in content, name
            assert b"BEGIN PRIVATE KEY" not in content, name
            assert PIN.encode() not in content, name


# A TPM alone


@needs_tpm
def test_a_tpm_that_is_away_is_named_with_a_remedy_and_used_again_when_it_is_back(tmp_path: Path) -> None:
    """Nothing else signs in its place."""
    with SoftwareTpm(tmp_path) as chip:
        keys = chip.keys(tmp_path / "keys")
        keys.create("station-1", KeyKind.EC_P256)
        chip.power_off()

        for use in uses(lambda: keys.sign("station-1", b""), lambda: keys.create("new", KeyKind.EC_P256)):
            with pytest.raises(KeyUnavailable, match="is it there and switched on"):
                use()
        assert keys.names() == ["station-1"]

        chip.power_on()
        assert keys.sign("station-1", b"")


@needs_tpm
def test_nothing_stays_loaded_in_the_tpm(tmp_path: Path) -> None:
    """It holds three keys without a resource manager."""
    with SoftwareTpm(tmp_path) as chip:
        keys = chip.keys(tmp_path / "keys")

        for number in range(5):
            keys.create(f"key-{number}", KeyKind.EC_P256)
            keys.sign(f"key-{number}", b"")
            keys.csr(f"key-{number}", ANNA)
            keys.unseal(f"secret-{number}")

        assert chip.loaded() == 0


@needs_tpm
def test_a_tpm_that_was_cleared_has_lost_its_keys_and_says_so(tmp_path: Path) -> None:
    """The only way on is a new key."""
    with SoftwareTpm(tmp_path) as chip:
        keys = chip.keys(tmp_path / "keys")
        keys.create("station-1", KeyKind.EC_P256)
        keys.unseal("master")
        chip.clear()

        for use in uses(lambda: keys.sign("station-1", b""), lambda: keys.unseal("master")):
            with pytest.raises(KeyUnavailable, match="cleared or replaced"):
                use()


@needs_tpm
def test_with_a_password_of_the_owner_a_persistent_parent_is_made_by_it(tmp_path: Path) -> None:
    """Nobody else can make one in the owner's hierarchy; the keys below it need no password to be used."""
    with SoftwareTpm(tmp_path) as chip:
        chip.take_ownership("the owner's")
        with pytest.raises(KeyUnavailable, match="owner_auth_file"):
            chip.keys(tmp_path / "stranger", hardware.PERSISTENT).create("station-1", KeyKind.EC_P256)

        chip.keys(tmp_path / "keys", hardware.PERSISTENT, "the owner's").create("station-1", KeyKind.EC_P256)

        assert chip.keys(tmp_path / "keys", hardware.PERSISTENT).sign("station-1", b"")


@needs_tpm
@pytest.mark.parametrize(
    "content", ["", "rubbish", "-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n-----END TSS2 PRIVATE KEY-----\n"]
)
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, content: str) -> None:
    """And not one of the TPM."""
    with SoftwareTpm(tmp_path) as chip:
        keys = chip.keys(tmp_path / "keys")
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "station-1.tss2").write_text(content, "ascii")

        for use in uses(lambda: keys.sign("station-1", b""), lambda: keys.public_key("station-1")):
            with pytest.raises(BadCertificate, match="holds no key of a TPM"):
                use()


# A token alone


@needs_hsm
def test_a_wrong_pin_is_tried_once_and_a_corrected_one_is_taken(tmp_path: Path) -> None:
    """A token locks itself after a few wrong ones, and a station tries again for ever."""
    current = "wrong"
    with SoftHsm(tmp_path) as hsm:
        keys = hsm.keys(tmp_path / "keys", lambda: current)

        with pytest.raises(KeyUnavailable, match="wrong PIN"):
            keys.create("station-1", KeyKind.EC_P256)
        with pytest.raises(KeyUnavailable, match="not tried again"):
            keys.names()

        current = PIN
        keys.create("station-1", KeyKind.EC_P256)
        assert keys.names() == ["station-1"]


@needs_hsm
def test_a_secret_that_the_token_did_not_encrypt_is_refused(tmp_path: Path) -> None:
    """A new one would make what the old one encrypted unreadable without a word."""
    with SoftHsm(tmp_path) as hsm:
        keys = hsm.keys(tmp_path / "keys")
        keys.unseal("master")
        file = tmp_path / "keys" / "master.wrapped"
        whole = file.read_bytes()

        for damaged in (whole[:-1], whole[:16], b"", bytes([whole[0] ^ 1]) + whole[1:]):
            file.write_bytes(damaged)
            with pytest.raises(BadCertificate, match="damaged, or another token's"):
                keys.unseal("master")
            assert file.read_bytes() == damaged


@needs_hsm
def test_a_token_that_is_out_is_named_with_a_remedy_and_used_again_when_it_is_back(tmp_path: Path) -> None:
    """Nothing else signs in its place."""
    with SoftHsm(tmp_path) as hsm:
        keys = hsm.keys(tmp_path / "keys")
        keys.create("station-1", KeyKind.EC_P256)
        hsm.take_out()

        with pytest.raises(KeyUnavailable, match="plug"):
            keys.sign("station-1", b"")

        hsm.put_back()
        assert keys.sign("station-1", b"")


@needs_hsm
def test_a_module_that_is_none_is_named(tmp_path: Path) -> None:
    """A path in the configuration is soon wrong."""
    for file, text in (
        (tmp_path / "absent.so", "cannot be loaded"),
        (Path("/lib/x86_64-linux-gnu/libm.so.6"), "is no"),
    ):
        keys = Pkcs11Keys(tmp_path / "keys", Pkcs11Settings(file, TOKEN, str))
        with pytest.raises(KeyUnavailable, match=text):
            keys.names()


# Files with a password


def test_what_was_made_before_there_was_a_password_stays_readable_and_new_keys_are_encrypted(tmp_path: Path) -> None:
    """An operator may add one to a station in the field."""
    plain = FileKeys(tmp_path)
    plain.create("old", KeyKind.EC_P256)
    secret = plain.unseal("master")

    keys = FileKeys(tmp_path, password=lambda: "a long password")
    keys.create("new", KeyKind.EC_P256)

    assert keys.sign("old", b"")
    assert keys.sign("new", b"")
    assert keys.unseal("master") == secret
    assert keys.tls_key("new").password() == "a long password"


def test_a_wrong_password_is_a_clear_error(tmp_path: Path) -> None:
    """And says nothing of what the file holds."""
    keys = FileKeys(tmp_path, password=lambda: "a long password")
    keys.create("station-1", KeyKind.EC_P256)
    keys.unseal("master")

    for password in ("another", ""):
        stranger = FileKeys(tmp_path, password=lambda told=password: told)  # type: ignore[misc]  # one for each turn
        with pytest.raises(BadCertificate, match="is the password right"):
            stranger.sign("station-1", b"")
        with pytest.raises((BadCertificate, ValueError), match=r"is the password right|is damaged"):
            stranger.unseal("master")
