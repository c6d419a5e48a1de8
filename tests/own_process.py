"""Tests in processes of their own, for what a process has one set of: OpenSSL's providers.

A fresh interpreter spends most of a second on imports. So one process imports, and forks for each test: a test finds
what it would find in a fresh interpreter after the imports, and nothing of it is left for the next.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import pytest

P = ParamSpec("P")

ROOT = Path(__file__).parent.parent
SERVE = "from tests import own_process; own_process._serve()"


def in_own_process(test: Callable[P, None], prefix: Sequence[str] = ()) -> Callable[P, None]:
    """Run a test function in a process of its own; its arguments must be what `repr` can write down.

    `prefix` stands in front of the command of one that is not shared with other tests.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        assert not args, "pytest passes by keyword"
        with tempfile.TemporaryFile("w+") as output, contextlib.ExitStack() as stack:
            nursery = stack.enter_context(contextlib.closing(_Nursery(prefix))) if prefix else _shared()
            code = nursery.run(test.__module__, test.__name__, repr(kwargs), output.fileno())
            output.seek(0)
            said = output.read()
        if code:
            pytest.fail(f"ended with {code}\n{said}", pytrace=False)
        sys.stdout.write(said)

    return run


class _Nursery:
    """The process that imports and forks."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [*prefix, sys.executable, "-c", SERVE],
            cwd=ROOT,
            env={**os.environ, "TSS2_LOG": "all+none"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, module: str, name: str, given: str, output: int) -> int:
        """The exit code of a test; whoever gives up waiting ends it, and this process with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(repr((module, name, given, f"/proc/{os.getpid()}/fd/{output}")), file=self._process.stdin, flush=True)
            code = self._process.stdout.readline()
            assert code, "the process that imports for the tests has ended"
            return int(code)
        except BaseException:
            _shared.cache_clear()
            self.close()
            raise

    def close(self) -> None:
        """End it, and a test that runs in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.wait()


@functools.cache
def _shared() -> _Nursery:
    nursery = _Nursery()
    atexit.register(nursery.close)
    return nursery


def _serve() -> None:
    """What runs there: a test for each line, in a child whose output goes to a file."""
    for line in sys.stdin:
        module, name, given, output = eval(line)  # noqa: S307 - our own repr
        test = importlib.import_module(module).__dict__[name].__wrapped__
        if (child := os.fork()) == 0:
            _run(test, given, output)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _run(test: Callable[..., None], given: str, output: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, instead in enumerate((nothing, file, file)):
        os.dup2(instead, number)
    os.close(file)
    os.close(nothing)
    faulthandler.enable()
    code = 0
    try:
        test(**eval(given, {"PosixPath": Path}))  # noqa: S307 - our own repr
    except BaseException:  # noqa: BLE001 - whatever it is, it is the end
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)  # as the agent does: SoftHSM may crash when libraries are torn down
