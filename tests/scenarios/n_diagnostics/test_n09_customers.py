"""N09, N10: what is stored about a customer is told and removed, except what others still need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from station.now import Now
from station.state.customers import PIECE
from station.store.rows import Lane
from tests.bench import Bench
from tests.csms import Error
from tests.scenarios.reservations import cancel, reserve

CARD = "04A1B2C3"
OTHER = "04FFEEDD"
TOKEN = {"idToken": CARD, "type": "ISO14443"}
CERTIFICATE = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "aa",
    "issuerKeyHash": "bb",
    "serialNumber": "1",
}


def ask(bench: Bench, *, report: bool = True, clear: bool = False, **who: Any) -> dict[str, Any]:
    bench.csms.forget()
    request = {"requestId": 1, "report": report, "clear": clear, **(who or {"idToken": TOKEN})}
    return bench.csms.call("CustomerInformation", request)


def told(bench: Bench) -> str:
    return "".join(part["data"] for part in bench.csms.received("NotifyCustomerInformation"))


def charge(bench: Bench, card: str = CARD, *, leave: bool = True) -> None:
    bench.evse(1).present_token(card)
    bench.evse(1).plug_in()
    bench.advance(minutes=2)
    if leave:
        bench.evse(1).present_token(card)
        bench.advance(minutes=1)
        bench.evse(1).unplug()
        bench.advance(minutes=1)


def begin(bench: Bench) -> None:
    """He starts to charge, in a moment."""
    bench.evse(1).present_token(CARD)
    bench.evse(1).plug_in()
    bench.advance(seconds=5)


def stored(bench: Bench) -> str:
    """Every text in every table, in capitals."""
    found = []
    tables = bench.database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for row in bench.database.execute(f'SELECT * FROM "{table}"').fetchall():  # noqa: S608 - tables of our own
            found += [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in row]
    return "\n".join(found).upper()


@pytest.mark.req("N10.FR.05")
def test_who_is_charging_is_not_forgotten(bench: Bench) -> None:
    charge(bench, leave=False)

    answer = ask(bench, clear=True)

    assert answer["status"] == "Rejected"
    assert "charging" in answer["statusInfo"]["additionalInfo"]
    assert told(bench) == ""
    ask(bench)
    assert "is under way" in told(bench)


@pytest.mark.req("N10.FR.05")
def test_what_the_csms_is_still_owed_is_not_removed(bench: Bench) -> None:
    bench.csms.error("TransactionEvent")
    charge(bench)

    assert ask(bench, clear=True)["status"] == "Rejected"
    ask(bench)
    assert "queue: Started of transaction" in told(bench)

    bench.csms.default("TransactionEvent")
    bench.advance(minutes=20)
    assert ask(bench, clear=True)["status"] == "Accepted"
    assert CARD not in stored(bench)


@pytest.mark.req("N10.FR.03")
def test_of_a_message_that_was_given_up_the_readings_stay_and_the_person_leaves(tmp_path: Path) -> None:
    bench = Bench(tmp_path, variables={"OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "1"}, signing=True)
    bench.csms.on("TransactionEvent", Error("InternalError"))
    charge(bench)
    before = bench.database.execute("SELECT count(*) FROM undelivered").fetchone()
    assert CARD in stored(bench)

    assert ask(bench, clear=True)["status"] == "Accepted"

    assert "undelivered: Started of transaction" in told(bench)
    assert bench.database.execute("SELECT count(*) FROM undelivered").fetchone() == before
    (payload,) = bench.database.execute("SELECT payload FROM undelivered ORDER BY id LIMIT 1").fetchone()
    assert json.loads(payload)["meterValue"]
    assert CARD not in stored(bench)


@pytest.mark.req("N10.FR.03")
def test_nothing_of_a_customer_who_left_his_cable_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, signing=True)
    charge(bench, leave=False)
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=1)
    assert bench.database.execute("SELECT count(*) FROM session").fetchone() == (1,)

    assert ask(bench, clear=True)["status"] == "Accepted"

    ask(bench)
    assert told(bench) == ""
    assert CARD not in stored(bench)
    bench.crash()
    bench.evse(1).unplug()
    charge(bench, OTHER)
    assert bench.events()[-1]["eventType"] == "Ended"


@pytest.mark.req("N10.FR.05")
def test_who_still_has_to_take_his_cable_is_not_forgotten(tmp_path: Path) -> None:
    variables = {"TxCtrlr.StopTxOnEVSideDisconnect": "true", "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "false"}
    bench = Bench(tmp_path, lock=True, variables=variables)
    charge(bench, leave=False)
    bench.evse(1).unplug()
    bench.advance(minutes=1)

    assert ask(bench, clear=True)["status"] == "Rejected"

    ask(bench)
    assert "his cable is held" in told(bench)
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=1)
    assert ask(bench, clear=True)["status"] == "Accepted"
    assert CARD not in stored(bench)


@pytest.mark.req("N10.FR.06")
def test_others_keep_what_is_theirs(bench: Bench) -> None:
    charge(bench, OTHER)
    charge(bench)

    ask(bench, report=False, clear=True)

    ask(bench, idToken={"idToken": OTHER, "type": "ISO14443"})
    assert "cache: ISO14443, Accepted" in told(bench)


@pytest.mark.req("N09.FR.05", "N10.FR.05")
def test_a_reservation_is_told_and_has_to_be_cancelled_first(bench: Bench) -> None:
    assert reserve(bench, 7, CARD, evseId=1) == "Accepted"

    assert ask(bench, clear=True)["status"] == "Rejected"

    ask(bench)
    assert "reservation 7: EVSE 1" in told(bench)
    cancel(bench, 7)
    assert ask(bench, clear=True)["status"] == "Accepted"


@pytest.mark.req("N09.FR.05")
def test_a_long_report_comes_in_parts_of_512_characters(bench: Bench) -> None:
    for number in range(1, 3):
        reserve(bench, number, CARD, evseId=number)
    bench.csms.error("TransactionEvent")
    for _ in range(4):
        charge(bench)

    ask(bench)

    parts = bench.csms.received("NotifyCustomerInformation")
    assert len(parts) > 1
    assert [len(part["data"]) for part in parts[:-1]] == [512] * (len(parts) - 1)
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert told(bench).startswith(f"ISO14443 {CARD}\n")


@pytest.mark.req("N09.FR.06")
def test_nothing_is_filed_under_a_certificate(bench: Bench) -> None:
    charge(bench)

    assert ask(bench, clear=True, customerCertificate=CERTIFICATE)["status"] == "Accepted"

    assert told(bench) == ""
    ask(bench)
    assert told(bench) != ""


@pytest.mark.req("N09.FR.03")
def test_too_many_reports_at_once_are_rejected(bench: Bench) -> None:
    bench.csms.hold()
    requests = [{"requestId": n, "report": True, "clear": False, "idToken": TOKEN} for n in range(5)]
    statuses = [bench.csms.call("CustomerInformation", request)["status"] for request in requests]

    bench.csms.release()

    assert statuses == ["Accepted"] * 4 + ["Rejected"]
    assert ask(bench)["status"] == "Accepted"


def owe(bench: Bench, rows: int, *, table: str = "outbox", card: str = OTHER) -> None:
    """So many Started events of a card that wait for the CSMS, or were given up, as an earlier run left them."""
    payload = {
        "eventType": "Started",
        "timestamp": "2026-03-01T12:00:00Z",
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "T"},
        "idToken": {"idToken": card, "type": "ISO14443"},
    }
    insert = {
        "outbox": "INSERT INTO outbox VALUES (?, ?, 'TransactionEvent', 'T', 0, 0, 0, 0.0, 0.0, ?, '')",
        "undelivered": "INSERT INTO undelivered VALUES (?, ?, 'TransactionEvent', 'T', 1, 0, 0.0, 0.0, ?, 'no answer')",
    }
    data = json.dumps(payload).encode()
    with bench.station.db.transaction():
        bench.station.db.connection.executemany(
            insert[table], [((Lane.TRANSACTIONS << 56) + n, f"{card}{n}", data) for n in range(rows)]
        )


@pytest.mark.parametrize("table", ["outbox", "undelivered"])
def test_a_long_queue_is_looked_through_in_steps_of_few_rows(bench: Bench, table: str) -> None:
    """100,000 rows of two days offline would stop everything for 0.2 s and more."""
    owe(bench, 20 * PIECE, table=table)
    operations, most = 0, 0
    step = bench.station.engine.step

    def count() -> int:
        nonlocal operations
        operations += 100
        return 0

    def counted(given: Any, now: Now) -> Any:
        nonlocal operations, most
        operations = 0
        done = step(given, now)
        most = max(most, operations)
        return done

    bench.station.engine.step = counted  # type: ignore[method-assign]  # to see what one step reads
    bench.station.db.connection.set_progress_handler(count, 100)
    answer = ask(bench)
    bench.station.db.connection.set_progress_handler(None, 0)

    assert answer["status"] == "Accepted"
    assert PIECE < most < 40 * PIECE  # SQLite's own operations: some twenty a row


def test_what_is_queued_while_the_queue_is_looked_through_is_found(bench: Bench) -> None:
    bench.csms.error("TransactionEvent")
    owe(bench, 3 * PIECE)
    bench.busy = True
    call = bench.csms.send("CustomerInformation", {"requestId": 1, "report": True, "clear": False, "idToken": TOKEN})
    bench.piece()

    begin(bench)
    bench.busy = False
    bench.settle()

    assert call.answer is not None
    assert call.answer["status"] == "Accepted"
    assert "queue: Started of transaction" in told(bench)


@pytest.mark.req("N10.FR.05")
def test_who_begins_to_charge_while_the_queue_is_looked_through_is_not_forgotten(bench: Bench) -> None:
    owe(bench, 3 * PIECE, table="undelivered", card=CARD)
    bench.busy = True
    call = bench.csms.send("CustomerInformation", {"requestId": 1, "report": True, "clear": True, "idToken": TOKEN})
    bench.piece()

    begin(bench)
    bench.busy = False
    bench.settle()

    assert call.answer is not None
    assert "charging" in call.answer["statusInfo"]["additionalInfo"]
    assert bench.csms.received("NotifyCustomerInformation") == []
    assert stored(bench).count(f'"IDTOKEN": "{CARD}"') == 3 * PIECE


@pytest.mark.req("N09.FR.03")
def test_while_one_customer_is_looked_for_another_has_to_wait(bench: Bench) -> None:
    bench.busy = True
    first = bench.csms.send("CustomerInformation", {"requestId": 1, "report": True, "clear": False, "idToken": TOKEN})
    second = bench.csms.send("CustomerInformation", {"requestId": 2, "report": True, "clear": False, "idToken": TOKEN})
    bench.busy = False
    bench.settle()

    assert second.answer is not None
    assert second.answer["status"] == "Rejected"
    assert first.answer is not None
    assert first.answer["status"] == "Accepted"


def test_a_search_that_takes_too_long_is_given_up(bench: Bench) -> None:
    """The CSMS has heard by then that it failed."""
    owe(bench, 3 * PIECE, table="undelivered", card=CARD)
    bench.busy = True
    call = bench.csms.send("CustomerInformation", {"requestId": 1, "report": True, "clear": True, "idToken": TOKEN})
    bench.advance(seconds=30)
    bench.busy = False
    bench.settle()

    assert call.answer is not None
    assert "too long" in call.answer["statusInfo"]["additionalInfo"]
    assert told(bench) == ""
    assert ask(bench)["status"] == "Accepted"
