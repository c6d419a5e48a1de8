"""The OCA's test cases of block A (security) about network profiles and their level (part 6, 2.2, with its errata)."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.state.network import NetworkProfile
from tests.bench import Bench
from tests.octt.provisioned import booted, network_profile, other_slot, reset
from tests.scenarios.variables import get, put

PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"
ALL = frozenset({"CSMSRootCertificate", "ChargingStationCertificate"})


def station(path: Path, level: int = 1, certificates: frozenset[str] = ALL) -> Bench:
    profile = NetworkProfile(slot=0, url=f"{'ws' if level == 1 else 'wss'}://csms.example", security_profile=level)
    return Bench(path, layout={"security_profile": level}, profiles=(profile,), certificates=certificates)


@pytest.mark.octt("TC_A_19_CS")
@pytest.mark.req("A05.FR.04", "A05.FR.05", "A05.FR.06")
@pytest.mark.parametrize("level", [1, 2])
def test_tc_a_19_cs(tmp_path: Path, level: int) -> None:
    """Upgrade of the security profile: connected by it, the slot of the lower one is gone, and stays so."""
    bench = station(tmp_path, level)
    slot, active = other_slot(bench)

    answer = bench.csms.call("SetNetworkProfile", network_profile(slot, level + 1))
    assert answer["status"] == "Accepted"
    assert put(bench, PRIORITY, f"{slot},{active}") in {"Accepted", "RebootRequired"}
    assert reset(bench) == "Accepted"

    booted(bench)
    assert get(bench, "SecurityCtrlr.SecurityProfile") == str(level + 1)
    assert str(active) not in get(bench, PRIORITY).split(",")
    bench.csms.disconnect()
    assert {profile.security_profile for profile in bench.station.network.profiles()} == {level + 1}
    bench.csms.connect()
    assert get(bench, "OCPPCommCtrlr.ActiveNetworkProfile") == str(slot)


@pytest.mark.octt("TC_A_20_CS")
@pytest.mark.req("A05.FR.02")
@pytest.mark.parametrize("level", [2, 3])
def test_tc_a_20_cs(tmp_path: Path, level: int) -> None:
    """Without a CSMSRootCertificate the order of the slots cannot lead to TLS."""
    bench = station(tmp_path, 1, frozenset())
    slot, active = other_slot(bench)

    answer = bench.csms.call("SetNetworkProfile", network_profile(slot, level))
    assert answer["status"] in {"Accepted", "Rejected"}
    assert put(bench, PRIORITY, f"{slot},{active}") == "Rejected"


@pytest.mark.octt("TC_A_21_CS")
@pytest.mark.req("A05.FR.03")
@pytest.mark.parametrize("level", [1, 2])
def test_tc_a_21_cs(tmp_path: Path, level: int) -> None:
    """Without a ChargingStationCertificate it cannot lead to profile 3."""
    bench = station(tmp_path, level, frozenset({"CSMSRootCertificate"}))
    slot, active = other_slot(bench)

    assert bench.csms.call("SetNetworkProfile", network_profile(slot, 3))["status"] == "Accepted"
    assert put(bench, PRIORITY, f"{slot},{active}") == "Rejected"


@pytest.mark.octt("TC_A_22_CS")
@pytest.mark.req("B09.FR.04")
@pytest.mark.parametrize("level", [2, 3])
def test_tc_a_22_cs(tmp_path: Path, level: int) -> None:
    """A profile with security profile 1 is rejected while 2 or 3 is in use."""
    bench = station(tmp_path, level)
    slot, _ = other_slot(bench)

    assert bench.csms.call("SetNetworkProfile", network_profile(slot, 1))["status"] == "Rejected"
