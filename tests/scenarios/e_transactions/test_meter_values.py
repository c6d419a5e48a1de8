"""E02 to E15, F01 to F04: whichever way a transaction takes, it tells its meter: first, on the way, at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from station.facts import VehicleStopped
from tests.bench import MEASURANDS as EVERYTHING
from tests.bench import Bench
from tests.octt.signed import signatures
from tests.scenarios.e_transactions.story import CARD, OTHER_CARD, bench, invalid, remote_start, told, values

Play = Callable[[Bench, int], None]

BOTH = ("EVConnected", "EVConnected,Authorized")
UNKNOWN_MAY = {"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"}


def charge(station: Bench, seconds: int) -> None:
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(seconds)


def local(station: Bench, seconds: int) -> None:
    """E02, E07: the cable first; the card ends it."""
    charge(station, seconds)
    station.evse(1).present_token(CARD)


def card_first(station: Bench, seconds: int) -> None:
    """E03: the card first; the EVSE is not known before the cable is in."""
    station.evse(1).present_token(CARD)
    station.advance(5)
    station.evse(1).plug_in()
    station.advance(seconds)
    station.evse(1).present_token(CARD)


def started_offline(station: Bench, seconds: int) -> None:
    """E04: the link comes back while it charges."""
    station.csms.disconnect()
    charge(station, seconds // 2)
    station.csms.connect()
    station.advance(seconds - seconds // 2)
    station.evse(1).present_token(CARD)


def card_first_offline(station: Bench, seconds: int) -> None:
    """E04: the same, and the EVSE was not known at its start."""
    station.csms.disconnect()
    card_first(station, seconds)
    station.advance(5)
    station.csms.connect()


def not_accepted(station: Bench, seconds: int) -> None:
    """E05: the CSMS does not accept the token; the cable ends it."""
    station.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    charge(station, seconds)
    station.evse(1).unplug()


def not_accepted_card_first(station: Bench, seconds: int) -> None:
    """E05: the same with the card first."""
    station.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    station.evse(1).present_token(CARD)
    station.evse(1).plug_in()
    station.advance(seconds)
    station.evse(1).unplug()


def stopped_offline(station: Bench, seconds: int) -> None:
    """E08."""
    charge(station, seconds)
    station.csms.disconnect()
    station.evse(1).present_token(CARD)
    station.advance(5)
    station.csms.connect()


def pulled(station: Bench, seconds: int) -> None:
    """E09: the cable is pulled off the vehicle, which ends the authorization."""
    charge(station, seconds)
    station.evse(1).unplug()


def pulled_and_back(station: Bench, seconds: int) -> None:
    """E10: the cable is pulled off the vehicle and put back; the card ends it."""
    charge(station, seconds)
    station.evse(1).unplug()
    station.advance(10)
    station.evse(1).plug_in()
    station.advance(10)
    station.evse(1).present_token(CARD)


def lost_on_the_way(station: Bench, seconds: int) -> None:
    """E11: the link is lost for some minutes while it charges."""
    charge(station, 10)
    station.csms.disconnect()
    station.advance(seconds - 10)
    station.csms.connect()
    station.evse(1).present_token(CARD)


def all_offline(station: Bench, seconds: int) -> None:
    """E12: from the start to the end."""
    station.csms.disconnect()
    local(station, seconds)
    station.advance(5)
    station.csms.connect()


def vehicle_ends(station: Bench, seconds: int) -> None:
    """E15: the vehicle ends its session."""
    charge(station, seconds)
    station.hardware.tell(VehicleStopped(evse_id=1, at=station.now.instant))
    station.settle()


def from_afar(station: Bench, seconds: int) -> None:
    """F01, F03: the cable first; the CSMS starts and stops it."""
    station.evse(1).plug_in()
    station.csms.call("RequestStartTransaction", remote_start())
    station.advance(seconds)
    stop_from_afar(station)


def from_afar_first(station: Bench, seconds: int) -> None:
    """F02, F03: the CSMS first; the EVSE shows with the cable."""
    station.csms.call("RequestStartTransaction", remote_start())
    station.advance(5)
    station.evse(1).plug_in()
    station.advance(seconds)
    stop_from_afar(station)


def stopped_from_afar_and_pulled(station: Bench, seconds: int) -> None:
    """F04: the CSMS ends the energy, the cable the transaction."""
    charge(station, seconds)
    stop_from_afar(station)
    station.advance(5)
    station.evse(1).unplug()


def stop_from_afar(station: Bench) -> None:
    running = station.events()[-1]["transactionInfo"]["transactionId"]
    station.csms.call("RequestStopTransaction", {"transactionId": running})


class Way(NamedTuple):
    """A way through a transaction: what is proven by its record, by its signatures, by what it leaves out."""

    play: Play
    points: tuple[str, str]
    record: tuple[str, ...]
    signed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}


AUTHORIZED = ("Authorized", "EVConnected,Authorized")
NOT_STOPPED = {"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "900000"}

WAYS = [
    Way(local, BOTH, (), ("E02.FR.14", "E07.FR.12"), ("E06.FR.12", "E07.FR.09", "E07.FR.10")),
    Way(card_first, AUTHORIZED, (), ("E03.FR.10",)),
    Way(started_offline, BOTH, ("E04.FR.05", "E04.FR.06"), ("E04.FR.10",), (), UNKNOWN_MAY),
    Way(card_first_offline, AUTHORIZED, ("E04.FR.06", "E04.FR.11"), ("E04.FR.10",), (), UNKNOWN_MAY),
    Way(not_accepted, BOTH, ("E05.FR.04", "E05.FR.05"), ("E05.FR.06",), (), NOT_STOPPED),
    Way(not_accepted_card_first, AUTHORIZED, ("E05.FR.04", "E05.FR.08"), ("E05.FR.06",), (), NOT_STOPPED),
    Way(stopped_offline, BOTH, ("E08.FR.09",), ("E08.FR.12",), ("E08.FR.10", "E08.FR.11")),
    Way(
        pulled,
        ("EVConnected", "Authorized"),
        ("E09.FR.04", "E09.FR.05"),
        ("E09.FR.08",),
        ("E09.FR.06", "E09.FR.07"),
        {"TxCtrlr.StopTxOnEVSideDisconnect": "true"},
    ),
    Way(
        pulled_and_back,
        ("EVConnected", "Authorized"),
        ("E10.FR.03", "E10.FR.04"),
        ("E10.FR.07",),
        ("E10.FR.05", "E10.FR.06"),
        {"TxCtrlr.StopTxOnEVSideDisconnect": "false"},
    ),
    Way(lost_on_the_way, BOTH, (), ("E11.FR.08",)),
    Way(
        all_offline,
        BOTH,
        ("E12.FR.03", "E12.FR.07"),
        ("E12.FR.10",),
        ("E12.FR.08", "E12.FR.09"),
        UNKNOWN_MAY,
    ),
    Way(vehicle_ends, ("EVConnected", "PowerPathClosed"), ("E15.FR.01",), (), ("E15.FR.02", "E15.FR.03")),
    Way(from_afar, BOTH, ("F01.FR.14", "F01.FR.15", "F03.FR.04"), (), ("F03.FR.05", "F03.FR.06")),
    Way(from_afar_first, AUTHORIZED, ("F02.FR.02", "F02.FR.03", "F03.FR.04")),
    Way(
        stopped_from_afar_and_pulled,
        ("EVConnected", "EVConnected"),
        ("F04.FR.04",),
        (),
        ("F04.FR.05", "F04.FR.06"),
    ),
]


def ways(claims: Callable[[Way], tuple[str, ...]], *, all_of_them: bool = False) -> list[Any]:
    """The ways that prove something, each with its claims."""
    return [
        pytest.param(way, id=way.play.__name__, marks=[pytest.mark.req(*claims(way))] if claims(way) else [])
        for way in WAYS
        if claims(way) or all_of_them
    ]


MEASURANDS = {
    "SampledDataCtrlr.TxStartedMeasurands": "Energy.Active.Import.Register,Voltage",
    "SampledDataCtrlr.TxUpdatedMeasurands": "Power.Active.Import,Energy.Active.Import.Register",
    "SampledDataCtrlr.TxEndedMeasurands": "Energy.Active.Import.Register,Current.Import",
    "SampledDataCtrlr.TxUpdatedInterval": "30",
}


def record(path: Path, way: Way, seconds: int, variables: Mapping[str, str], **more: Any) -> Bench:
    """The station after this way, with everything delivered."""
    given = {**way.variables, **variables}
    station = bench(path, *way.points, variables=given, boot=False, **more)
    station.world.meter(1, energy_import_wh=123_456.789)
    station.boot()
    way.play(station, seconds)
    station.advance(5)
    assert told(station)[-1].startswith("Ended/")
    return station


def measurands(event: Mapping[str, Any], context: str) -> set[str]:
    """What the meter values of one context measure."""
    return {
        sampled["measurand"]
        for meter_value in event.get("meterValue", ())
        for sampled in meter_value["sampledValue"]
        if sampled.get("context", "Sample.Periodic") == context
    }


@pytest.mark.parametrize("way", ways(lambda way: way.record, all_of_them=True))
def test_the_configured_measurands_are_told_in_each_event(tmp_path: Path, way: Way) -> None:
    """Begin where the EVSE is known first, a sample each half minute, both ends in Ended; seqNo without gap."""
    station = record(tmp_path, way, 100, MEASURANDS)
    events = station.events()
    begin = next(event for event in events if "evse" in event)
    periodic = [event for event in events if event["triggerReason"] == "MeterValuePeriodic"]
    ended = events[-1]
    last_wh = station.evse(1).energy_wh

    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert measurands(begin, "Transaction.Begin") == {"Energy.Active.Import.Register", "Voltage"}
    assert [wh for _, wh in values(begin, "Transaction.Begin")] == [123_456.789]
    assert [event for event in events[:-1] if measurands(event, "Transaction.Begin")] == [begin]
    assert len(periodic) >= 3
    for event in periodic:
        assert measurands(event, "Sample.Periodic") == {"Power.Active.Import", "Energy.Active.Import.Register"}
    assert measurands(ended, "Transaction.Begin") >= {"Energy.Active.Import.Register"}
    assert measurands(ended, "Transaction.End") >= {"Energy.Active.Import.Register"}
    assert [wh for _, wh in values(ended, "Transaction.Begin")] == [123_456.789]
    assert [wh for _, wh in values(ended, "Transaction.End")] == [last_wh]


SIGNED = {
    "SampledDataCtrlr.SignReadings": "true",
    "SampledDataCtrlr.TxUpdatedInterval": "30",
    "SampledDataCtrlr.TxEndedInterval": "60",
}


@pytest.mark.parametrize("way", ways(lambda way: way.signed))
def test_every_register_is_signed_by_the_meter_and_the_signatures_hold(tmp_path: Path, way: Way) -> None:
    """Checked with the meter's public key; what was signed is what is told beside it, and names the driver."""
    station = record(tmp_path, way, 100, SIGNED, signing=True)
    events = station.events()
    registers = [each for event in events for each in contexts(event)]
    signed = [each for event in events for each in signatures(event)]
    ended = list(signatures(events[-1]))

    assert [context for context, _, _ in signed] == registers
    assert {"Transaction.Begin", "Sample.Periodic", "Transaction.End"} <= set(registers)
    for _, wh, payload in signed:
        assert payload["RD"][-1]["RV"] == pytest.approx(wh / 1000, abs=1e-9)
    assert [r["TX"] for r in ended[0][2]["RD"]] == ["B"]
    assert [r["TX"] for r in ended[-1][2]["RD"]] == ["B", "E"]
    assert ended[-1][2]["ID"] == CARD


