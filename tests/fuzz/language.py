"""What a CSMS says: frames, the request and the response of every action, and the WebSocket that carries them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from station.ocpp import codec
from station.ocpp.errors import CannotRender, RpcError
from station.ocpp.messages import ACTIONS
from station.ocpp.rpc import CallReceived, Endpoint
from station.ocpp.v201 import Speaker201
from station.shell.network import LinkOptions
from station.shell.opening import _extensions
from station.shell.websocket import Line
from tests.fuzz.target import Run, Target, pieces
from tests.properties.test_rpc_fuzz import check_event
from tests.unit.ocpp import documents

LIMIT = 8192
SPOKEN = sorted(action for action in ACTIONS if Speaker201().can(ACTIONS[action].request))


def frames() -> tuple[Sequence[bytes], Run]:
    """A text is a frame or a mistake that is told; what is said of it is a frame itself, and nothing piles up."""

    def run(data: bytes) -> bool:
        end = Endpoint(max_message_bytes=65_536, max_depth=16, call_timeout_s=30)
        end.send_call("ours", "Heartbeat", b"{}", 0.0)
        events = [end.receive(data.decode("utf-8", "replace"), 1.0), end.receive(data, 2.0)]
        for event in events:
            check_event(event)
        assert len(end._owed) <= 2
        return isinstance(events[0], CallReceived)

    good = [documents.document(f"{action}Request", "most") for action in ("GetLog", "SetVariables", "Reset")]
    return [json.dumps([2, "1", "GetLog", each]).encode() for each in good], run


def messages(kind: str) -> tuple[Sequence[bytes], Run]:
    """The action, a line, the payload: it is refused by a code of the specification, or can be kept and read again."""
    speaker = Speaker201()

    def run(data: bytes) -> bool:
        action, _, payload = data.partition(b"\n")
        name = action.decode("ascii", "replace")
        try:
            if kind == "Response" and name in ACTIONS:
                message: Any = speaker.decode_response(ACTIONS[name].request, payload)
            else:
                message = speaker.decode_request(name, payload)
        except RpcError as error:
            assert speaker.read_error_code(error.code.value) is error.code
            assert str(error.description).isprintable() or len(error.description) <= 255
            return False
        assert codec.load(type(message), codec.dump(message)) == message
        try:
            codec.plain(codec.render(message))
            speaker.fit(message)
        except CannotRender:
            return False
        return True

    def good(action: str) -> bytes:
        return f"{action}\n{json.dumps(documents.document(f'{action}{kind}', 'most'))}".encode()

    return [good(action) for action in SPOKEN], run


class Wire:
    """What a line writes to; it never fills."""

    def __init__(self) -> None:
        self.written = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        """Counted."""
        self.written += len(data)

    def close(self) -> None:
        """Whoever breaks the protocol is left."""
        self.closed = True

    abort = write_eof = pause_reading = resume_reading = close

    def can_write_eof(self) -> bool:
        """As TLS."""
        return False

    def get_write_buffer_size(self) -> int:
        """The peer reads."""
        return 0

    def set_write_buffer_limits(self, high: int) -> None:
        """No matter."""

    def get_extra_info(self, name: str) -> None:
        """No TLS."""


def websocket() -> tuple[Sequence[bytes], Run]:
    """Frames: no message is longer than allowed, packed or not; what is said back is no more than what came."""

    def run(data: bytes) -> bool:
        return asyncio.run(spoken(data))

    async def spoken(data: bytes) -> bool:
        line, wire = await let_in()
        before = wire.written
        for piece in pieces(data, 50):
            heard(line, piece)
            assert len(line._data) <= LIMIT
        assert all(len(message) <= LIMIT for message in line._messages)
        assert wire.written - before <= 3 * len(data) + 200, "more is said than was heard"
        line.connection_lost(None)
        return bool(line._messages)

    packed = bytes(PerMessageDeflate(False, False, 12, 12).encode(Frame(Opcode.TEXT, b"[2,1,2]" * 500)).data)  # noqa: FBT003 - the same
    parts = Frame(Opcode.TEXT, b"[2", fin=False).serialize(mask=False) + Frame(Opcode.CONT, b",3]").serialize(
        mask=False
    )
    ping = Frame(Opcode.PING, b"x" * 100).serialize(mask=False)
    return [
        bytes((0xC1, len(packed))) + packed,
        ping + parts,
        Frame(Opcode.BINARY, b"\x00" * 300).serialize(mask=False),
    ], run


def heard(line: Line, data: bytes) -> None:
    """As the event loop hands it over."""
    buffer = line.get_buffer(len(data))
    buffer[: len(data)] = data
    line.buffer_updated(len(data))


async def let_in() -> tuple[Line, Wire]:
    """A line whose opening handshake is over, with compression."""
    options = LinkOptions(close_timeout_s=0.01)
    protocol = ClientProtocol(parse_uri("ws://csms/"), extensions=_extensions(options), max_size=LIMIT)
    line, wire = Line(protocol, options), Wire()
    line.connection_made(cast("asyncio.Transport", wire))
    asking = asyncio.ensure_future(line.upgrade({}))
    await asyncio.sleep(0)
    told = f"Sec-WebSocket-Accept: {accept_key(protocol.key)}\r\nSec-WebSocket-Extensions: {DEFLATE}\r\n\r\n"
    heard(line, ACCEPTED + told.encode())
    await asking
    return line, wire


DEFLATE = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def upgrade() -> tuple[Sequence[bytes], Run]:
    """The answer to the opening handshake: it is refused in good order, whatever it is: its key is never right."""

    def run(data: bytes) -> bool:
        return asyncio.run(spoken(data))

    async def spoken(data: bytes) -> bool:
        protocol = ClientProtocol(parse_uri("ws://csms/"), max_size=LIMIT)
        line = Line(protocol, LinkOptions(close_timeout_s=0.01))
        line.connection_made(cast("asyncio.Transport", Wire()))
        asking = asyncio.ensure_future(line.upgrade({}))
        await asyncio.sleep(0)
        for piece in pieces(data, 200):
            heard(line, piece)
        line.connection_lost(None)
        try:
            await asking
        except (WebSocketException, EOFError, ValueError, OSError):
            return data.startswith(ACCEPTED)
        raise AssertionError("somebody was let in who does not know the key")

    return [ACCEPTED + b"Sec-WebSocket-Accept: x\r\n\r\n", ACCEPTED + b"Set-Cookie: a\r\n\r\n"], run


TARGETS = {
    "frame": Target(frames, examples=80),
    "request": Target(lambda: messages("Request"), examples=120),
    "response": Target(lambda: messages("Response"), examples=80),
    "websocket": Target(websocket, examples=60),
    "upgrade": Target(upgrade),
}
