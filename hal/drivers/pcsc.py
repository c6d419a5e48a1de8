"""Card readers of PC/SC: ACR122U, uTrust, Omnikey and whatever else pcscd has a driver for.

    readers: {front: {driver: pcsc}}                       # the only reader, or: reader: ACR122

Wiring: USB; `apt-get install pcscd libpcsclite1`, and for a PN533 inside (ACR122U) `blacklist pn533_usb` for the
kernel. Where polkit guards pcscd, the agent's user needs the actions `org.debian.pcsc-lite.access_pcsc` and
`access_card`. Source: PC/SC part 3, section 3.2.2.1.3 (Get Data: FF CA 00 00 00 gives the UID and 90 00); PC/SC Lite,
`winscard.h` (an event counts changes in its upper half). A reader with a slot for a SAM shows it as a reader of its own
in which a card always is: such slots are passed over unless they are named.

A thread of its own waits in pcscd; nobody polls.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from hal.api import Identity, Token
from hal.aside import in_thread
from hal.context import DriverContext, parse_options
from hal.drivers import pcsc_library as pcsc
from hal.drivers.pcsc_library import Context, PcscError
from hal.drivers.presentation import Debounce
from hal.errors import DeviceError, NotFound

log = logging.getLogger(__name__)

_GET_UID: Final = bytes.fromhex("FFCA000000")
_OK: Final = b"\x90\x00"
_UID_LENGTHS: Final = (4, 7, 8, 10)
"""ISO 14443 single, double and triple size; 8: ISO 15693 and PicoPass."""
_RANDOM: Final = 0x08
_COUNT: Final = 0xFFFF0000
_SAM: Final = "SAM"
_CANCELS, _CANCEL_S = 40, 0.05


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    reader: str = ""
    """A part of the reader's name, where there are several."""
    debounce_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 2.0
    """A card that is still there, or is back within this time, is the same presentation."""
    reverse_uid: bool = False
    """Last byte first, for a list of cards that was written by such a reader."""


