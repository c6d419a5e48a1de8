"""The OCA's test cases of block B (provisioning) about network profiles (part 6, 2.3, with its errata)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from station.shell.backoff import BackoffSettings, Redial
from tests.bench import Bench
from tests.octt.provisioned import booted, network_profile, other_slot, reset
from tests.scenarios.variables import get, put

PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"

Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with these variables."""

    def made(variables: dict[str, str] | None = None) -> Bench:
        return Bench(tmp_path, variables=variables or {})

    return made


def migrate(bench: Bench) -> tuple[int, int]:
    """Steps 1 to 4: the other slot gets a profile and the first place; gives both slots."""
    slot, active = other_slot(bench)
    assert bench.csms.call("SetNetworkProfile", network_profile(slot))["status"] == "Accepted"
    assert put(bench, PRIORITY, f"{slot},{active}") in {"Accepted", "RebootRequired"}
    return slot, active


def dialled(bench: Bench, *, silent: list[int]) -> list[tuple[int, float]]:
    """What the link does by the station's profiles and variables: (slot, seconds waited before) until one answers.

    `silent`: slots whose endpoint does not answer, one entry for each attempt that it lets pass.
    """
    number = bench.station.variables.integer
    settings = BackoffSettings(
        wait_minimum_s=number("OCPPCommCtrlr", "RetryBackOffWaitMinimum"),
        random_range_s=number("OCPPCommCtrlr", "RetryBackOffRandomRange"),
        repeat_times=number("OCPPCommCtrlr", "RetryBackOffRepeatTimes"),
        attempts_per_profile=number("OCPPCommCtrlr", "NetworkProfileConnectionAttempts"),
    )
    slots = [profile.slot for profile in bench.station.network.profiles()]
    redial = Redial(slots, settings, random.Random(1))  # noqa: S311 - chance that a test can repeat
    tried: list[tuple[int, float]] = []
    while True:
        slot = redial.slot
        assert slot is not None
        tried.append((slot, redial.wait_s))
        if slot not in silent:
            return tried
        silent.remove(slot)
        redial.failed()


@pytest.mark.octt("TC_B_43_CS")
@pytest.mark.req("B09.FR.05")
def test_tc_b_43_cs(make: Make) -> None:
    """A slot that is not there."""
    assert make().csms.call("SetNetworkProfile", network_profile(999))["status"] == "Rejected"


@pytest.mark.octt("TC_B_45_CS")
@pytest.mark.req("B09.FR.01", "B10.FR.01", "B10.FR.04")
def test_tc_b_45_cs(make: Make) -> None:
    """Migration to another profile: after the reset the station connects by it."""
    bench = make()
    slot, _ = migrate(bench)

    assert reset(bench) == "Accepted"

    booted(bench)
    assert get(bench, "OCPPCommCtrlr.ActiveNetworkProfile") == str(slot)


@pytest.mark.octt("TC_B_46_CS")
@pytest.mark.req("B10.FR.03", "B10.FR.04")
def test_tc_b_46_cs(make: Make) -> None:
    """The first entry does not answer NetworkProfileConnectionAttempts times: the second one."""
    bench = make({"OCPPCommCtrlr.NetworkProfileConnectionAttempts": "2"})
    slot, active = migrate(bench)
    bench.unreachable = {slot}

    assert reset(bench) == "Accepted"

    assert [each for each, _ in dialled(bench, silent=[slot] * 9)] == [slot, slot, active]
    booted(bench)
    assert get(bench, "OCPPCommCtrlr.ActiveNetworkProfile") == str(active)


@pytest.mark.octt("TC_B_49_CS")
@pytest.mark.req("B10.FR.03", "B10.FR.08", "B10.FR.09")
def test_tc_b_49_cs(make: Make) -> None:
    """No entry answers: the station goes on with the list, never sooner than RetryBackOffWaitMinimum."""
    bench = make(
        {
            "OCPPCommCtrlr.NetworkProfileConnectionAttempts": "1",
            "OCPPCommCtrlr.RetryBackOffRepeatTimes": "0",
            "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
            "OCPPCommCtrlr.RetryBackOffWaitMinimum": "7",
        }
    )
    slot, active = migrate(bench)
    bench.unreachable = {slot}

    assert reset(bench) == "Accepted"

    tried = dialled(bench, silent=[slot] * 9 + [active])
    assert [each for each, _ in tried] == [slot, active, slot, active]
    assert min(waited for _, waited in tried[1:]) >= 7
    booted(bench)
