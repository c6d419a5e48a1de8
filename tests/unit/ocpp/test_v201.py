"""The language of 2.0.1 against the official schemas: what they allow passes unchanged, what they forbid is refused.

The documents are made from the schemas (`documents.py`), never from the station's own rules.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from station.ocpp import codec, messages, rules_v201
from station.ocpp.base import Message, Request, Response
from station.ocpp.errors import CannotRender, ErrorCode, RpcError
from station.ocpp.messages import ACTIONS
from station.ocpp.messages_v21 import NotifySettlementRequest
from station.ocpp.speaker import Speaker, Wire
from station.ocpp.types import (
    ChargingStationType,
    EventDataType,
    IdTokenType,
    MeterValueType,
    SampledValueType,
    StatusInfoType,
    TransactionType,
)
from station.ocpp.v201 import FREE_TEXT, Speaker201
from tests import schema
from tests.unit.ocpp import documents

SPEAKER: Speaker = Speaker201()
STRICT: Speaker = Speaker201(strict=True)
MESSAGES = schema.messages()
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def text(document: Any) -> bytes:
    """The document as it comes from the wire."""
    return json.dumps(document, ensure_ascii=False).encode()


def decoded(speaker: Speaker, message: str, document: Any) -> Message:
    """The document as a CALL's or a CALLRESULT's payload, read by the speaker."""
    action = message.removesuffix("Request").removesuffix("Response")
    if message.endswith("Request"):
        return speaker.decode_request(action, text(document))
    response: Message = speaker.decode_response(ACTIONS[action].request, text(document))
    return response


def encoded(speaker: Speaker, message: Message) -> Any:
    """The plain document that the speaker would send."""
    if isinstance(message, Request):
        (wire,) = speaker.encode(message).wires
        return json.loads(wire.payload)
    assert isinstance(message, Response)
    return json.loads(speaker.encode_response(message))


def valid(message: str) -> list[Any]:
    """Valid documents of a message: the least, and full ones until each member of its enumerations has had a turn."""
    enums = [len(spec["enum"]) for spec in schema.load(message).get("definitions", {}).values() if "enum" in spec]
    full = [documents.document(message, "most", turn=turn) for turn in range(max(enums, default=1))]
    return [documents.document(message, "least"), *full]


# ------------------------------------------------------------------------------------------------ what 2.0.1 allows


@pytest.mark.parametrize("message", MESSAGES)
def test_documents_of_the_proof_are_valid_by_the_official_schemas(message: str) -> None:
    """The judge of the judge: otherwise the next tests would prove nothing."""
    for document in valid(message)[:3]:
        action = message.removesuffix("Request").removesuffix("Response")
        schema.validate(action, "Request" if message.endswith("Request") else "Response", document)


@pytest.mark.req("FR.02")
@pytest.mark.parametrize("message", MESSAGES)
def test_valid_message_is_read_and_written_without_a_change(message: str) -> None:
    """All 64 actions, both ways: what is decoded and encoded again is the same document."""
    for document in valid(message):
        assert encoded(SPEAKER, decoded(STRICT, message, document)) == document


def test_every_action_of_the_version_is_known_and_no_other() -> None:
    """64 actions; the messages that 2.1 added are not among them."""
    assert {f"{action}{way}" for action in SPEAKER.actions for way in ("Request", "Response")} == set(MESSAGES)
    assert len(SPEAKER.actions) == 64
    assert all(SPEAKER.can(pair.request) and SPEAKER.can(pair.response) for pair in ACTIONS.values())
    assert not SPEAKER.can(NotifySettlementRequest)


# TC_N_17_CS demands that the block rejects it; this is the part of it that the language owes.
def test_negative_severity_is_valid_on_the_wire() -> None:
    """2.0.1 sets no range for SetMonitoringLevel.severity, 2.1 does: the block must get to see it and reject it."""
    request = SPEAKER.decode_request("SetMonitoringLevel", b'{"severity":-1}')

    assert request == messages.SetMonitoringLevelRequest(severity=-1)


def ranges_of_21_only() -> list[tuple[str, documents.Place, float]]:
    """(message, place, a value that 2.0.1 allows there and 2.1 does not) for each range that 2.1 added."""
    found = []
    for message in MESSAGES:
        old, new = documents.schemas(message), documents.schemas(message, "v21")
        for place in documents.walk(old, documents.document(message, "most")):
            owner = new.root if place.owner == message else new.root["definitions"][place.owner]
            later = owner["properties"][place.field]
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in later and bound not in place.spec:
                    found.append((message, place, later[bound] + step))
    return found


def test_ranges_that_only_21_has_are_not_applied() -> None:
    """Every range in which the two versions differ: its outside is read and written."""
    ranges = ranges_of_21_only()
    assert len({(place.owner, place.field) for _, place, _ in ranges}) > 55

    for message, place, value in ranges:
        document = documents.changed(documents.document(message, "most"), place.path, documents.to(int(value)))
        assert encoded(SPEAKER, decoded(STRICT, message, document)) == document


def test_whole_number_written_with_a_point_is_an_integer() -> None:
    """JSON schema counts 1.0 as an integer; it is read as one and written without the point."""
    request = SPEAKER.decode_request("GetReport", b'{"requestId":7.0}')

    assert encoded(SPEAKER, request) == {"requestId": 7}
    assert b"7.0" not in SPEAKER.encode(request).wires[0].payload


# ----------------------------------------------------------------------------------------------- what 2.0.1 forbids


@pytest.mark.req("FR.03")
@pytest.mark.parametrize("message", MESSAGES)
def test_each_broken_constraint_is_refused_with_its_code(message: str) -> None:
    """Every constraint at every place of the message: required, type, length, enumeration, number of items, range."""
    for broken in documents.spoiled(message):
        with pytest.raises(RpcError) as refused:
            decoded(SPEAKER, message, broken.document)

        assert refused.value.code is broken.code, broken.label
        assert refused.value.description.startswith(f"{message}: $."), broken.label


@pytest.mark.parametrize("message", MESSAGES)
def test_no_broken_constraint_is_sent(message: str) -> None:
    """The same mistakes in a message of ours, as far as its structure can hold them: CannotRender, nothing leaves."""
    pair = ACTIONS[message.removesuffix("Request").removesuffix("Response")]
    kind = pair.request if message.endswith("Request") else pair.response
    for broken in documents.spoiled(message):
        try:
            ours = codec.convert(kind, broken.document)
        except ValueError:
            continue
        if broken.label.endswith("type None"):
            continue  # None means absent, and what is required cannot be None
        with pytest.raises(CannotRender):
            encoded(SPEAKER, ours)


@pytest.mark.parametrize("payload", [b"[]", b'"text"', b"null", b"12", b"[" * 100_000, b'{"a":', b"\xff", b""])
def test_payload_that_is_no_object_is_a_format_violation(payload: bytes) -> None:
    """Part 4, table of RPC framework errors: not conforming to the PDU's structure at all."""
    with pytest.raises(RpcError) as refused:
        SPEAKER.decode_request("Reset", payload)

    assert refused.value.code is ErrorCode.FORMAT_VIOLATION


