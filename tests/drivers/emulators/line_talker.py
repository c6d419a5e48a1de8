"""A reader or key pad that writes a line for each card.

    python -m tests.drivers.emulators.line_talker --link /tmp/reader
    {"cmd": "say", "text": "CARD=04A1B2C3"}

A line ends with CR and LF, unless the command gives another `end`.
"""

from __future__ import annotations

from pathlib import Path

from tests.drivers.emulators.line import Emulator, main


class LineTalker(Emulator):
    """The device."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.line.chunk = 3

    def received(self, data: bytes) -> None:
        """Its RX is not connected."""
        raise AssertionError(f"the host spoke: {data.hex()}")

    def do_say(self, text: str, end: str = "\r\n") -> None:
        """A line, as the device writes it."""
        self.reply((text + end).encode("latin-1"))


if __name__ == "__main__":
    main(LineTalker, "A reader that writes lines, on a pty")
