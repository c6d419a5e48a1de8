"""What `check` says of updates before the first one comes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from certs.trust import TrustStore
from station.commands.findings import Finding, Grade
from station.commands.installers.findings import findings
from tests.scenarios.l_firmware.updates import Manufacturer
from tests.scenarios.m_certificates.roots import MANUFACTURER
from tests.unit.test_config import GOOD, Folder


def found(folder: Path, firmware: str, more: str = "") -> list[Finding]:
    """Of a station with this section; a manufacturer's root is there."""
    folder.mkdir(exist_ok=True)
    config = Folder(folder).load(f"{GOOD}{more}firmware: {firmware}\n")
    TrustStore(config.roots).add(MANUFACTURER, Manufacturer(folder / "maker").root.root_pem)
    return list(findings(config))


def test_a_station_that_can_be_updated_is_told_how(tmp_path: Path) -> None:
    assert [(each.grade, each.detail) for each in found(tmp_path / "a", "{command: [sh]}")] == [
        (Grade.OK, "command: sh")
    ]
    (bundle,) = found(tmp_path / "b", "{bundle: {}}")
    assert (bundle.grade, bundle.detail.partition(" in ")[0]) == (Grade.OK, "bundle: versions of the agent")


def test_where_nobody_may_sign_no_update_comes_in(tmp_path: Path) -> None:
    config = Folder(tmp_path).load(f"{GOOD}firmware: {{command: [sh]}}\n")

    assert [each.grade for each in findings(config)] == [Grade.OK, Grade.WARNING]

    config = Folder(tmp_path).load(f"{GOOD}firmware: {{command: [sh], unsigned: true}}\n")

    assert [each.grade for each in findings(config)] == [Grade.OK]


@pytest.mark.parametrize(
    "firmware, detail",
    [
        ("{command: [/nowhere/installer]}", "command: /nowhere/installer is no program"),
        ("{swupdate: {client: [/nowhere/client], running: [echo, A]}}", "swupdate: /nowhere/client is no program"),
        ('{swupdate: {client: [sh], running: ["false"]}}', "which copy runs is not known: 1"),
        ("{rauc: {}}", "RAUC: "),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, firmware: str, detail: str) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")

    told = found(tmp_path / "station", firmware, "reboot_command: [reboot]\n")

    (wrong,) = [each for each in told if each.grade is Grade.ERROR]
    assert wrong.detail.startswith(detail)
    assert wrong.remedy


def test_a_new_system_needs_a_restart_of_the_machine(tmp_path: Path) -> None:
    told = found(tmp_path, "{swupdate: {client: [sh], running: [echo, A]}}")

    assert [each.remedy for each in told if each.grade is Grade.ERROR] == ["add `reboot_command:`"]


def test_compiled_packages_need_a_disk_to_run_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = os.statvfs(tmp_path)
    flags = os.statvfs_result([*usual[:8], usual.f_flag | os.ST_NOEXEC, usual.f_namemax])
    monkeypatch.setattr(os, "statvfs", lambda _path: flags)

    (told,) = found(tmp_path, "{bundle: {}}")

    assert told.grade is Grade.ERROR
    assert "is mounted noexec" in told.detail
