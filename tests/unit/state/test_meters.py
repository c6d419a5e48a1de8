"""Readings as sampled values, and what is remembered of them (J01, J02)."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hal.api import MeterReading, PerPhase, SignedText
from station.now import BootId, Instant, Mono, Now, Wall
from station.state.meters import Meters, Sample, never_falling, purpose_of, registers_only, signing, wh
from station.state.sampled import MEASURANDS, REGISTER, Plan, Wanted, plan, sampled_values

FULL = MeterReading(
    sampled_at=0.0,
    energy_import_mwh=1_234_567,
    energy_export_mwh=34_567,
    power_import_w=11_000.0,
    power_export_w=0.0,
    power_import_phase_w=PerPhase(3700.0, 3650.0, 3650.0),
    energy_import_phase_mwh=(400_000, 417_000, 417_567),
    voltage_v=PerPhase(230.1, 229.9, 230.0),
    current_a=PerPhase(16.0, 15.9, 15.8),
    current_neutral_a=0.2,
    frequency_hz=49.98,
    reactive_import_var=120.0,
    energy_reactive_import_mvarh=55_000,
    power_factor=0.99,
    soc_percent=42.0,
)


def figures(
    *measurands: str, reading: MeterReading = FULL, offered_a: float | None = None, listed: Plan | None = None
) -> list[tuple[str | None, float]]:
    """(phase, value) of what is told."""
    wanted = Wanted(plan=listed or plan(measurands), context="Sample.Periodic", offered_a=offered_a)
    return [(value.phase, value.value) for value in sampled_values(reading, wanted)]


@given(st.integers(min_value=0, max_value=10**15))
def test_energy_is_told_in_wh_with_three_decimals_without_losing_any(milli: int) -> None:
    """A milliwatt-hour is never lost or made: the number on the wire gives back the register."""
    ((_, told),) = figures(REGISTER, reading=MeterReading(sampled_at=0.0, energy_import_mwh=milli))

    assert told == wh(milli)
    assert round(told * 1000) == milli


def test_each_figure_is_told_as_what_it_is() -> None:
    """Every measurand there is, of a meter that measures them all."""
    wanted = Wanted(plan=plan(MEASURANDS), context="Sample.Clock", offered_a=10.0)
    told: dict[str, list[float]] = {}
    for value in sampled_values(FULL, wanted):
        told.setdefault(value.measurand or "", []).append(value.value)

    assert told == {
        "Energy.Active.Import.Register": [1234.567, 400, 417, 417.567],
        "Energy.Active.Export.Register": [34.567],
        "Energy.Active.Net": [1200],
        "Energy.Reactive.Import.Register": [55],
        "Power.Active.Import": [11000, 3700, 3650, 3650],
        "Power.Active.Export": [0],
        "Power.Reactive.Import": [120],
        "Power.Factor": [0.99],
        "Power.Offered": [6900],
        "Current.Import": [16, 15.9, 15.8, 0.2],
        "Current.Offered": [10],
        "Voltage": [230.1, 229.9, 230],
        "Frequency": [49.98],
        "SoC": [42],
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_left_out(value: float) -> None:
    """The rest of the reading is told."""
    reading = replace(FULL, power_import_w=value, power_import_phase_w=None)

    assert figures("Power.Active.Import", "Frequency", reading=reading) == [(None, 49.98)]


def test_the_only_phase_would_say_the_same_again() -> None:
    """Power of a meter of one phase; where only phases are measured, the one is told."""
    single = replace(FULL, power_import_phase_w=PerPhase(3700.0))

    assert figures("Power.Active.Import", reading=single) == [(None, 11000.0)]
    assert figures("Power.Active.Import", reading=replace(single, power_import_w=None)) == [("L1", 3700.0)]


def test_the_total_comes_first_and_then_its_phases() -> None:
    """All phases of a configured measurand are told."""
    assert figures(REGISTER) == [(None, 1234.567), ("L1", 400.0), ("L2", 417.0), ("L3", 417.567)]
    assert figures("Power.Active.Import") == [(None, 11000.0), ("L1", 3700.0), ("L2", 3650.0), ("L3", 3650.0)]
    assert figures("Voltage") == [("L1-N", 230.1), ("L2-N", 229.9), ("L3-N", 230.0)]
    assert figures("Current.Import") == [("L1", 16.0), ("L2", 15.9), ("L3", 15.8), ("N", 0.2)]


def test_register_values_without_phases_leaves_the_total() -> None:
    """RegisterValuesWithoutPhases speaks of the register only."""
    listed = plan((REGISTER, "Voltage"), without_phases=True)

    assert [phase for phase, _ in figures(listed=listed)] == [None, "L1-N", "L2-N", "L3-N"]


def test_what_the_meter_does_not_measure_is_left_out() -> None:
    """No value is better than an invented one; unknown measurands are passed over."""
    bare = MeterReading(sampled_at=0.0, energy_import_mwh=1000)

    assert figures(*MEASURANDS, "Energy.Apparent.Net", reading=bare) == [(None, 1.0)]


def test_the_order_is_the_order_of_the_list() -> None:
    """The variable says what comes first."""
    listed = plan(("Frequency", "SoC", REGISTER), without_phases=True)
    wanted = Wanted(plan=listed, context="Trigger")
    values = sampled_values(FULL, wanted)

    assert [value.measurand for value in values] == ["Frequency", "SoC", REGISTER]
    assert {value.context for value in values} == {"Trigger"}


@pytest.mark.req("J02.FR.04")
def test_the_first_value_names_the_context_and_the_others_only_one_that_is_not_the_default() -> None:
    """A value without context is Sample.Periodic: 28 bytes each that need not be said again."""
    wanted = Wanted(plan=plan(("Voltage",)), context="Sample.Periodic")
    ending = replace(wanted, context="Transaction.End")

    assert [value.context for value in sampled_values(FULL, wanted)] == ["Sample.Periodic", None, None]
    assert [value.context for value in sampled_values(FULL, ending)] == ["Transaction.End"] * 3


@pytest.mark.req("J01.FR.07", "J01.FR.09", "J02.FR.03", "J02.FR.05")
def test_units_are_named_where_they_are_not_wh_and_only_soc_is_measured_in_the_vehicle() -> None:
    """Units of the appendix; location EV for SoC alone."""
    wanted = Wanted(plan=plan(MEASURANDS), context="Sample.Clock", offered_a=16.0)
    values = sampled_values(FULL, wanted)
    units = {value.measurand: value.unit_of_measure.unit if value.unit_of_measure else None for value in values}

    assert units[REGISTER] is None
    assert units["Energy.Reactive.Import.Register"] == "varh"
    assert (units["Voltage"], units["Current.Import"], units["Power.Active.Import"]) == ("V", "A", "W")
    assert (units["Frequency"], units["SoC"], units["Power.Factor"]) == ("Hz", "Percent", None)
    assert {value.measurand for value in values if value.location == "EV"} == {"SoC"}


def test_what_is_offered_is_told_in_amperes_and_watts() -> None:
    """Current per phase; power with the voltage that is there."""
    assert figures("Current.Offered", "Power.Offered", offered_a=10.0) == [
        (None, 10.0),
        (None, pytest.approx(6900.0)),
    ]


@pytest.mark.req("J02.FR.21")
def test_a_signed_text_is_passed_on_unchanged_with_the_total_register() -> None:
    """Base64 of the meter's own text; the public key is empty unless it is wanted."""
    signed = SignedText(data='OCMF|{"RV":1}|{}', encoding="OCMF", method="ECDSA-secp256r1-SHA256", public_key="3059")
    reading = MeterReading(sampled_at=0.0, energy_import_mwh=1000, voltage_v=PerPhase(230.0), signed=signed)
    wanted = Wanted(plan=plan((REGISTER, "Voltage")), context="Transaction.End", sign=True)

    register, voltage = sampled_values(reading, wanted)
    with_key = sampled_values(reading, replace(wanted, public_key=True))[0]
    unsigned = sampled_values(reading, replace(wanted, sign=False))[0]

    assert register.signed_meter_value is not None
    assert base64.b64decode(register.signed_meter_value.signed_meter_data).decode() == signed.data
    assert register.signed_meter_value.public_key == ""
    assert with_key.signed_meter_value is not None
    assert base64.b64decode(with_key.signed_meter_value.public_key or "") == b"oca:base16:asn1:3059"
    assert voltage.signed_meter_value is None
    assert unsigned.signed_meter_value is None


