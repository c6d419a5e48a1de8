"""The OCA's test cases of block D (local authorization list management; part 6, 2.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.octt.memory import in_local_list, listed
from tests.octt.states import VALID, VALID2

VERSION = 7


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A station whose list is enabled."""
    return Bench(tmp_path, variables={"LocalAuthListCtrlr.Enabled": "true"})


def version(bench: Bench) -> int:
    """What GetLocalListVersion answers."""
    number: int = bench.csms.call("GetLocalListVersion")["versionNumber"]
    return number


def entries(bench: Bench) -> str:
    """LocalAuthListCtrlr.Entries."""
    return bench.station.variables.text("LocalAuthListCtrlr", "Entries")


@pytest.mark.octt("TC_D_01_CS")
@pytest.mark.req("D01.FR.02", "D01.FR.15")
def test_tc_d_01_cs_a_full_list(bench: Bench) -> None:
    update = {"updateType": "Full", "versionNumber": VERSION, "localAuthorizationList": [listed(VALID)]}

    assert bench.csms.call("SendLocalList", update) == {"status": "Accepted"}

    assert version(bench) == VERSION


@pytest.mark.octt("TC_D_02_CS")
@pytest.mark.req("D01.FR.02", "D01.FR.16")
def test_tc_d_02_cs_a_differential_update_adds(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)
    update = {"updateType": "Differential", "versionNumber": VERSION + 1, "localAuthorizationList": [listed(VALID2)]}

    assert bench.csms.call("SendLocalList", update) == {"status": "Accepted"}

    assert version(bench) == VERSION + 1
    assert entries(bench) == "2"


@pytest.mark.octt("TC_D_03_CS")
@pytest.mark.req("D01.FR.02", "D01.FR.17")
def test_tc_d_03_cs_a_differential_update_removes(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)
    gone = {"idToken": {"idToken": VALID, "type": "ISO14443"}}
    update = {"updateType": "Differential", "versionNumber": VERSION + 1, "localAuthorizationList": [gone]}

    assert bench.csms.call("SendLocalList", update) == {"status": "Accepted"}

    assert version(bench) == VERSION + 1
    assert entries(bench) == "0"


@pytest.mark.octt("TC_D_04_CS")
@pytest.mark.req("D01.FR.02", "D01.FR.04")
def test_tc_d_04_cs_a_full_update_without_entries_empties_the_list(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)

    answer = bench.csms.call("SendLocalList", {"updateType": "Full", "versionNumber": VERSION + 3})

    assert answer == {"status": "Accepted"}
    assert version(bench) == VERSION + 3
    assert entries(bench) == "0"


@pytest.mark.octt("TC_D_05_CS")
@pytest.mark.req("D01.FR.02", "D01.FR.05")
def test_tc_d_05_cs_a_differential_update_without_entries_changes_the_version_alone(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)

    answer = bench.csms.call("SendLocalList", {"updateType": "Differential", "versionNumber": VERSION + 1})

    assert answer == {"status": "Accepted"}
    assert version(bench) == VERSION + 1
    assert entries(bench) == "1"


@pytest.mark.octt("TC_D_06_CS")
@pytest.mark.req("D01.FR.19")
def test_tc_d_06_cs_an_older_version_does_not_match(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)
    update = {"updateType": "Differential", "versionNumber": VERSION - 1, "localAuthorizationList": [listed(VALID2)]}

    assert bench.csms.call("SendLocalList", update) == {"status": "VersionMismatch"}

    assert version(bench) == VERSION
    assert entries(bench) == "1"


@pytest.mark.octt("TC_D_07_CS")
@pytest.mark.req("D01.FR.10")
def test_tc_d_07_cs_the_list_survives_a_reboot(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)

    assert bench.csms.call("Reset", {"type": "Immediate"})["status"] == "Accepted"
    bench.advance(seconds=5)

    assert bench.reboots
    assert version(bench) == VERSION
    assert entries(bench) == "1"


@pytest.mark.octt("TC_D_08_CS")
@pytest.mark.req("D02.FR.01")
def test_tc_d_08_cs_the_version_is_told(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)

    assert version(bench) == VERSION


@pytest.mark.octt("TC_D_10_CS")
@pytest.mark.req("D02.FR.03")
def test_tc_d_10_cs_a_disabled_list_has_no_version(bench: Bench) -> None:
    in_local_list(bench, listed(VALID), version=VERSION)

    bench.station.variables.set("LocalAuthListCtrlr", "Enabled", "false")

    assert version(bench) == 0
