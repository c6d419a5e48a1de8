"""What our own store reads and writes: nothing is lost, and no text but its own structure is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from station.ocpp import codec
from station.ocpp.messages import DataTransferRequest, HeartbeatResponse, MeterValuesRequest, TransactionEventRequest
from station.ocpp.types import MeterValueType, SampledValueType, TransactionType

AT = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
SAMPLE = MeterValueType(timestamp=AT, sampled_value=[SampledValueType(value=0.1 + 0.2), SampledValueType(value=16.0)])
EVENT = TransactionEventRequest(
    event_type="Started",
    timestamp=AT,
    trigger_reason="Authorized",
    seq_no=0,
    transaction_info=TransactionType(transaction_id="T1"),
    meter_value=[SAMPLE],
    custom_data={"vendorId": "V", "instant": "2026-03-01T12:00:00.123456Z"},
)


def test_stored_message_is_read_as_it_was_told() -> None:
    """Microseconds, numbers and custom data included."""
    assert codec.load(TransactionEventRequest, codec.dump(EVENT)) == EVENT


def test_rendered_message_differs_in_instants_and_numbers_alone() -> None:
    """Three decimals of a second and no artefact; what is a vendor's own stays untouched."""
    sent = codec.load(TransactionEventRequest, codec.render(EVENT))

    thousandth = AT.replace(microsecond=123_000)
    assert sent.timestamp == thousandth
    assert sent.meter_value == [
        MeterValueType(timestamp=thousandth, sampled_value=[SampledValueType(value=0.3), SampledValueType(value=16)])
    ]
    assert sent.custom_data == EVENT.custom_data


def test_shifting_moves_every_instant_and_nothing_else() -> None:
    """For a clock that was found wrong after the message was made. From memory and from the queue it is the same."""
    hour, told = timedelta(hours=1), AT.replace(microsecond=123_000)

    moved = codec.shifted(EVENT, hour)

    assert moved.timestamp == told + hour
    assert moved.meter_value is not None
    assert moved.meter_value[0].timestamp == told + hour
    assert codec.render(codec.shifted(moved, -hour)) == codec.render(EVENT)
    kept = codec.restored(TransactionEventRequest, codec.render(EVENT))
    assert codec.render(codec.shifted(kept, hour)) == codec.render(moved)


def test_what_is_told_offline_is_the_text_with_one_field_more() -> None:
    """As if it had been rendered anew."""
    text = codec.told_offline(codec.render(EVENT))

    assert codec.plain(text) == codec.plain(codec.render(msgspec.structs.replace(EVENT, offline=True)))


def test_loading_fields_of_a_newer_agent_passes_over_them() -> None:
    """A rolled-back agent reads the queue of its successor."""
    assert codec.load(HeartbeatResponse, b'{"currentTime":"2026-03-01T12:00:00Z","later":1}').current_time.year == 2026


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"evseId":"1"}', b"[" * 100_000])
def test_text_of_another_structure_is_a_value_error(data: bytes) -> None:
    """One kind of error, which names the message."""
    with pytest.raises(ValueError, match="MeterValuesRequest"):
        codec.load(MeterValuesRequest, data)


def test_vendor_data_of_any_shape_is_kept() -> None:
    """P01: the data's type is open."""
    for data in ("text", 1.5, True, [1, {"a": None}], {"timestamp": "2026-03-01T12:00:00.123456Z"}):
        message = DataTransferRequest(vendor_id="V", data=data)
        assert codec.load(DataTransferRequest, codec.render(message)) == message


@pytest.mark.parametrize(
    "value, text", [(16, "16"), (16.0, "16"), (0.1 + 0.2, "0.3"), (-0.0, "0"), (1234.567, "1234.567")]
)
def test_a_number_among_others_is_written_as_one_alone(value: float, text: str) -> None:
    """In a list of values those before and after it stay what they are."""
    values = [SampledValueType(value=each, measurand="Voltage") for each in (1.5, value, 2)]
    sample = MeterValueType(timestamp=AT, sampled_value=values)

    assert codec.number(value) == float(text)
    assert f'[{{"value":1.5,"measurand":"Voltage"}},{{"value":{text},'.encode() in codec.render(sample)
    assert [each.value for each in values] == [1.5, value, 2]


def test_instants_that_are_equal_are_written_alike_whatever_their_zone() -> None:
    """The text of the second that was written last is kept: by the instant in UTC, so that a zone cannot mislead it."""
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=berlin) for fold in (0, 1))

    assert first == second
    assert codec.instant_text(first) == "2026-10-25T00:30:00Z"
    assert codec.instant_text(second) == "2026-10-25T01:30:00Z"
    assert codec.instant_text(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == "2026-10-25T00:30:00Z"
