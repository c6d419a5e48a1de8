"""The OCA's test cases of logs (block N; part 6, 2.15, with its errata).

Where the files go is played here: the jobs end as a server would let them end. Real servers are in `tests/system` and
`tests/unit/shell/transfer`.
"""

from __future__ import annotations

import pytest

from tests.bench import Bench
from tests.scenarios.n_diagnostics.logs import assembled, get_log, statuses, uploaded

INTERVAL_S = 20


@pytest.mark.octt("TC_N_25_CS", "TC_N_35_CS")
@pytest.mark.req("N01.FR.01", "N01.FR.02", "N01.FR.07", "N01.FR.08", "N01.FR.09")
@pytest.mark.parametrize("log_type", ["DiagnosticsLog", "SecurityLog"])
def test_a_log_is_uploaded(bench: Bench, log_type: str) -> None:
    answer = get_log(bench, 25, log_type)
    assert answer["status"] == "Accepted"
    assert answer["filename"]

    assembled(bench)
    bench.advance(seconds=3)
    assert statuses(bench) == [("Uploading", 25)]

    uploaded(bench)
    bench.advance(seconds=3)
    assert statuses(bench) == [("Uploading", 25), ("Uploaded", 25)]


@pytest.mark.octt("TC_N_26_CS")
@pytest.mark.req("N01.FR.01", "N01.FR.02", "N01.FR.07", "N01.FR.08", "N01.FR.10")
def test_tc_n_26_cs(bench: Bench) -> None:
    """A place that is not there: four attempts, of which the CSMS hears as of one."""
    assert get_log(bench, 26, retries=3, retryInterval=INTERVAL_S)["status"] == "Accepted"

    for _ in range(3):
        assembled(bench)
        uploaded(bench, "UploadFailure")
        bench.advance(seconds=INTERVAL_S)
    assembled(bench)
    uploaded(bench, "UploadFailure")
    bench.advance(seconds=3 * INTERVAL_S)

    assert statuses(bench) == [("Uploading", 26), ("UploadFailure", 26)]
    first, last = bench.csms.frames("LogStatusNotification")
    assert (last.at - first.at).total_seconds() == pytest.approx(3 * INTERVAL_S, abs=0.5)


@pytest.mark.octt("TC_N_36_CS")
@pytest.mark.req("N01.FR.07", "N01.FR.08", "N01.FR.09", "N01.FR.12", "N01.FR.20")
@pytest.mark.parametrize("log_type", ["DiagnosticsLog", "SecurityLog"])
def test_tc_n_36_cs(bench: Bench, log_type: str) -> None:
    """A second request while the first log is being uploaded."""
    assert get_log(bench, 1, log_type)["status"] == "Accepted"
    assembled(bench)
    assert statuses(bench) == [("Uploading", 1)]

    assert get_log(bench, 2, log_type)["status"] == "AcceptedCanceled"
    assert statuses(bench) == [("Uploading", 1), ("AcceptedCanceled", 1)]

    assembled(bench)
    uploaded(bench)
    assert statuses(bench)[2:] == [("Uploading", 2), ("Uploaded", 2)]
