"""What a driver reads, and in which language (C01; I01 for what the CSMS says in person)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hal.api import TokenType
from station.blocks.authorization.words import WORDS, language
from station.blocks.display import SHOWN_S
from station.ocpp.types import IdTokenInfoType
from tests.bench import Bench
from tests.octt.memory import in_local_list, listed

CARD = "04AABBCC11"
POINTS = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, variables=POINTS)


def told(bench: Bench, status: str = "Accepted", **info: Any) -> str:
    """What is shown when the CSMS has judged a card so."""
    bench.csms.on("Authorize", {"idTokenInfo": {"status": status, **info}})
    bench.evse(1).present_token(CARD)
    return bench.shown[-1]


def test_every_language_has_every_text() -> None:
    english = WORDS["en"]

    for name, words in WORDS.items():
        assert words.keys() == english.keys(), name
        assert all(words.values())
        assert ("{evses}" in words["choose"]) is True


@pytest.mark.req("C01.FR.08", "C01.FR.09", "C01.FR.12", "C01.FR.13")
@pytest.mark.parametrize(
    "language1,language2,shown",
    [
        ("de", "fr", "de"),
        ("de-AT", None, "de"),
        ("NL", None, "nl"),
        ("tlh", "fr-CH", "fr"),
        ("tlh", "qya", "en"),
        ("tlh", None, "en"),
        (None, None, "en"),
        ("en-US", "de", "en"),
    ],
)
def test_the_drivers_first_language_that_the_station_knows(
    bench: Bench, language1: str | None, language2: str | None, shown: str
) -> None:
    languages = {"language1": language1, "language2": language2}
    given = {name: value for name, value in languages.items() if value is not None}

    assert told(bench, "Expired", **given) == WORDS[shown]["expired"]
    assert language(IdTokenInfoType(status="Accepted", language1=language1, language2=language2)) == shown


@pytest.mark.parametrize(
    "status,text",
    [
        ("Unknown", "unknown"),
        ("Invalid", "unknown"),
        ("Expired", "expired"),
        ("NoCredit", "no_credit"),
        ("NotAtThisLocation", "elsewhere"),
        ("NotAllowedTypeEVSE", "elsewhere"),
        ("NotAtThisTime", "later"),
        ("ConcurrentTx", "busy"),
        ("Blocked", "refused"),
    ],
)
def test_who_is_refused_reads_why(bench: Bench, status: str, text: Any) -> None:
    assert told(bench, status) == WORDS["en"][text]


def test_a_driver_reads_what_is_next_and_then_the_display_is_dark(bench: Bench) -> None:
    words = WORDS["en"]
    bench.csms.hold()
    bench.evse(1).present_token(CARD)
    assert bench.shown[-1] == words["wait"]
    bench.csms.release()
    assert bench.shown[-1] == words["plug_in"]
    bench.advance(seconds=SHOWN_S + 1)
    assert bench.shown[-1] == ""

    bench.evse(1).plug_in()
    bench.advance(seconds=30)
    bench.evse(1).present_token(CARD)
    assert bench.shown[-1] == words["ends"]

    bench.evse(2).plug_in()
    bench.evse(2).present_token(CARD)
    assert bench.shown[-1] == words["starts"]


def test_a_personal_message_is_shown_with_the_verdict(bench: Bench) -> None:
    message = {"format": "UTF8", "content": "0,42 €/kWh"}

    assert told(bench, personalMessage=message, language1="de") == f"{WORDS['de']['plug_in']}\n0,42 €/kWh"


def test_a_personal_message_that_is_no_text_is_not_shown(bench: Bench) -> None:
    message = {"format": "HTML", "content": "<b>0.42</b>"}

    assert told(bench, personalMessage=message) == WORDS["en"]["plug_in"]


def test_the_local_list_knows_languages_and_messages_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, variables={**POINTS, "AuthCtrlr.LocalPreAuthorize": "true"})
    message = {"format": "ASCII", "content": "Hello"}
    in_local_list(bench, listed(CARD, language1="fr", personalMessage=message))

    bench.evse(1).present_token(CARD)

    assert bench.shown[-1] == f"{WORDS['fr']['plug_in']}\nHello"


def test_what_the_csms_says_during_a_transaction_is_shown(bench: Bench) -> None:
    said = {"format": "UTF8", "content": "1.23 so far"}
    bench.csms.on("TransactionEvent", {"updatedPersonalMessage": said})
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=5)

    assert bench.shown[-1] == "1.23 so far"


def test_nothing_of_a_key_code_is_shown(bench: Bench) -> None:
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})

    bench.evse(1).present_token("73915", TokenType.KEY_CODE)

    assert bench.shown
    assert not [text for text in bench.shown if "73915" in text]