def test_one_reading_always_fits_into_one_message() -> None:
    """All measurands on all phases, with the longest text and key that OCPP takes."""
    signed = SignedText(data="x" * 1875, encoding="OCMF", public_key="x" * 1875)
    wanted = Wanted(plan(MEASURANDS), "Interruption.Begin", offered_a=32.0, sign=True, public_key=True)
    values = sampled_values(replace(FULL, signed=signed), wanted)

    assert values[0].signed_meter_value is not None
    assert len(values[0].signed_meter_value.public_key or "") == 2500
    assert len(msgspec.json.encode(values)) < 10_000


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_told(figure: float) -> None:
    """JSON has no word for it: the whole event, and its energy, would never reach the CSMS."""
    broken = replace(FULL, voltage_v=PerPhase(figure, 230.0, 229.0), power_import_w=figure, frequency_hz=figure)

    assert figures("Voltage", reading=broken) == [("L2-N", 230.0), ("L3-N", 229.0)]
    assert figures("Frequency", reading=broken) == []
    assert figures("Power.Active.Import", reading=broken)[0] == ("L1", 3700.0)


def test_the_wish_for_a_signature_is_part_of_the_purpose() -> None:
    """What comes back is recognised with and without."""
    assert signing("begin", sign=True) == "begin+signed"
    assert signing("begin", sign=False) == "begin"
    assert purpose_of("begin+signed") == purpose_of("begin") == "begin"


