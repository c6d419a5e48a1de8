"""Until when a certificate is valid, compared with what the library says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from certs.throwaway import Authority, Wish
from station.commands.expiry import until


@pytest.mark.parametrize("days", [1, 400, 30_000])
def test_the_end_of_a_certificate_is_what_the_library_says(tmp_path: Path, days: int) -> None:
    """Before 2050 the year has two digits, after it four."""
    wish = Wish(valid=(timedelta(), timedelta(days=days)))
    issued = Authority.create("Root", tmp_path).issue("station", wish)

    assert until(issued.pem) == issued.certificate.not_valid_after_utc


@pytest.mark.parametrize("cut", [0, 40, 200, 400])
def test_a_text_that_is_no_certificate_has_no_end(tmp_path: Path, cut: int) -> None:
    """Whatever an operator names."""
    pem = Authority.create("Root", tmp_path).root_pem
    broken = pem[: 27 + cut] + "\n-----END CERTIFICATE-----\n"

    assert until(broken) is None
    assert until("") is None
