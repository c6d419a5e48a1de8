"""The period of a certificate, compared with what the library says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from certs.expiry import each, until, validity
from certs.throwaway import Authority, Wish


@pytest.mark.parametrize("days", [1, 400, 30_000])
def test_the_period_of_a_certificate_is_what_the_library_says(tmp_path: Path, days: int) -> None:
    """Before 2050 the year has two digits, after it four."""
    wish = Wish(valid=(timedelta(), timedelta(days=days)))
    issued = Authority.create("Root", tmp_path).issue("station", wish)

    certificate = issued.certificate
    assert until(issued.pem) == certificate.not_valid_after_utc
    assert validity(issued.pem) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def test_each_certificate_of_a_chain_has_its_own(tmp_path: Path) -> None:
    root = Authority.create("Root", tmp_path, valid=(timedelta(), timedelta(days=50)))
    chain = root.subordinate("Sub").issue("station").pem + "no certificate\n" + root.root_pem

    found = list(each(chain))

    assert [(period.not_after - period.not_before).days for _, period in found] == [1, 20, 50]
    assert "".join(text for text, _ in found) == chain.replace("no certificate\n", "")


@pytest.mark.parametrize("cut", [0, 40, 200, 400])
def test_a_text_that_is_no_certificate_has_no_period(tmp_path: Path, cut: int) -> None:
    """Whatever an operator names."""
    pem = Authority.create("Root", tmp_path).root_pem
    broken = pem[: 27 + cut] + "\n-----END CERTIFICATE-----\n"

    assert validity(broken) is None
    assert validity("") is None
    assert until("") is None
    assert list(each(broken)) == []
