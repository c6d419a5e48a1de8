"""The order local list, cache, CSMS as one table (C01, C10, C12-C15)."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from station.blocks.authorization.decision import ACCEPTED, Accept, AskCsms, Decision, Refuse, Rules, decide
from station.ocpp.types import IdTokenInfoType

PLAIN = Rules(pre_authorize=False, authorize_offline=False, offline_unknown=False, remote_disabled=False)
BLOCKED = IdTokenInfoType(status="Blocked")
EXPIRED = IdTokenInfoType(status="Expired")


def rules(**given: bool) -> Rules:
    return msgspec.structs.replace(PLAIN, **given)


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
    (rules(pre_authorize=True, cache_final=True), None, BLOCKED, Refuse("Blocked")),
    (rules(pre_authorize=True, cache_final=True), BLOCKED, None, AskCsms()),
    (rules(pre_authorize=True, list_final=True), BLOCKED, ACCEPTED, Refuse("Blocked")),
    (rules(remote_disabled=True), None, None, Refuse("Unknown")),
    (rules(remote_disabled=True, pre_authorize=True), ACCEPTED, None, Accept(ACCEPTED)),
]

OFFLINE = [
    (rules(), None, None, Refuse("Unknown")),
    (rules(), ACCEPTED, ACCEPTED, Refuse("Unknown")),
    (rules(authorize_offline=True), ACCEPTED, None, Accept(ACCEPTED)),
    (rules(authorize_offline=True), None, ACCEPTED, Accept(ACCEPTED)),
    (rules(authorize_offline=True), BLOCKED, ACCEPTED, Refuse("Blocked")),
    (rules(authorize_offline=True), None, BLOCKED, Refuse("Blocked")),
    (rules(authorize_offline=True), EXPIRED, None, Refuse("Expired")),
    (rules(authorize_offline=True), None, None, Refuse("Unknown")),
    (rules(offline_unknown=True), None, None, Accept(ACCEPTED, unknown=True)),
    (rules(offline_unknown=True, authorize_offline=True), BLOCKED, None, Refuse("Blocked")),
    (rules(offline_unknown=True, authorize_offline=True), None, ACCEPTED, Accept(ACCEPTED)),
]


@pytest.mark.req("C01.FR.02", "C10.FR.03", "C12.FR.02", "C12.FR.05", "C14.FR.01", "C14.FR.02", "C14.FR.03")
@pytest.mark.parametrize("given,listed,cached,expected", ONLINE)
def test_online(
    given: Rules, listed: IdTokenInfoType | None, cached: IdTokenInfoType | None, expected: Decision
) -> None:
    assert decide(given, online=True, listed=listed, cached=cached) == expected


@pytest.mark.req("C13.FR.01", "C13.FR.02", "C15.FR.08")
@pytest.mark.parametrize("given,listed,cached,expected", OFFLINE)
def test_offline(
    given: Rules, listed: IdTokenInfoType | None, cached: IdTokenInfoType | None, expected: Decision
) -> None:
    assert decide(given, online=False, listed=listed, cached=cached) == expected


def test_nothing_but_an_accepted_entry_or_the_rule_for_unknown_tokens_ever_lets_charge() -> None:
    stores = [None, ACCEPTED, BLOCKED, EXPIRED]
    for flags in itertools.product([False, True], repeat=len(Rules.__struct_fields__)):
        for listed, cached, online in itertools.product(stores, stores, [False, True]):
            decision = decide(Rules(*flags), online=online, listed=listed, cached=cached)
            if isinstance(decision, Accept):
                judged = listed if listed is not None else cached
                by_rule = judged is None and not online and Rules(*flags).offline_unknown
                assert by_rule or (judged is not None and judged.status == "Accepted")
                assert decision.unknown is by_rule


def test_what_the_store_knows_goes_along_with_the_acceptance() -> None:
    known = msgspec.structs.replace(ACCEPTED, charging_priority=3)

    assert decide(rules(pre_authorize=True), online=True, cached=known) == Accept(known)
