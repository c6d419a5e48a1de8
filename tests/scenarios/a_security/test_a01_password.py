"""A01: the CSMS gives the station another password."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from certs.errors import KeyUnavailable
from tests.bench import Bench
from tests.scenarios.variables import base_report, put

PASSWORD = "SecurityCtrlr.BasicAuthPassword"
OLD, NEW, THIRD = "the-old-password-1", "the-new-password-2", "the-third-password"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, variables={PASSWORD: OLD})


@pytest.mark.req("A01.FR.01", "A00.FR.205", "A00.FR.304")
def test_a_new_password_is_used_at_once(bench: Bench) -> None:
    """Accepted is answered first; then the station connects again with it, and is known as before."""
    bench.csms.forget()

    assert put(bench, PASSWORD, NEW) == "Accepted"

    assert [intent.intent.kind for intent in bench.intents] == ["reconnect"]
    assert bench.station.network.passwords()[0] == NEW
    bench.advance(seconds=5)
    assert "BootNotification" not in bench.csms.actions()


@pytest.mark.req("A01.FR.01")
def test_it_survives_a_power_cut(bench: Bench) -> None:
    put(bench, PASSWORD, NEW)

    bench.crash()

    assert bench.station.network.passwords() == (NEW,)


def test_the_old_one_is_kept_until_the_new_one_was_let_in(bench: Bench) -> None:
    """A CSMS that answers Accepted and then refuses the password does not lock the station out (field.md 13)."""
    bench.csms.connected = True
    bench.password = OLD

    put(bench, PASSWORD, NEW)
    assert bench.station.network.passwords() == (NEW, OLD)
    bench.crash()
    assert bench.station.network.passwords() == (NEW, OLD)

    bench.password = NEW
    bench.csms.disconnect()
    bench.csms.connect()
    assert bench.station.network.passwords() == (NEW,)
    bench.crash()
    assert bench.station.network.passwords() == (NEW,)


def test_of_several_passwords_the_last_that_worked_is_kept(bench: Bench) -> None:
    bench.password = OLD

    put(bench, PASSWORD, NEW)
    put(bench, PASSWORD, THIRD)

    assert bench.station.network.passwords() == (THIRD, OLD)
    assert len(bench.intents) == 2


@pytest.mark.req("A01.FR.01", "A00.FR.205", "B05.FR.07", "B05.FR.08")
@pytest.mark.parametrize(
    "wrong", ["", "too-short-15-chr", "x" * 65, "sixteen-with-\x07-bell", "sixteen\nand-a-newline"]
)
def test_a_password_that_cannot_be_used_is_rejected(bench: Bench, wrong: str) -> None:
    """The old one stays, and so does the connection."""
    wrong = wrong[:15] if wrong == "too-short-15-chr" else wrong

    assert put(bench, PASSWORD, wrong) == "Rejected"

    assert bench.station.network.passwords() == (OLD,)
    assert bench.intents == []


@pytest.mark.req("A01.FR.01")
def test_a_password_that_nobody_could_keep_is_rejected(bench: Bench) -> None:
    """The TPM that has the key to seal it is away: the old one stays in use, and nothing has failed."""
    bench.station.network._seal = bench.station.variables._storage._seal = away
    bench.csms.forget()

    assert put(bench, PASSWORD, NEW) == "Rejected"

    bench.settle()
    assert bench.station.network.passwords() == (OLD,)
    assert bench.intents == []
    assert "SecurityEventNotification" not in bench.csms.actions(), "an InternalError would be told"


def away(text: str) -> str:
    """A key store that does not answer."""
    raise KeyUnavailable("no TPM", f"bring it back, for {len(text)} letters")


@pytest.mark.parametrize("good", ["x" * 16, "x" * 40, "x" * 64, "ümläute-und-ß-auch", "with spaces and : colon"])
@pytest.mark.req("A00.FR.205", "A00.FR.304")
def test_a_password_may_hold_any_printable_text(bench: Bench, good: str) -> None:
    """Errata 2.1: 16 to 64 characters, not limited to a set of symbols."""
    assert put(bench, PASSWORD, good) == "Accepted"


@pytest.mark.req("A01.FR.11", "A01.FR.12")
def test_the_change_is_logged_without_its_content(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log, nor what the CSMS can read, nor any repr holds the old or the new one."""
    caplog.set_level(logging.DEBUG)
    bench.csms.forget()

    put(bench, PASSWORD, NEW)
    base_report(bench, "FullInventory")

    (event,) = [record for record in caplog.records if record.message == "security.event"]
    assert event.__dict__["type"] == "ReconfigurationOfSecurityParameters"
    assert event.__dict__["info"] == "BasicAuthPassword"
    assert [(each.type, each.info) for each in bench.station.security_log.entries()][-1] == (
        "ReconfigurationOfSecurityParameters",
        "BasicAuthPassword",
    )
    spoken = [str(record.__dict__) for record in caplog.records]
    read = [str(frame.content) for frame in bench.csms.log if frame.by == "station"]
    assert not [text for text in (*spoken, *read) if NEW in text or OLD in text]
