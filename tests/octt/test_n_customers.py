"""The OCA's test cases of customer information (block N; part 6, 2.15)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.memory import cached, in_local_list, listed
from tests.octt.session import Session
from tests.octt.states import VALID, id_token

VARIABLES = {
    "LocalAuthListCtrlr.Enabled": "true",
    "AuthCtrlr.LocalPreAuthorize": "true",
    "AuthCacheCtrlr.Enabled": "true",
}
ACCEPTED = {"status": "Accepted"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A station with a cache and a local list."""
    return Bench(tmp_path, variables=VARIABLES)


def ask(bench: Bench, *, report: bool, clear: bool, **who: Any) -> dict[str, Any]:
    """CustomerInformation about the configured token, or whoever else; gives the answer."""
    bench.csms.forget()
    request = {"requestId": 5, "report": report, "clear": clear, **(who or {"idToken": id_token(VALID)})}
    return bench.csms.call("CustomerInformation", request)


def told(bench: Bench) -> str:
    """What the parts say together, all of them received."""
    parts = bench.csms.received("NotifyCustomerInformation")
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {part["requestId"] for part in parts} == {5}
    return "".join(part["data"] for part in parts)


def was_here(bench: Bench) -> None:
    """The token is cached and listed; its owner was authorized, and left."""
    cached(bench)
    in_local_list(bench, listed(VALID))
    session = Session(bench)
    session.authorized(known=True)
    session.parking_bay_unoccupied()


@pytest.mark.octt("TC_N_27_CS")
@pytest.mark.req("N09.FR.02", "N09.FR.05")
def test_tc_n_27_cs(bench: Bench) -> None:
    """What is stored is reported."""
    was_here(bench)

    assert ask(bench, report=True, clear=False) == ACCEPTED

    assert "cache: ISO14443, Accepted" in told(bench)


@pytest.mark.octt("TC_N_28_CS")
@pytest.mark.req("N09.FR.02", "N09.FR.06")
def test_tc_n_28_cs(bench: Bench) -> None:
    """Nothing is stored: one message says so."""
    cached(bench)
    ask(bench, report=False, clear=True)

    assert ask(bench, report=True, clear=False) == ACCEPTED

    (part,) = bench.csms.received("NotifyCustomerInformation")
    assert part["data"] == ""
    assert not part["tbc"]


@pytest.mark.octt("TC_N_29_CS")
@pytest.mark.req("N09.FR.07", "N10.FR.07")
def test_tc_n_29_cs(bench: Bench) -> None:
    """What asks for nothing cannot be done."""
    assert ask(bench, report=False, clear=False)["status"] == "Rejected"

    bench.advance(minutes=1)
    assert bench.csms.received("NotifyCustomerInformation") == []


@pytest.mark.octt("TC_N_30_CS")
@pytest.mark.req("N10.FR.01", "N10.FR.03")
def test_tc_n_30_cs(bench: Bench) -> None:
    """All but the local list is removed, and told."""
    was_here(bench)

    assert ask(bench, report=True, clear=True) == ACCEPTED
    assert "cache: ISO14443" in told(bench)

    assert ask(bench, report=True, clear=False) == ACCEPTED
    assert told(bench) == f"ISO14443 {VALID}\nlocal list: ISO14443, Accepted"


@pytest.mark.octt("TC_N_31_CS")
@pytest.mark.req("N10.FR.01", "N10.FR.04")
def test_tc_n_31_cs(bench: Bench) -> None:
    """There is nothing to remove, and one message says so."""
    assert ask(bench, report=True, clear=True) == ACCEPTED

    (part,) = bench.csms.received("NotifyCustomerInformation")
    assert part["data"] == ""


@pytest.mark.octt("TC_N_32_CS")
@pytest.mark.req("N10.FR.01", "N10.FR.06")
def test_tc_n_32_cs(bench: Bench) -> None:
    """Removed without a report: one message says so."""
    cached(bench)

    assert ask(bench, report=False, clear=True) == ACCEPTED
    assert told(bench) == "cleared"

    ask(bench, report=True, clear=False)
    assert told(bench) == ""


@pytest.mark.octt("TC_N_33_CS")
@pytest.mark.req("N09.FR.09")
@pytest.mark.parametrize(
    "who",
    [{}, {"idToken": id_token(VALID), "customerIdentifier": VALID}],
)
def test_tc_n_33_cs(bench: Bench, who: dict[str, Any]) -> None:
    """Nobody is named, or it is not clear who."""
    request = {"requestId": 5, "report": True, "clear": True, **who}

    assert bench.csms.call("CustomerInformation", request)["status"] == "Invalid"

    assert bench.csms.received("NotifyCustomerInformation") == []


@pytest.mark.octt("TC_N_62_CS")
@pytest.mark.req("N10.FR.01", "N10.FR.03")
def test_tc_n_62_cs(bench: Bench) -> None:
    """By an identifier: that of a token, whatever its type."""
    cached(bench)

    assert ask(bench, report=True, clear=True, customerIdentifier=VALID.lower()) == ACCEPTED
    assert told(bench) != ""

    assert ask(bench, report=True, clear=False, customerIdentifier=VALID.lower()) == ACCEPTED
    assert told(bench) == ""
