"""Private keys in files."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.errors import BadCertificate
from certs.file_keys import FileKeys
from certs.keystore import KeyKind, KeyStore, Subject

ANNA = Subject("CS0001", "Operator Ltd")


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    """An empty key store in a directory that is made for it."""
    return FileKeys(tmp_path / "new" / "keys")


def test_a_v2g_request_names_its_country_and_domain(keys: KeyStore) -> None:
    """ISO 15118: the SECC's certificate carries more than the station's own."""
    keys.create("v2g", KeyKind.EC_P256)

    request = x509.load_pem_x509_csr(keys.csr("v2g", Subject("DE*ABC*E1", "Operator", "DE", "CPO")).encode())

    assert request.subject.get_attributes_for_oid(NameOID.COUNTRY_NAME)[0].value == "DE"
    assert request.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)[0].value == "CPO"


def test_nobody_else_can_read_keys_and_secrets(tmp_path: Path) -> None:
    """A02.FR.05 as far as files go: 0600 in 0700."""
    keys = FileKeys(tmp_path / "keys")
    keys.create("station-1", KeyKind.EC_P256)
    keys.unseal("database")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}

    assert modes == {"station-1.key": 0o600, "database.secret": 0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_secret_is_made_once_and_found_again(tmp_path: Path) -> None:
    """What it encrypted must be readable after a restart."""
    first = FileKeys(tmp_path).unseal("database")

    assert len(first) == 32
    assert FileKeys(tmp_path).unseal("database") == first
    assert FileKeys(tmp_path).unseal("another") != first


def test_a_damaged_secret_is_reported_not_replaced(tmp_path: Path) -> None:
    """A new one would make the old data unreadable without a word."""
    FileKeys(tmp_path).unseal("database")
    (tmp_path / "database.secret").write_bytes(b"short")

    with pytest.raises(ValueError, match="damaged"):
        FileKeys(tmp_path).unseal("database")

    assert (tmp_path / "database.secret").read_bytes() == b"short"


def test_a_damaged_key_file_is_a_clear_error(tmp_path: Path) -> None:
    """And says nothing of what is in the file."""
    keys = FileKeys(tmp_path)
    (tmp_path / "station-1.key").write_text("rubbish")

    with pytest.raises(BadCertificate, match="no private key"):
        keys.sign("station-1", b"x")


def test_starting_and_connecting_needs_no_cryptography(tmp_path: Path) -> None:
    """It costs 60 ms and 9 MB, and TLS is the standard library's."""
    program = (
        "import sys, pathlib; import certs.tls, certs.trust; from certs.file_keys import FileKeys;"
        "FileKeys(pathlib.Path(sys.argv[1])).unseal('database');"
        "sys.exit('cryptography' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 0  # noqa: S603 - our own interpreter