@pytest.mark.parametrize("action", ["NoSuchAction", "reset", "NotifySettlement", "ResetRequest", ""])
def test_unknown_action_is_not_implemented(action: str) -> None:
    """Actions are case-sensitive; one that only 2.1 has is unknown too."""
    with pytest.raises(RpcError) as refused:
        SPEAKER.decode_request(action, b"{}")

    assert refused.value.code is ErrorCode.NOT_IMPLEMENTED


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1e300", "9" * 400])
def test_integer_that_no_database_holds_is_refused(number: str) -> None:
    """The schema sets no bound, but a number that cannot be stored must not reach a block."""
    with pytest.raises(RpcError) as refused:
        SPEAKER.decode_request("GetReport", f'{{"requestId":{number}}}'.encode())

    assert refused.value.code in {ErrorCode.PROPERTY_CONSTRAINT, ErrorCode.FORMAT_VIOLATION}


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2026-02-30T00:00:00Z", "2026-03-01", ""]
)
def test_instant_that_does_not_exist_is_refused(instant: str) -> None:
    """Also one that leaves the calendar when it is expressed in UTC."""
    with pytest.raises(RpcError) as refused:
        SPEAKER.decode_response(messages.HeartbeatRequest, text({"currentTime": instant}))

    assert refused.value.code is ErrorCode.PROPERTY_CONSTRAINT


