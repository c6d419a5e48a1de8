"""RAPI, the line protocol of OpenEVSE controllers: one owner per serial port, for the board and its sensors.

Source: OpenEVSE/open_evse firmware/open_evse/rapi_proc.h. A command is `$cc pp :ss^xk` and a carriage return; xk is the
XOR of all before `^`, ss a sequence id that the answer repeats (RAPI 3.0 and newer). So a late answer is known as such,
and a damaged line is as if it had not come. Between answers the controller tells what happens to it (`$AT`, `$AB`).

The firmware serves all that has arrived, one command after the other (rapi_proc.cpp, doCmd), and its UART keeps 64
bytes. So what is only asked (`$G`) goes in one piece if it is asked together, and is looked for once.

Invariant: a command that changes something is on its way alone; each attempt has an id of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple, Protocol

import msgspec

from hal.buses.serial import Baud, SerialPort, SerialSettings
from hal.context import parse_options
from hal.errors import BadReply, DeviceError, NotFound, Timeout

_ATTEMPTS = 3
_TOGETHER = 3
"""So many questions fit into the controller's buffer."""
_LOOK_S = 0.03
_LAST_ID = 0xFF
_MAX_REST = 256
_ANSWERS = {"OK": True, "NK": False}


class RapiOptions(SerialSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The port: 115200 8N1."""

    baud: Baud = 115200
    reply_s: Annotated[float, msgspec.Meta(gt=0.0, le=10.0)] = 0.5
    """Longest wait for an answer; a command is sent three times. The controller answers within 20 ms when not busy."""
    reopen_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 1.0
    """Pause between attempts to open a port that is not there."""


class Answer(NamedTuple):
    """What a command was answered: `$OK` or `$NK`, and the words that follow."""

    ok: bool
    words: tuple[str, ...]
    sampled_at: float


class _Command:
    """What somebody wants to be answered."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words
        self.asks = words[0][0] == "G"
        """It changes nothing."""
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.attempts = _ATTEMPTS
        self.sampled_at = 0.0
        self.damaged = False

    def fail(self, error: Exception) -> None:
        """Tells who waits, if anybody still does."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # whoever asked for several hears of the first


class RapiListener(Protocol):
    """Who wants to know what the controller tells unasked."""

    def told(self, words: tuple[str, ...]) -> None:
        """A notification, such as `AT 02 02 16 0100`. Must not raise."""
        ...

    def unplugged(self, error: DeviceError) -> None:
        """The port is gone. Told once."""
        ...


class RapiBus:
    """A resource: `buses: {evse: {kind: rapi, port: /dev/ocpp/openevse}}`. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.options = parse_options(f"bus {name!r}", options, RapiOptions)
        self._clock = clock
        self._port = SerialPort(name, self.options)
        self._rest = b""
        self._listeners: list[RapiListener] = []
        self._id = 0
        self._queue: deque[_Command] = deque()
        self._sent: dict[str, _Command] = {}
        """What is on its way, by id."""
        self._silence: asyncio.TimerHandle | None = None
        self._next: asyncio.Handle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reopen_at = 0.0

    async def ask(self, *words: str) -> Answer:
        """Sends a command until it is answered. Raises NotFound (no port), Timeout, BadReply (damaged)."""
        return (await self.ask_all(words))[0]

    async def ask_all(self, *commands: tuple[str, ...]) -> list[Answer]:
        """Several, in this order; what only asks goes in one piece. Raises as `ask`, for the first that fails."""
        asked = [_Command(words) for words in commands]
        self._queue.extend(asked)
        self._soon()
        try:
            return [await command.answer for command in asked]
        except BaseException:
            self._forget(asked)
            raise

    def listen(self, listener: RapiListener) -> None:
        """Tells `listener` from now on; harmless twice."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def leave(self, listener: RapiListener) -> None:
        """No more; harmless twice."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def close(self) -> None:
        """Lets go of the port; who waits gets NotFound. The next command opens it again."""
        self._reopen_at = 0.0
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        closed = NotFound(self.name, "the bus was closed")
        self._fail(closed)
        self._lost(closed)

    # ------------------------------------------------------------------------------------------------------ inside

    def _soon(self) -> None:
        """Sends what waits at the end of this turn of the loop: others may ask in the same one."""
        if self._queue and not self._sent and self._next is None and self._opening is None:
            self._next = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._next = None
        if not self._queue:
            return
        if not self._port.is_open:
            if self._clock() < self._reopen_at:
                self._fail(NotFound(self.name, f"{self.options.port} is not there"))
                return
            self._reopen_at = self._clock() + self.options.reopen_s
            self._opening = asyncio.get_running_loop().create_task(self._open(), name=f"rapi {self.name}")
            return
        batch = [self._queue.popleft()]
        while batch[0].asks and self._queue and self._queue[0].asks and len(batch) < _TOGETHER:
            batch.append(self._queue.popleft())
        loop, now, lines = asyncio.get_running_loop(), self._clock(), b""
        for command in batch:
            self._id = self._id % _LAST_ID + 1
            mark = f":{self._id:02X}"
            self._sent[mark] = command
            command.attempts -= 1
            command.sampled_at = now
            lines += framed((*command.words, mark))
        self._silence = loop.call_later(self.options.reply_s, self._silent)
        try:
            self._port.write(lines)
        except Timeout as error:
            self._end(error)
        except NotFound as error:
            self._lost(error)
        else:
            if batch[0].asks:
                self._port.look_away(min(_LOOK_S, self.options.reply_s / 2))

    async def _open(self) -> None:
        try:
            await self._port.open_aside()
        except Exception as error:  # noqa: BLE001 - handed to who waits
            self._opening = None
            self._fail(error)
            return
        self._opening = None
        self._reopen_at = 0.0
        self._rest = b""
        self._port.watch(self._arrived, self._lost)
        self._soon()

    def _fail(self, error: Exception) -> None:
        """Who waits for what is not sent yet hears this."""
        while self._queue:
            self._queue.popleft().fail(error)

    def _arrived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r")
        self._rest = self._rest[-_MAX_REST:]  # noise without an end
        for line in lines:
            words = parsed(line)
            if words is None:
                for command in self._sent.values():
                    command.damaged = True
            elif words[0] not in _ANSWERS:
                for listener in tuple(self._listeners):
                    listener.told(words)
            elif words[-1] in self._sent:
                answered = self._sent.pop(words[-1])
                if not answered.answer.done():
                    answered.answer.set_result(Answer(_ANSWERS[words[0]], words[1:-1], answered.sampled_at))
                self._settled()

    def _settled(self) -> None:
        """Something is not on its way any more: what waits may be."""
        if not self._sent and self._silence is not None:
            self._silence.cancel()
            self._silence = None
        self._soon()

    def _silent(self) -> None:
        """What was not answered is sent again, before anything else."""
        unanswered = [command for command in self._sent.values() if not command.answer.done()]
        self._sent.clear()
        for command in reversed(unanswered):
            if command.attempts:
                self._queue.appendleft(command)
            elif command.damaged:
                command.fail(BadReply(self.name, f"the answers to ${command.words[0]} are damaged"))
            else:
                within = f"within {self.options.reply_s:g} s, sent {_ATTEMPTS} times"
                command.fail(Timeout(self.name, f"no answer to ${command.words[0]} {within}"))
        self._settled()

    def _forget(self, asked: list[_Command]) -> None:
        """Nobody waits for these any more; an answer that still comes is known by its id."""
        self._queue = deque(command for command in self._queue if command not in asked)
        self._sent = {mark: command for mark, command in self._sent.items() if command not in asked}
        self._settled()

    def _end(self, error: DeviceError) -> None:
        """Who waits for what is on its way hears this."""
        sent, self._sent = self._sent, {}
        for command in sent.values():
            command.fail(error)
        self._settled()

    def _lost(self, error: DeviceError) -> None:
        self._port.close()
        self._end(NotFound(self.name, error.reason))
        for listener in tuple(self._listeners):
            listener.unplugged(NotFound(self.name, error.reason))


def framed(words: tuple[str, ...]) -> bytes:
    """A command on the line."""
    body = ("$" + " ".join(words)).encode("ascii")
    return body + f"^{_xor(body):02X}\r".encode("ascii")


def parsed(line: bytes) -> tuple[str, ...] | None:
    """The words of a line; None for one that is damaged."""
    body, hat, check = line[max(0, line.rfind(b"$")) :].rpartition(b"^")
    if not hat or not body.startswith(b"$"):
        return None
    try:
        sound = int(check, 16) == _xor(body)
        words = tuple(body[1:].decode("ascii").split())
    except ValueError:
        return None
    return words if sound and words else None


def _xor(body: bytes) -> int:
    check = 0
    for byte in body:
        check ^= byte
    return check
