"""P01, P02: a vendor's own messages."""

from __future__ import annotations

from typing import Any

import pytest

from station.block import Answered, NotSent
from station.ocpp.messages import DataTransferRequest
from tests.bench import Bench


def ask(bench: Bench, vendor: str, message: str | None = None, data: Any = None) -> dict[str, Any]:
    request = {"vendorId": vendor} | ({"messageId": message} if message else {}) | ({"data": data} if data else {})
    return bench.csms.call("DataTransfer", request)


@pytest.mark.req("P01.FR.05")
@pytest.mark.parametrize("data", [None, "text", 7, {"a": [1, None]}])
def test_an_unknown_vendor_is_said_to_be_unknown(bench: Bench, data: Any) -> None:
    """Whatever the message holds."""
    assert ask(bench, "com.example", "hello", data) == {"status": "UnknownVendorId"}


@pytest.mark.parametrize("status", ["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"])
def test_what_the_csms_answers_is_heard_once(bench: Bench, status: str) -> None:
    bench.csms.on("DataTransfer", {"status": status})
    heard: list[Any] = []

    send(bench, heard)

    (outcome,) = heard
    assert isinstance(outcome, Answered)
    assert outcome.response.status == status
    assert bench.csms.received("DataTransfer")[0]["data"] == {"n": 1}


def test_offline_nothing_is_kept(bench: Bench) -> None:
    """Whoever asked hears it at once."""
    bench.csms.disconnect()
    heard: list[Any] = []

    send(bench, heard)
    bench.csms.connect()

    assert [type(each) for each in heard] == [NotSent]
    assert bench.csms.received("DataTransfer") == []


def test_of_a_message_that_cannot_be_said_its_sender_hears(bench: Bench) -> None:
    """A vendorId has 255 characters at most."""
    heard: list[Any] = []

    send(bench, heard, vendor_id="x" * 256)

    assert [type(each) for each in heard] == [NotSent]
    assert bench.csms.received("DataTransfer") == []


def send(bench: Bench, heard: list[Any], vendor_id: str = "com.example") -> None:
    message = DataTransferRequest(vendor_id=vendor_id, message_id="echo", data={"n": 1})
    _, effects = bench.station.exchange.ask(
        lambda now: bench.station.data_transfers.send(message, lambda told, _now: heard.append(told), now), bench.now
    )
    bench._do(effects)
    bench.settle()