def test_refusal_quotes_no_value() -> None:
    """A password in a malformed request must not come back in errorDescription, which others log."""
    profile = {"apn": "a", "apnAuthentication": "PAP", "apnPassword": "correct horse battery staple"}
    data = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "wss://csms.example",
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
        "apn": profile,
    }

    with pytest.raises(RpcError) as refused:
        SPEAKER.decode_request("SetNetworkProfile", text({"configurationSlot": 1, "connectionData": data}))

    assert "apnPassword: longer than 20" in refused.value.description
    assert "horse" not in refused.value.description


# --------------------------------------------------------------------------------------------------- unknown fields


def with_unknown_fields(message: str) -> list[tuple[str, Any]]:
    """A full document of a message with a field too many, once for each of its objects."""
    full = documents.document(message, "most")
    places = documents.walk(documents.schemas(message), full)
    paths = [()] + [p.path for p in places if p.spec.get("type") == "object" and p.field != "customData"]
    return [
        ("$" + "".join(map(str, path)), documents.changed(full, path, lambda value: {**value, "novelty": 1}))
        for path in paths
    ]


@pytest.mark.parametrize("message", MESSAGES)
def test_unknown_field_is_passed_over_by_default_and_refused_by_the_strict_speaker(message: str) -> None:
    """2.0.1 allows none but in customData; a CSMS with one more must not be lost for it."""
    full = documents.document(message, "most")
    for where, document in with_unknown_fields(message):
        assert encoded(SPEAKER, decoded(SPEAKER, message, document)) == full, where

        with pytest.raises(RpcError) as refused:
            decoded(STRICT, message, document)
        assert refused.value.code is ErrorCode.PROTOCOL_ERROR, where


def test_unknown_field_is_logged_once_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    """The log names each field once, and not without end."""
    speaker = Speaker201()
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            speaker.decode_request("ClearCache", text({"novelty": "secret"}))
            speaker.decode_request("ClearCache", text({f"novelty{number}": "secret"}))

    told = [getattr(record, "field", "") for record in caplog.records]
    assert told[0] == "ClearCacheRequest.novelty"
    assert len(told) == len(set(told)) <= 100
    assert not any("secret" in str(vars(record)) for record in caplog.records)


def test_unknown_field_does_not_hide_another_mistake() -> None:
    """Leniency covers the field alone."""
    with pytest.raises(RpcError) as refused:
        SPEAKER.decode_request("Reset", b'{"novelty":1,"type":"Sometime"}')

    assert refused.value.code is ErrorCode.PROPERTY_CONSTRAINT


# ------------------------------------------------------------------------------------------------ what cannot be said


def boot(**station: Any) -> messages.BootNotificationRequest:
    """A BootNotification of a station with these properties."""
    described = {"model": "M", "vendor_name": "V", **station}
    return messages.BootNotificationRequest(reason="PowerUp", charging_station=ChargingStationType(**described))


def started(**more: Any) -> messages.TransactionEventRequest:
    """The beginning of a transaction."""
    values: dict[str, Any] = {
        "event_type": "Started",
        "timestamp": AT,
        "trigger_reason": "Authorized",
        "seq_no": 0,
        "transaction_info": TransactionType(transaction_id="T1"),
    }
    return messages.TransactionEventRequest(**{**values, **more})


def test_message_that_only_21_has_cannot_be_rendered() -> None:
    """It moves to `undelivered` instead of blocking the queue."""
    settlement = NotifySettlementRequest(psp_ref="1", status="Settled", settlement_amount=1.0, settlement_time=AT)

    with pytest.raises(CannotRender):
        SPEAKER.encode(settlement)
    with pytest.raises(CannotRender):
        SPEAKER.fit(settlement)


@pytest.mark.parametrize(
    "message",
    [
        started(evse_sleep=True),
        started(trigger_reason="TxResumed"),
        started(id_token=IdTokenType(id_token="1", type="DirectPayment")),
        started(id_token=IdTokenType(id_token="1" * 37, type="Central")),
        started(transaction_info=TransactionType(transaction_id="T" * 37)),
        started(meter_value=[]),
        started(meter_value=[MeterValueType(timestamp=AT, sampled_value=[SampledValueType(value=float("nan"))])]),
        started(reservation_id=2**63),
    ],
    ids=["field", "member", "token type", "token", "transaction id", "empty list", "not a number", "integer"],
)
def test_what_does_not_fit_and_is_no_free_text_cannot_be_rendered(message: messages.TransactionEventRequest) -> None:
    """Identifiers are never cut, and nothing is left out silently."""
    with pytest.raises(CannotRender):
        SPEAKER.encode(message)
    with pytest.raises(CannotRender):
        SPEAKER.fit(message)


