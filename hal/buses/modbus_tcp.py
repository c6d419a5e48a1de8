"""Modbus TCP: to a device, or to a gateway with serial devices behind it.

A reply carries the transaction number of its request, so a late one is known as such and thrown away. After the second
failure in a row the connection is given up: a peer that lost its power, or a gateway that lost count, answers on a new
one. A connection that the peer closed while nobody asked is opened again without a word.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec

from hal.buses.modbus import Job, ModbusBus, ModbusDevice, Seconds
from hal.buses.pdu import Pdus
from hal.context import parse_options
from hal.errors import BadReply, NotFound, Timeout

_HEADER = struct.Struct(">HHHB")  # transaction, protocol (0), bytes that follow, unit
_MAX_FOLLOW = 254
_FAILURES = 2
_MOST = 16_384
"""Bytes that nobody has asked for: who sends more is no device, and his connection is closed."""


class TcpOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where it listens."""

    host: Annotated[str, msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 502
    connect_s: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 3.0
    """Longest wait for a connection."""
    reopen_s: Seconds = 1.0
    """Pause between attempts to connect."""


class ModbusTcp(ModbusBus):
    """`buses: {charx: {kind: modbus-tcp, host: 192.168.4.2}}`."""

    units = range(256)

    def __init__(self, name: str, options: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name, clock)
        self.options = parse_options(f"bus {name!r}", options, TcpOptions)
        self._where = f"{self.options.host}:{self.options.port}"
        self._codec: Pdus | None = None
        self._line: _Line | None = None
        self._transaction = 0
        self._failures = 0
        self._reopen_at = 0.0

    def pdus(self) -> Pdus:
        """As the base class says."""
        if self._codec is None:
            self._codec = Pdus()
        return self._codec

    def _release(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
        self._reopen_at = 0.0

    async def _exchange(self, device: ModbusDevice, job: Job) -> tuple[bytes, float]:
        reused = self._line is not None and not self._line.lost
        line = await self._connected()
        try:
            result = await self._ask(line, device, job)
        except ConnectionError:
            if not reused:
                raise self._hung_up(device) from None
            try:
                result = await self._ask(await self._connected(), device, job)
            except ConnectionError:
                raise self._hung_up(device) from None
        self._failures = 0
        return result

    def _hung_up(self, device: ModbusDevice) -> Timeout:
        """A peer that takes connections is there, and may answer on the next one: it is not gone like one unplugged."""
        return Timeout(device.name, f"{self._where} closed the connection instead of answering")

    async def _ask(self, line: _Line, device: ModbusDevice, job: Job) -> tuple[bytes, float]:
        """Raises ConnectionError, Timeout, BadReply."""
        loop = asyncio.get_running_loop()
        pause = device.ready_at - loop.time()
        if pause > 0:
            await asyncio.sleep(pause)
        self._transaction = self._transaction % 0xFFFF + 1
        pdu = job.request.pdu
        line.send(_HEADER.pack(self._transaction, 0, len(pdu) + 1, device.unit) + pdu)
        sampled_at, deadline = self.clock(), loop.time() + device.timing.timeout_s
        try:
            while True:
                transaction, unit, answer = await line.next(deadline)
                if transaction == self._transaction:
                    break
        except TimeoutError:
            raise Timeout(device.name, f"{self._where} did not answer within {device.timing.timeout_s:g} s") from None
        except ValueError as error:
            line.close()  # where the next reply begins is not known any more
            raise BadReply(device.name, str(error)) from None
        finally:
            device.ready_at = loop.time() + device.timing.gap_s
        if unit != device.unit:
            raise BadReply(device.name, f"unit {unit} answered for unit {device.unit}")
        return answer, sampled_at

    async def _settle(self) -> None:
        """Late replies are known by their numbers; only a connection that fails again and again is given up."""
        self._failures += 1
        if self._failures >= _FAILURES:
            self._failures = 0
            self._release()

    async def _connected(self) -> _Line:
        if self._line is not None and not self._line.lost:
            return self._line
        loop = asyncio.get_running_loop()
        if loop.time() < self._reopen_at:
            raise NotFound(self.name, f"{self._where} is not there")
        self._release()
        self._reopen_at = loop.time() + self.options.reopen_s
        try:
            async with asyncio.timeout(self.options.connect_s):
                _, self._line = await loop.create_connection(_Line, self.options.host, self.options.port)
        except TimeoutError:
            raise NotFound(self.name, f"{self._where} does not accept a connection") from None
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise NotFound(self.name, f"cannot connect to {self._where}: {why}") from None
        self._reopen_at = 0.0  # it is there; were it closed at once, the next request would say so
        return self._line


class _Line(asyncio.Protocol):
    """A connection: bytes in, frames out."""

    def __init__(self) -> None:
        self.lost = False
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection gives
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes."""
        self._buffer += data
        if len(self._buffer) > _MOST:
            self._buffer.clear()
            self.close()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whomever."""
        del exc
        self.lost = True
        self._wake()

    def send(self, frame: bytes) -> None:
        """Raises ConnectionError."""
        if self.lost or self._transport is None:
            raise ConnectionError
        self._transport.write(frame)

    def close(self) -> None:
        """Hangs up at once: what is not sent yet is not needed any more."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    async def next(self, deadline: float) -> tuple[int, int, bytes]:
        """Transaction, unit and PDU of the next frame. Raises TimeoutError, ConnectionError, ValueError (no frame)."""
        loop = asyncio.get_running_loop()
        while (frame := self._take()) is None:
            if self.lost:
                raise ConnectionError
            if loop.time() >= deadline:
                raise TimeoutError
            self._waiter = loop.create_future()
            timer = loop.call_at(deadline, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return frame

    def _take(self) -> tuple[int, int, bytes] | None:
        if len(self._buffer) < _HEADER.size:
            return None
        transaction, protocol, follow, unit = _HEADER.unpack_from(self._buffer)
        if protocol or not 2 < follow <= _MAX_FOLLOW:  # noqa: PLR2004 - unit, function and at least a byte
            raise ValueError(f"answered what is not Modbus TCP: {bytes(self._buffer[:16]).hex(' ')}")
        end = _HEADER.size - 1 + follow
        if len(self._buffer) < end:
            return None
        pdu = bytes(self._buffer[_HEADER.size : end])
        del self._buffer[:end]
        return transaction, unit, pdu

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