def contexts(event: Mapping[str, Any]) -> list[str]:
    """The contexts of the total import registers of an event."""
    return [
        sampled.get("context", "Sample.Periodic")
        for meter_value in event.get("meterValue", ())
        for sampled in meter_value["sampledValue"]
        if sampled["measurand"] == "Energy.Active.Import.Register" and "phase" not in sampled
    ]


@pytest.mark.parametrize("way", ways(lambda way: way.dropped))
def test_when_there_are_too_many_values_for_ended_those_in_between_are_thinned(tmp_path: Path, way: Way) -> None:
    """A value each second: every second one goes; first and last stay, and what is left lies all over the time."""
    variables = {"SampledDataCtrlr.TxEndedInterval": "1", "SampledDataCtrlr.TxUpdatedInterval": "0"}
    station = record(tmp_path, way, 260, variables)
    ended = station.events()[-1]
    times = [at for at, _ in values(ended, "Sample.Periodic")]
    gaps = {(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)}

    assert 100 <= len(times) <= 200
    assert gaps - {10.0, 20.0} <= {1.0, 2.0, 3.0}
    assert 2.0 in gaps
    assert (times[-1] - times[0]).total_seconds() >= 255
    assert len(values(ended, "Transaction.Begin")) == len(values(ended, "Transaction.End")) == 1


