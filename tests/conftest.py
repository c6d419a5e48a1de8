"""What holds for all tests: markers name ids that exist, and in CI a test that proves something is never skipped."""

from __future__ import annotations

import collections
import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from tests import indexes
from tests.crash.medium import memory
from tests.order import dealt

# No deadline: two shared cores. The same examples in CI each time, so that a red run can be repeated.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")

MARKERS = {"req": indexes.requirements, "octt": indexes.cases}


def unknown(item: pytest.Item) -> list[str]:
    """The ids of a test's markers that are in no index."""
    return [
        each
        for marker in item.iter_markers()
        if marker.name in MARKERS
        for each in marker.args
        if each not in MARKERS[marker.name]()
    ]


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """What hypothesis must know of Unicode is a file once one has made it, in seconds: not each worker for itself."""
    if session.config.getoption("numprocesses", None):
        st.text().validate()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A marker that names an unknown id would claim a proof of nothing: the run stops. Workers deal out the tests."""
    if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        items[:] = dealt(
            items, workers, waits=lambda item: item.get_closest_marker("system"), module=lambda item: item.path
        )
        return
    wrong = [f"{item.nodeid}: {', '.join(unknown(item))}" for item in items if unknown(item)]
    if wrong:
        raise pytest.UsageError("markers with ids that are in no index:\n" + "\n".join(wrong))


def pytest_collection_finish() -> None:
    """Thousands of tests and all modules stay until the end: the collector of garbage need not look at them again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The same in a worker of xdist, which cannot stop a run with words."""
    if wrong := unknown(item):
        pytest.fail(f"its markers name ids that are in no index: {', '.join(wrong)}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The conformance page counts each marked test that is not marked skip or xfail, so CI must have run it."""
    report = yield
    excused = item.get_closest_marker("skip") or hasattr(report, "wasxfail")
    if "CI" in os.environ and report.skipped and not excused and any(item.iter_markers(name) for name in MARKERS):
        report.outcome = "failed"
        report.longrepr = f"skipped, but it proves a requirement and must run in CI: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where everybody looks: what this machine could not test, and the figures that tests recorded."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = collections.Counter(str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple))
    for reason, count in reasons.items():
        if "NOT TESTED" in reason:
            terminalreporter.write_line(f"{count} tests skipped: {reason.removeprefix('Skipped: ')}", red=True)
    passed = terminalreporter.stats.get("passed", [])
    figures = {str(text) for report in passed for name, text in report.user_properties if name == "figure"}
    for text in sorted(figures):
        terminalreporter.write_line(f"measured: {text}")


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    """A registered station with simulated hardware, its own time and a scripted CSMS: a `tests.bench.Bench`."""
    from tests.bench import Bench  # noqa: PLC0415 - imports the whole agent, which most tests do without

    return Bench(tmp_path)


@pytest.fixture
def fast() -> Iterator[Path]:
    """A directory in memory if the machine has one, for tests that start a station again and again."""
    with memory() as path:
        yield path
