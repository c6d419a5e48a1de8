"""Modbus: one owner per line, with any number of devices on it. What carries it is `modbus_rtu` or `modbus_tcp`.

It asks and answers registers and bits; what they mean is the driver's business. One request is on its way at a time.
Devices have their turns one after the other, each with its own timing; a failed request is tried again when the others
have had theirs. A transaction belongs to the line's task: a requester that gives up cancels its future only.

Invariant: the registers given to a requester were read by the device after that requester asked.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import msgspec

from hal.buses.pdu import EXCEPTION, REASONS, Pdus, Request, Table
from hal.errors import BadOptions, BadReply, DeviceError, NotFound, Refused, Timeout
from hal.waits import until_set

__all__ = ["Job", "ModbusBus", "ModbusDevice", "Registers", "Table", "Timing"]

log = logging.getLogger(__name__)

Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=60.0)]
_PROBE_COUNT = 2


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one device wants to be asked."""

    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 1.0
    """Longest wait for a reply, beyond the time its bytes take on the line."""
    gap_s: Seconds = 0.0
    """Least pause between two requests to this device (EVSE-DIN wants 0.2)."""
    retries: Annotated[int, msgspec.Meta(ge=0, le=5)] = 1
    """Further attempts after a timeout or a damaged reply."""
    forget_s: Annotated[float, msgspec.Meta(ge=0.0, le=300.0)] = 10.0
    """After this long without a reply, none comes any more: what the device owed is forgotten (serial lines)."""


class Registers(NamedTuple):
    """The answer to a read: registers or bits, and the instant at which the request was out; sampled after it."""

    values: tuple[int, ...]
    sampled_at: float


class Job:
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


class ModbusBus(abc.ABC):
    """The owner of one line: a resource. How bytes come and go is said by what is derived from it."""

    units = range(1, 248)
    """The addresses that a device may have."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.clock = clock
        self._devices: deque[ModbusDevice] = deque()
        self._work: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def device(self, name: str, unit: int, timing: Timing) -> ModbusDevice:
        """A device at address `unit`, whose errors are called `name`. Two drivers may share one address.

        Raises BadOptions for an address that no device on this line can have.
        """
        if unit not in self.units:
            raise BadOptions(name, ".address", f"must be {self.units[0]} to {self.units[-1]} on bus {self.name!r}")
        device = ModbusDevice(self, name, unit, timing)
        self._devices.append(device)
        return device

    async def close(self) -> None:
        """Ends the line's task and lets go of the line; who waits gets NotFound. The next request opens it again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._release()
        for device in self._devices:
            device.abandon()

    def wake(self) -> None:
        """Tells the line's task that there is work, and starts it if it does not run. For `ModbusDevice`."""
        if self._task is None or self._task.done():
            self._work = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._run(self._work), name=f"modbus {self.name}")
        elif self._work is not None:
            self._work.set()

    # ------------------------------------------------------------------------------------------- what carries it

    @abc.abstractmethod
    def pdus(self) -> Pdus:
        """The codec, loaded at the first request."""

    @abc.abstractmethod
    async def _exchange(self, device: ModbusDevice, job: Job) -> tuple[bytes, float]:
        """One attempt: the PDU of the reply, and when it was sampled. Raises NotFound, Timeout, BadReply."""

    @abc.abstractmethod
    async def _settle(self) -> None:
        """After a failure: makes sure that nothing old is taken for the answer to the next request."""

    @abc.abstractmethod
    def _release(self) -> None:
        """Lets go of port or connection; harmless without one."""

    # ------------------------------------------------------------------------------------------- the line's task

    async def _run(self, work: asyncio.Event) -> None:
        while True:
            work.clear()
            device, ready_in = self._next()
            if device is not None:
                await self._serve(device, device.queue[0])
            elif ready_in is None:
                await work.wait()
            else:
                await until_set(work, ready_in)

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

    async def _serve(self, device: ModbusDevice, job: Job) -> None:
        """One attempt at a job. A failed one stays first in its device's queue while other devices have a turn."""
        job.attempts -= 1
        try:
            pdu, sampled_at = await self._exchange(device, job)
            result = Registers(self._judged(device, job.request, pdu), sampled_at)
        except (Timeout, BadReply) as error:
            await self._settle()
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

    def _judged(self, device: ModbusDevice, request: Request, pdu: bytes) -> tuple[int, ...]:
        """What a reply holds. Raises Refused for an exception, BadReply for the answer to another question."""
        if pdu.startswith(request.begins) and len(pdu) == request.answer_size:
            return self.pdus().values(request, pdu)
        if pdu[:1] == bytes((request.function | EXCEPTION,)):
            raise Refused(device.name, f"Modbus exception {pdu[1]} ({REASONS.get(pdu[1], 'unknown')})")
        raise BadReply(device.name, f"answered {pdu.hex(' ')} to {request.pdu.hex(' ')}")


class ModbusDevice:
    """One device on a line, as a driver sees it. Made by `ModbusBus.device`."""

    def __init__(self, bus: ModbusBus, name: str, unit: int, timing: Timing) -> None:
        self.name = name
        self.unit = unit
        self.timing = timing
        self.queue: deque[Job] = deque()
        self.ready_at = 0.0
        """When it may be asked again, in the loop's time. Kept by the bus, like the next one."""
        self._bus = bus
        self._reads: dict[tuple[Table, int, int], tuple[Request, tuple[Table, int, int]]] = {}

    async def read(self, table: Table, address: int, count: int) -> Registers:
        """Reads `count` registers or bits from `address`.

        Raises NotFound (no line), Timeout, BadReply (damaged), Refused (exception code). A cancelled call leaves the
        transaction to the bus; its reply is thrown away.
        """
        asked = (table, address, count)
        known = self._reads.get(asked)
        if known is None:  # the same few are asked for ever
            # even a refusal of a holding register tells that the bits' time is over
            probe = (Table.HOLDING, address, _PROBE_COUNT) if table.bits else asked
            known = self._reads[asked] = (self._bus.pdus().read(self.unit, *asked), probe)
        return await self._ask(*known)

    async def write(self, address: int, values: Sequence[int], *, multiple: bool = False) -> None:
        """Sets holding registers from `address`; `multiple`: a single one too by function 16. Raises as `read`."""
        request = self._bus.pdus().write(self.unit, address, values, multiple=multiple)
        await self._ask(request, (Table.HOLDING, address, max(_PROBE_COUNT, len(values))))

    async def write_coil(self, address: int, *, on: bool) -> None:
        """Sets one coil. Raises as `read`."""
        await self._ask(self._bus.pdus().write_coil(self.unit, address, on=on), (Table.HOLDING, address, _PROBE_COUNT))

    def _ask(self, request: Request, probe: tuple[Table, int, int]) -> asyncio.Future[Registers]:
        job = Job(request, probe, 1 + self.timing.retries)
        self.queue.append(job)
        self._bus.wake()
        return job.future

    def waiting(self) -> bool:
        """Whether somebody waits for this device; forgets who gave up."""
        while self.queue and self.queue[0].future.done():
            self.queue.popleft()
        return bool(self.queue)

    def abandon(self) -> None:
        """Fails whoever waits: the bus was closed."""
        while self.queue:
            self.queue.popleft().fail(NotFound(self.name, "the bus was closed"))
