"""docs/security.md says what is so: the tests it names exist, no event of the appendix is left out."""

from __future__ import annotations

import re
from pathlib import Path

from station.blocks.security import CRITICAL

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
APPENDIX = {
    "FirmwareUpdated",
    "FailedToAuthenticateAtCsms",
    "CsmsFailedToAuthenticate",
    "SettingSystemTime",
    "StartupOfTheDevice",
    "ResetOrReboot",
    "SecurityLogWasCleared",
    "ReconfigurationOfSecurityParameters",
    "MemoryExhaustion",
    "InvalidMessages",
    "AttemptedReplayAttacks",
    "TamperDetectionActivated",
    "InvalidFirmwareSignature",
    "InvalidFirmwareSigningCertificate",
    "InvalidCsmsCertificate",
    "InvalidChargingStationCertificate",
    "InvalidTLSVersion",
    "InvalidTLSCipherSuite",
    "MaintenanceLoginAccepted",
    "MaintenanceLoginFailed",
}
ROW = re.compile(r"^\| (\w+) \| ([TL-]) \|", re.MULTILINE)


def sources(folder: str) -> str:
    """All Python text below a folder."""
    return "\n".join(path.read_text("utf-8") for path in sorted((ROOT / folder).rglob("*.py")))


def test_every_test_that_it_names_exists() -> None:
    defined = set(re.findall(r"def (test_\w+)", sources("tests")))
    named = set(re.findall(r"\btest_\w+", PAGE))

    assert named
    assert named <= defined, named - defined


def test_every_event_of_the_appendix_has_its_row_and_is_raised_if_that_says_so() -> None:
    rows = dict(ROW.findall(PAGE))
    code = sources("station/blocks") + sources("station/facts") + (ROOT / "station" / "app.py").read_text("utf-8")
    code += (ROOT / "station" / "engine.py").read_text("utf-8")
    listed = re.search(r"CRITICAL = frozenset\(.*?\n\)", code, re.DOTALL)
    assert listed is not None
    raised = code.replace(listed.group(), "")

    assert rows.keys() >= APPENDIX
    assert {name for name, mark in rows.items() if mark != "-"} == {name for name in rows if f'"{name}"' in raised}
    assert {name for name, mark in rows.items() if mark == "T"} <= CRITICAL
    assert not {name for name, mark in rows.items() if mark == "L"} & CRITICAL
