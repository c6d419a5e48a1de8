"""Modbus RTU: one owner per RS-485 line, with any number of devices on it.

It asks and answers registers; what they mean is the driver's business. pymodbus encodes requests, checks CRCs and
decodes replies; the transport is our own, because pymodbus' client takes a late reply for the answer to the next
request (reproduced, pymodbus PR 2636) and wakes once per UART FIFO fill. The transport sends, sleeps for the time the
frame takes, reads once.

Whose reply is it? RTU replies carry no transaction number. So:
- A transaction belongs to the line's task: a requester that gives up cancels its future only.
- A reply counts only if unit, function, length and (for a write) echo are those of the request.
- What was not answered is *owed*. After a failure the line stays quiet and is drained; while a device owes something,
  its next request is preceded by a probe whose reply has a length that is not owed. A device answers in order: when the
  probe's reply is there, no older one can follow.

Invariant: the registers given to a requester were read by the device after that requester asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NamedTuple

import msgspec

from hal.buses.rtu import Debt, Reply, Request, Rtu, Shape, Table
from hal.buses.serial import SerialPort, SerialSettings
from hal.context import parse_options
from hal.errors import BadReply, DeviceError, NotFound, Refused, Timeout

__all__ = ["ModbusBus", "ModbusDevice", "Registers", "Table", "Timing"]

log = logging.getLogger(__name__)

_Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=60.0)]
_FIRST_TURNAROUND_S = 0.02
_CHUNK_S = 0.1  # silence inside a reply that ends it: above the latency of a USB adapter (16 ms) and of a busy host
_SETTLE_ROUNDS = 10
_PROBE_COUNT = 2
_REASONS = {1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 6: "device busy"}


class BusOptions(SerialSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The line: `port`, `baud`, `parity`, `stop_bits` of `SerialSettings`, and its timing."""

    quiet_s: _Seconds = 0.2
    """Silence kept, and drained, after a failed transaction before the next one on this line."""
    reopen_s: _Seconds = 1.0
    """Pause between attempts to open a port that is not there."""


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one device wants to be asked."""

    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 1.0
    """Longest wait for a reply, beyond the time its bytes take on the line."""
    gap_s: _Seconds = 0.0
    """Least pause between two requests to this device (EVSE-DIN wants 0.2)."""
    retries: Annotated[int, msgspec.Meta(ge=0, le=5)] = 1
    """Further attempts after a timeout or a damaged reply."""
    forget_s: _Seconds = 10.0
    """After this long without a reply, none comes any more: what the device owed is forgotten."""


class Registers(NamedTuple):
    """The answer to a read: 16-bit registers or coils, and the instant at which the request was out; sampled after."""

    values: tuple[int, ...]
    sampled_at: float


class _Job:
    """A request in a device's queue. `probe` is where a probe for it may read."""

    def __init__(self, request: Request, probe: tuple[Table, int, int], attempts: int) -> None:
        self.request = request
        self.probe = probe
        self.attempts = attempts
        self.future: asyncio.Future[Registers] = asyncio.get_running_loop().create_future()

    def fail(self, error: DeviceError) -> None:
        """Tells the requester, if it still waits."""
        if not self.future.done():
            self.future.set_exception(error)


