"""A key pad as the kernel shows it: 24 bytes for each event (16 where a long is short), on a named pipe.

    python -m tests.drivers.emulators.key_board --link /tmp/keys

Written from Linux, Documentation/input/input.rst and include/uapi/linux/input-event-codes.h, without code of the
driver. A pipe knows no EVIOCGRAB: the driver is told not to grab, or the call is stood in for.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

EV_SYN, EV_KEY, EV_MSC = 0x00, 0x01, 0x04
SYN_REPORT, SYN_DROPPED, MSC_SCAN = 0, 3, 4
NAMES = {
    **{str(digit): 2 + (digit - 1) % 10 for digit in range(10)},  # KEY_1 is 2, KEY_0 is 11
    "KP7": 71,
    "KP8": 72,
    "KP9": 73,
    "KP4": 75,
    "KP5": 76,
    "KP6": 77,
    "KP1": 79,
    "KP2": 80,
    "KP3": 81,
    "KP0": 82,
    **{f"N{digit}": 0x200 + digit for digit in range(10)},
    "A": 30,
    "B": 48,
    "C": 46,
    "D": 32,
    "E": 18,
    "F": 33,
    "ENTER": 28,
    "KPENTER": 96,
    "POUND": 0x20B,
    "BACKSPACE": 14,
    "ESC": 1,
    "KPSTAR": 55,
    "DELETE": 111,
    "STAR": 0x20A,
    "VOLUMEUP": 115,
}


class KeyBoard:
    """The device."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._fd = -1
        self.split = 0

    def start(self) -> None:
        """Plugged in."""
        os.mkfifo(self.link)
        self._fd = os.open(self.link, os.O_RDWR | os.O_NONBLOCK)

    def stop(self) -> None:
        """Pulled out: whoever has it open reads its end."""
        if self._fd >= 0:
            os.close(self._fd)
            self.link.unlink()
            self._fd = -1

    def press(self, *names: str) -> None:
        """Keys are pressed and let go; a key pad repeats what is held, which is no press."""
        for name in names:
            code = NAMES[name]
            self._events((EV_MSC, MSC_SCAN, 0x70000 + code), (EV_KEY, code, 1), (EV_SYN, SYN_REPORT, 0))
            self._events((EV_KEY, code, 2), (EV_SYN, SYN_REPORT, 0), (EV_KEY, code, 0), (EV_SYN, SYN_REPORT, 0))

    def overrun(self) -> None:
        """The kernel's buffer was full: events are missing from here."""
        self._events((EV_SYN, SYN_DROPPED, 0))

    def _events(self, *events: tuple[int, int, int]) -> None:
        data = b"".join(struct.pack("llHHi", 1_700_000_000, 0, kind, code, value) for kind, code, value in events)
        if not self.split:
            os.write(self._fd, data)
        for start in range(0, len(data), self.split or len(data)):
            if self.split:
                os.write(self._fd, data[start : start + self.split])