def test_free_text_is_cut_and_named() -> None:
    """Texts for people lose their end; the message then fits, and is otherwise the same."""
    long = boot(model="m" * 21, vendor_name="v" * 50, firmware_version="f" * 60)

    fitted = SPEAKER.fit(long)

    assert fitted.message == boot(model="m" * 20, vendor_name="v" * 50, firmware_version="f" * 50)
    assert fitted.truncated == ("$.chargingStation.model", "$.chargingStation.firmwareVersion")
    assert encoded(SPEAKER, fitted.message)["chargingStation"]["model"] == "m" * 20


def test_fitting_keeps_instants_exactly() -> None:
    """A cut in one place changes nothing in another: the microseconds are still there for our own store."""
    at = AT.replace(microsecond=123_456)
    event = EventDataType(
        event_id=1,
        timestamp=at,
        trigger="Alerting",
        actual_value="x" * 2501,
        event_notification_type="HardWiredNotification",
        component={"name": "EVSE"},  # type: ignore[arg-type]  # the decoder makes the same of it
        variable={"name": "Power"},  # type: ignore[arg-type]  # the decoder makes the same of it
    )

    fitted = SPEAKER.fit(messages.NotifyEventRequest(generated_at=at, seq_no=0, event_data=[event]))

    assert fitted.message.generated_at == at
    assert fitted.message.event_data[0].timestamp == at
    assert fitted.truncated == ("$.eventData[0].actualValue",)


def test_message_that_fits_is_given_back_as_it_is() -> None:
    """No copy is made for the ordinary case."""
    message = boot()

    assert SPEAKER.fit(message).message is message
    assert SPEAKER.fit(message).truncated == ()


def test_response_is_fitted_too() -> None:
    """`additionalInfo` is longer in 2.1."""
    info = StatusInfoType(reason_code="Busy", additional_info="a" * 1024)

    fitted = SPEAKER.fit(messages.ResetResponse(status="Rejected", status_info=info))

    assert json.loads(SPEAKER.encode_response(fitted.message))["statusInfo"]["additionalInfo"] == "a" * 512


def test_every_free_text_is_a_text_of_limited_length() -> None:
    """A name misspelt in the table would protect nothing."""
    for name in FREE_TEXT:
        owner, _, field = name.partition(".")
        assert rules_v201.OBJECTS[owner][field].lstrip("!").startswith("text ..")


def test_announced_field_length_lifts_the_limit() -> None:
    """M01: a station may tell by OCPPCommCtrlr.FieldLength that it takes a longer exiResponse."""
    answer = text({"status": "Accepted", "exiResponse": "x" * 5601})
    longer = Speaker201(lengths={"Get15118EVCertificateResponse.exiResponse": 7500})

    with pytest.raises(RpcError):
        SPEAKER.decode_response(messages.Get15118EVCertificateRequest, answer)
    assert len(longer.decode_response(messages.Get15118EVCertificateRequest, answer).exi_response) == 5601


# ------------------------------------------------------------------------------------------------ instants, numbers


def test_rendered_call_names_its_action_and_needs_no_memo() -> None:
    """2.0.1: one message, one CALL."""
    rendered = SPEAKER.encode(messages.HeartbeatRequest())

    assert rendered.wires == (Wire("Heartbeat", b"{}"),)
    assert rendered.memo is None


@pytest.mark.parametrize(
    "received, instant",
    [
        ("2026-03-01T12:00:00Z", AT),
        ("2026-03-01T12:00:00", AT),
        ("2026-03-01T13:30:00+01:30", AT),
        ("2026-03-01T12:00:00.5Z", AT.replace(microsecond=500_000)),
        ("2026-03-01T12:00:00.123456789012Z", AT.replace(microsecond=123_457)),
    ],
)
def test_received_instant_is_utc_whatever_its_zone_and_fraction(received: str, instant: datetime) -> None:
    """A missing zone means UTC; every number of decimals is read."""
    response = SPEAKER.decode_response(messages.HeartbeatRequest, text({"currentTime": received}))

    assert response.current_time == instant
    assert response.current_time.tzinfo is UTC


