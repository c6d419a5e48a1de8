"""An RDM6300: says the tag that is held to it, again and again, and hears nothing.

    python -m tests.drivers.emulators.rdm6300_module --link /tmp/reader
    {"cmd": "present", "tag": "010063E9AE"}

Written from the data sheet of the RDM630, without code of the driver. Its example: the tag 62E3086CED is sent as
02 "62E3086CED" "08" 03.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.drivers.emulators.line import Emulator, main

REPEAT_S = 0.065


class Rdm6300Module(Emulator):
    """The module, and the tag on it."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.repeat_s = REPEAT_S
        self._tag = ""
        self._next: asyncio.TimerHandle | None = None

    def received(self, data: bytes) -> None:
        """Its RX is not connected."""
        raise AssertionError(f"the host spoke: {data.hex()}")

    def stop(self) -> None:
        """Neither power nor plug."""
        self.do_remove()
        super().stop()

    def do_present(self, tag: str, count: int = 0) -> None:
        """A tag (ten hex digits) is held to it: until it is removed, or for so many frames."""
        self.do_remove()
        self._tag = tag.upper()
        self._say(count)

    def do_remove(self) -> None:
        """The tag is taken away."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _say(self, left: int) -> None:
        check = 0
        for place in range(0, 10, 2):
            check ^= int(self._tag[place : place + 2], 16)
        self.reply(b"\x02" + self._tag.encode("ascii") + b"%02X" % check + b"\x03")
        self._next = None
        if left != 1:
            self._next = asyncio.get_running_loop().call_later(self.repeat_s, self._say, max(left - 1, 0))


if __name__ == "__main__":
    main(Rdm6300Module, "An RDM6300 reader of 125 kHz tags on a pty")
