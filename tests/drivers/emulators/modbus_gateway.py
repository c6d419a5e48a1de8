"""Modbus TCP: a gateway with units behind it, and the ways in which one disappoints. See `modbus_slave` for the units.

The header is written here from the protocol's text (Modbus messaging on TCP/IP 1.0b, 3.1.3), not taken from what it
tests.
"""

from __future__ import annotations

import asyncio
import struct

from tests.drivers.emulators.modbus_slave import Units


class ModbusGateway(Units):
    """Listens on a free port of the loopback."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0
        self.at_once = 0
        """The most requests that were unanswered at any time."""
        self.port = 0
        self.delays: list[float] = []
        self.drops = 0
        self.strangers = 0
        self.noise = b""
        self.hang_ups = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._unanswered = 0

    async def start(self) -> None:
        """Power and network; the same port again after `stop`."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Neither power nor network: every connection is gone."""
        if self._server is not None:
            self._server.close()
            self.do_hang_up()
            await self._server.wait_closed()

    def do_hang_up(self) -> None:
        """Closes every connection: it thinks that nobody asks any more."""
        for writer in self._writers:
            writer.close()

    def do_hang_up_instead(self, count: int = 1) -> None:
        """Closes the connection instead of each of the next `count` answers."""
        self.hang_ups = count

    def do_drop(self, count: int = 1) -> None:
        """The next `count` answers do not come."""
        self.drops = count

    def do_delay(self, seconds: float, count: int = 1) -> None:
        """The next `count` answers come so much later."""
        self.delays = [seconds] * count

    def do_wrong_unit(self, count: int = 1) -> None:
        """The next `count` answers name another unit."""
        self.strangers = count

    def do_garbage(self, data: str = "485454502f312e31203430300d0a") -> None:
        """These bytes (hex) come instead of the next answer: it is a web server after all."""
        self.noise = bytes.fromhex(data)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                transaction, _, follow, unit = struct.unpack(">HHHB", head)
                pdu = await reader.readexactly(follow - 1)
                self.requests.append(head + pdu)
                self._unanswered += 1
                self.at_once = max(self.at_once, self._unanswered)
                if not self._answered(writer, transaction, unit, self.answer(unit, pdu)):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answered(self, writer: asyncio.StreamWriter, transaction: int, unit: int, pdu: bytes | None) -> bool:
        """False to close the connection."""
        if self.hang_ups:
            self.hang_ups -= 1
            return False
        if self.drops:
            self.drops -= 1
            pdu = None
        if pdu is None:
            return True
        if self.strangers:
            self.strangers -= 1
            unit ^= 3
        frame = self.noise or struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu
        self.noise = b""
        after_s = self.turnaround_s + (self.delays.pop(0) if self.delays else 0.0)
        if after_s:
            asyncio.get_running_loop().call_later(after_s, self._send, writer, frame)
        else:
            self._send(writer, frame)
        return True

    def _send(self, writer: asyncio.StreamWriter, frame: bytes) -> None:
        self._unanswered -= 1
        if not writer.is_closing():
            writer.write(frame)
