"""Modbus RTU on a serial line.

The transport is our own, because pymodbus' client takes a late reply for the answer to the next request (reproduced,
pymodbus PR 2636) and wakes once per UART FIFO fill: this one sends, sleeps for the time the frame takes, reads once. If
another request waits, it sleeps for the pause that must follow the frame, too, and sends that request when it has read.

Whose reply is it? RTU replies carry no transaction number. So:
- A reply counts only if unit, function, length and (for a write) echo are those of the request.
- What was not answered is *owed*. After a failure the line stays quiet and is drained; while a device owes something,
  its next request is preceded by a probe whose reply has a length that is not owed. A device answers in order: when the
  probe's reply is there, no older one can follow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from hal.buses.modbus import Job, ModbusBus, ModbusDevice, Seconds, Timing
from hal.buses.pdu import Request
from hal.buses.rtu import Debt, Pace, Reply, Rtu, Shape
from hal.buses.serial import SerialPort, SerialSettings
from hal.context import parse_options
from hal.errors import BadReply, DeviceError, NotFound, Timeout
from hal.waits import until

_CHUNK_S = 0.1  # silence inside a reply that ends it: above the latency of a USB adapter (16 ms) and of a busy host
_JUST_S = 0.001
_SETTLE_ROUNDS = 10


class RtuOptions(SerialSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The line: `port`, `baud`, `parity`, `stop_bits` of `SerialSettings`, and its timing."""

    quiet_s: Seconds = 0.2
    """Silence kept, and drained, after a failed transaction before the next one on this line."""
    reopen_s: Seconds = 1.0
    """Pause between attempts to open a port that is not there."""


