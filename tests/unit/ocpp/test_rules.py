"""The two ways of judging a payload agree, and no payload whatever upsets them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station.ocpp import rules_v201
from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.messages import ClearCacheRequest
from station.ocpp.rules import Mistake, Rules
from station.ocpp.v201 import Speaker201
from tests import schema
from tests.unit.ocpp import documents

RULES = Rules(rules_v201.OBJECTS, rules_v201.ENUMS)
SPEAKER = Speaker201()

REQUESTS = [name for name in schema.messages() if name.endswith("Request")]
FULL = {name: documents.document(name, "most") for name in schema.messages()}
PLACES = {name: [p.path for p in documents.walk(documents.schemas(name), FULL[name])] for name in FULL}

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def nearly_valid(draw: st.DrawFn) -> tuple[str, Any]:
    """A message's full document with one or two places replaced by anything."""
    name = draw(st.sampled_from(REQUESTS))
    document = FULL[name]
    for path in draw(st.lists(st.sampled_from(PLACES[name]), min_size=1, max_size=2)):
        try:
            document = documents.changed(document, path, documents.to(draw(ANY_JSON)))
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # the first change took the second's place away
    return name, document


@given(nearly_valid())
@settings(max_examples=300)
def test_fast_and_thorough_way_agree(spoilt: tuple[str, Any]) -> None:
    """What the fast way accepts, the thorough one finds nothing wrong with; and the reverse but for `1.0`."""
    name, document = spoilt
    judged = RULES.examine(name, document)

    if RULES.accepts(name, json.dumps(document).encode()):
        assert judged.mistakes == []
    elif not judged.mistakes:
        assert RULES.accepts(name, json.dumps(judged.document).encode())


@given(nearly_valid())
@settings(max_examples=300)
def test_payload_gives_a_message_or_an_rpc_error(spoilt: tuple[str, Any]) -> None:
    """No other exception, whatever a CSMS sends."""
    name, document = spoilt
    try:
        message = SPEAKER.decode_request(name.removesuffix("Request"), json.dumps(document).encode())
    except RpcError:
        return
    assert type(message).__name__ == name


@given(st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_give_a_message_or_an_rpc_error(data: bytes) -> None:
    """Also what is not JSON at all."""
    with contextlib.suppress(RpcError):
        assert isinstance(SPEAKER.decode_request("ClearCache", data), ClearCacheRequest)


def test_all_mistakes_are_found_in_order() -> None:
    """Missing and wrong fields in the order of the rules, unknown ones last."""
    judged = RULES.examine("ResetRequest", {"novelty": 1, "evseId": "1"})

    assert [str(mistake) for mistake in judged.mistakes] == [
        "$.type: required",
        "$.evseId: not an integer",
        "$.novelty: unknown field",
    ]


def test_path_names_list_items_and_cuts_foreign_names() -> None:
    """A path stands in errorDescription: it is readable and short."""
    mistake = Mistake(("meterValue", 0, "x" * 500), ErrorCode.PROTOCOL_ERROR, "unknown field", "MeterValueType")

    assert mistake.path == "$.meterValue[0]." + "x" * 50


def test_lengths_count_characters_not_bytes() -> None:
    """36 euro signs are 108 bytes and an identifier that fits."""
    token = {"idToken": {"idToken": "€" * 36, "type": "Central"}}

    assert RULES.accepts("AuthorizeRequest", json.dumps(token, ensure_ascii=False).encode())
    token["idToken"]["idToken"] += "€"
    assert not RULES.accepts("AuthorizeRequest", json.dumps(token, ensure_ascii=False).encode())


@pytest.mark.parametrize("name", sorted(rules_v201.OBJECTS))
def test_every_rule_can_be_parsed_and_built(name: str) -> None:
    """No action fails at its first use because of a rule that nobody understands."""
    assert RULES.fields(name).keys() == rules_v201.OBJECTS[name].keys()
    assert not RULES.accepts(name, b"[]")


def test_rules_are_built_only_for_what_is_used() -> None:
    """A station pays for the messages that it exchanges."""
    rules = Rules(rules_v201.OBJECTS, rules_v201.ENUMS)

    rules.accepts("HeartbeatRequest", b"{}")

    assert set(vars(rules)["_shapes"]) == {"HeartbeatRequest", "CustomDataType"}


def test_judged_document_is_a_copy() -> None:
    """The document handed in stays as it was."""
    document = msgspec.json.decode(b'{"requestId":7.0,"novelty":1}')

    assert RULES.examine("GetReportRequest", document).document == {"requestId": 7}
    assert document == {"requestId": 7.0, "novelty": 1}
