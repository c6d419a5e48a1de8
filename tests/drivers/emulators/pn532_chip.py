"""A PN532 on a serial line: sleeps until woken, acknowledges, finds cards, and can be left for dead.

    python -m tests.drivers.emulators.pn532_chip --link /tmp/reader
    {"cmd": "present", "uid": "04A1B2C3D4E5F6"}

Written from NXP UM0701-02, without code of the driver.
"""

from __future__ import annotations

from pathlib import Path

from tests.drivers.emulators.line import Emulator, main

_ACK = bytes.fromhex("0000ff00ff00")
_SYNTAX_ERROR = bytes.fromhex("0000ff01ff7f8100")
_FOR_EVER = 0xFF


class Pn532Chip(Emulator):
    """The chip, and the card on it."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.commands: list[int] = []
        self.version = bytes.fromhex("32010607")
        self.split = 0
        self._buffer = bytearray()
        self._card: bytes | None = None
        self._awake = False
        self._deaf = 0
        self._retries = _FOR_EVER
        self._waiting = False

    def do_present(self, uid: str) -> None:
        """A card with this UID (hex) is held to the reader."""
        self._card = bytes.fromhex(uid)
        if self._waiting:
            self._waiting = False
            self._tell(0x4A, self._found())

    def do_remove(self) -> None:
        """The card is taken away."""
        self._card = None

    def do_brown_out(self, sleeps_through: int = 0) -> None:
        """Power fails for a moment: the chip is asleep and unconfigured; it sleeps through so many wake-ups."""
        self._awake, self._waiting, self._deaf = False, False, sleeps_through
        self._buffer.clear()

    def do_split(self, size: int) -> None:
        """Everything leaves in pieces of so many bytes, 1 ms apart; 0 is whole."""
        self.split = size

    def do_commands(self) -> list[int]:
        """The codes of all commands so far."""
        return list(self.commands)

    def reply(self, data: bytes, after_s: float = 0.0) -> None:
        """As the base class does, in pieces if wanted."""
        if not self.split:
            super().reply(data, after_s)
            return
        for start in range(0, len(data), self.split):
            self.line.send(data[start : start + self.split], after_s + 0.001 * start)

    def received(self, data: bytes) -> None:
        """Wake-up bytes, an ACK that aborts, and commands."""
        self._buffer += data
        if not self._awake and self._buffer.startswith(b"\x55"):
            self._wake()
        if not self._awake:
            self._buffer.clear()
        while (frame := self._frame()) is not None:
            if not frame:
                self._waiting = False
            else:
                self._command(frame[1], frame[2:])

    def _wake(self) -> None:
        if self._deaf > 0:
            self._deaf -= 1
        else:
            self._awake, self._retries = True, _FOR_EVER

    def _frame(self) -> bytes | None:
        """The next frame's body; empty for an ACK; None if there is none yet."""
        start = self._buffer.find(b"\x00\xff")
        if start < 0 or len(self._buffer) < start + 4:
            return None
        length = self._buffer[start + 2]
        end = start + 4 + length + (1 if length else 0)
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[start + 4 : start + 4 + length])
        del self._buffer[:end]
        return body

    def _command(self, code: int, data: bytes) -> None:
        self.commands.append(code)
        self._waiting = False
        self.reply(_ACK)
        if code == 0x4A:
            self._list()
        elif code == 0x02:
            self._tell(code, self.version)
        elif code == 0x14:
            self._tell(code, b"")
        elif code == 0x32:
            self._retries = data[3]
            self._tell(code, b"")
        elif code == 0x52:
            self._tell(code, b"\x00")
        else:
            self.reply(_SYNTAX_ERROR)

    def _list(self) -> None:
        if self._card is not None:
            self._tell(0x4A, self._found())
        elif self._retries != _FOR_EVER:
            self._tell(0x4A, b"\x00")
        else:
            self._waiting = True

    def _found(self) -> bytes:
        assert self._card is not None
        return bytes((1, 1, 0x00, 0x44, 0x20, len(self._card))) + self._card

    def _tell(self, code: int, data: bytes) -> None:
        body = bytes((0xD5, code + 1)) + data
        head = bytes((0, 0, 0xFF, len(body), (256 - len(body)) % 256))
        self.reply(head + body + bytes(((256 - sum(body) % 256) % 256, 0)))


if __name__ == "__main__":
    main(Pn532Chip, "A PN532 card reader on a pty")
