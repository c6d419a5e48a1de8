"""The CSMS is warned of certificates that end soon."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from certs.throwaway import Authority
from certs.trust import TrustStore
from station.blocks.own_certificates.expiry import EVENT
from tests.bench import Bench
from tests.csms import EPOCH

DAY = timedelta(days=1)


def station(path: Path, days: float, life: float = 400.0, **more: object) -> Bench:
    """One with a CSMS root that has so many days to live, of a life of so many."""
    valid = (timedelta(days=days - life), timedelta(days=days))
    root = Authority.create("Operator", path, valid=valid, clock=lambda: EPOCH)
    TrustStore(path / "roots").add("CSMSRootCertificate", root.root_pem)
    return Bench(path, **more)  # type: ignore[arg-type]  # whatever a bench takes


def told(bench: Bench) -> list[str]:
    """What the CSMS was told of the ends of certificates."""
    return [str(each["techInfo"]) for each in bench.csms.received("SecurityEventNotification") if each["type"] == EVENT]


def later(bench: Bench, days: float) -> None:
    """The station was off meanwhile."""
    bench.crash(down_s=days * 86_400.0)
    bench.advance(minutes=2)


def test_each_step_towards_the_end_is_told_once(tmp_path: Path) -> None:
    """90, 30 and 7 days before, and when it is over; with the role and the date."""
    bench = station(tmp_path, 100)
    bench.advance(minutes=2)
    assert told(bench) == []

    for _ in range(2):
        later(bench, 6)  # 94 and 88 days
    assert len(told(bench)) == 1
    assert "CSMSRootCertificate" in told(bench)[0]
    assert "ends in 87 days, 2027-03-01" in told(bench)[0]
    for days in (50, 10, 10, 14, 2, 4):  # 38, 28, 18, 4, 2, -2
        later(bench, days)

    assert [each.split(" ends ")[-1].split(",")[0] for each in told(bench)] == [
        "in 87 days",
        "in 27 days",
        "in 3 days",
        told(bench)[3].split(",")[0],
    ]
    assert "has ended" in told(bench)[3]


def test_of_several_steps_that_are_passed_the_last_is_told(tmp_path: Path) -> None:
    bench = station(tmp_path, 5)

    bench.advance(minutes=2)

    assert len(told(bench)) == 1
    assert "ends in 4 days" in told(bench)[0]


def test_it_is_looked_for_every_day(tmp_path: Path) -> None:
    bench = station(tmp_path, 90.5)
    bench.advance(minutes=2)
    assert told(bench) == []

    bench.advance(days=1)

    assert len(told(bench)) == 1


@pytest.mark.parametrize("life, days, count", [(60, 31, 0), (60, 29, 1), (30, 29, 0), (12, 5, 0)])
def test_a_short_life_is_no_news(tmp_path: Path, life: float, days: float, count: int) -> None:
    """What is made for weeks is renewed within them."""
    bench = station(tmp_path, days, life)

    bench.advance(minutes=2)

    assert len(told(bench)) == count


def test_before_the_time_is_known_nothing_is_said(tmp_path: Path) -> None:
    """A clock of the year 2020 would find every certificate fresh, one of 2040 all of them over."""
    bench = station(tmp_path, 5, boot=False, connected=False)
    bench.trusted = False
    bench.offset += 20 * 365 * 86_400.0
    bench.boot()
    bench.advance(hours=1)
    assert [each for each in bench.station.security_log.entries() if each.type == EVENT] == []

    bench.csms.connect()
    bench.advance(minutes=2)

    assert ["ends in 4 days" in each for each in told(bench)] == [True]


def test_a_certificate_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    """Installed again, it is told of again."""
    bench = station(tmp_path, 5)
    bench.advance(minutes=2)
    store = TrustStore(tmp_path / "roots")
    (held,) = store.held()
    pem = store.bundle(held.use)
    store.remove(held)
    bench.advance(days=1.5)

    store.add(held.use, pem)
    bench.advance(days=1)

    assert len(told(bench)) == 2