@pytest.mark.parametrize("way", ways(lambda way: way.dropped))
def test_an_ended_too_big_for_a_message_loses_values_in_between(tmp_path: Path, way: Way) -> None:
    """All phases of everything, each second: what fits is told, evenly over the whole time, with first and last."""
    variables = {
        "SampledDataCtrlr.TxEndedInterval": "1",
        "SampledDataCtrlr.TxUpdatedInterval": "0",
        "SampledDataCtrlr.TxEndedMeasurands": ",".join(EVERYTHING),
    }
    station = record(tmp_path, way, 180, variables)
    ended = station.events()[-1]
    times = [at for at, _ in values(ended, "Sample.Periodic")]
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]

    assert 20_000 < len(msgspec.json.encode(ended)) < 65_536
    assert 10 <= len(times) < 100
    assert max(gaps) <= 2 * min(gaps)
    assert (times[-1] - times[0]).total_seconds() >= 140
    assert contexts(ended)[0] == "Transaction.Begin"
    assert contexts(ended)[-1] == "Transaction.End"


@pytest.mark.req("E08.FR.02", "E08.FR.03")
def test_a_card_of_the_same_group_stops_offline_and_frees_the_cable(tmp_path: Path) -> None:
    """Both cards are in the cache with one group; the stop needs no CSMS."""
    station = bench(tmp_path, *BOTH, lock=True)
    group = {"idToken": "FLEET", "type": "Central"}
    station.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", "groupIdToken": group}})
    station.evse(1).present_token(OTHER_CARD)
    station.advance(150)
    charge(station, 30)
    locked = station.world.evse(1).lock.value
    station.csms.disconnect()
    station.evse(1).present_token(OTHER_CARD)
    station.advance(5)

    assert locked == "locked"
    assert not station.evse(1).contactor_closed
    assert station.world.evse(1).lock.value == "unlocked"
