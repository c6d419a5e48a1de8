"""Tests in processes of their own: what they say arrives, and none of their failures is lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.own_process import in_own_process

LEFT = "LEFT_BY_A_TEST"


@in_own_process
def tells(folder: Path) -> None:
    print(f"for {folder} {LEFT in os.environ}")  # noqa: T201 - that is what is looked for
    os.environ[LEFT] = "1"


@in_own_process
def fails() -> None:
    assert sys.argv == [], "which it is not"


@in_own_process
def crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_what_a_test_says_arrives_and_nothing_else_is_left(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for _ in range(2):
        tells(folder=tmp_path)

        assert capsys.readouterr().out == f"for {tmp_path} False\n"


@pytest.mark.parametrize(
    "test, told", [(fails, r"ended with 1\n(?s:.*)which it is not"), (crashes, "ended with -11")], ids=["fails", "dies"]
)
def test_a_failure_is_told_and_the_next_test_runs(
    test: Callable[[], None], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(pytest.fail.Exception, match=told):
        test()

    tells(folder=tmp_path)
    assert capsys.readouterr().out.startswith("for ")
