"""A terminal with somebody before it: a command on a real pty, who reads what it asks and types the answer."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0


class Terminal:
    """`ocpp-station` with these words, on a pty of its own session, so that Ctrl-C reaches it as from a keyboard."""

    def __init__(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        self._hand, there = pty.openpty()
        self._process = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-c", _BECOMES_ITS_TERMINAL, *words],
            cwd=ROOT,
            env={**os.environ, "TERM": "dumb", **(environment or {})},
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
        )
        os.close(there)
        self.screen = ""
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._hand)

    def sees(self, text: str) -> str:
        """Wait until this stands on the screen, after what was waited for before; what came up to its end."""
        end = time.monotonic() + PATIENCE_S
        while (found := re.compile(text).search(self.screen, self._read)) is None:
            alive = self._more(0.1)
            assert alive or re.compile(text).search(self.screen, self._read), (
                f"it ended before {text!r}:\n{self.screen}"
            )
            assert time.monotonic() < end, f"nobody says {text!r}:\n{self.screen}"
        told, self._read = self.screen[self._read : found.end()], found.end()
        return told

    def types(self, line: str) -> None:
        """And Enter."""
        self.types_bytes(f"{line}\n".encode())

    def types_bytes(self, keys: bytes) -> None:
        """As they come from the line."""
        os.write(self._hand, keys)

    def answers(self, question: str, line: str) -> str:
        """Type the line when the question comes; gives what was told up to it."""
        told = self.sees(question)
        self.types(line)
        return told

    def interrupts(self) -> None:
        """Ctrl-C."""
        os.write(self._hand, b"\x03")

    def hangs_up(self) -> None:
        """The line is cut, as a lost SSH connection is."""
        os.close(self._hand)

    def ends(self) -> int:
        """Wait for its exit code."""
        end = time.monotonic() + PATIENCE_S
        while self._more(0.1):
            assert time.monotonic() < end, f"it does not end:\n{self.screen}"
        return self._process.wait(PATIENCE_S)

    def _more(self, within_s: float) -> bool:
        """Read what is there; false when the other end has gone."""
        try:
            ready, _, _ = select.select([self._hand], [], [], within_s)
            raw = os.read(self._hand, 65536) if ready else None
        except OSError:
            return False
        if raw is not None:
            self.screen += raw.decode("utf-8", "replace").replace("\r\n", "\n")
        return raw is None or bool(raw)


_BECOMES_ITS_TERMINAL = """\
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it, and so would this
from station.cli import main
sys.exit(main(sys.argv[1:]))
"""
