"""J01.FR.21, J02.FR.21: which values are told signed, with which key, and what a signature may never cost."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hal.api import MeterReading, SignedText
from station.effects import TakeSample
from tests.bench import Bench
from tests.octt.signed import KEYS, signatures, signed_values, verified
from tests.scenarios.e_transactions.story import CARD, bench, values

SIGNED = {
    "SampledDataCtrlr.SignReadings": "true",
    "SampledDataCtrlr.TxUpdatedInterval": "20",
    "AlignedDataCtrlr.SignReadings": "true",
    "AlignedDataCtrlr.Interval": "30",
}


def station_that_signs(path: Path, **more: str) -> Bench:
    variables = {**SIGNED, **{name.replace("__", "."): value for name, value in more.items()}}
    return bench(path, "EVConnected", "EVConnected,Authorized", signing=True, variables=variables)


def charged(station: Bench, seconds: float = 50) -> list[dict[str, Any]]:
    """The events of a whole transaction."""
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(seconds)
    station.evse(1).present_token(CARD)
    station.advance(3)
    return station.events()


def contexts(events: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(kind of event, context) of all that is signed."""
    return {(event["eventType"], context) for event in events for context, _, _ in signatures(event)}


ENDED = {("Ended", "Transaction.Begin"), ("Ended", "Transaction.End")}
BEGIN = {("Updated", "Transaction.Begin")}
"""In the first event after the meter has signed, which takes its time: Started was told when the cable came in."""
PERIODIC = {("Updated", "Sample.Periodic")}
CLOCK = {("Updated", "Sample.Clock")}


@pytest.mark.req("J02.FR.21", "J01.FR.21")
@pytest.mark.parametrize(
    "started, updated, clock, expected",
    [
        ("false", "false", "false", ENDED),
        ("true", "false", "false", ENDED | BEGIN),
        ("true", "true", "false", ENDED | BEGIN | PERIODIC),
        ("true", "false", "true", ENDED | BEGIN | CLOCK),
        ("true", "true", "true", ENDED | BEGIN | PERIODIC | CLOCK),
    ],
)
def test_what_is_signed_before_the_end_can_be_chosen(
    tmp_path: Path, started: str, updated: str, clock: str, expected: set[tuple[str, str]]
) -> None:
    """SignStartedReadings and both SignUpdatedReadings: the matrix of the application note, 5.1."""
    station = station_that_signs(
        tmp_path,
        SampledDataCtrlr__SignStartedReadings=started,
        SampledDataCtrlr__SignUpdatedReadings=updated,
        AlignedDataCtrlr__SignUpdatedReadings=clock,
    )

    assert contexts(charged(station)) == expected


@pytest.mark.req("J02.FR.21")
def test_without_sign_readings_nothing_is_signed(tmp_path: Path) -> None:
    """The other switches do nothing alone, and no meter is asked for a signature."""
    station = station_that_signs(
        tmp_path, SampledDataCtrlr__SignReadings="false", AlignedDataCtrlr__SignReadings="false"
    )

    assert contexts(charged(station)) == set()
    assert station.signers[1].pages == 0


@pytest.mark.req("J01.FR.21")
def test_an_idle_evse_tells_its_clock_aligned_values_signed(tmp_path: Path) -> None:
    """MeterValues; the key goes along only where it goes with every value."""
    station = station_that_signs(tmp_path, OCPPCommCtrlr__PublicKeyWithSignedMeterValue="EveryMeterValue")
    station.advance(31)
    (message,) = station.csms.received("MeterValues")
    (signed,) = signed_values(message["meterValue"][0])

    assert verified(signed)["RD"][0]["RV"] == station.evse(1).energy_wh / 1000
    assert base64.b64decode(signed["publicKey"]).decode() == KEYS[1]


@pytest.mark.req("J02.FR.21")
@pytest.mark.parametrize("policy, told", [("Never", 0), ("OncePerTransaction", 2), ("EveryMeterValue", None)])
def test_the_public_key_is_told_as_often_as_configured(tmp_path: Path, policy: str, told: int | None) -> None:
    """Two transactions. In the form of the application note: what it is, before what is printed on the meter."""
    station = station_that_signs(tmp_path, OCPPCommCtrlr__PublicKeyWithSignedMeterValue=policy)
    charged(station)
    station.evse(1).unplug()
    events = charged(station)
    keys = [
        signed["publicKey"]
        for event in events
        for value in event.get("meterValue", ())
        for signed in signed_values(value)
    ]
    sent = [base64.b64decode(key).decode() for key in keys if key]

    assert len(sent) == (len(keys) if told is None else told)
    assert set(sent) <= {KEYS[1]}
    assert len(keys) > 10


def test_the_public_key_can_be_asked_for(tmp_path: Path) -> None:
    """FiscalMetering.PublicKey of each EVSE, known from the first signature on."""
    station = station_that_signs(tmp_path, OCPPCommCtrlr__PublicKeyWithSignedMeterValue="Never")
    charged(station)
    asked = {"component": {"name": "FiscalMetering", "evse": {"id": 1}}, "variable": {"name": "PublicKey"}}
    (answer,) = station.csms.call("GetVariables", {"getVariableData": [asked]})["getVariableResult"]

    assert (answer["attributeStatus"], answer["attributeValue"]) == ("Accepted", KEYS[1])