@pytest.mark.req("J02.FR.16")
def test_a_register_that_fell_keeps_its_height() -> None:
    """The other values of the reading are true all the same."""
    high = MeterReading(sampled_at=0.0, energy_import_mwh=5000)
    low = MeterReading(sampled_at=1.0, energy_import_mwh=4000, power_import_w=7.0)

    kept = never_falling(high, low)

    assert (kept.energy_import_mwh, kept.power_import_w) == (5000, 7.0)
    assert never_falling(None, low) is low
    assert never_falling(low, high) is high


def test_registers_hold_while_voltage_does_not() -> None:
    """What is told of an old reading."""
    kept = registers_only(FULL)

    assert kept.energy_import_mwh == FULL.energy_import_mwh
    assert kept.voltage_v is None
    assert kept.power_import_w is None


def at(mono: float, boot: int = 1) -> Instant:
    return Instant(BootId(boot), Mono(mono))


def test_the_newest_reading_is_remembered_and_has_an_age() -> None:
    """An older one that comes late does not replace it; one of another boot is not fresh."""
    meters = Meters()
    meters.observe(1, Sample(at(10), FULL))
    meters.observe(1, Sample(at(5), MeterReading(sampled_at=5.0, energy_import_mwh=1)))
    now = Now(BootId(1), Mono(12.0), Wall(0.0))

    assert meters.last(1) == Sample(at(10), FULL)
    assert meters.last(2) is None
    assert meters.fresh(1, now, 2.0) is not None
    assert meters.fresh(1, now, 1.0) is None
    assert meters.fresh(1, replace(now, boot=BootId(2)), 60.0) is None


def test_a_reading_of_a_moment_is_one_since_then_in_the_same_boot() -> None:
    """What was read before, or in another boot, is not of that moment."""
    meters, read = Meters(), Sample(at(100), FULL)
    meters.observe(1, read)

    assert meters.read_since(1, BootId(1), Mono(100.0)) is read
    assert meters.read_since(1, BootId(1), Mono(100.1)) is None
    assert meters.read_since(1, BootId(2), Mono(100.0)) is None
    assert meters.read_since(2, BootId(1), Mono(100.0)) is None
