"""The order local list, cache, CSMS as one table (C01-C03, C10, C12-C15)."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from station.blocks.authorization.decision import (
    ACCEPTED,
    UNKNOWN,
    Accept,
    AskCsms,
    Decision,
    Known,
    Moment,
    Refuse,
    Rules,
    decide,
)
from station.ocpp.types import IdTokenInfoType, IdTokenType

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CARD = IdTokenType(id_token="04AABBCC", type="ISO14443")
BLOCKED = IdTokenInfoType(status="Blocked")
EXPIRED = IdTokenInfoType(status="Expired")
OVER = IdTokenInfoType(status="Accepted", cache_expiry_date_time=NOW)
LASTS = IdTokenInfoType(status="Accepted", cache_expiry_date_time=NOW + timedelta(seconds=1))
TOO_LATE = msgspec.structs.replace(OVER, status="Expired")
ONLINE_NOW, OFFLINE_NOW = Moment(online=True, at=NOW), Moment(online=False, at=NOW)


def rules(**given: bool) -> Rules:
    return Rules(**given)


ONLINE = [
    # rules, list, cache -> decision
    (rules(), None, None, AskCsms()),
    (rules(), ACCEPTED, ACCEPTED, AskCsms()),
    (rules(pre_authorize=True), None, None, AskCsms()),
    (rules(pre_authorize=True), ACCEPTED, None, Accept(ACCEPTED)),
    (rules(pre_authorize=True), None, ACCEPTED, Accept(ACCEPTED)),
    (rules(pre_authorize=True), BLOCKED, ACCEPTED, AskCsms()),
    (rules(pre_authorize=True), ACCEPTED, BLOCKED, Accept(ACCEPTED)),
    (rules(pre_authorize=True), None, BLOCKED, AskCsms()),
    (rules(pre_authorize=True), EXPIRED, None, AskCsms()),
    (rules(pre_authorize=True), LASTS, None, Accept(LASTS)),
    (rules(pre_authorize=True), OVER, None, AskCsms()),
    (rules(pre_authorize=True), OVER, ACCEPTED, AskCsms()),
    (rules(pre_authorize=True, list_expires=False), OVER, None, Accept(OVER)),
    (rules(pre_authorize=True, cache_final=True), None, BLOCKED, Refuse(BLOCKED)),
    (rules(pre_authorize=True, cache_final=True), BLOCKED, None, AskCsms()),
    (rules(pre_authorize=True, list_final=True), BLOCKED, ACCEPTED, Refuse(BLOCKED)),
    (rules(pre_authorize=True, list_final=True), EXPIRED, None, Refuse(EXPIRED)),
    (rules(pre_authorize=True, list_final=True), OVER, None, AskCsms()),
    (rules(remote_disabled=True), None, None, Refuse(UNKNOWN)),
    (rules(remote_disabled=True), ACCEPTED, None, Accept(ACCEPTED)),
    (rules(remote_disabled=True), None, ACCEPTED, Accept(ACCEPTED)),
    (rules(remote_disabled=True), BLOCKED, ACCEPTED, Refuse(BLOCKED)),
    (rules(remote_disabled=True), OVER, None, Refuse(TOO_LATE)),
    (rules(remote_disabled=True, offline_unknown=True), None, None, Refuse(UNKNOWN)),
    (rules(enabled=False), BLOCKED, BLOCKED, Accept(ACCEPTED)),
]

OFFLINE = [
    (rules(), None, None, Refuse(UNKNOWN)),
    (rules(), ACCEPTED, ACCEPTED, Refuse(UNKNOWN)),
    (rules(authorize_offline=True), ACCEPTED, None, Accept(ACCEPTED)),
    (rules(authorize_offline=True), None, ACCEPTED, Accept(ACCEPTED)),
    (rules(authorize_offline=True), BLOCKED, ACCEPTED, Refuse(BLOCKED)),
    (rules(authorize_offline=True), None, BLOCKED, Refuse(BLOCKED)),
    (rules(authorize_offline=True), EXPIRED, None, Refuse(EXPIRED)),
    (rules(authorize_offline=True), LASTS, None, Accept(LASTS)),
    (rules(authorize_offline=True), OVER, ACCEPTED, Refuse(TOO_LATE)),
    (rules(authorize_offline=True, list_expires=False), OVER, None, Accept(OVER)),
    (rules(authorize_offline=True), None, None, Refuse(UNKNOWN)),
    (rules(offline_unknown=True), None, None, Accept(ACCEPTED, unknown=True)),
    (rules(offline_unknown=True), ACCEPTED, None, Refuse(UNKNOWN)),
    (rules(offline_unknown=True, authorize_offline=True), BLOCKED, None, Refuse(BLOCKED)),
    (rules(offline_unknown=True, authorize_offline=True), OVER, None, Refuse(TOO_LATE)),
    (rules(offline_unknown=True, authorize_offline=True), LASTS, None, Accept(LASTS)),
    (rules(offline_unknown=True, authorize_offline=True), None, ACCEPTED, Accept(ACCEPTED)),
    (rules(enabled=False), BLOCKED, BLOCKED, Accept(ACCEPTED)),
]

Row = tuple[Rules, IdTokenInfoType | None, IdTokenInfoType | None, Decision]


@pytest.mark.req("C01.FR.02", "C10.FR.03", "C12.FR.02", "C12.FR.05")
@pytest.mark.req("C14.FR.01", "C14.FR.02", "C14.FR.03", "C14.FR.04", "C14.FR.05")
@pytest.mark.parametrize("row", ONLINE)
def test_online(row: Row) -> None:
    given, listed, cached, expected = row

    assert decide(CARD, Known(listed, cached), ONLINE_NOW, given) == expected


@pytest.mark.req("C13.FR.01", "C13.FR.02", "C13.FR.04", "C13.FR.05", "C13.FR.06", "C15.FR.08")
@pytest.mark.parametrize("row", OFFLINE)
def test_offline(row: Row) -> None:
    given, listed, cached, expected = row

    assert decide(CARD, Known(listed, cached), OFFLINE_NOW, given) == expected


@pytest.mark.req("C02.FR.01", "C03.FR.01", "C05.FR.01")
@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(
    "type_,via,given,expected",
    [
        ("NoAuthorization", "button", rules(), Accept(ACCEPTED)),
        ("Central", "remote", rules(remote_starts=True), Accept(ACCEPTED)),
        ("Central", "local", rules(), None),
        ("ISO14443", "remote", rules(), Accept(ACCEPTED)),
        ("ISO14443", "remote", rules(remote_starts=True), None),
        ("KeyCode", "local", rules(), None),
        ("Local", "local", rules(), None),
        ("MacAddress", "local", rules(), None),
        ("eMAID", "local", rules(), None),
    ],
)
def test_who_needs_no_check(type_: str, via: str, given: Rules, expected: Decision | None, *, online: bool) -> None:
    """None: what is decided is what is decided of any token."""
    moment = Moment(online=online, at=NOW, via=via)  # type: ignore[arg-type]  # one of Via
    otherwise = AskCsms() if online else Refuse(UNKNOWN)

    assert decide(IdTokenType(id_token="x", type=type_), Known(), moment, given) == (expected or otherwise)


def test_nothing_but_an_accepted_entry_or_the_rule_for_unknown_tokens_ever_lets_charge() -> None:
    stores = [None, ACCEPTED, BLOCKED, EXPIRED, OVER, LASTS]
    for flags in itertools.product([False, True], repeat=len(Rules.__struct_fields__)):
        given = Rules(**dict(zip(Rules.__struct_fields__, flags, strict=True)))
        for listed, cached, moment in itertools.product(stores, stores, [ONLINE_NOW, OFFLINE_NOW]):
            decision = decide(CARD, Known(listed, cached), moment, given)
            if isinstance(decision, Accept) and given.enabled:
                judged = listed if listed is not None else cached
                by_rule = judged is None and not moment.online and given.offline_unknown
                valid = judged is not None and judged.status == "Accepted"
                over = listed is OVER and given.list_expires
                assert by_rule or (valid and not over)
                assert decision.unknown is by_rule


def test_what_the_store_knows_goes_along_with_the_acceptance() -> None:
    known = msgspec.structs.replace(ACCEPTED, charging_priority=3)

    assert decide(CARD, Known(cached=known), ONLINE_NOW, rules(pre_authorize=True)) == Accept(known)
