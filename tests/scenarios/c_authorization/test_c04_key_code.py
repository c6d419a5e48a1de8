"""Key codes: judged like any token, kept secret, and not to be found by trying (C04)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.api import TokenType
from station.blocks.authorization.attempts import FIRST_S, FREE, LONGEST_S
from tests.bench import Bench

RIGHT, WRONG = "73915", "11111"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A CSMS that knows one code."""
    bench = Bench(
        tmp_path,
        variables={"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"},
    )

    def judge(asked: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        right = asked["idToken"]["idToken"] == RIGHT
        return {"idTokenInfo": {"status": "Accepted" if right else "Invalid"}}

    bench.csms.on("Authorize", judge)
    bench.evse(1).plug_in()
    return bench


def asked(bench: Bench) -> int:
    """How many codes the CSMS was asked about."""
    return len(bench.csms.received("Authorize"))


def type_in(bench: Bench, code: str = WRONG, evse: int = 1) -> None:
    bench.evse(evse).present_token(code, TokenType.KEY_CODE)
    bench.advance(seconds=1)


@pytest.mark.req("C04.FR.06")
def test_whoever_tries_codes_out_waits_longer_each_time(bench: Bench) -> None:
    for _ in range(FREE + 1):
        type_in(bench)
    assert asked(bench) == FREE + 1

    wait_s = FIRST_S
    for tries in range(FREE + 2, FREE + 6):
        type_in(bench, RIGHT)
        assert asked(bench) == tries - 1
        bench.advance(seconds=wait_s - 3)
        type_in(bench)
        assert asked(bench) == tries - 1
        bench.advance(seconds=2)
        type_in(bench)
        assert asked(bench) == tries
        wait_s *= 2

    assert not bench.evse(1).contactor_closed


@pytest.mark.req("C04.FR.06")
def test_the_wait_has_an_end(bench: Bench) -> None:
    for _ in range(12):
        type_in(bench)
        bench.advance(seconds=LONGEST_S)

    assert asked(bench) == 12
    type_in(bench, RIGHT)
    bench.advance(seconds=10)
    assert bench.evse(1).charging


def test_a_right_code_makes_good_the_wrong_ones(bench: Bench) -> None:
    for _ in range(4):
        for _ in range(FREE):
            type_in(bench)
        type_in(bench, RIGHT)

    assert asked(bench) == 4 * FREE + 2  # the second and the fourth right one stop what the one before had started


@pytest.mark.req("C01.FR.03")
def test_who_charges_may_stop_although_others_tried_codes_out(bench: Bench) -> None:
    type_in(bench, RIGHT)
    bench.advance(seconds=10)
    for _ in range(FREE + 1):
        type_in(bench)
    assert bench.evse(1).charging

    type_in(bench, RIGHT)
    bench.advance(seconds=5)

    assert not bench.evse(1).charging


def test_cards_and_other_readers_are_not_hindered(bench: Bench) -> None:
    for _ in range(FREE + 1):
        type_in(bench)
    bench.evse(2).plug_in()

    type_in(bench, RIGHT, evse=2)
    bench.evse(1).present_token(RIGHT)  # a card that happens to have this number
    bench.advance(seconds=10)

    assert bench.evse(1).charging
    assert bench.evse(2).charging


@pytest.mark.req("C04.FR.03")
def test_a_code_in_the_cache_charges_offline(tmp_path: Path) -> None:
    bench = Bench(tmp_path, variables={"AuthCtrlr.LocalAuthorizeOffline": "true"})
    type_in(bench, RIGHT, evse=2)
    bench.csms.disconnect()
    bench.evse(1).plug_in()

    type_in(bench, RIGHT)
    bench.advance(seconds=10)

    assert bench.evse(1).charging
