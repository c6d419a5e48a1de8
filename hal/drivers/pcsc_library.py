"""The calls of libpcsclite that a card reader needs, by ctypes.

The wrapper pyscard has no wheel for Linux: it would want swig and a compiler on the charger's board, for seven calls.
Source: PC/SC Lite, `winscard.h`, `pcsclite.h` (LONG and DWORD are longs on Linux). Every call blocks: use a thread.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char, c_char_p, c_long, c_ubyte, c_ulong, c_void_p
from typing import Any, Final

SCOPE_SYSTEM, SHARE_SHARED, ANY_PROTOCOL, LEAVE_CARD = 2, 2, 3, 0
UNAWARE, CHANGED, UNKNOWN, UNAVAILABLE, PRESENT, MUTE = 0x0, 0x2, 0x4, 0x8, 0x20, 0x200
FOR_EVER: Final = 0xFFFFFFFF

SUCCESS, CANCELLED, TIMEOUT = 0, 0x80100002, 0x8010000A
SERVICE_GONE: Final = frozenset({0x8010001D, 0x8010001E, 0x80100013})  # not there, stopped, hung up
CARD_GONE: Final = frozenset({0x80100069, 0x8010000C, 0x80100066, 0x80100067, 0x80100068, 0x8010002F})
"""Removed, none there, unresponsive, unpowered, reset, communication error: it was held for too short a time."""
MEANINGS: Final = {
    0x80100009: "no such reader",
    0x8010000B: "the card is in use by another program",
    0x80100013: "pcscd has hung up",
    0x80100017: "the reader is gone",
    0x8010001D: "pcscd does not run",
    0x8010001E: "pcscd was stopped",
    0x8010002E: "there is no reader",
}
_NAMES_BYTES, _ANSWER_BYTES = 4096, 264


class PcscError(Exception):
    """A call gave this code."""

    def __init__(self, code: int) -> None:
        super().__init__(MEANINGS.get(code, f"error {code:#010x}"))
        self.code = code


class _ReaderState(ctypes.Structure):
    """SCARD_READERSTATE."""

    _fields_ = (
        ("reader", c_char_p),
        ("user", c_void_p),
        ("current", c_ulong),
        ("event", c_ulong),
        ("atr_length", c_ulong),
        ("atr", c_ubyte * 33),
    )


class _IoRequest(ctypes.Structure):
    """SCARD_IO_REQUEST."""

    _fields_ = (("protocol", c_ulong), ("length", c_ulong))


def load() -> Any:
    """The library. Raises OSError where it is not installed (Debian: libpcsclite1)."""
    return ctypes.CDLL("libpcsclite.so.1")


class Context:
    """A connection to pcscd. Raises PcscError. `cancel` may be called from another thread, the rest from one."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._context = c_long()
        _check(library.SCardEstablishContext(c_ulong(SCOPE_SYSTEM), None, None, byref(self._context)))

    def release(self) -> None:
        """The end of it; whatever it says."""
        self._library.SCardReleaseContext(self._context)

    def cancel(self) -> None:
        """Ends a wait in another thread."""
        self._library.SCardCancel(self._context)

    def readers(self) -> list[str]:
        """Names, as pcscd gives them."""
        names, length = (c_char * _NAMES_BYTES)(), c_ulong(_NAMES_BYTES)
        _check(self._library.SCardListReaders(self._context, None, names, byref(length)))
        return [name.decode("utf-8", "replace") for name in names.raw[: length.value].split(b"\0") if name]

    def wait(self, reader: str, known: int, timeout_ms: int = FOR_EVER) -> int:
        """The state of a reader, once it is not the known one."""
        state = _ReaderState(reader=reader.encode(), current=known)
        _check(self._library.SCardGetStatusChange(self._context, c_ulong(timeout_ms), byref(state), c_ulong(1)))
        return int(state.event)

    def transmit(self, reader: str, command: bytes) -> bytes:
        """Connects to the card, sends one command, and leaves it as it is; gives data and status word."""
        card, protocol = c_long(), c_ulong()
        mode = (c_ulong(SHARE_SHARED), c_ulong(ANY_PROTOCOL))
        _check(self._library.SCardConnect(self._context, reader.encode(), *mode, byref(card), byref(protocol)))
        try:
            request = _IoRequest(protocol.value, ctypes.sizeof(_IoRequest))
            answer, length = (c_ubyte * _ANSWER_BYTES)(), c_ulong(_ANSWER_BYTES)
            sent = (command, c_ulong(len(command)))
            _check(self._library.SCardTransmit(card, byref(request), *sent, None, answer, byref(length)))
            return bytes(answer[: length.value])
        finally:
            self._library.SCardDisconnect(card, c_ulong(LEAVE_CARD))


def _check(result: int) -> None:
    code = result & 0xFFFFFFFF
    if code != SUCCESS:
        raise PcscError(code)
