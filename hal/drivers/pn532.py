"""PN532 card reader over HSU: ISO 14443 type A cards, 4, 7 and 10-byte UIDs.

Wiring: UART, 115200 8N1; the module's switches on HSU. Source: NXP UM0701-02.

    readers: {front: {driver: pn532, port: /dev/ocpp/reader}}

The chip polls by itself and answers when a card comes (InListPassiveTarget without limit), so that an idle reader wakes
nobody. Because a dead chip is as silent as a waiting one, it is asked for its version every `check_s`, and set up again
when it does not answer (a chip that loses power comes back asleep and unconfigured).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, NamedTuple

import msgspec

from hal.api import Identity, Token
from hal.buses.serial import SerialPort, SerialSettings
from hal.context import DriverContext, parse_options
from hal.drivers.pn532_frame import ACK, WAKE_UP, Answer, Parser, Signal, command, target
from hal.drivers.presentation import Debounce
from hal.errors import BadReply, DeviceError, NotFound, Refused, Timeout
from hal.waits import until_set

log = logging.getLogger(__name__)

_GET_FIRMWARE = 0x02
_SAM_CONFIGURATION = 0x14
_RF_CONFIGURATION = 0x32
_IN_LIST = 0x4A
_IN_RELEASE = 0x52

_NORMAL_MODE = bytes((0x01, 0x00, 0x01))  # no SAM card
_ONE_TYPE_A = bytes((0x01, 0x00))
_ALL_TARGETS = b"\x00"
_MAX_RETRIES = 0x05  # RFConfiguration item: MxRtyATR, MxRtyPSL, MxRtyPassiveActivation
_FOR_EVER = 0xFF
_ONCE = 0x01
_IC_PN532 = 0x32

_ACK_S = 0.2  # the chip acknowledges within 15 ms; the rest is the host's and the adapter's
_ANSWER_S = 0.5
_ATTEMPTS = 3
_HELD_LOOK_S = 0.3
_FIRST_LOOK_S = 0.2  # a card that is there answers within 50 ms
_FRESH_S = 1.0

_Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    port: Annotated[str, msgspec.Meta(min_length=1)]
    baud: int = 115200
    debounce_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 2.0
    """A card that is still there, or is back within this time, is the same presentation."""
    check_s: _Seconds = 20.0
    """How often a silent reader is asked whether it still lives."""
    poll_s: _Seconds | None = None
    """Ask for a card in this period instead of letting the chip wait (for modules that cannot be interrupted)."""
    reverse_uid: bool = False
    """Last byte first, for a list of cards that was written by such a reader."""


class _Ready(NamedTuple):
    """When the reader was opened, and the card that was already there."""

    held: Token | None
    at: float


class Pn532:
    """TokenReader. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        self.name = name
        self._options = parse_options(f"reader {name!r}", options, Options)
        port = SerialSettings(port=self._options.port, baud=self._options.baud)
        self._chip = _Chip(name, SerialPort(name, port))
        self._clock: Callable[[], float] = context.clock
        self._firmware = ""
        self._ready: _Ready | None = None

    async def open(self) -> None:
        """Wakes and configures the chip. Raises NotFound (no port, no answer), BadReply (not a PN532)."""
        await self._chip.open()
        try:
            await self._set_up()
            self._ready = _Ready(await self._look(_FIRST_LOOK_S), self._clock())
        except Timeout as error:
            await self.close()
            raise NotFound(self.name, f"nothing answers like a PN532 ({error.reason})") from None
        except DeviceError:
            await self.close()
            raise

    async def close(self) -> None:
        """Lets go of the port; `tokens` raises NotFound."""
        self._chip.close()

    async def identify(self) -> Identity:
        """The chip and its firmware, as read when it was set up."""
        return Identity("NXP", "PN532", "", self._firmware)

    async def tokens(self) -> AsyncIterator[Token]:
        """Each card once per presentation. Raises NotFound (unplugged, closed), Timeout (dead), BadReply, Refused."""
        ready, self._ready = self._ready, None
        fresh = ready is not None and self._clock() - ready.at < _FRESH_S
        found = ready.held if ready is not None and fresh else await self._look(_FIRST_LOOK_S)
        debounce = Debounce(self._options.debounce_s)
        if found is not None:
            debounce.is_news(found, self._clock())
        while True:
            if found is None:
                found = await self._wait_for_card()
            else:
                await asyncio.sleep(_HELD_LOOK_S)  # it is still there, most likely: no need to hurry
                found = await self._look(_HELD_LOOK_S)
            if found is not None and debounce.is_news(found, self._clock()):
                yield self._spelt(found)

    def _spelt(self, token: Token) -> Token:
        if not self._options.reverse_uid:
            return token
        return Token(bytes.fromhex(token.uid_hex)[::-1].hex().upper(), token.type, token.random_uid)

    async def _wait_for_card(self) -> Token | None:
        """A card; None after a time without one, in which the chip has proved that it lives."""
        if self._options.poll_s is None:
            found = await self._look(self._options.check_s)
            if found is None:
                await self._revive()
            return found
        await asyncio.sleep(self._options.poll_s)
        return await self._look(_ANSWER_S)

    async def _look(self, seconds: float) -> Token | None:
        """The card in the field, waiting up to `seconds` for one. A chip that does not react is set up again."""
        try:
            await self._chip.ask(_IN_RELEASE, _ALL_TARGETS)
            data = await self._chip.ask(_IN_LIST, _ONE_TYPE_A, seconds, interrupt=True)
        except (Timeout, BadReply):
            await self._set_up()
            return None
        try:
            return None if data is None else target(data)
        except ValueError as error:
            log.warning("pn532.unreadable", extra={"reader": self.name, "reason": str(error)})
            await asyncio.sleep(_HELD_LOOK_S)  # it may be held to the reader for a while
            return None

    async def _revive(self) -> None:
        try:
            await self._chip.ask(_GET_FIRMWARE)
        except (Timeout, BadReply):
            await self._set_up()

    async def _set_up(self) -> None:
        """Wake-up, SAM, version, retries; again as a whole if one step fails: the chip may sleep through the first."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._chip.wake()
                await self._chip.ask(_SAM_CONFIGURATION, _NORMAL_MODE)
                version = await self._chip.ask(_GET_FIRMWARE) or b""
                break
            except (Timeout, BadReply):
                if attempt == _ATTEMPTS:
                    raise
        if version[:1] != bytes((_IC_PN532,)) or len(version) < 3:  # noqa: PLR2004 - IC, version, revision
            raise BadReply(self.name, f"is not a PN532: version {version.hex(' ')}")
        self._firmware = f"{version[1]}.{version[2]}"
        retries = _FOR_EVER if self._options.poll_s is None else _ONCE
        await self._chip.ask(_RF_CONFIGURATION, bytes((_MAX_RETRIES, 0xFF, 0x01, retries)))


class _Chip:
    """One command at a time, over a port that may vanish."""

    def __init__(self, name: str, port: SerialPort) -> None:
        self._name = name
        self._port = port
        self._parser = Parser()
        self._events: deque[Signal | Answer] = deque()
        self._arrived = asyncio.Event()
        self._lost: DeviceError | None = NotFound(name, "is not open")

    async def open(self) -> None:
        """Raises NotFound."""
        self._port.close()
        await self._port.open_aside()
        self._lost = None
        self._arrived = asyncio.Event()
        self._clear()
        self._port.watch(self._heard, self._gone)

    def close(self) -> None:
        """Harmless twice."""
        self._port.close()
        self._gone(NotFound(self._name, "was closed"))

    def wake(self) -> None:
        """Out of power-down; what it was doing is aborted."""
        self._check()
        self._clear()
        self._port.write(WAKE_UP)

    async def ask(
        self, code: int, data: bytes = b"", seconds: float = _ANSWER_S, *, interrupt: bool = False
    ) -> bytes | None:
        """Gives a command and returns the data of its answer.

        With `interrupt`, silence after the acknowledgement is no error: the command is aborted and None returned.
        Raises NotFound, Timeout, BadReply (damaged), Refused (unknown to the chip).
        """
        self._check()
        self._clear()
        self._port.write(command(code, data))
        if await self._expect(lambda event: event is Signal.ACK, _ACK_S, code) is None:
            raise Timeout(self._name, f"command {code:#04x} was not acknowledged")
        answer = await self._expect(lambda event: isinstance(event, Answer) and event.command == code, seconds, code)
        if isinstance(answer, Answer):
            return answer.data
        if not interrupt:
            raise Timeout(self._name, f"no answer to command {code:#04x}")
        self._port.write(ACK)  # UM0701-02 6.2.1.3: the host's ACK aborts the current command
        return None

    async def _expect(
        self, wanted: Callable[[Signal | Answer], bool], seconds: float, code: int
    ) -> Signal | Answer | None:
        """The event that is wanted, or None. An answer that came as its command was aborted is passed over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (event := await self._event(deadline - loop.time())) is not None and not wanted(event):
            if event is Signal.ERROR:
                raise Refused(self._name, f"does not know command {code:#04x}")
            if event in (Signal.NACK, Signal.DAMAGED):
                raise BadReply(self._name, f"{event} instead of an answer to {code:#04x}")
        return event

    async def _event(self, seconds: float) -> Signal | Answer | None:
        if not self._events and self._lost is None:
            self._arrived.clear()
            # the deque is looked at after a timeout too: what came during a stall of the loop counts
            await until_set(self._arrived, seconds)
        if self._events:
            return self._events.popleft()
        self._check()
        return None

    def _clear(self) -> None:
        self._events.clear()
        self._parser.reset()

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost.with_traceback(None)  # kept and raised often: its traceback must not grow

    def _heard(self, data: bytes) -> None:
        self._events.extend(self._parser.feed(data))
        if self._events:
            self._arrived.set()

    def _gone(self, error: DeviceError) -> None:
        if self._lost is None:
            self._lost = error
        self._arrived.set()
