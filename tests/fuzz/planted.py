"""Parsers with a fault in each, which whoever looks for faults must find.

No input of a test by chance reaches a fault: only who follows the code comes byte by byte nearer to `FUZZ`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.fuzz.target import Run, Target

GOOD = b"good"
WORD = b"FUZZ"


def _behind_the_word(fault: Callable[[], object]) -> Callable[[], tuple[Sequence[bytes], Run]]:
    def run(data: bytes) -> bool:
        for at, letter in enumerate(WORD):
            if len(data) <= at or data[at] != letter:
                return data == GOOD
        fault()
        return False

    return lambda: ([GOOD], run)


def _raise() -> None:
    raise IndexError("as a parser does that believes a length")


def _hang() -> None:
    while True:
        time.sleep(60)  # no processor, and no end


def _grow() -> None:
    held = []
    while True:
        held.append(bytes(range(256)) * 65_536)


TARGETS = {
    "raises": Target(_behind_the_word(_raise), longest=8),
    "hangs": Target(_behind_the_word(_hang), longest=8),
    "grows": Target(_behind_the_word(_grow), longest=8),
}
