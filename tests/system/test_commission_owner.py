"""Root commissions for the service's user, who can use what was made, and nobody else can. Needs root."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.file_keys import FileKeys
from certs.throwaway import Authority
from station.cli import main
from station.commands import readable
from station.config import load
from tests.system.test_other_users import NOBODY, as_nobody

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the child takes no lock that a thread may hold
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: root's commissioning needs root"),
]
BASE = """\
station: {identity: CS-1, vendor: Example, model: Wallbox}
csms: {url: "wss://127.0.0.1:9", security_profile: 3, ca_file: root.pem}
state_directory: state
control_socket: control.sock
simulator: {evses: 1}
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As /etc/ocpp-station, whose service's user is `nobody`."""
    monkeypatch.setattr(readable, "USER", "nobody")
    with tempfile.TemporaryDirectory(prefix="ocpp-station-") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "base.yaml").write_text(BASE, "utf-8")
        yield path


def test_key_password_and_file_are_for_the_services_user(folder: Path) -> None:
    """The key's folders, too. The file itself he can read, not write."""
    pki = Authority.create("Root", folder)
    (folder / "root.pem").write_text(pki.root_pem, "ascii")
    given = ["commission", "--config", str(folder / "station.yaml"), "--base", str(folder / "base.yaml"), "--yes"]
    said = {"identity": "CS-1", "vendor": "Example", "model": "Wallbox", "security_profile": "3", "key": "station-1"}
    said |= {"url": "wss://127.0.0.1:9", "ca_file": "root.pem"}
    told = [word for key, value in said.items() for word in ("--set", f"{key}={value}")]
    assert main([*given, *told]) == 3
    (folder / "own.pem").write_text(pki.sign_request((folder / "station-1.csr").read_text("ascii")), "ascii")

    assert main([*given, "--set", "certificate=own.pem"]) == 1

    key = folder / "state/keys/station-1.key"
    assert (key.stat().st_uid, stat.S_IMODE(key.stat().st_mode)) == (NOBODY, 0o600)
    assert as_nobody(lambda: FileKeys(folder / "state/keys").sign("station-1", b"challenge")) == ""
    assert as_nobody(lambda: load(folder / "station.yaml", cached=False)) == ""
    assert as_nobody(lambda: (folder / "state/station.db").write_bytes(b"")) == ""
    assert as_nobody(lambda: (folder / "station.yaml").write_bytes(b"")) == "PermissionError"
