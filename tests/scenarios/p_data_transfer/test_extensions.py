"""P01, P02: what vendors bring along, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from station.extension import Extension, Reply, Way
from station.inputs import Ask
from station.now import Now
from tests.bench import Bench
from tests.csms import Error
from tests.scenarios.p_data_transfer.test_p01 import ask
from tests.scenarios.p_data_transfer.vendors import NONSENSE, VENDOR, Fragile, Given, Vendor, bench, with_vendor
from tests.scenarios.variables import asked, get_all, set_all

SWITCH = f"CustomizationCtrlr.CustomImplementationEnabled[{VENDOR}]"


def switch(bench: Bench, *, on: bool) -> None:
    """As the CSMS does."""
    (done,) = set_all(bench, asked(SWITCH, attributeValue=str(on).lower()))
    assert done["attributeStatus"] == "Accepted"


# --- from the CSMS


@pytest.mark.req("P01.FR.06", "P01.FR.07")
def test_a_vendors_extension_answers_its_own_messages(tmp_path: Path) -> None:
    """With types; and it says which messages it does not know."""
    station, vendor = with_vendor(tmp_path)

    assert ask(station, VENDOR, "echo", {"n": 1, "more": "is passed over"}) == {
        "status": "Accepted",
        "data": {"n": 1, "text": ""},
    }
    assert vendor.given == [Given(1)]
    assert ask(station, VENDOR, None, [1, 2]) == {"status": "Accepted", "data": [1, 2]}
    assert ask(station, VENDOR, "shout") == {"status": "UnknownMessageId"}
    refused = ask(station, VENDOR, "refuse")
    assert (refused["status"], refused["statusInfo"]["additionalInfo"]) == ("Rejected", "not today")
    assert ask(station, "com.example.other", "echo") == {"status": "UnknownVendorId"}


def test_json_in_a_text_is_read_as_what_it_is(tmp_path: Path) -> None:
    """As CSMSs send it that come from OCPP 1.6; who agreed on a text gets it."""
    station, vendor = with_vendor(tmp_path)

    ask(station, VENDOR, "echo", '{"n": 7, "text": "x"}')
    ask(station, VENDOR, "text", '{"n": 7}')

    assert vendor.given == [Given(7, "x"), '{"n": 7}']


@pytest.mark.parametrize("data", [None, "no JSON", '{"n": "x"}', {"n": "1"}, {"text": "x"}, [1], 1.5, {"n": None}])
def test_data_that_does_not_fit_never_reaches_the_extension(tmp_path: Path, data: Any) -> None:
    station, vendor = with_vendor(tmp_path)

    answer = ask(station, VENDOR, "echo", data)

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidValue")
    assert vendor.given == []


@pytest.mark.parametrize("message", ["fail", "odd", "fragile", "leave", *NONSENSE])
def test_a_vendors_mistake_is_answered_and_harms_nobody(tmp_path: Path, message: str) -> None:
    """Neither the station nor what the extension does next; of the turn that failed nothing is sent."""
    station, _ = with_vendor(tmp_path)

    answer = ask(station, VENDOR, message, {"n": 1} if message == "fragile" else None)

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InternalError")
    assert ask(station, VENDOR, "echo", {"n": 1})["status"] == "Accepted"
    assert station.csms.received("DataTransfer") == []


# --- to the CSMS


@pytest.mark.parametrize(
    "answer, reply",
    [
        ({"status": "Accepted", "data": {"n": 3}}, Reply("Accepted", Given(3))),
        ({"status": "Accepted", "data": '{"n": 3}'}, Reply("Accepted", Given(3))),
        ({"status": "Accepted"}, Reply("Accepted")),
        ({"status": "Rejected"}, Reply("Rejected")),
        ({"status": "UnknownVendorId"}, Reply("UnknownVendorId")),
        ({"status": "Accepted", "data": {"n": "three"}}, Reply("Failed")),
        (Error("InternalError", ""), Reply("Failed")),
        (None, Reply("Failed")),
    ],
)
def test_a_message_is_sent_and_its_sender_hears_once(tmp_path: Path, answer: Any, reply: Reply[Given]) -> None:
    """Typed, too; no answer and a wrong one are the same to him."""
    station, vendor = with_vendor(tmp_path)
    vendor.turn = lambda now: vendor.say("Report", Given(2, "x"), now) if not vendor.replies else None
    station.csms.on("DataTransfer", answer)

    station.advance(minutes=3)

    first = station.csms.received("DataTransfer")[0]
    assert first == {"vendorId": VENDOR, "messageId": "Report", "data": {"n": 2, "text": "x"}}
    assert vendor.replies[:1] == [reply]


@pytest.mark.parametrize("id_, data", [("x", "\ud800"), ("\ud800", 1), ("x", {(1, 2): 3})])
def test_what_is_no_json_fails_in_its_senders_turn_and_the_next_one_is_sent(
    tmp_path: Path, id_: str, data: Any
) -> None:
    station, vendor = with_vendor(tmp_path)
    vendor.turn = lambda now: vendor.say(id_, data, now)
    station.advance(minutes=1.5)
    vendor.turn = lambda now: vendor.say("Next", 1, now)
    station.advance(minutes=1)

    assert [each["messageId"] for each in station.csms.received("DataTransfer")] == ["Next"]
    assert len(vendor.replies) == 1


def test_an_answer_whose_type_cannot_be_made_is_a_failure_that_is_heard(tmp_path: Path) -> None:
    station, vendor = with_vendor(tmp_path)
    vendor.turn = lambda now: vendor.way.send("Report", 1, now, told=vendor.replies.append, answer=Fragile)
    station.csms.on("DataTransfer", {"status": "Accepted", "data": {"n": 1}})

    station.advance(minutes=1.5)

    assert vendor.replies == [Reply("Failed")]


def test_offline_nothing_is_kept(tmp_path: Path) -> None:
    station, vendor = with_vendor(tmp_path)
    vendor.turn = lambda now: vendor.say("Report", None, now)
    station.csms.disconnect()

    station.advance(seconds=90)
    station.csms.connect()

    assert vendor.replies == [Reply("NotSent")]
    assert station.csms.received("DataTransfer") == []


def test_what_is_heard_may_be_answered(tmp_path: Path) -> None:
    """With another message, and in the same breath."""

    class Asking(Vendor):
        def say_first(self, now: Now) -> None:
            self.way.send("First", 1, now, told=lambda reply: self.say_second(reply, now), answer=Given)

        def say_second(self, reply: Reply[Given], now: Now) -> None:
            self.replies.append(reply)
            self.say("Second", 2, now)

        def due(self, now: Now) -> None:
            if not self.replies:
                self.say_first(now)

    made: list[Asking] = []

    def make(way: Way) -> Asking:
        made.append(Asking(way, {}))
        return made[-1]

    station = bench(tmp_path, make)
    station.advance(minutes=2)

    assert [each["messageId"] for each in station.csms.received("DataTransfer")] == ["First", "Second"]
    assert made[0].replies == [Reply("Accepted")] * 2


def test_a_mistake_in_its_turn_sends_nothing_and_the_next_turn_comes(tmp_path: Path) -> None:
    station, vendor = with_vendor(tmp_path)
    turns: list[float] = []

    def turn(now: Now) -> None:
        turns.append(now.mono)
        vendor.say("Report", len(turns), now)
        if len(turns) == 1:
            raise ZeroDivisionError

    vendor.turn = turn
    station.advance(seconds=150)

    assert [each["data"] for each in station.csms.received("DataTransfer")] == [2]
    assert turns[1] - turns[0] == 60


def test_a_thread_of_its_own_gets_into_a_step(tmp_path: Path) -> None:
    """Before the station runs there is none; a mistake there is contained, too."""
    station, vendor = with_vendor(tmp_path)
    vendor.way.in_step(lambda now: vendor.say("Early", None, now))
    station.station.data_transfers.in_step = lambda command: station._do(
        station.station.exchange.give(Ask(command), station.now)
    )

    vendor.way.in_step(lambda now: vendor.say("Report", None, now))
    vendor.way.in_step(lambda _now: 1 / 0)  # type: ignore[arg-type]  # a mistake
    station.settle()

    assert [each["messageId"] for each in station.csms.received("DataTransfer")] == ["Report"]


# --- switched off


def test_the_csms_may_switch_it_off_and_on(tmp_path: Path) -> None:
    """Then its vendor is unknown, it has no turns, and hears that what it sends is not wanted."""
    station, vendor = with_vendor(tmp_path)
    station.station.data_transfers.in_step = lambda command: station._do(
        station.station.exchange.give(Ask(command), station.now)
    )
    vendor.turn = lambda now: vendor.say("Report", None, now)
    switch(station, on=False)

    assert ask(station, VENDOR, "echo", {"n": 1}) == {"status": "UnknownVendorId"}
    station.advance(minutes=3)
    assert vendor.replies == []
    vendor.way.in_step(vendor.turn)
    assert vendor.replies == [Reply("Disabled")]
    assert station.csms.received("DataTransfer") == []

    switch(station, on=True)
    station.advance(minutes=1)
    assert ask(station, VENDOR, "echo", {"n": 1})["status"] == "Accepted"
    assert len(station.csms.received("DataTransfer")) == 1


def test_what_is_installed_is_shown_in_the_device_model(tmp_path: Path) -> None:
    station, _ = with_vendor(tmp_path)

    (read,) = get_all(station, asked(SWITCH))

    assert (read["attributeStatus"], read["attributeValue"]) == ("Accepted", "true")


# --- extensions that are none


def test_one_that_cannot_be_made_is_unknown_and_the_others_work(tmp_path: Path) -> None:
    def broken(way: Way) -> Extension:
        raise KeyError(way)

    class Nameless(Extension):
        def messages(self) -> Any:
            raise ZeroDivisionError

    station = bench(
        tmp_path,
        broken,
        lambda way: Nameless(way, {}),
        lambda way: Vendor(way, {}),
        ids=("com.broken", "com.nameless", VENDOR),
    )

    assert ask(station, "com.broken", "echo") == {"status": "UnknownVendorId"}
    assert ask(station, "com.nameless", "echo") == {"status": "UnknownVendorId"}
    assert ask(station, VENDOR, "echo", {"n": 1})["status"] == "Accepted"


def test_one_without_turns_never_wakes_the_station(tmp_path: Path) -> None:
    class Quiet(Extension):
        def due(self, now: Now) -> None:
            raise AssertionError(now)

    station = bench(tmp_path, lambda way: Quiet(way, {}))

    assert station.station.data_transfers.next_due() is None
    station.advance(hours=1)
