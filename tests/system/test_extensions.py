"""A package of a vendor's, as docs/extending.md shows it: built and installed by pip, found by the agent, and used."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
VENDOR = "com.example.lights"


def block(language: str) -> str:
    """The one block of this language in the page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "extending.md").read_text("utf-8"), re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed it: a directory to be put on the path."""
    source, target = tmp_path_factory.mktemp("lights"), tmp_path_factory.mktemp("installed")
    (source / "pyproject.toml").write_text(block("toml"), "utf-8")
    (source / "example_lights.py").write_text(block("python"), "utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    subprocess.run(  # noqa: S603 - our own arguments
        [*pip, "--no-build-isolation", "--no-deps", "--target", str(target), str(source)], check=True, timeout=120
    )
    return target


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    with LiveCsms(password=PASSWORD) as live:
        yield live


def agent(folder: Path, csms: LiveCsms, path: Path, more: str) -> Agent:
    made = Agent(folder, csms.url, more=more)
    made.environment = {"PYTHONPATH": str(path)}
    return made


@pytest.mark.req("P01.FR.06", "P01.FR.07")
def test_the_extension_of_the_manual_works(tmp_path: Path, csms: LiveCsms, installed: Path) -> None:
    """Its messages, its types, its turns, and its switch."""
    blue = {"red": 0, "green": 0, "blue": 255}
    with agent(tmp_path, csms, installed, "extensions: {lights: {pin: 17}}\n"):
        csms.wait_for("BootNotification")

        def say(message: str, data: object = None) -> dict[str, object]:
            request = {"vendorId": VENDOR, "messageId": message, **({"data": data} if data is not None else {})}
            return csms.call("DataTransfer", request)

        assert say("SetColour", blue) == {"status": "Accepted"}
        assert say("GetColour") == {"status": "Accepted", "data": blue}
        assert say("SetColour", {**blue, "red": 256})["status"] == "Rejected"
        assert say("SetColour", blue)["statusInfo"] == {
            "reasonCode": "Unspecified",
            "additionalInfo": "it has this colour already",
        }
        assert say("SetVolume") == {"status": "UnknownMessageId"}
        shown = csms.call(
            "GetVariables",
            {
                "getVariableData": [
                    {
                        "component": {"name": "CustomizationCtrlr"},
                        "variable": {"name": "CustomImplementationEnabled", "instance": VENDOR},
                    }
                ]
            },
        )
        assert shown["getVariableResult"][0]["attributeValue"] == "true"


def test_what_is_not_named_is_not_used_and_what_is_missing_does_no_harm(
    tmp_path: Path, csms: LiveCsms, installed: Path
) -> None:
    """Neither is a package that is installed thereby wanted, nor does a station stop without one."""
    with agent(tmp_path, csms, installed, "extensions: {sounds: {}}\n") as running:
        csms.wait_for("BootNotification")

        answer = csms.call("DataTransfer", {"vendorId": VENDOR, "messageId": "GetColour"})

        assert answer == {"status": "UnknownVendorId"}
        (line,) = running.until_logged("extension.left_out", extension="sounds")
        assert "no installed package announces it" in line


def test_options_that_are_wrong_leave_it_out(tmp_path: Path, csms: LiveCsms, installed: Path) -> None:
    with agent(tmp_path, csms, installed, "extensions: {lights: {}}\n") as running:
        csms.wait_for("BootNotification")

        assert csms.call("DataTransfer", {"vendorId": VENDOR})["status"] == "UnknownVendorId"
        assert running.until_logged("vendor.not_started", vendor=VENDOR)