class ModbusBus:
    """The owner of one line. A resource: `buses: {rs485-1: {kind: modbus-rtu, port: /dev/ocpp/rs485}}`."""

    def __init__(self, name: str, options: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.options = parse_options(f"bus {name!r}", options, BusOptions)
        self.rtu: Rtu | None = None
        self._clock = clock
        self._port = SerialPort(name, self.options)
        self._devices: deque[ModbusDevice] = deque()
        self._debts: dict[int, Debt] = {}
        self._work: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._buffer = bytearray()
        self._free_at = 0.0
        self._reopen_at = 0.0

    def device(self, name: str, unit: int, timing: Timing) -> ModbusDevice:
        """A device at address `unit` (1 to 247), whose errors are called `name`. Two drivers may share one address."""
        device = ModbusDevice(self, name, unit, timing)
        self._devices.append(device)
        self._debts.setdefault(unit, Debt())
        return device

    async def close(self) -> None:
        """Ends the line's task and lets go of the port; who still waits gets NotFound. The next request reopens it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._port.close()
        self._reopen_at = 0.0  # it was let go of, not lost
        for device in self._devices:
            device.abandon()

    def start(self) -> Rtu:
        """The codec, loaded at the first request. For `ModbusDevice`."""
        if self.rtu is None:
            self.rtu = Rtu()
        return self.rtu

    def wake(self) -> None:
        """Tells the line's task that there is work, and starts it if it does not run. For `ModbusDevice`."""
        if self._task is None or self._task.done():
            self._work = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(
                self._run(self.start(), self._work), name=f"modbus {self.name}"
            )
        elif self._work is not None:
            self._work.set()

    # ------------------------------------------------------------------------------------------- the line's task

    async def _run(self, rtu: Rtu, work: asyncio.Event) -> None:
        while True:
            work.clear()
            device, ready_in = self._next()
            if device is not None:
                await self._serve(device, device.queue[0], rtu)
            elif ready_in is None:
                await work.wait()
            else:
                # an event that is lost at the deadline is seen by the next look at the queues
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(work.wait(), ready_in)

    def _next(self) -> tuple[ModbusDevice | None, float | None]:
        """The next device in turn that may be asked now; else how long until one may (None: nobody waits)."""
        now = asyncio.get_running_loop().time()
        waits: list[float] = []
        for _ in range(len(self._devices)):
            device = self._devices[0]
            self._devices.rotate(-1)
            if not device.waiting():
                continue
            if device.ready_at <= now:
                return device, None
            waits.append(device.ready_at - now)
        return None, min(waits, default=None)

    async def _serve(self, device: ModbusDevice, job: _Job, rtu: Rtu) -> None:
        """One attempt at a job. A failed one stays first in its device's queue while other devices have a turn."""
        job.attempts -= 1
        try:
            result = await self._attempt(device, job, rtu)
        except (Timeout, BadReply) as error:
            await self._settle(rtu)
            if job.attempts and not job.future.done():
                return
            job.fail(error)
        except NotFound as error:
            job.fail(NotFound(device.name, error.reason))
        except DeviceError as error:
            job.fail(error)
        except asyncio.CancelledError:
            job.fail(NotFound(device.name, f"bus {self.name} was closed"))
            raise
        except Exception:  # the line's task must outlive every bug
            log.exception("modbus.bug", extra={"bus": self.name, "device": device.name})
            job.fail(BadReply(device.name, "the bus owner failed on this request"))
        else:
            if not job.future.done():
                job.future.set_result(result)
        if device.queue and device.queue[0] is job:
            device.queue.popleft()

    async def _attempt(self, device: ModbusDevice, job: _Job, rtu: Rtu) -> Registers:
        self._open(device)
        debt = self._debts[device.unit]
        debt.forget(asyncio.get_running_loop().time(), device.timing.forget_s)
        try:
            self._collect(rtu)
        except NotFound:  # unplugged while nobody asked; it may be back by now
            self._open(device)
        if job.request.shape in debt.shapes:
            await self._probe(device, job, rtu)
        reply, sampled_at = await self._exchange(device, job.request, None, rtu)
        if reply.refusal is not None:
            raise Refused(device.name, f"Modbus exception {reply.refusal} ({_REASONS.get(reply.refusal, 'unknown')})")
        if not reply.frame.startswith(job.request.begins):
            raise BadReply(device.name, f"answered {reply.frame.hex(' ')} to {job.request.frame.hex(' ')}")
        return Registers(rtu.values(reply, job.request), sampled_at)

    async def _probe(self, device: ModbusDevice, job: _Job, rtu: Rtu) -> None:
        """Makes sure that no older reply of the job's shape can come any more. Raises Timeout or BadReply if not."""
        table, address, count = job.probe
        other = self._debts[device.unit].probe_count(table, count)
        if other is None:
            raise Timeout(device.name, "silent to every request; waiting until no late reply can come")
        await self._exchange(device, rtu.read(device.unit, table, address, other), job.request.shape, rtu)

    async def _exchange(
        self, device: ModbusDevice, request: Request, unowed: Shape | None, rtu: Rtu
    ) -> tuple[Reply, float]:
        """Sends, and returns the reply and when it was sampled. A probe is content when `unowed` is owed no longer."""
        loop, debt = asyncio.get_running_loop(), self._debts[device.unit]
        await _until(max(self._free_at, device.ready_at))
        self._collect(rtu)
        self._buffer.clear()
        self._port.write(request.frame)
        sent = loop.time() + self.options.wire_s(len(request.frame))
        sampled_at = self._clock() + sent - loop.time()
        debt.owe(request.shape, sent)
        due = sent + self.options.wire_s(request.shape.size)
        await _until(due + device.turnaround_s)
        looks = 0
        while True:
            now = loop.time()  # before the read: what came in time counts, however late the loop looks (flows.md A2)
            looks += 1
            for reply, certain in self._collect(rtu):
                if reply.unit == device.unit and (certain or (unowed and unowed not in debt.shapes)):
                    self._done(device, now - due if looks > 1 else None)
                    return reply, sampled_at
            if now - due >= device.timing.timeout_s or not await self._more(request, due + device.timing.timeout_s):
                self._done(device, None)
                raise self._failure(device)

    async def _more(self, request: Request, deadline: float) -> bool:
        """Waits until it makes sense to look again; False if a damaged reply has ended in silence."""
        now = asyncio.get_running_loop().time()
        if not self._buffer:
            # on a timeout, look once more: the deadline is judged by the caller after that
            if not await self._port.readable(max(0.0, deadline - now)):
                return True
        elif not await self._port.readable(max(_CHUNK_S, self.options.wire_s(12))):
            return False
        missing = request.shape.size - len(self._buffer)
        await _until(
            asyncio.get_running_loop().time() + self.options.wire_s(missing)
        )  # once for the rest, not per FIFO
        return True

    def _collect(self, rtu: Rtu) -> list[tuple[Reply, bool]]:
        """Every whole reply that has arrived, with whether it certainly answers the newest request to its device."""
        self._buffer += self._port.read()
        found = []
        while reply := rtu.take(self._buffer, self._debts):
            found.append((reply, self._debts[reply.unit].pay(reply.shape)))
        return found

    async def _settle(self, rtu: Rtu) -> None:
        """After a failure: quiet, and drained until the line is silent, so that nothing old meets the next request."""
        try:
            for _ in range(_SETTLE_ROUNDS):
                if not await self._port.readable(self.options.quiet_s):
                    break
                self._collect(rtu)
        except DeviceError:
            pass  # unplugged meanwhile: the next request says so
        self._buffer.clear()

    def _open(self, device: ModbusDevice) -> None:
        if self._port.is_open:
            return
        now = asyncio.get_running_loop().time()
        if now < self._reopen_at:
            raise NotFound(device.name, f"{self.options.port} is not there")
        self._reopen_at = now + self.options.reopen_s
        self._buffer.clear()
        self._port.open()

    def _done(self, device: ModbusDevice, late_s: float | None) -> None:
        """Notes the end of a transaction, and `late_s`, how long after the earliest instant its reply was complete."""
        now = asyncio.get_running_loop().time()
        self._free_at = now + max(self.options.wire_s(4), 0.002)  # 3.5 characters, 1.75 ms at high speed
        device.ready_at = now + device.timing.gap_s
        if late_s is None:
            device.turnaround_s *= 0.98
        else:
            device.turnaround_s += 0.3 * (min(late_s, device.timing.timeout_s / 2) - device.turnaround_s)

    def _failure(self, device: ModbusDevice) -> DeviceError:
        if not self._buffer:
            return Timeout(device.name, f"unit {device.unit} did not answer within {device.timing.timeout_s:g} s")
        noise = bytes(self._buffer[:16]).hex(" ")
        return BadReply(device.name, f"{len(self._buffer)} bytes that are no reply: {noise}")


class ModbusDevice:
    """One device on a line, as a driver sees it. Made by `ModbusBus.device`."""

    def __init__(self, bus: ModbusBus, name: str, unit: int, timing: Timing) -> None:
        self.name = name
        self.unit = unit
        self.timing = timing
        self.queue: deque[_Job] = deque()
        self.ready_at = 0.0
        """When it may be asked again, in the loop's time. Kept by the bus, like the next one."""
        self.turnaround_s = _FIRST_TURNAROUND_S
        """How long it takes to answer, learned: when to look for the reply."""
        self._bus = bus

    async def read(self, table: Table, address: int, count: int) -> Registers:
        """Reads `count` registers from `address`.

        Raises NotFound (no port), Timeout, BadReply (damaged), Refused (exception code). A cancelled call leaves the
        transaction to the bus; its reply is thrown away.
        """
        request = self._bus.start().read(self.unit, table, address, count)
        if table is Table.COIL:
            table, count = Table.HOLDING, _PROBE_COUNT  # even a refusal of it tells that the coils' time is over
        return await self._ask(_Job(request, (table, address, count), 1 + self.timing.retries))

    async def write(self, address: int, values: Sequence[int], *, multiple: bool = False) -> None:
        """Sets holding registers from `address`; `multiple`: a single one too by function 16. Raises as `read`."""
        request = self._bus.start().write(self.unit, address, values, multiple=multiple)
        probe = (Table.HOLDING, address, max(_PROBE_COUNT, len(values)))
        await self._ask(_Job(request, probe, 1 + self.timing.retries))

    async def write_coil(self, address: int, *, on: bool) -> None:
        """Sets one coil. Raises as `read`."""
        request = self._bus.start().write_coil(self.unit, address, on=on)
        await self._ask(_Job(request, (Table.HOLDING, address, _PROBE_COUNT), 1 + self.timing.retries))

    async def _ask(self, job: _Job) -> Registers:
        self.queue.append(job)
        self._bus.wake()
        return await job.future

    def waiting(self) -> bool:
        """Whether somebody waits for this device; forgets who gave up."""
        while self.queue and self.queue[0].future.done():
            self.queue.popleft()
        return bool(self.queue)

    def abandon(self) -> None:
        """Fails whoever waits: the bus was closed."""
        while self.queue:
            self.queue.popleft().fail(NotFound(self.name, "the bus was closed"))


async def _until(instant: float) -> None:
    """Sleeps until an instant of the loop's time; one that has passed costs no turn of the loop."""
    seconds = instant - asyncio.get_running_loop().time()
    if seconds > 0:
        await asyncio.sleep(seconds)
