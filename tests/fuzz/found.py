"""What a target's process said, in a line; and what it found, so that it can be tried again."""

from __future__ import annotations

import base64
import re

LATE = "it came to no end: it hangs, or the machine is too busy"
_COUNT = re.compile(r"stat::number_of_executed_units: +(\d+)")
_SAVED = re.compile(r"Test unit written to (\S+)")
_SHOWN = 4096
"""Bytes of an input that are printed: where CI keeps no file, its log does."""


def tell(name: str, code: int | None, said: str) -> bool:
    """What came of it; whether something was found."""
    count = _COUNT.search(said)
    print(f"{name:16} {count[1] if count else '?':>10} executions  {'ok' if code == 0 else 'FOUND'}", flush=True)
    if code != 0:
        lines = [line for line in said.splitlines() if not line.startswith(("#", "INFO", "WARNING"))]
        print("\n".join(lines)[-6000:])
        for file in _SAVED.findall(said):
            with open(file, "rb") as saved:  # noqa: PTH123 - shorter than pathlib's
                content = saved.read(_SHOWN + 1)
            if len(content) <= _SHOWN:
                print(f"the input, in base64: {base64.b64encode(content).decode()}")
            print(f"once more: python -m tests.fuzz --once {name} {file}")
    print(end="", flush=True)
    return code != 0
