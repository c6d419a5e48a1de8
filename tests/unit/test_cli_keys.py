"""`ocpp-station keys`, with keys in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from station.cli import main
from tests.unit.test_config import GOOD, Folder


@pytest.fixture
def config(tmp_path: Path) -> str:
    """The path of a station.yaml, as an argument."""
    folder = Folder(tmp_path)
    folder.file.write_text(GOOD + "keys: {kind: rsa-2048}\n", "utf-8")
    return str(folder.file)


def test_a_key_is_made_and_a_request_for_it(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the kind that the file says, with the serial number as common name and the vendor as organisation."""
    assert main(["keys", "create", "station-1", "--config", config]) == 0
    assert main(["keys", "list", "--config", config]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "station-1"

    assert main(["keys", "csr", "station-1", "--config", config]) == 0
    request = x509.load_pem_x509_csr(capsys.readouterr().out.encode())

    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert isinstance(request.public_key(), rsa.RSAPublicKey)
    assert request.subject.rfc4514_string() == "CN=0042,O=Example"


def test_a_key_is_destroyed_unless_the_station_connects_with_it(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That takes a second word."""
    for name in ("old", "used"):
        assert main(["keys", "create", name, "--config", config]) == 0
    (tmp_path / "state" / "certificates").mkdir(parents=True, exist_ok=True)
    (tmp_path / "state" / "certificates" / "used.pem").touch()

    assert main(["keys", "delete", "old", "--config", config]) == 0
    assert main(["keys", "delete", "used", "--config", config]) == 1
    assert "the station connects with 'used'" in capsys.readouterr().err

    assert main(["keys", "delete", "used", "--yes", "--config", config]) == 0
    assert main(["keys", "list", "--config", config]) == 0
    assert capsys.readouterr().out.endswith("used is destroyed\n")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["csr", "gone"], 1, "there is no key 'gone'"),
        (["create", "../gone"], 1, "not a name for a key"),
        (["create", "twice"], 1, "there is a key 'twice' already"),
        (["create"], 2, "of which key?"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_remedy(
    config: str, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    """No traceback for people."""
    assert main(["keys", "create", "twice", "--config", config]) == 0

    assert main(["keys", *words, "--config", config]) == code

    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_user_does_not_make_keys_that_the_agent_cannot_read(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installer is root, the agent is not."""
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 12345, 12345)

    assert main(["keys", "create", "station-1", "--config", config]) == 1

    assert "runuser -u ocpp-station" in capsys.readouterr().err
    assert not (tmp_path / "state" / "keys").exists()
