"""N09, N10: what is stored about a customer is told and removed, except what others still need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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
