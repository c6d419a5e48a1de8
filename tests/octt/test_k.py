"""The OCA's test cases of block K (smart charging), where the CSMS sets the limits (part 6, 2.12 with its errata).

Each runs with limits in A and in W: for three phases an ampere is 690 W. ISO 15118 is in test_k_iso15118.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from station.blocks.smart_charging.external import ExternalLimit
from tests.bench import Bench
from tests.octt.provisioned import booted, reset
from tests.octt.session import Session
from tests.octt.states import VALID, id_token
from tests.scenarios.profiles import DEFAULT, MAX, TX, ago, ahead, ask, clear, composite, limit, put, reported, written
from tests.scenarios.variables import put as set_variable

Payload = dict[str, Any]
Make = Callable[..., Bench]
PHASES = 3
MULTIPLIER = {"A": 1, "W": 690}
DEVIATION_S = 5
"""How far the clocks of station and tool may be apart; the station's schedules are looked at from here."""
DURATION_S = 3600
PROFILE_ID = 158798

each_unit = pytest.mark.parametrize("unit", ["A", "W"])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with three EVSEs, or as it is wanted."""
    return lambda **more: Bench(tmp_path, **{"evses": 3, **more})


def profile(unit: str, *periods: tuple[int, float], **more: Any) -> Payload:
    """A profile as the cases write it: limits as multiples of 1 A, the number of phases in each period."""
    limits = [(start, amperes * MULTIPLIER[unit], PHASES) for start, amperes in periods or ((0, 6),)]
    return limit(*limits, **{"id": PROFILE_ID, "unit": unit, **more})


def amperes(unit: str, *periods: tuple[int, float]) -> list[tuple[int, float]]:
    """The periods of a composite schedule that are expected."""
    return [(start, float(each * MULTIPLIER[unit])) for start, each in periods]


def assert_reported(bench: Bench, evse: int, *sent: Payload, **criteria: Any) -> None:
    """GetChargingProfiles is Accepted, and what is reported are these profiles, as they were sent."""
    assert ask(bench, **criteria) == "Accepted"
    pages = bench.csms.received("ReportChargingProfiles")
    assert {(page["evseId"], page["requestId"]) for page in pages} == {(evse, 5)}
    assert [page.get("tbc", False) for page in pages] == [True] * (len(pages) - 1) + [False]
    told = [each for page in pages for each in page["chargingProfile"]]
    assert sorted(map(written, told)) == sorted(map(written, sent))


def ids(bench: Bench, *numbers: int, **more: Any) -> str:
    """GetChargingProfiles by id."""
    return ask(bench, *numbers, **more)


# --- setting


@pytest.mark.octt("TC_K_01_CS")
@pytest.mark.req("K01.FR.07", "K01.FR.15", "K09.FR.01")
@each_unit
def test_tc_k_01_cs_default_of_one_evse(make: Make, unit: str) -> None:
    bench = make()
    sent = profile(unit, duration=DURATION_S)

    assert put(bench, sent, 1) == "Accepted"

    assert_reported(bench, 1, sent, chargingProfileId=[PROFILE_ID])


@pytest.mark.octt("TC_K_02_CS")
@pytest.mark.req("K01.FR.09")
def test_tc_k_02_cs_no_transaction(make: Make) -> None:
    sent = profile("A", purpose=TX, transactionId="UNKNOWN-TRANSACTION-ID")

    assert put(make(), sent, 1).startswith("Rejected")


@pytest.mark.octt("TC_K_03_CS")
@pytest.mark.req("K01.FR.07")
@each_unit
def test_tc_k_03_cs_maximum_of_the_station(make: Make, unit: str) -> None:
    bench = make()
    sent = profile(unit, purpose=MAX, start=bench.true_utc, duration=DURATION_S)

    assert put(bench, sent, 0) == "Accepted"

    assert_reported(bench, 0, sent, chargingProfileId=[PROFILE_ID])


@pytest.mark.octt("TC_K_04_CS")
@pytest.mark.req("K01.FR.05")
@each_unit
def test_tc_k_04_cs_replaced_by_its_id(make: Make, unit: str) -> None:
    bench = make()
    put(bench, profile(unit), 1)
    sent = profile(unit, (0, 10))

    assert put(bench, sent, 1) == "Accepted"

    assert_reported(bench, 1, sent, chargingProfileId=[PROFILE_ID])


@pytest.mark.octt("TC_K_10_CS")
@pytest.mark.req("K01.FR.07", "K01.FR.14")
@each_unit
def test_tc_k_10_cs_default_of_all_evses(make: Make, unit: str) -> None:
    bench = make()
    sent = profile(unit, duration=DURATION_S)

    assert put(bench, sent, 0) == "Accepted"

    assert_reported(bench, 0, sent, chargingProfileId=[PROFILE_ID])


@pytest.mark.octt("TC_K_11_CS")
def test_tc_k_11_cs_no_transaction_at_all_evses(make: Make) -> None:
    assert put(make(), profile("A", purpose=TX, transactionId="any"), 0).startswith("Rejected")


@pytest.mark.octt("TC_K_12_CS")
@pytest.mark.req("K01.FR.26")
@each_unit
def test_tc_k_12_cs_unknown_unit(make: Make, unit: str) -> None:
    bench = make(variables={"SmartChargingCtrlr.RateUnit": unit})

    assert put(bench, profile("W" if unit == "A" else "A"), 1).startswith("Rejected")


@pytest.mark.octt("TC_K_13_CS")
@pytest.mark.req("K01.FR.27")
@each_unit
def test_tc_k_13_cs_over_a_reboot(make: Make, unit: str) -> None:
    bench = make()
    sent = profile(unit, duration=DURATION_S)
    assert put(bench, sent, 1) == "Accepted"

    bench.csms.forget()
    assert reset(bench, "Immediate") == "Accepted"
    booted(bench)

    assert_reported(bench, 1, sent, chargingProfileId=[PROFILE_ID])


@pytest.mark.octt("TC_K_14_CS")
@pytest.mark.req("K01.FR.28")
def test_tc_k_14_cs_unknown_evse(make: Make) -> None:
    assert put(make(), profile("A"), 4).startswith("Rejected")


@pytest.mark.octt("TC_K_15_CS")
@pytest.mark.req("K01.FR.29")
def test_tc_k_15_cs_no_smart_charging(make: Make) -> None:
    bench = make(variables={"SmartChargingCtrlr.Enabled": "false"})

    error = bench.csms.refused("SetChargingProfile", {"evseId": 1, "chargingProfile": profile("A")})

    assert error.code == "NotSupported"


@pytest.mark.octt("TC_K_16_CS")
@pytest.mark.req("K01.FR.33")
def test_tc_k_16_cs_unknown_transaction(make: Make) -> None:
    bench = make()
    Session(bench).energy_transfer_started()
    sent = profile("A", purpose=TX, transactionId="UNKNOWN-TRANSACTION-ID")

    assert put(bench, sent, 1).startswith("Rejected")


@pytest.mark.octt("TC_K_19_CS")
@pytest.mark.parametrize("kind", ["Daily", "Weekly"])
def test_tc_k_19_cs_recurring(make: Make, kind: str) -> None:
    bench = make()
    sent = profile("A", start=bench.true_utc, chargingProfileKind="Recurring", recurrencyKind=kind)

    assert put(bench, sent, 1) == "Accepted"


@pytest.mark.octt("TC_K_21_CS")
@pytest.mark.req("K01.FR.36")
@each_unit
def test_tc_k_21_cs_valid_from(make: Make, unit: str) -> None:
    bench = make()
    assert put(bench, profile(unit, validFrom=ahead(bench, 300)), 1) == "Accepted"

    told = composite(bench, 1, 400, unit)

    assert told == amperes(unit, (0, 32), (300, 6))


@pytest.mark.octt("TC_K_22_CS")
@pytest.mark.req("K01.FR.37", "K08.FR.03")
@each_unit
def test_tc_k_22_cs_valid_to(make: Make, unit: str) -> None:
    bench = make()
    bounds = {"validFrom": ago(bench, DEVIATION_S), "validTo": ahead(bench, 300), "start": bench.true_utc}
    assert put(bench, profile(unit, **bounds), 0) == "Accepted"

    for evse in (1, 2, 3):
        assert composite(bench, evse, 400, unit) == amperes(unit, (0, 6), (300, 32))
    assert composite(bench, 0, 400, unit) == amperes(unit, (0, 18), (300, 96))


@pytest.mark.octt("TC_K_23_CS")
@pytest.mark.req("K01.FR.30")
@each_unit
def test_tc_k_23_cs_start_schedule(make: Make, unit: str) -> None:
    bench = make()
    start = ahead(bench, 60 - DEVIATION_S)
    bounds = {"validFrom": ahead(bench, 50 - DEVIATION_S), "validTo": ahead(bench, 400 + DEVIATION_S)}
    assert put(bench, profile(unit, start=start, **bounds), 1) == "Accepted"

    told = composite(bench, 1, 300, unit)

    assert told == amperes(unit, (0, 32), (60 - DEVIATION_S, 6))


@pytest.mark.octt("TC_K_28_CS")
@pytest.mark.req("K01.FR.32")
@each_unit
def test_tc_k_28_cs_default_while_charging(make: Make, unit: str) -> None:
    bench = make()
    set_variable(bench, "SmartChargingCtrlr.LimitChangeSignificance", "1.0")
    Session(bench).energy_transfer_started()
    start = ago(bench, DEVIATION_S)
    bounds = {"validFrom": start, "validTo": ahead(bench, 300 + DEVIATION_S), "start": start}

    assert put(bench, profile(unit, duration=300 + 2 * DEVIATION_S, **bounds), 1) == "Accepted"

    assert composite(bench, 1, 300, unit) == amperes(unit, (0, 6))
    bench.advance(10)
    assert bench.world.evse(1).current_a == 6.0


@pytest.mark.octt("TC_K_60_CS")
@pytest.mark.req("K01.FR.04")
@each_unit
def test_tc_k_60_cs_profile_of_a_transaction(make: Make, unit: str) -> None:
    bench = make()
    session = Session(bench)
    session.energy_transfer_started()
    sent = profile(unit, purpose=TX, transactionId=session.transaction_id)

    assert put(bench, sent, 1) == "Accepted"

    assert_reported(bench, 1, sent, chargingProfileId=[PROFILE_ID])
    bench.advance(10)
    assert bench.world.evse(1).current_a == 6.0


# --- with a remote start


@pytest.mark.octt("TC_K_37_CS")
@pytest.mark.req("F01.FR.10", "F01.FR.13", "K05.FR.03", "E01.FR.02")
@each_unit
@pytest.mark.parametrize("start", ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed"])
def test_tc_k_37_cs_remote_start(make: Make, unit: str, start: str) -> None:
    bench = make(variables={"TxCtrlr.TxStartPoint": start}, layout={"tx_start_points": ("ParkingBayOccupancy", start)})
    session = Session(bench, remote=True)
    session.ev_connected_pre_session()
    sent = profile(unit, purpose=TX)

    answer = bench.csms.call("RequestStartTransaction", request_start(sent))
    assert answer == {"status": "Accepted"} | ({"transactionId": session.transaction_id} if session.running else {})
    bench.advance(2)
    session.is_authorized = True
    session._owed |= {"remoteStartId": 4711, "idToken": id_token(VALID)}
    session.told_authorized()
    session.energy_transfer_started()

    assert_reported(bench, 1, {**sent, "transactionId": session.transaction_id}, chargingProfileId=[PROFILE_ID])
    bench.advance(10)
    assert bench.world.evse(1).current_a == 6.0


def request_start(sent: Payload) -> Payload:
    """RequestStartTransaction with a profile."""
    return {"evseId": 1, "remoteStartId": 4711, "idToken": id_token(VALID), "chargingProfile": sent}


@pytest.mark.octt("TC_K_38_CS")
@pytest.mark.req("F01.FR.12", "F01.FR.13")
def test_tc_k_38_cs_passed_over(make: Make) -> None:
    bench = make(variables={"SmartChargingCtrlr.Enabled": "false"})
    session = Session(bench, remote=True)
    session.ev_connected_pre_session()

    answer = bench.csms.call("RequestStartTransaction", request_start(profile("A", purpose=TX)))

    assert answer["status"] == "Accepted"
    bench.advance(2)
    session.is_authorized = True
    session._owed |= {"remoteStartId": 4711, "idToken": id_token(VALID)}
    session.told_authorized()
    session.energy_transfer_started()
    bench.advance(10)
    assert bench.world.evse(1).current_a == 32.0


# --- clearing


@pytest.mark.octt("TC_K_05_CS")
@pytest.mark.req("K10.FR.03")
def test_tc_k_05_cs_by_id(make: Make) -> None:
    bench = make()
    put(bench, profile("A"), 1)

    assert clear(bench, PROFILE_ID) == "Accepted"

    assert ids(bench, PROFILE_ID) == "NoProfiles"


@pytest.mark.octt("TC_K_06_CS")
@pytest.mark.req("K10.FR.04")
def test_tc_k_06_cs_by_level_and_purpose(make: Make) -> None:
    bench = make()
    put(bench, profile("A", stackLevel=2), 1)
    Session(bench).energy_transfer_started()
    which: Payload = {"chargingProfilePurpose": DEFAULT, "stackLevel": 2}

    assert clear(bench, **which) == "Accepted"

    assert ask(bench, **which) == "NoProfiles"


@pytest.mark.octt("TC_K_07_CS")
@pytest.mark.req("K10.FR.01")
def test_tc_k_07_cs_another_level_and_purpose(make: Make) -> None:
    bench = make()
    put(bench, profile("A", stackLevel=1), 1)

    assert clear(bench, chargingProfilePurpose=MAX, stackLevel=0) == "Unknown"


@pytest.mark.octt("TC_K_08_CS")
@pytest.mark.req("K10.FR.01")
def test_tc_k_08_cs_nothing_to_clear(make: Make) -> None:
    assert clear(make(), PROFILE_ID) == "Unknown"


@pytest.mark.octt("TC_K_09_CS")
@pytest.mark.req("K10.FR.05", "K10.FR.07")
@each_unit
def test_tc_k_09_cs_while_charging(make: Make, unit: str) -> None:
    bench = make()
    set_variable(bench, "SmartChargingCtrlr.LimitChangeSignificance", "1.0")
    start = bench.true_utc
    bounds = {"validFrom": ago(bench, DEVIATION_S), "validTo": ahead(bench, 401 + DEVIATION_S), "start": start}
    put(bench, profile(unit, duration=400 + DEVIATION_S, **bounds), 1)
    Session(bench).energy_transfer_started()
    assert composite(bench, 1, 300, unit) == amperes(unit, (0, 6))

    assert clear(bench, chargingProfilePurpose=DEFAULT) == "Accepted"

    assert composite(bench, 1, 300, unit) == amperes(unit, (0, 32))
    bench.advance(10)
    assert bench.world.evse(1).current_a == 32.0


@pytest.mark.octt("TC_K_24_CS")
@pytest.mark.req("K10.FR.04")
def test_tc_k_24_cs_of_several_evses(make: Make) -> None:
    bench = make()
    put(bench, profile("A", id=1, stackLevel=2), 1)
    put(bench, profile("A", id=2, stackLevel=2), 2)
    which: Payload = {"chargingProfilePurpose": DEFAULT, "stackLevel": 2}

    assert clear(bench, **which) == "Accepted"

    assert ask(bench, **which) == "NoProfiles"


# --- reporting


@pytest.fixture
def installed(make: Make) -> Bench:
    """A maximum of the station (id 1, level 3) and a default of EVSE 2 (id 2, level 4)."""
    bench = make()
    assert put(bench, profile("A", id=1, purpose=MAX, stackLevel=3, start=bench.true_utc), 0) == "Accepted"
    assert put(bench, profile("A", id=2, stackLevel=4), 2) == "Accepted"
    return bench


@pytest.mark.octt("TC_K_29_CS")
@pytest.mark.req("K09.FR.05")
def test_tc_k_29_cs_of_the_station(installed: Bench) -> None:
    assert ask(installed, evse=0) == "Accepted"
    assert reported(installed) == [(0, 1)]


@pytest.mark.octt("TC_K_30_CS")
@pytest.mark.req("K09.FR.04")
def test_tc_k_30_cs_of_one_evse(installed: Bench) -> None:
    assert ask(installed, evse=2) == "Accepted"
    assert reported(installed) == [(2, 2)]


@pytest.mark.octt("TC_K_31_CS")
@pytest.mark.req("K09.FR.01", "K09.FR.02", "K09.FR.06")
def test_tc_k_31_cs_all(installed: Bench) -> None:
    assert ask(installed) == "Accepted"
    pages = installed.csms.received("ReportChargingProfiles")
    assert [page.get("tbc", False) for page in pages] == [True, False]
    assert [page["requestId"] for page in pages] == [5, 5]
    assert reported(installed) == [(0, 1), (2, 2)]


@pytest.mark.octt("TC_K_32_CS")
@pytest.mark.req("K09.FR.06")
def test_tc_k_32_cs_by_id(installed: Bench) -> None:
    assert ask(installed, 1) == "Accepted"
    assert reported(installed) == [(0, 1)]


@pytest.mark.octt("TC_K_33_CS")
@pytest.mark.req("K09.FR.04")
def test_tc_k_33_cs_by_level(installed: Bench) -> None:
    assert ask(installed, evse=2, stackLevel=4) == "Accepted"
    assert reported(installed) == [(2, 2)]
    assert ask(installed, evse=2, stackLevel=3) == "NoProfiles"


@pytest.mark.octt("TC_K_34_CS")
@pytest.mark.req("K09.FR.04")
def test_tc_k_34_cs_by_source(installed: Bench) -> None:
    assert ask(installed, evse=2, chargingLimitSource=["CSO"]) == "Accepted"
    assert reported(installed) == [(2, 2)]
    assert ask(installed, evse=2, chargingLimitSource=["EMS"]) == "NoProfiles"


@pytest.mark.octt("TC_K_35_CS")
@pytest.mark.req("K09.FR.04")
def test_tc_k_35_cs_by_purpose(installed: Bench) -> None:
    session = Session(installed, evse=2)
    session.energy_transfer_started()
    sent = profile("A", id=3, purpose=TX, transactionId=session.transaction_id)
    put(installed, sent, 2)

    assert ask(installed, evse=2, chargingProfilePurpose=TX) == "Accepted"
    assert reported(installed) == [(2, 3)]


@pytest.mark.octt("TC_K_36_CS")
@pytest.mark.req("K09.FR.04")
def test_tc_k_36_cs_by_purpose_and_level(installed: Bench) -> None:
    assert ask(installed, evse=2, chargingProfilePurpose=DEFAULT, stackLevel=4) == "Accepted"
    assert reported(installed) == [(2, 2)]
    assert ask(installed, evse=2, chargingProfilePurpose=DEFAULT, stackLevel=3) == "NoProfiles"


# --- the composite schedule


@pytest.mark.octt("TC_K_39_CS")
@pytest.mark.req("K08.FR.02", "K08.FR.03", "K08.FR.06")
@each_unit
def test_tc_k_39_cs_without_a_profile(make: Make, unit: str) -> None:
    bench = make()

    answer = bench.csms.call("GetCompositeSchedule", {"evseId": 0, "duration": 300, "chargingRateUnit": unit})

    assert answer["status"] == "Accepted"
    schedule = answer["schedule"]
    assert (schedule["evseId"], schedule["duration"], schedule["chargingRateUnit"]) == (0, 300, unit)
    assert datetime.fromisoformat(schedule["scheduleStart"]) == bench.true_utc
    assert [each["startPeriod"] for each in schedule["chargingSchedulePeriod"]] == [0]


@pytest.mark.octt("TC_K_40_CS")
@pytest.mark.req("K08.FR.02", "K08.FR.06")
@each_unit
def test_tc_k_40_cs_stacked(make: Make, unit: str) -> None:
    bench = make()
    bounds = {"validFrom": ago(bench, DEVIATION_S), "validTo": ahead(bench, 401 + DEVIATION_S)}
    start = ago(bench, DEVIATION_S)
    low = profile(unit, (0, 6), (100, 8), (200, 10), id=1, start=start, duration=400 + DEVIATION_S, **bounds)
    high = profile(unit, (0, 7), (100, 9), id=2, stackLevel=1, start=start, duration=150 + DEVIATION_S, **bounds)
    assert put(bench, low, 1) == put(bench, high, 1) == "Accepted"
    bench.advance(1)
    x = DEVIATION_S + 1

    told = composite(bench, 1, 350, unit)

    assert told == amperes(unit, (0, 7), (100 - x, 9), (150 - x + DEVIATION_S, 8), (200 - x, 10))


@pytest.mark.octt("TC_K_41_CS")
@pytest.mark.req("K08.FR.02", "K08.FR.04", "K02.FR.08")
@each_unit
def test_tc_k_41_cs_purposes_combined(make: Make, unit: str) -> None:
    bench = make()
    session = Session(bench)
    session.energy_transfer_started()
    start = ago(bench, DEVIATION_S)
    bounds = {"validFrom": start, "validTo": ahead(bench, 401 + DEVIATION_S), "start": start}
    most = profile(unit, (0, 10), id=1, purpose=MAX, start=start, duration=86400)
    default = profile(unit, (0, 6), (60, 10), (120, 8), (180, 15), (260, 8), id=2, duration=300, **bounds)
    of_tx = {"purpose": TX, "transactionId": session.transaction_id}
    tx = profile(unit, (0, 8), (50, 11), (140, 16), (200, 6), (240, 12), id=3, duration=260, **of_tx, **bounds)
    assert put(bench, most, 0) == put(bench, default, 1) == put(bench, tx, 1) == "Accepted"
    bench.advance(2)
    x = DEVIATION_S + 2

    told = composite(bench, 1, 400, unit)

    expected = [(0, 8), (50 - x, 10), (200 - x, 6), (240 - x, 10), (260 - x, 8), (300 - x, 10)]
    assert told == amperes(unit, *expected)


@pytest.mark.octt("TC_K_42_CS")
@pytest.mark.req("K08.FR.07")
@each_unit
def test_tc_k_42_cs_unknown_unit(make: Make, unit: str) -> None:
    bench = make(variables={"SmartChargingCtrlr.RateUnit": unit})
    request = {"evseId": 0, "duration": 300, "chargingRateUnit": "W" if unit == "A" else "A"}

    answer = bench.csms.call("GetCompositeSchedule", request)

    assert answer["status"] == "Rejected"
    assert "schedule" not in answer


@pytest.mark.octt("TC_K_47_CS")
@pytest.mark.req("K08.FR.05")
def test_tc_k_47_cs_unknown_evse(make: Make) -> None:
    answer = make().csms.call("GetCompositeSchedule", {"evseId": 4, "duration": 300, "chargingRateUnit": "A"})

    assert answer["status"] == "Rejected"
    assert "schedule" not in answer


# --- from elsewhere


@pytest.mark.octt("TC_K_52_CS")
@pytest.mark.req("K12.FR.05")
def test_tc_k_52_cs_external_limit(make: Make) -> None:
    bench = make(variables={"SmartChargingCtrlr.ExternalControlSignalsEnabled": "true"})
    given = ExternalLimit(source="EMS", periods=((0, 16.0),))
    bench._do(bench.station.exchange.ask(lambda now: bench.station.externals.set(given, now), bench.now)[1])
    purpose = "ChargingStationExternalConstraints"

    assert ask(bench, chargingProfilePurpose=purpose) == "Accepted"

    pages = bench.csms.received("ReportChargingProfiles")
    assert {page["requestId"] for page in pages} == {5}
    assert [each["chargingProfilePurpose"] for page in pages for each in page["chargingProfile"]] == [purpose]
