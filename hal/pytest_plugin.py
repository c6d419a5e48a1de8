"""The contract of `hal.contract` as tests of pytest, for drivers in and out of this tree.

    # conftest.py
    pytest_plugins = ["hal.pytest_plugin"]

    # test_acme.py
    @pytest.mark.driver("meter")
    def test_the_driver_keeps(promise: Promise, tmp_path: Path) -> None:
        promise.is_kept_by(Rig(tmp_path))

makes one test of each promise, called by its words. `Rig` is a harness (`hal.harness`); one that needs a running loop,
as most emulators do, is given as an async context manager that yields it. What a harness cannot do is skipped, and the
report says what it lacks; `@pytest.mark.driver("meter", complete=True)` makes that a failure.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from hal import contract
from hal.harness import Harness

MARKER = "driver"
FIXTURE = "promise"


class Promise:
    """One promise of the contract, and whether it must be put to the test."""

    def __init__(self, check: contract.Check, *, complete: bool) -> None:
        self.check = check
        self.complete = complete

    def is_kept_by(self, harness: Harness | AbstractAsyncContextManager[Harness]) -> None:
        """Fails with what was expected and what came, or skips what the harness cannot do."""
        result = asyncio.run(self._outcome(harness))
        if result.outcome == "failed" or (result.outcome == "skipped" and self.complete):
            pytest.fail(f"{result.promise} {result.detail}", pytrace=False)
        if result.outcome == "skipped":
            pytest.skip(result.detail)

    async def _outcome(self, harness: Harness | AbstractAsyncContextManager[Harness]) -> contract.Result:
        if isinstance(harness, AbstractAsyncContextManager):
            async with harness as entered:
                return await contract.run_one(self.check, entered)
        return await contract.run_one(self.check, harness)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    text = f"{MARKER}(kind, complete=False): one test per promise of this kind of driver, as the fixture `{FIXTURE}`"
    config.addinivalue_line("markers", text)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per promise. An unknown kind is a mistake of the test, told when it is collected."""
    if FIXTURE not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None or len(marker.args) != 1:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: say which kind of driver: @pytest.mark.{MARKER}(...)")
    try:
        checks = contract.checks(marker.args[0])
    except ValueError as error:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from None
    complete = bool(marker.kwargs.get("complete", False))
    promises = [Promise(check, complete=complete) for check in checks]
    metafunc.parametrize(FIXTURE, promises, ids=[check.promise for check in checks])