@pytest.mark.parametrize(
    "instant, sent",
    [
        (AT, "2026-03-01T12:00:00Z"),
        (AT.replace(microsecond=123_999), "2026-03-01T12:00:00.123Z"),
        (AT.replace(microsecond=999), "2026-03-01T12:00:00Z"),
        (AT.astimezone(timezone(timedelta(hours=-5))), "2026-03-01T12:00:00Z"),
    ],
)
def test_sent_instant_ends_in_z_with_at_most_three_decimals(instant: datetime, sent: str) -> None:
    """Part 4: more decimals than three are not allowed, and they are cut, so that time never runs ahead."""
    assert encoded(SPEAKER, started(timestamp=instant))["timestamp"] == sent


@pytest.mark.parametrize(
    "value, sent",
    [(0.1 + 0.2, b"0.3"), (16.0, b"16"), (231.5, b"231.5"), (-0.0, b"0"), (123456789.125, b"123456789.125")],
)
def test_sent_number_carries_no_artefact_of_binary_arithmetic(value: float, sent: bytes) -> None:
    """What a bill is made from reads as it was measured."""
    sample = MeterValueType(timestamp=AT, sampled_value=[SampledValueType(value=value)])

    payload = SPEAKER.encode(started(meter_value=[sample])).wires[0].payload

    assert b'"value":' + sent + b"}" in payload


def test_number_where_201_wants_an_integer_is_sent_as_one() -> None:
    """The AC and DC limits of a car are numbers in 2.1 and integers in 2.0.1."""
    document = documents.document("NotifyEVChargingNeedsRequest", "most")
    needs = decoded(SPEAKER, "NotifyEVChargingNeedsRequest", document)

    payload = SPEAKER.encode(needs).wires[0].payload if isinstance(needs, Request) else b""

    assert b'"evMaxCurrent":4096' in payload
    assert b"4096.0" not in payload


# ----------------------------------------------------------------------------------------------------- error codes


def test_error_codes_are_written_as_in_201_and_read_in_any_spelling() -> None:
    """Part 4 lists twelve codes; 1.6 spelt two of them otherwise, and servers keep doing so."""
    written = {SPEAKER.error_code(code) for code in ErrorCode}

    assert len(written) == 12
    assert all(SPEAKER.read_error_code(SPEAKER.error_code(code)) is code for code in ErrorCode)
    assert SPEAKER.read_error_code("OccurenceConstraintViolation") is ErrorCode.OCCURRENCE_CONSTRAINT
    assert SPEAKER.read_error_code("FormationViolation") is ErrorCode.FORMAT_VIOLATION
    assert SPEAKER.read_error_code(" notimplemented") is ErrorCode.NOT_IMPLEMENTED
    assert SPEAKER.read_error_code("Teapot") is ErrorCode.GENERIC


def test_payload_may_be_a_raw_slice_of_a_frame() -> None:
    """The endpoint hands over the payload as it stood in the frame, without a copy."""
    raw = msgspec.json.decode(b'[2,"1","Reset",{"type":"Immediate"}]', type=list[msgspec.Raw])[3]

    assert SPEAKER.decode_request("Reset", raw) == messages.ResetRequest(type="Immediate")


def test_an_answer_without_a_field_is_one_value_and_refused_each_time_where_a_field_is_required() -> None:
    """Most answers are empty: what they mean is found once."""
    speaker = Speaker201()
    for _ in range(2):
        assert (
            speaker.decode_response(messages.StatusNotificationRequest, b"{}") == messages.StatusNotificationResponse()
        )
        assert speaker.decode_response(messages.TransactionEventRequest, b"{}") == messages.TransactionEventResponse()
        with pytest.raises(RpcError):
            speaker.decode_response(messages.HeartbeatRequest, b"{}")
    full = speaker.decode_response(messages.TransactionEventRequest, b'{"totalCost":1.5}')
    assert full.total_cost == 1.5
