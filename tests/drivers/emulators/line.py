"""The wire of an emulator: a pty behind a stable name, with the faults that a real line has; and its control channel.

An emulator speaks its device's bytes and shares no code with `hal`. Tests use it on their own loop, or start it as a
process (`python -m tests.drivers.emulators.modbus_slave --link /tmp/rs485`): then each line on stdin is a command,
`{"cmd": "drop", "count": 2}`, answered by a line on stdout, and the end of stdin ends the process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Line:
    """A serial adapter: `link` is its stable name while it is plugged in.

    `send` writes at once, or in steps of `chunk` bytes at the pace of `baud`, as a UART FIFO would.
    """

    def __init__(self, link: Path, on_data: Callable[[bytes], None]) -> None:
        self.link = link
        self.baud = 0
        self.chunk = 8
        self._on_data = on_data
        self._master = -1
        self._slave = -1
        self._sent_at = 0.0

    @property
    def plugged(self) -> bool:
        """Whether the adapter is there."""
        return self._master >= 0

    def plug(self) -> None:
        """The adapter appears: a new pty, and the stable name points to it."""
        if self.plugged:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        tty.setraw(self._master)
        os.set_blocking(self._master, False)
        fresh = self.link.with_name(self.link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.link)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def unplug(self) -> None:
        """The adapter is pulled out: whoever has it open is hung up, and its name is gone."""
        if not self.plugged:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self.link.unlink(missing_ok=True)

    def send(self, data: bytes, after_s: float = 0.0) -> None:
        """Bytes to the host, `after_s` from now but never before those sent earlier."""
        loop = asyncio.get_running_loop()
        start = max(loop.time() + after_s, self._sent_at + 1e-5)  # equal times would be written in any order
        if not self.baud and start <= loop.time():
            self._write(self._master, data)
            return
        step = self.chunk if self.baud else max(1, len(data))
        for begin in range(0, len(data), step):
            part = data[begin : begin + step]
            start += len(part) * 10 / self.baud if self.baud else 0.0
            loop.call_at(start, self._write, self._master, part)
        self._sent_at = start

    def _write(self, master: int, data: bytes) -> None:
        if master == self._master >= 0:
            with contextlib.suppress(BlockingIOError):  # nobody reads: a real UART loses the bytes too
                os.write(master, data)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            if data := os.read(self._master, 4096):
                self._on_data(data)


class Emulator:
    """A device on a `Line`. Commands are the methods called `do_...`; their arguments are the fields of the command."""

    def __init__(self, link: Path) -> None:
        self.line = Line(link, self.received)
        self.drops = 0
        self.corruptions = 0
        self.delays: list[float] = []
        self.noise = b""

    def start(self) -> None:
        """Power and plug; needs a running loop."""
        self.line.plug()

    def stop(self) -> None:
        """Neither power nor plug."""
        self.line.unplug()

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        raise AssertionError(f"{type(self).__name__} hears nothing: {data.hex()}")

    def reply(self, data: bytes, after_s: float = 0.0) -> None:
        """An answer, with the faults that are due: delayed, dropped, corrupted, with noise before it."""
        after_s += self.delays.pop(0) if self.delays else 0.0
        if self.drops > 0:
            self.drops -= 1
            return
        if self.corruptions > 0:
            self.corruptions -= 1
            middle = len(data) // 2
            data = data[:middle] + bytes((data[middle] ^ 0x55,)) + data[middle + 1 :]
        noise, self.noise = self.noise, b""
        self.line.send(noise + data, after_s)

    def do_drop(self, count: int = 1) -> None:
        """The next `count` answers do not come."""
        self.drops = count

    def do_corrupt(self, count: int = 1) -> None:
        """One byte of each of the next `count` answers is wrong."""
        self.corruptions = count

    def do_delay(self, seconds: float, count: int = 1) -> None:
        """The next `count` answers come so much later."""
        self.delays = [seconds] * count

    def do_garbage(self, data: str = "ff00a55a") -> None:
        """These bytes (hex) come before the next answer."""
        self.noise = bytes.fromhex(data)

    def do_babble(self, data: str) -> None:
        """These bytes (hex) come now, unasked."""
        self.line.send(bytes.fromhex(data))

    def do_unplug(self) -> None:
        """The USB adapter is pulled out."""
        self.line.unplug()

    def do_plug(self) -> None:
        """The USB adapter comes back, by the same name."""
        self.line.plug()

    def do_pace(self, baud: int, chunk: int = 8) -> None:
        """Answers leave at `baud` in steps of `chunk` bytes; 0 is at once."""
        self.line.baud, self.line.chunk = baud, chunk

    def command(self, line: str) -> dict[str, Any]:
        """One command of the control channel and its answer."""
        try:
            given = json.loads(line)
            result = getattr(self, "do_" + given.pop("cmd"))(**given)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}
        return {"ok": True} if result is None else {"ok": True, "result": result}


def main(make: Callable[[Path], Emulator], description: str) -> None:
    """Runs an emulator as a process, commanded on stdin until it ends."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--link", type=Path, required=True, help="stable name of the port: a symlink to make")
    asyncio.run(_serve(make(parser.parse_args().link)))


async def _serve(emulator: Emulator) -> None:
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    emulator.start()
    _say({"ok": True, "link": str(emulator.line.link)})
    try:
        while line := await stdin.readline():
            _say(emulator.command(line.decode()))
    finally:
        emulator.stop()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
