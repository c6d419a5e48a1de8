"""The demo ends when somebody says so, whatever it is doing."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

import station.demo


class _Deaf:
    """Ended while a finaliser runs, which swallows every exception: a signal's, too."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))  # the interpreter comes to the signal's handler in here


class _Play:
    """A demo that goes on until it is ended."""

    tidied = 0

    def __init__(self, *_scene: object, once: bool) -> None:
        assert not once

    async def play(self) -> int:
        try:
            _Deaf()
            await asyncio.sleep(20)
        finally:
            os.kill(os.getpid(), signal.SIGINT)  # an impatient second signal does not stop the tidying up
            await asyncio.sleep(0.01)
            _Play.tidied += 1
        return 0


def test_a_signal_ends_it_even_where_exceptions_are_swallowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(station.demo, "Demo", _Play)
    monkeypatch.setattr(station.demo, "_base", lambda: str(tmp_path))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = station.demo.demo(security_profile=1, once=False)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert code == 130
    assert _Play.tidied == 1
    assert list(tmp_path.iterdir()) == []