class Pcsc:
    """TokenReader. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        self.name = name
        self._options = parse_options(f"reader {name!r}", options, Options)
        self._clock: Callable[[], float] = context.clock
        self._watch: _Watch | None = None
        self._debounce = Debounce(self._options.debounce_s)
        self._tokens: deque[Token] = deque()
        self._arrived = asyncio.Event()
        self._lost: DeviceError | None = NotFound(name, "is not open")

    async def open(self) -> None:
        """Finds the reader, and the card that is on it already. Raises NotFound: no library, no pcscd, no reader."""
        await self.close()
        watch = await in_thread(self._begin, f"pcsc {self.name}", _Watch.end)
        self._watch, self._lost, self._arrived = watch, None, asyncio.Event()
        self._tokens.clear()
        if watch.held is not None:
            self._debounce.is_news(watch.held, self._clock())
        watch.start(asyncio.get_running_loop(), self._seen, self._gone)

    async def close(self) -> None:
        """Lets go of it; `tokens` raises NotFound."""
        watch, self._watch = self._watch, None
        if watch is not None:
            await in_thread(watch.end, f"pcsc {self.name}")
        self._gone(NotFound(self.name, "was closed"))

    async def identify(self) -> Identity:
        """As pcscd calls it. Raises NotFound."""
        if self._watch is None:
            raise NotFound(self.name, "is not open")
        return Identity(model=self._watch.reader)

    async def tokens(self) -> AsyncIterator[Token]:
        """Each card once per presentation. Raises NotFound: unplugged, pcscd stopped, or closed."""
        while self._tokens:
            self._debounce.is_news(self._tokens.popleft(), self._clock())
        while True:
            while self._tokens:
                token = self._tokens.popleft()
                if self._debounce.is_news(token, self._clock()):
                    yield self._spelt(token)
            if self._lost is not None:
                raise self._lost.with_traceback(None)  # kept: its traceback must not grow
            self._arrived.clear()
            await self._arrived.wait()

    def _spelt(self, token: Token) -> Token:
        if not self._options.reverse_uid:
            return token
        return Token(bytes.fromhex(token.uid_hex)[::-1].hex().upper(), token.type, token.random_uid)

    def _begin(self) -> _Watch:
        """In a thread: libraries and daemons may take their time."""
        try:
            return _Watch(self.name, Context(pcsc.load()), self._options.reader)
        except OSError:
            raise NotFound(self.name, "libpcsclite is missing: install libpcsclite1 and pcscd") from None
        except PcscError as error:
            raise NotFound(self.name, str(error)) from None

    def _seen(self, token: Token) -> None:
        self._tokens.append(token)
        self._arrived.set()

    def _gone(self, error: DeviceError) -> None:
        self._lost = self._lost or error
        self._arrived.set()


class _Watch:
    """One reader, watched in a thread. Raises PcscError, NotFound when built."""

    def __init__(self, name: str, context: Context, wanted: str) -> None:
        self._name = name
        self._context = context
        self._ending = False
        self._thread: threading.Thread | None = None
        try:
            self.reader = self._chosen(wanted)
            self._state = context.wait(self.reader, pcsc.UNAWARE)
            self.held = self._card() if self._state & pcsc.PRESENT else None
        except BaseException:
            context.release()
            raise

    def start(
        self, loop: asyncio.AbstractEventLoop, seen: Callable[[Token], None], lost: Callable[[DeviceError], None]
    ) -> None:
        """From now on each card is told on the loop, and at last the loss of the reader."""

        def tell(what: Callable[[Any], None], value: object) -> None:
            if not self._ending and not loop.is_closed():
                loop.call_soon_threadsafe(what, value)

        def run() -> None:
            try:
                while not self._ending:
                    token = self._next()
                    if token is not None:
                        tell(seen, token)
            except PcscError as error:
                tell(lost, NotFound(self._name, f"{self.reader}: {error}"))
            except DeviceError as error:
                tell(lost, error)

        self._thread = threading.Thread(target=run, daemon=True, name=f"pcsc {self._name}")
        self._thread.start()

    def end(self) -> None:
        """The thread ends, and the connection with it.

        A cancellation is heard only by who waits already, so it is repeated; and while somebody waits, to release the
        connection would wait for him.
        """
        self._ending = True
        thread = self._thread
        for _ in range(_CANCELS):
            if thread is None or not thread.is_alive():
                self._context.release()
                return
            self._context.cancel()
            thread.join(_CANCEL_S)
        log.warning("pcsc.left_behind", extra={"reader": self._name})

    def _next(self) -> Token | None:
        """Waits for a change; the card, if it was one that came."""
        before, event = self._state, self._context.wait(self.reader, self._state)
        self._state = event & ~pcsc.CHANGED
        if event & (pcsc.UNKNOWN | pcsc.UNAVAILABLE):
            raise NotFound(self._name, f"{self.reader}: the reader is gone")
        came = event & pcsc.PRESENT and not event & pcsc.MUTE
        anew = not before & pcsc.PRESENT or (event ^ before) & _COUNT
        return self._card() if came and anew else None

    def _card(self) -> Token | None:
        """The card's identifier; None for one that has none, or is gone again."""
        try:
            answer = self._context.transmit(self.reader, _GET_UID)
        except PcscError as error:
            if error.code in pcsc.SERVICE_GONE:
                raise
            if error.code not in pcsc.CARD_GONE:
                log.warning("pcsc.unreadable", extra={"reader": self._name, "reason": str(error)})
            return None
        uid, status = answer[:-2], answer[-2:]
        if status != _OK or len(uid) not in _UID_LENGTHS:
            log.warning("pcsc.unreadable", extra={"reader": self._name, "reason": f"answers {answer[-2:].hex()}"})
            return None
        return Token(uid.hex().upper(), random_uid=len(uid) == _UID_LENGTHS[0] and uid[0] == _RANDOM)

    def _chosen(self, wanted: str) -> str:
        readers = self._context.readers()
        fitting = [each for each in readers if wanted in each and (_SAM in wanted or _SAM not in each)]
        if not fitting:
            raise NotFound(self._name, f"no reader is called {wanted!r} (there are: {', '.join(readers) or 'none'})")
        return fitting[0]
