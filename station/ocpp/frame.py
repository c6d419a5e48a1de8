"""One WebSocket message taken apart: size, encoding, nesting, JSON, array (part 4, 4.1 and 4.2). Pure, no state.

Payloads stay undecoded text. Everything is checked before anything is built, so a hostile message costs one pass over
its bytes and no memory of its own. `read` never raises.
"""

from __future__ import annotations

import enum
import re

import msgspec
from msgspec import Raw, Struct

MAX_ID = 36
"""Characters of a message id (part 4, 4.1.4)."""


class Fault(enum.Enum):
    """What was wrong with a frame."""

    TOO_LARGE = "message too large"
    TOO_DEEP = "message nested too deeply"
    NOT_UTF8 = "not valid UTF-8"
    NOT_JSON = "not valid JSON"
    NOT_A_FRAME = "not an RPC frame"
    MESSAGE_TYPE = "unknown message type"
    MESSAGE_ID = "message id is not a string of 1 to 36 characters"
    PAYLOAD = "payload is not a JSON object"
    DUPLICATE_ID = "message id is still waiting for its reply"
    TOO_MANY = "too many requests wait for a reply"
    UNKNOWN_ID = "answer to no request of ours"
    ANSWERED_TWICE = "second answer to one request"


_NOTHING = Raw(b"")


class Frame(Struct, array_like=True):
    """The first five elements of any JSON array, undecoded, empty where missing; further ones are skipped."""

    kind: Raw = _NOTHING
    id: Raw = _NOTHING
    third: Raw = _NOTHING
    fourth: Raw = _NOTHING
    fifth: Raw = _NOTHING


class Broken(Struct, frozen=True):
    """A message that could not be taken apart; `kind` and `id` are what its first characters tell, if they do."""

    fault: Fault
    detail: str = ""
    kind: str | None = None
    id: str | None = None


_decode_frame = msgspec.json.Decoder(Frame).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_HEAD = re.compile(r'\s*+\[\s*+([0-9]{1,3})\s*+,\s*+"([^"\\\x00-\x1f]{1,36})"')


def read(message: str | bytes, *, max_bytes: int, max_depth: int) -> Frame | Broken:
    """The elements of `message`, or what is wrong with it. A message of bytes is taken as UTF-8."""
    try:
        data, text = (message, message.decode()) if isinstance(message, bytes) else (message.encode(), message)
    except UnicodeError:
        return Broken(Fault.NOT_UTF8)
    if len(data) > max_bytes:
        return _broken(Fault.TOO_LARGE, f"{len(data)} bytes, at most {max_bytes}", text)
    if _deeper(data, max_depth):
        return _broken(Fault.TOO_DEEP, f"more than {max_depth} levels", text)
    try:
        return _decode_frame(data)
    except msgspec.ValidationError:
        return Broken(Fault.NOT_A_FRAME, "a JSON array is expected")
    except (msgspec.DecodeError, RecursionError) as error:
        return _broken(Fault.NOT_JSON, str(error), text)


def text_of(raw: Raw) -> str | None:
    """The string that an element holds, or None if it holds something else."""
    try:
        return _decode_text(raw)
    except msgspec.DecodeError:
        return None


def json_string(text: str) -> str:
    """`text` as a JSON string; what UTF-8 cannot express becomes `?`."""
    return _encode(text.encode(errors="replace").decode()).decode()


def _broken(fault: Fault, detail: str, text: str) -> Broken:
    head = _HEAD.match(text)
    return Broken(fault, detail, head[1], head[2]) if head else Broken(fault, detail)


def _deeper(data: bytes, most: int) -> bool:
    """Whether the brackets of a JSON text, strings left out, nest deeper than `most`."""
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    outside = (_ESCAPED.sub(b"", data) if b"\\" in data else data).split(b'"')[::2]  # every other piece is a string
    depth = 0
    for bracket in b"".join(outside).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            return True
    return False
