"""The CSMS sends the local authorization list: all or nothing, whatever is wrong and whatever comes between (D01)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from station.blocks.local_list import PIECE
from station.ocpp.types import IdTokenInfoType, IdTokenType
from station.state.local_list import entry
from tests.bench import Bench

CAPACITY = 50_000


def one(number: int, status: str | None = "Accepted") -> dict[str, Any]:
    """An entry; without a status one that removes."""
    told = {"idToken": {"idToken": f"04{number:012X}", "type": "ISO14443"}}
    return told if status is None else {**told, "idTokenInfo": {"status": status}}


def update(kind: str, version: int, entries: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A SendLocalList."""
    given = {"updateType": kind, "versionNumber": version}
    return given if entries is None else {**given, "localAuthorizationList": entries}


def send(bench: Bench, kind: str, version: int, entries: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return bench.csms.call("SendLocalList", update(kind, version, entries))


def version(bench: Bench) -> int:
    number: int = bench.csms.call("GetLocalListVersion")["versionNumber"]
    return number


def entries(bench: Bench) -> int:
    return bench.station.variables.integer("LocalAuthListCtrlr", "Entries")


def status(bench: Bench, number: int) -> str | None:
    """What the list says of a token."""
    found = bench.station.local_list.find(IdTokenType(id_token=f"04{number:012X}", type="ISO14443"))
    return found.status if found is not None else None


def fill(bench: Bench, number: int) -> None:
    """A list of so many entries, version 1, by one large step."""
    accepted = IdTokenInfoType(status="Accepted")
    with bench.database.transaction():
        bench.station.local_list.stage(
            entry(IdTokenType(id_token=f"04{each:012X}", type="ISO14443"), accepted) for each in range(number)
        )
        bench.station.local_list.make_valid(1, number, full=True)
    bench.crash()
    bench.advance(seconds=5)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A station that has a list of two tokens, version 5."""
    bench = Bench(tmp_path)
    assert send(bench, "Full", 5, [one(1), one(2, "Blocked")]) == {"status": "Accepted"}
    return bench


@pytest.mark.req("D02.FR.02")
def test_before_any_list_has_come_the_version_is_0(tmp_path: Path) -> None:
    assert version(Bench(tmp_path)) == 0


@pytest.mark.req("D01.FR.15")
def test_a_full_update_may_have_any_version_and_replaces_all(bench: Bench) -> None:
    assert send(bench, "Full", 3, [one(3)]) == {"status": "Accepted"}

    assert version(bench) == 3
    assert [status(bench, number) for number in (1, 2, 3)] == [None, None, "Accepted"]
    assert entries(bench) == 1


@pytest.mark.req("D01.FR.16", "D01.FR.17")
def test_one_differential_update_adds_changes_and_removes(bench: Bench) -> None:
    assert send(bench, "Differential", 6, [one(1, None), one(2), one(3), one(4, None)]) == {"status": "Accepted"}

    assert [status(bench, number) for number in (1, 2, 3, 4)] == [None, "Accepted", "Accepted", None]
    assert (version(bench), entries(bench)) == (6, 2)


@pytest.mark.req("D01.FR.02", "D01.FR.19")
@pytest.mark.parametrize(
    "given,answer,reason",
    [
        (update("Differential", 5, [one(3)]), "VersionMismatch", None),
        (update("Differential", 4, [one(3)]), "VersionMismatch", None),
        (update("Full", 0, [one(3)]), "Failed", "ValuePositiveOnly"),
        (update("Differential", -1, [one(3)]), "Failed", "ValuePositiveOnly"),
        (update("Full", 6, [one(3), one(4), one(3, "Blocked")]), "Failed", "InvalidValue"),
        (update("Differential", 6, [one(0xAB), {"idToken": {"idToken": "040000000000ab", "type": "ISO14443"}}]),
         "Failed", "InvalidValue"),
        (update("Full", 6, [one(3), one(4, None)]), "Failed", "MissingParam"),
        (update("Full", 6, [one(number) for number in range(1001)]), "Failed", "TooManyElements"),
    ],
)  # fmt: skip
def test_a_wrong_update_changes_nothing(bench: Bench, given: dict[str, Any], answer: str, reason: str | None) -> None:
    told = bench.csms.call("SendLocalList", given)

    assert told["status"] == answer
    assert told.get("statusInfo", {}).get("reasonCode") == reason
    assert [status(bench, number) for number in (1, 2, 3)] == ["Accepted", "Blocked", None]
    assert (version(bench), entries(bench)) == (5, 2)


@pytest.mark.req("D01.FR.02")
def test_a_message_longer_than_bytes_per_message_is_refused(bench: Bench) -> None:
    most = bench.station.variables.integer("LocalAuthListCtrlr", "BytesPerMessage")
    long = [{**one(number), "customData": {"vendorId": "x" * 200}} for number in range(1000)]

    error = bench.csms.refused("SendLocalList", update("Full", 6, long))

    assert most == 262_144
    assert error.code in {"FormatViolation", "RpcFrameworkError"}
    assert version(bench) == 5


@pytest.mark.req("D02.FR.03", "D01.FR.02")
def test_a_disabled_list_takes_no_update_and_keeps_what_it_has(bench: Bench) -> None:
    bench.station.variables.set("LocalAuthListCtrlr", "Enabled", "false")
    answer = send(bench, "Full", 9, [one(3)])
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Failed", "NotEnabled")
    assert version(bench) == 0

    bench.station.variables.set("LocalAuthListCtrlr", "Enabled", "true")

    assert version(bench) == 5
    assert status(bench, 1) == "Accepted"


@pytest.mark.req("D01.FR.12")
def test_the_capacity_and_what_is_used_of_it_are_told(bench: Bench) -> None:
    asked = {"component": {"name": "LocalAuthListCtrlr"}, "variable": {"name": "Entries"}}
    bench.csms.call("GetReport", {"requestId": 1, "componentVariable": [asked]})
    bench.advance(seconds=1)

    (told,) = bench.csms.received("NotifyReport")[-1]["reportData"]
    assert told["variableCharacteristics"]["maxLimit"] == CAPACITY
    assert told["variableAttribute"][0]["value"] == "2"


@pytest.mark.req("D01.FR.02", "D01.FR.12")
def test_what_would_not_fit_is_refused_as_a_whole(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill(bench, CAPACITY - 1)

    answer = send(bench, "Differential", 2, [one(1, "Blocked"), one(CAPACITY), one(CAPACITY + 1)])
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Failed", "OutOfStorage")
    assert status(bench, 1) == "Accepted"
    assert version(bench) == 1

    assert send(bench, "Differential", 2, [one(1, None), one(CAPACITY), one(CAPACITY + 1)]) == {"status": "Accepted"}
    assert entries(bench) == CAPACITY


@pytest.mark.req("D01.FR.09")
def test_what_the_csms_says_of_a_token_elsewhere_does_not_change_the_list(bench: Bench) -> None:
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted"}})
    bench.evse(1).plug_in()
    bench.evse(1).present_token(f"04{2:012X}")
    bench.advance(seconds=30)
    assert bench.evse(1).charging

    assert bench.csms.call("ClearCache") == {"status": "Accepted"}

    assert status(bench, 2) == "Blocked"
    assert (version(bench), entries(bench)) == (5, 2)


# --- a long update


def pieces(bench: Bench) -> int:
    """Carry on to the end; gives the steps that it took."""
    count = 0
    while bench.piece():
        count += 1
    bench.busy = False
    bench.settle()
    return count


def long(number: int = 1000) -> list[dict[str, Any]]:
    return [one(100 + each) for each in range(number)]


def test_other_calls_are_answered_between_the_pieces_of_a_long_update(bench: Bench) -> None:
    bench.busy = True
    sent = bench.csms.send("SendLocalList", update("Full", 8, long()))

    assert not sent.done
    assert version(bench) == 5
    assert (status(bench, 1), status(bench, 100)) == ("Accepted", None)
    busy = send(bench, "Differential", 9, [one(7)])
    assert (busy["status"], busy["statusInfo"]["reasonCode"]) == ("Failed", "InvalidMessageSeq")

    assert pieces(bench) == 1000 // PIECE
    assert sent.answer == {"status": "Accepted"}
    assert (version(bench), entries(bench)) == (8, 1000)
    assert (status(bench, 1), status(bench, 100), status(bench, 1099)) == (None, "Accepted", "Accepted")


@pytest.mark.req("D01.FR.10")
@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_power_cut_in_a_long_update_leaves_the_old_list(bench: Bench, done: int) -> None:
    bench.busy = True
    sent = bench.csms.send("SendLocalList", update("Differential", 8, [*long(999), one(1, None)]))
    assert not sent.done
    for _ in range(done):
        assert bench.piece()

    bench.crash()
    bench.busy = False
    bench.csms._calls.clear()
    bench.advance(minutes=1)

    assert (version(bench), entries(bench)) == (5, 2)
    assert [status(bench, number) for number in (1, 2, 100)] == ["Accepted", "Blocked", None]
    assert bench.database.execute("SELECT count(*) FROM local_list").fetchone() == (2,)
    assert send(bench, "Differential", 8, long()) == {"status": "Accepted"}
    assert entries(bench) == 1002


def test_an_update_goes_on_when_the_link_is_lost_before_its_reply(bench: Bench) -> None:
    bench.busy = True
    bench.csms.send("SendLocalList", update("Full", 8, long()))

    bench.csms.disconnect()
    pieces(bench)
    bench.csms.connect()

    assert version(bench) == 8


def test_an_update_that_was_told_failed_has_failed(bench: Bench) -> None:
    """The core stands still for so long that the reply is given without it."""
    bench.busy = True
    sent = bench.csms.send("SendLocalList", update("Full", 8, long()))
    bench.advance(minutes=1)
    assert sent.answer is not None
    assert sent.answer["status"] == "Failed"

    pieces(bench)
    bench.advance(minutes=1)

    assert (version(bench), entries(bench)) == (5, 2)
    assert bench.database.execute("SELECT count(*) FROM local_list").fetchone() == (2,)
    assert send(bench, "Full", 8, long()) == {"status": "Accepted"}


def test_a_bug_in_the_middle_of_an_update_fails_it_and_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.busy = True
    sent = bench.csms.send("SendLocalList", update("Full", 8, long()))
    with monkeypatch.context() as patch:
        patch.setattr(bench.station.local_list, "stage", _raises)
        bench.piece()
    bench.busy = False
    bench.advance(minutes=1)

    assert sent.answer is not None
    assert sent.answer["status"] == "Failed"
    assert (version(bench), status(bench, 1)) == (5, "Accepted")
    assert send(bench, "Full", 8, long()) == {"status": "Accepted"}


def _raises(lines: object) -> None:
    raise RuntimeError(f"a bug: {lines!r}"[:20])


def test_no_step_of_an_update_of_fifty_thousand_writes_more_than_a_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages hold ItemsPerMessage entries; each step commits at most PIECE of them, and so does cleaning up."""
    bench = Bench(tmp_path)
    fill(bench, CAPACITY - 1000)
    steps = written(bench, monkeypatch)

    assert send(bench, "Differential", 2, [one(CAPACITY + each) for each in range(1000)]) == {"status": "Accepted"}
    bench.advance(minutes=2)
    assert entries(bench) == CAPACITY
    assert send(bench, "Full", 3, long()) == {"status": "Accepted"}
    assert entries(bench) == 1000
    assert (status(bench, 1), status(bench, 101)) == (None, "Accepted")
    bench.advance(minutes=2)

    assert max(steps) <= PIECE + 10
    assert len([each for each in steps if each >= PIECE]) >= (CAPACITY + 2000) // PIECE
    assert bench.database.execute("SELECT count(*) FROM local_list").fetchone() == (1000,)


def written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows written by each step from now on."""
    steps: list[int] = []
    step: Callable[..., Any] = bench.station.engine.step

    def counted(*given: Any) -> Any:
        before = bench.database.connection.total_changes
        done = step(*given)
        steps.append(bench.database.connection.total_changes - before)
        return done

    monkeypatch.setattr(bench.station.engine, "step", counted)
    return steps
