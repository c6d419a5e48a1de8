"""RAPI, the line protocol of OpenEVSE controllers: one owner per serial port, for the board and its sensors.

Source: OpenEVSE/open_evse firmware/open_evse/rapi_proc.h. A command is `$cc pp :ss^xk` and a carriage return; xk is the
XOR of all before `^`, ss a sequence id that the answer repeats (RAPI 3.0 and newer). So a late answer is known as such,
and a damaged line is as if it had not come. Between answers the controller tells what happens to it (`$AT`, `$AB`).

Invariant: one command is on its way at a time; each attempt has an id of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple, Protocol

import msgspec

from hal.buses.serial import Baud, SerialPort, SerialSettings
from hal.context import parse_options
from hal.errors import BadReply, DeviceError, NotFound, Timeout

_ATTEMPTS = 3
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
        self._turn = asyncio.Lock()
        self._id = 0
        self._waiting: asyncio.Future[tuple[str, ...] | None] | None = None
        self._damaged = False
        self._reopen_at = 0.0

    async def ask(self, *words: str) -> Answer:
        """Sends a command until it is answered. Raises NotFound (no port), Timeout, BadReply (damaged)."""
        async with self._turn:
            self._damaged = False
            for _ in range(_ATTEMPTS):
                await self._opened()
                sampled_at = self._clock()
                answer = await self._attempt(words)
                if answer is not None:
                    return Answer(_ANSWERS[answer[0]], answer[1:], sampled_at)
        if self._damaged:
            raise BadReply(self.name, f"the answers to ${words[0]} are damaged")
        raise Timeout(self.name, f"no answer to ${words[0]} within {self.options.reply_s:g} s, sent {_ATTEMPTS} times")

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
        self._lost(NotFound(self.name, "the bus was closed"))

    async def _opened(self) -> None:
        if self._port.is_open:
            return
        if self._clock() < self._reopen_at:
            raise NotFound(self.name, f"{self.options.port} is not there")
        self._reopen_at = self._clock() + self.options.reopen_s
        await self._port.open_aside()
        self._reopen_at = 0.0
        self._rest = b""
        self._port.watch(self._arrived, self._lost)

    async def _attempt(self, words: tuple[str, ...]) -> tuple[str, ...] | None:
        loop = asyncio.get_running_loop()
        self._id = self._id % _LAST_ID + 1
        waiting: asyncio.Future[tuple[str, ...] | None] = loop.create_future()
        silence = loop.call_later(self.options.reply_s, _settle, waiting, None)
        self._waiting = waiting
        try:
            self._port.write(framed((*words, f":{self._id:02X}")))
            return await waiting
        finally:
            silence.cancel()
            self._waiting = None

    def _arrived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r")
        self._rest = self._rest[-_MAX_REST:]  # noise without an end
        for line in lines:
            words = parsed(line)
            if words is None:
                self._damaged = True
            elif words[0] not in _ANSWERS:
                for listener in tuple(self._listeners):
                    listener.told(words)
            elif words[-1] == f":{self._id:02X}" and self._waiting is not None:
                _settle(self._waiting, words[:-1])

    def _lost(self, error: DeviceError) -> None:
        self._port.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(NotFound(self.name, error.reason))
        for listener in tuple(self._listeners):
            listener.unplugged(NotFound(self.name, error.reason))


def _settle(waiting: asyncio.Future[tuple[str, ...] | None], words: tuple[str, ...] | None) -> None:
    if not waiting.done():
        waiting.set_result(words)


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
