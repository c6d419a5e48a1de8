"""The section `keys`, and the store that comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from certs.errors import KeyUnavailable
from certs.file_keys import FileKeys
from certs.keystore import KeyKind
from certs.pkcs11_keys import Pkcs11Keys
from certs.tpm_keys import TpmKeys
from station.commands.keystore import key_store
from tests.unit.test_config import GOOD, Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With a password, and a secret for a store."""
    made = Folder(tmp_path)
    made.secret("pin", "123456\n")
    (tmp_path / "module.so").touch()
    return made


HSM = "keys: {store: pkcs11, module: module.so, token: Station, pin_file: pin}\n"


@pytest.mark.parametrize(
    "section, expected",
    [
        ("{store: tpm}", TpmKeys),
        ("{store: tpm, tcti: 'swtpm:port=2321', parent: 0x81000001, owner_auth_file: pin}", TpmKeys),
        ("{store: pkcs11, module: module.so, token: Station, pin_file: pin}", Pkcs11Keys),
        ("{}", FileKeys),
        ("{passphrase_file: pin, directory: elsewhere}", FileKeys),
    ],
)
def test_each_store_is_made_as_the_file_says(folder: Folder, section: str, expected: type) -> None:
    """Without asking for TPM or token, which may be away when the agent starts."""
    config = folder.load(f"{GOOD}keys: {section}\n")

    store = key_store(config)

    assert type(store) is expected
    assert key_store(config) is store
    assert not config.keys.exists()


@pytest.mark.parametrize(
    "section, expected",
    [
        ("{store: safe}", "keys.store"),
        ("{store: tpm, pin_file: pin}", "the store 'tpm' knows no 'pin_file' - it belongs to 'pkcs11'"),
        ("{tcti: 'device:/dev/tpm0'}", "the store 'file' knows no 'tcti' - it belongs to 'tpm'"),
        ("{store: tpm, parent: 0x40000001}", "keys.parent"),
        ("{store: pkcs11, token: Station, pin_file: pin}", "the store 'pkcs11' needs 'module'"),
        ("{store: pkcs11, module: module.so, pin_file: pin}", "the store 'pkcs11' needs 'token'"),
        ("{store: pkcs11, module: module.so, token: Station}", "the store 'pkcs11' needs 'pin_file'"),
        ("{store: pkcs11, module: gone.so, token: Station, pin_file: pin}", "gone.so: No such file"),
        ("{store: pkcs11, module: module.so, token: Station, pin_file: open}", "is open to everybody"),
        ("{store: pkcs11, module: module.so, token: Station, pin_file: empty}", "one line of plain text"),
        ("{store: tpm, owner_auth_file: lines}", "one line of plain text"),
        ("{passphrase_file: gone}", "gone: No such file"),
    ],
)
def test_what_a_store_does_not_take_is_told(folder: Folder, section: str, expected: str) -> None:
    """All of it before the agent starts."""
    folder.secret("open", "123456", 0o644)
    folder.secret("empty", "")
    folder.secret("lines", "one\ntwo")

    assert expected in "\n".join(folder.mistakes(f"{GOOD}keys: {section}\n"))


def test_a_secret_is_read_anew_each_time_and_its_loss_is_told(folder: Folder, tmp_path: Path) -> None:
    """It may be corrected while the agent runs, or be on a medium that was taken out."""
    store = key_store(folder.load(f"{GOOD}keys: {{passphrase_file: pin}}\n"))
    store.create("station-1", KeyKind.EC_P256)
    (tmp_path / "pin").unlink()

    with pytest.raises(KeyUnavailable, match="pin cannot be read"):
        store.sign("station-1", b"")


def test_a_key_of_the_store_is_named_or_a_file_and_not_both(folder: Folder, tmp_path: Path) -> None:
    """Profile 3 needs one of them."""
    profile_3 = GOOD.replace("security_profile: 1", "security_profile: 3").replace("ws://", "wss://")
    for name in ("chain.pem", "root.pem"):
        (tmp_path / name).touch()
    folder.secret("station.key", "key")
    both = profile_3.replace(
        "  password_file: password", "  ca_file: root.pem\n  certificate: chain.pem\n  key: station-1"
    )

    assert folder.load(both).file.csms.key == "station-1"
    assert "is told twice" in "\n".join(folder.mistakes(both.replace("key: ", "key_file: station.key\n  key: ")))
    assert "needs 'key_file'" in "\n".join(folder.mistakes(both.replace("  key: station-1", "")))