class ModbusRtu(ModbusBus):
    """`buses: {rs485-1: {kind: modbus-rtu, port: /dev/ocpp/rs485}}`."""

    def __init__(self, name: str, options: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name, clock)
        self.options = parse_options(f"bus {name!r}", options, RtuOptions)
        self.port = SerialPort(name, self.options)
        self._rtu: Rtu | None = None
        self.debts: dict[int, Debt] = {}
        self.paces: dict[int, Pace] = {}
        self._char_s = self.options.wire_s(1)
        self._pause_s = max(4 * self._char_s, 0.002)
        """Between two frames: 3.5 characters, 1.75 ms at high speed."""
        self._paused_for: Pace | None = None
        """Whose reply is trusted to have ended so long ago."""
        self._buffer = bytearray()
        self._free_at = 0.0
        self._reopen_at = 0.0

    def device(self, name: str, unit: int, timing: Timing) -> ModbusDevice:
        """As the base class says."""
        device = super().device(name, unit, timing)
        self.debts.setdefault(unit, Debt())
        self.paces.setdefault(unit, Pace())
        return device

    def pdus(self) -> Rtu:
        """As the base class says."""
        if self._rtu is None:
            self._rtu = Rtu()
        return self._rtu

    def _release(self) -> None:
        self.port.close()
        self._reopen_at = 0.0  # it was let go of, not lost

    async def _exchange(self, device: ModbusDevice, job: Job) -> tuple[bytes, float]:
        await self._open(device)
        debt, now = self.debts[device.unit], asyncio.get_running_loop().time()
        debt.forget(now, device.timing.forget_s)
        if self._paused_for is None or now > self._free_at + _JUST_S:  # else all that there was has just been read
            self._paused_for = None
            await until(max(self._free_at, device.ready_at))
            try:
                self._collect()
            except NotFound:  # unplugged while nobody asked; it may be back by now
                await self._open(device)
        if debt.shapes and (shape := self.pdus().shape(job.request)) in debt.shapes:
            await self._probe(device, job, shape)
        reply, sampled_at = await self._ask(device, job.request, None)
        return reply.pdu, sampled_at

    async def _probe(self, device: ModbusDevice, job: Job, owed: Shape) -> None:
        """Makes sure that no older reply of the job's shape can come any more. Raises Timeout or BadReply if not."""
        table, address, count = job.probe
        other = self.debts[device.unit].probe_count(table, count)
        if other is None:
            raise Timeout(device.name, "silent to every request; waiting until no late reply can come")
        await self._ask(device, self.pdus().read(device.unit, table, address, other), owed)

    async def _ask(self, device: ModbusDevice, request: Request, unowed: Shape | None) -> tuple[Reply, float]:
        """Sends, and returns the reply and when it was sampled. A probe is content when `unowed` is owed no longer."""
        loop, codec = asyncio.get_running_loop(), self._rtu or self.pdus()
        debt, pace = self.debts[device.unit], self.paces[device.unit]
        shape, frame = codec.shape(request), codec.frame(request)
        free_at = max(self._free_at, device.ready_at)
        if free_at > loop.time():  # after a probe
            await until(free_at)
            self._collect()
        self._buffer.clear()
        self.port.write(frame)
        before, self._paused_for = self._paused_for, None
        now = loop.time()
        sent = now + len(frame) * self._char_s
        sampled_at = self.clock() + sent - now
        debt.owe(shape, sent)
        due = sent + shape.size * self._char_s
        deadline = due + device.timing.timeout_s
        paused = pace.sure and not unowed and self._others_wait(device)
        await until(due + (pace.surely_s + self._pause_s if paused else pace.turnaround_s))
        looks = 0
        while True:
            now = loop.time()  # before the read: what came in time counts, however late the loop looks (flows.md A2)
            looks += 1
            for reply, certain in self._collect():
                if reply.unit == device.unit and (certain or (unowed and unowed not in debt.shapes)):
                    if looks == 1:
                        pace.in_time(found_out=not paused)
                        self._paused_for = pace if paused else None
                    else:
                        pace.late(min(now - due, device.timing.timeout_s / 2))
                    self._done(device)
                    return reply, sampled_at
            if now >= deadline or not await self._more(shape, deadline):
                if before is not None:
                    before.doubt()
                self._done(device)
                raise self._failure(device)

    def _others_wait(self, device: ModbusDevice) -> bool:
        """Whether there is another request than the one that is on its way."""
        return any(len(other.queue) > (other is device) for other in self._devices)

    async def _more(self, shape: Shape, deadline: float) -> bool:
        """Waits until it makes sense to look again; False if a damaged reply has ended in silence."""
        now = asyncio.get_running_loop().time()
        if not self._buffer:
            # on a timeout, look once more: the deadline is judged by the caller after that
            if not await self.port.readable(max(0.0, deadline - now)):
                return True
        elif not await self.port.readable(max(_CHUNK_S, 12 * self._char_s)):
            return False
        missing = shape.size - len(self._buffer)
        # once for the rest, not per FIFO
        await until(asyncio.get_running_loop().time() + missing * self._char_s)
        return True

    def _collect(self) -> list[tuple[Reply, bool]]:
        """Every whole reply that has arrived, with whether it certainly answers the newest request to its device."""
        self._buffer += self.port.read()
        found = []
        codec = self._rtu or self.pdus()
        while self._buffer and (reply := codec.take(self._buffer, self.debts)):
            found.append((reply, self.debts[reply.unit].pay(reply.shape)))
        return found

    async def _settle(self) -> None:
        """Quiet, and drained until the line is silent, so that nothing old meets the next request."""
        try:
            for _ in range(_SETTLE_ROUNDS):
                if not await self.port.readable(self.options.quiet_s):
                    break
                self._collect()
        except DeviceError:
            pass  # unplugged meanwhile: the next request says so
        self._buffer.clear()

    async def _open(self, device: ModbusDevice) -> None:
        if self.port.is_open:
            return
        now = asyncio.get_running_loop().time()
        if now < self._reopen_at:
            raise NotFound(device.name, f"{self.options.port} is not there")
        self._reopen_at = now + self.options.reopen_s
        self._buffer.clear()
        await self.port.open_aside()

    def _done(self, device: ModbusDevice) -> None:
        """Notes the end of a transaction: when the line may be used again."""
        now = asyncio.get_running_loop().time()
        self._free_at = now if self._paused_for else now + self._pause_s
        device.ready_at = now + device.timing.gap_s

    def _failure(self, device: ModbusDevice) -> DeviceError:
        if not self._buffer:
            return Timeout(device.name, f"unit {device.unit} did not answer within {device.timing.timeout_s:g} s")
        noise = bytes(self._buffer[:16]).hex(" ")
        return BadReply(device.name, f"{len(self._buffer)} bytes that are no reply: {noise}")
