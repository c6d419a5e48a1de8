"""docs/update.md: what it shows can be typed, and what it says of signatures is what the agent believes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.signature import check
from station.commands import line
from tests.bundles import bundle
from tests.scenarios.l_firmware.updates import Manufacturer
from tests.unit.test_config import GOOD, Folder

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "update.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(
    r"^    (\S.*)$", re.sub(r"^```yaml\n.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_agent_accepts_what_the_page_configures(tmp_path: Path, block: str) -> None:
    """An installer, or how the machine restarts."""
    file = Folder(tmp_path).load(GOOD + block).file

    assert file.firmware is not None or file.reboot_command


@pytest.mark.parametrize("key", ["rauc", "swupdate", "command"])
def test_the_agent_accepts_the_other_installers_of_the_page(tmp_path: Path, key: str) -> None:
    """Commented out on the page."""
    block = re.sub(
        rf"^  # ({key}:.*)$", r"  \1", re.sub(r"^  bundle:.*\n", "", BLOCKS[0], flags=re.MULTILINE), flags=re.MULTILINE
    )

    found = Folder(tmp_path).load(GOOD + block).file.firmware

    assert getattr(found, key) is not None


def test_every_command_of_the_page_is_known() -> None:
    """Those of the agent to its own parser; the files that others name are there."""
    parser = line._parser()
    ours = [each for each in COMMANDS if each.startswith("ocpp-station ")]
    others = [each.split()[0] for each in COMMANDS if each not in ours]

    for command in ours:
        parser.parse_args(command.split()[1:])

    assert len(ours) == 3
    assert others == ["pip", "openssl", "systemctl"]
    assert (ROOT / "requirements.lock").exists()


@pytest.mark.parametrize("kind", ["elliptic curve", "RSA"])
def test_what_openssl_signs_as_the_page_says_is_believed(tmp_path: Path, kind: str) -> None:
    key = rsa.generate_private_key(65537, 3072) if kind == "RSA" else None
    maker = Manufacturer(tmp_path / "maker", key)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "signer.key").write_bytes(maker.key.private_bytes(*pem))
    file = bundle(tmp_path / "ocpp-station.bundle")
    (command,) = [each for each in COMMANDS if each.startswith("openssl")]
    command = command.replace("build/ocpp-station.bundle", str(file))
    if kind == "RSA":
        assert "`-sigopt rsa_padding_mode:pss`" in PAGE
        command = command.replace("-sign", "-sigopt rsa_padding_mode:pss -sign")

    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S603, S607 - the page's command

    check(file, maker.certificate, done.stdout)
