"""K01: which charging profiles are refused, with which reason; nothing of them stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device_model.build import ConnectorLayout, EvseLayout
from tests.bench import Bench
from tests.csms import EPOCH, later
from tests.scenarios.profiles import DEFAULT, MAX, TX, ask, charge, limit, put
from tests.scenarios.variables import put as set_variable

EXTERNAL = "ChargingStationExternalConstraints"
NOW = EPOCH

WRONG: list[tuple[int, dict[str, Any], str]] = [
    (3, limit(16), "UnknownEvse"),
    (0, limit(16, purpose=EXTERNAL), "InvalidProfile"),
    (1, limit(16, purpose=MAX, start=NOW), "InvalidProfile"),
    (0, limit(16, purpose=MAX), "InvalidProfile"),
    (0, limit(16, purpose=TX, transactionId="any"), "InvalidProfile"),
    (1, limit(16, purpose=TX), "MissingParam"),
    (1, limit(16, purpose=TX, transactionId="any"), "TxNotFound"),
    (1, limit(16, transactionId="any"), "InvalidValue"),
    (1, limit(16, stackLevel=100), "InvalidStackLevel"),
    (1, limit(16, start=NOW, chargingProfileKind="Recurring"), "InvalidProfile"),
    (1, limit(16, start=NOW, recurrencyKind="Daily"), "InvalidProfile"),
    (1, limit(16, chargingProfileKind="Absolute"), "InvalidSchedule"),
    (1, limit(16, chargingProfileKind="Recurring", recurrencyKind="Daily"), "InvalidSchedule"),
    (1, limit(16, start=NOW, chargingProfileKind="Relative"), "InvalidSchedule"),
    (1, limit(16, validFrom=later(60), validTo=later(60)), "InvalidProfile"),
    (1, limit((1, 16)), "InvalidSchedule"),
    (1, limit((0, 16), (60, 8), (60, 6)), "InvalidSchedule"),
    (1, limit((0, 16), (60, 8), (30, 6)), "InvalidSchedule"),
    (1, limit(-1), "InvalidSchedule"),
    (1, limit(16, duration=0), "InvalidSchedule"),
    (1, limit((0, 16, 4)), "InvalidSchedule"),
    (1, limit((0, 16, 3, 1)), "InvalidSchedule"),
    (1, {**limit(16), "chargingSchedule": limit(16)["chargingSchedule"] * 2}, "InvalidProfile"),
]


@pytest.mark.req("K01.FR.28", "K01.FR.09")
@pytest.mark.parametrize("evse, profile, reason", WRONG)
def test_a_profile_that_cannot_be_followed_is_refused(
    bench: Bench, evse: int, profile: dict[str, Any], reason: str
) -> None:
    assert put(bench, profile, evse) == f"Rejected: {reason}"

    assert ask(bench) == "NoProfiles"


@pytest.mark.req("K01.FR.33")
def test_a_profile_for_another_transaction_is_refused(bench: Bench) -> None:
    charge(bench)
    other = charge(bench, 2, "04FFEEDD")

    assert put(bench, limit(16, purpose=TX, transactionId="unknown")) == "Rejected: TxNotFound"
    assert put(bench, limit(16, purpose=TX, transactionId=other)) == "Rejected: TxNotFound"


@pytest.mark.req("K01.FR.26")
@pytest.mark.parametrize("known, other", [("A", "W"), ("W", "A")])
def test_a_unit_that_the_station_does_not_know_is_refused(tmp_path: Path, known: str, other: str) -> None:
    bench = Bench(tmp_path, variables={"SmartChargingCtrlr.RateUnit": known})

    assert put(bench, limit(16, unit=other)) == "Rejected: UnsupportedRateUnit"
    assert put(bench, limit(16, unit=known)) == "Accepted"


def test_more_periods_than_promised_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, variables={"SmartChargingCtrlr.PeriodsPerSchedule": "2"})

    assert put(bench, limit((0, 16), (60, 8), (120, 6))) == "Rejected: TooManyElements"
    assert put(bench, limit((0, 16), (60, 8))) == "Accepted"


def test_when_all_entries_are_taken_only_a_known_one_can_be_replaced(bench: Bench) -> None:
    for number in range(500):
        profile = limit(16, id=number, stackLevel=number % 100, validFrom=later(number), validTo=later(number + 1))
        assert put(bench, profile) == "Accepted"

    assert put(bench, limit(16, id=999, stackLevel=1, validFrom=later(9999))) == "Rejected: TooManyElements"
    assert put(bench, limit(6, id=3, stackLevel=7, validFrom=later(9999))) == "Accepted"


def test_large_profiles_are_taken_as_long_as_there_is_room(bench: Bench) -> None:
    """16 of the largest, and no small one more; one that becomes smaller makes room."""
    largest = [(start, 16.0) for start in range(1024)]
    for number in range(16):
        assert put(bench, limit(*largest, id=number, stackLevel=number)) == "Accepted"

    assert put(bench, limit(16, id=99, stackLevel=50)) == "Rejected: OutOfStorage"
    assert put(bench, limit(16, id=3, stackLevel=3)) == "Accepted"
    assert put(bench, limit(16, id=99, stackLevel=50)) == "Accepted"


@pytest.mark.req("K01.FR.52", "K01.FR.53")
@pytest.mark.parametrize("first, second", [(0, 1), (1, 0)])
def test_a_default_of_the_station_and_one_of_an_evse_do_not_share_a_level(
    bench: Bench, first: int, second: int
) -> None:
    assert put(bench, limit(16, id=1), first) == "Accepted"

    assert put(bench, limit(8, id=2), second) == "Rejected: DuplicateProfile"
    assert put(bench, limit(8, id=2, stackLevel=1), second) == "Accepted"


def test_two_profiles_of_one_level_are_taken_only_if_they_never_meet(bench: Bench) -> None:
    assert put(bench, limit(16, id=1, validTo=later(600))) == "Accepted"

    assert put(bench, limit(8, id=2)) == "Rejected: DuplicateProfile"
    assert put(bench, limit(8, id=2, validFrom=later(599))) == "Rejected: DuplicateProfile"
    assert put(bench, limit(8, id=2, validFrom=later(600))) == "Accepted"
    assert put(bench, limit(8, id=3), 2) == "Accepted"


def test_a_second_profile_of_one_level_for_a_transaction_is_refused(bench: Bench) -> None:
    transaction_id = charge(bench)
    assert put(bench, limit(16, purpose=TX, transactionId=transaction_id)) == "Accepted"

    again = limit(8, purpose=TX, id=2, transactionId=transaction_id)

    assert put(bench, again) == "Rejected: DuplicateProfile"
    assert put(bench, {**again, "stackLevel": 1}) == "Accepted"
    assert put(bench, limit(8, purpose=DEFAULT, id=3)) == "Accepted"


@pytest.mark.req("K01.FR.29")
@pytest.mark.parametrize(
    "action, payload",
    [
        ("SetChargingProfile", {"evseId": 1, "chargingProfile": limit(16)}),
        ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {"stackLevel": 0}}),
        ("ClearChargingProfile", {"chargingProfileId": 1}),
        ("GetCompositeSchedule", {"evseId": 1, "duration": 60}),
    ],
)
def test_a_station_without_smart_charging_says_so(bench: Bench, action: str, payload: dict[str, Any]) -> None:
    set_variable(bench, "SmartChargingCtrlr.Enabled", "false")

    assert bench.csms.refused(action, payload).code == "NotSupported"


# --- phases


def phased(path: Path, *rotations: str, switching: bool = False) -> Bench:
    """A station whose EVSEs are wired like this; `Rxx` has one phase."""
    evses = tuple(
        EvseLayout(phases=3 - each.count("x"), phase_rotation=each, connectors=(ConnectorLayout(type="cType2"),))
        for each in rotations
    )
    return Bench(path, layout={"evses": evses, "phase_switching": switching})


@pytest.mark.req("K01.FR.43")
def test_fewer_phases_than_are_wired_need_a_board_that_can_switch(tmp_path: Path) -> None:
    assert put(phased(tmp_path / "1", "RST"), limit((0, 16, 1))) == "Rejected: InvalidSchedule"
    assert put(phased(tmp_path / "2", "RST", switching=True), limit((0, 16, 1))) == "Accepted"
    assert put(phased(tmp_path / "3", "Rxx"), limit((0, 16, 1))) == "Accepted"


@pytest.mark.req("K01.FR.45")
def test_more_phases_than_are_wired_are_accepted(tmp_path: Path) -> None:
    assert put(phased(tmp_path, "Sxx"), limit((0, 16, 3))) == "Accepted"


@pytest.mark.req("K01.FR.44")
def test_direct_current_knows_no_phases(tmp_path: Path) -> None:
    bench = Bench(tmp_path, layout={"evses": (EvseLayout(phases=0, connectors=(ConnectorLayout(type="cCCS2"),)),)})

    assert put(bench, limit((0, 16, 1, 2))) == "Accepted"


@pytest.mark.req("K01.FR.48", "K01.FR.46")
@pytest.mark.parametrize("switching", [False, True])
def test_another_phase_than_the_one_that_is_used_is_refused(tmp_path: Path, *, switching: bool) -> None:
    bench = phased(tmp_path, "Sxx", "Txx", switching=switching)

    assert put(bench, limit((0, 16, 1, 1))) == "Rejected: InvalidSchedule"
    assert put(bench, limit((0, 16, 1, 2))) == "Accepted"
    assert put(bench, limit((0, 16, 1, 2), id=2, stackLevel=1), 0) == "Rejected: InvalidSchedule"