def test_a_station_whose_meters_do_not_sign_has_no_such_variables(tmp_path: Path) -> None:
    """What it cannot do, it does not offer."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized")
    asked = [
        {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "SignReadings"}},
        {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "PublicKeyWithSignedMeterValue"}},
    ]
    answers = station.csms.call("GetVariables", {"getVariableData": asked})["getVariableResult"]

    assert [answer["attributeStatus"] for answer in answers] == ["UnknownVariable"] * 2


def test_the_signed_start_value_survives_a_power_cut(tmp_path: Path) -> None:
    """The meter cannot sign it again: the Ended that the next run makes carries the very text of the start."""
    station = station_that_signs(tmp_path)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(50)
    station.crash()
    station.advance(5)
    (begin,) = [s for e in station.events()[:-1] for v in e.get("meterValue", ()) for s in signed_values(v)][:1]
    ended = station.events()[-1]

    assert ended["eventType"] == "Ended"
    assert signed_values(ended["meterValue"][0])[0]["signedMeterData"] == begin["signedMeterData"]
    assert [context for context, _, _ in signatures(ended)] == ["Transaction.Begin", "Transaction.End"]


def texts(station: Bench, monkeypatch: pytest.MonkeyPatch, signed: SignedText) -> None:
    """Let the meters sign with this text."""
    plain = station.reading

    def reading(wanted: TakeSample) -> MeterReading:
        found = plain(wanted)
        return found if found.signed is None else msgspec.structs.replace(found, signed=signed)

    monkeypatch.setattr(station, "reading", reading)


EDL40 = (
    "1B1B1B1B01010101760700110A3D4E5F620062007263010176010107001122334455660B090149534B00047A5544726201"
    "650000012C620163A5B1007607001100000001620062007263070177010B090149534B00047A5544070100620AFFFF"
)


@pytest.mark.req("J02.FR.21")
def test_a_container_of_any_format_is_passed_on_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EDL40 is a binary container in hex, which does not name its method; its key is printed in base64."""
    key = base64.b64encode(bytes.fromhex(KEYS[1].rpartition(":")[2])).decode()
    station = station_that_signs(tmp_path, OCPPCommCtrlr__PublicKeyWithSignedMeterValue="EveryMeterValue")
    given = SignedText(data=EDL40, encoding="EDL", method="ECDSA-secp192r1-SHA256", public_key=key)
    texts(station, monkeypatch, given)
    signed = [s for value in charged(station)[-1]["meterValue"] for s in signed_values(value)]

    assert len(signed) == 2
    for each in signed:
        assert base64.b64decode(each["signedMeterData"]).decode() == EDL40
        assert (each["encodingMethod"], each["signingMethod"]) == ("EDL", "ECDSA-secp192r1-SHA256")
        assert base64.b64decode(each["publicKey"]).decode() == f"oca:base64:asn1:{key}"


@pytest.mark.parametrize(
    "given",
    [
        SignedText(data="x" * 1876, encoding="OCMF"),
        SignedText(data="OCMF|{}|{}", encoding="an encoding whose name is longer than OCPP can say it is"),
        SignedText(
            data="OCMF|{}|{}", encoding="OCMF", method="a method whose name is longer than OCPP can say it is, too"
        ),
    ],
)
def test_a_text_that_ocpp_has_no_room_for_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: SignedText
) -> None:
    """The value is told without it; an event that cannot be said never reaches the CSMS, and nobody pays."""
    station = station_that_signs(tmp_path)
    texts(station, monkeypatch, given)
    events = charged(station)

    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert [wh for _, wh in values(events[-1], "Transaction.End")] == [station.evse(1).energy_wh]
    assert contexts(events) == set()


def test_a_text_of_the_greatest_length_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2500 characters in base64."""
    station = station_that_signs(tmp_path)
    texts(station, monkeypatch, SignedText(data="x" * 1875, encoding="OCMF"))
    events = charged(station)

    assert len(signed_values(events[-1]["meterValue"][-1])[0]["signedMeterData"]) == 2500


@pytest.mark.req("J02.FR.20")
def test_an_ended_full_of_signatures_still_fits_into_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed values in between are left out until it does; the first and the last keep their signatures."""
    station = station_that_signs(
        tmp_path,
        SampledDataCtrlr__TxEndedInterval="5",
        SampledDataCtrlr__TxUpdatedInterval="0",
        OCPPCommCtrlr__PublicKeyWithSignedMeterValue="EveryMeterValue",
    )
    texts(station, monkeypatch, SignedText(data="x" * 1875, encoding="OCMF", public_key=KEYS[1]))
    events = charged(station, 600)
    ended = events[-1]
    signed = [value for value in ended["meterValue"] if signed_values(value)]

    assert len(msgspec.json.encode(ended)) < 65_536
    assert len(signed) > 10
    assert (signed[0], signed[-1]) == (ended["meterValue"][0], ended["meterValue"][-1])
