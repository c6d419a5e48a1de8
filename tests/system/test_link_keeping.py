"""Keeping a connection over real sockets: pings, dead lines, hostile frames, full queues, compression, orderly ends."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from station.shell.link import LinkSetup
from station.shell.linkdown import DownKind, LinkDown
from station.shell.network import LinkOptions
from station.shell.websocket import Line
from tests.link_bench import OPTIONS, Bench, csms, run, running, setup_for

pytestmark = pytest.mark.system

PINGING = msgspec.structs.replace(OPTIONS, ping_interval_s=0.05, pong_timeout_s=0.1)

PLAIN = msgspec.structs.replace(OPTIONS, compression=False)


class Talk(msgspec.Struct):
    """A connection that stands, seen from both sides."""

    bench: Bench
    server: ServerConnection
    messages: asyncio.Queue[str | bytes]

    async def ended(self) -> LinkDown:
        """Why it ended; and that the next attempt is planned."""
        down = await self.bench.heard.down()
        assert down.was_up
        assert self.bench.link.up is None
        assert not self.bench.link.send("too late")
        return down


@asynccontextmanager
async def talking(options: LinkOptions = OPTIONS, **server: object) -> AsyncIterator[Talk]:
    """A link that is connected."""
    async with csms(**server) as listening, running(setup_for(listening.url(), options=options)) as bench:  # type: ignore[arg-type]  # passed through
        await bench.heard.up()
        yield Talk(bench, await listening.lines.get(), listening.messages)


def test_messages_go_both_ways_in_order() -> None:
    """Text stays text; a binary message is handed up as bytes, for `rpc` to judge."""

    async def scenario() -> None:
        async with talking() as talk:
            for number in range(20):
                assert talk.bench.link.send(f"up {number}")
            await talk.server.send("down")
            await talk.server.send(b"\xff\x00")

            assert await talk.bench.link.flush(1)
            assert [await talk.messages.get() for _ in range(20)] == [f"up {number}" for number in range(20)]
            assert await talk.bench.heard.text() == "down"
            assert await talk.bench.heard.text() == b"\xff\x00"

    run(scenario())


@pytest.mark.parametrize("compression", [True, False])
def test_compression_is_offered_and_never_required(compression: bool) -> None:  # noqa: FBT001 - a table
    """Part 4, 3.3: RFC 7692 is optional for the station; field 4: no compressed frame unless negotiated."""

    async def scenario() -> None:
        options = msgspec.structs.replace(OPTIONS, compression=compression)
        async with csms() as server, running(setup_for(server.url(), options=options)) as bench:
            up = await bench.heard.up()
            offered = server.requests[0].headers.get("Sec-WebSocket-Extensions", "")
            bench.link.send("x" * 3000)

            assert await server.messages.get() == "x" * 3000
            assert up.compressed is compression
            assert ("permessage-deflate" in offered) is compression

    run(scenario())


def test_a_server_without_compression_is_fine() -> None:
    """Part 4, 3.3: do not close."""

    async def scenario() -> None:
        async with talking(compression=None) as talk:
            assert talk.bench.link.up is not None
            assert not talk.bench.link.up.compressed
            await talk.server.send("plain")
            assert await talk.bench.heard.text() == "plain"

    run(scenario())


# Pings


def test_pings_keep_a_quiet_line_alive() -> None:
    """WebSocketPingInterval; the server sees them, and nothing goes up to the core."""

    async def scenario() -> None:
        async with talking(PINGING) as talk:
            await asyncio.sleep(0.4)

            assert talk.bench.link.up is not None
            assert talk.bench.heard.events.empty()

    run(scenario())


def test_pings_of_the_server_are_answered() -> None:
    """Part 4, 5.2; with an interval of 0 the station sends none of its own."""

    async def scenario() -> None:
        async with talking() as talk:
            async with asyncio.timeout(1):
                await (await talk.server.ping())

    run(scenario())


def test_a_line_that_swallows_everything_is_left() -> None:
    """Half-open: the peer's socket stands, but nobody is there any more."""

    async def scenario() -> None:
        async with talking(PINGING) as talk:
            talk.server.transport.pause_reading()

            down = await talk.ended()

            assert down.kind is DownKind.PONG_TIMEOUT
            assert await talk.bench.pauses.next() == 10

    run(scenario())


def test_the_kernel_watches_the_line_too() -> None:
    """Field 4: data that nobody acknowledges, and silence, end the connection without our help."""

    async def scenario() -> None:
        async with talking() as talk:
            assert talk.bench.link._connection
            line = talk.bench.link._connection._line
            assert isinstance(line, Line)
            sock = line._transport.get_extra_info("socket")

            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000

    run(scenario())


def test_a_new_ping_interval_counts_at_once() -> None:
    """The variable is writable; a connection that stands is kept."""

    async def scenario() -> None:
        async with talking() as talk:
            talk.server.transport.pause_reading()
            talk.bench.link.configure(setup_with(talk.bench, PINGING))

            assert (await talk.ended()).kind is DownKind.PONG_TIMEOUT

    run(scenario())


def setup_with(bench: Bench, options: LinkOptions) -> LinkSetup:
    """The set-up in use with other options."""
    return msgspec.structs.replace(bench.link._setup, options=options)


def test_no_pong_is_missed_while_the_core_is_busy() -> None:
    """A full inbox stops the reading; that is our fault, not the line's."""

    async def scenario() -> None:
        async with talking(PINGING) as talk:
            talk.bench.heard.busy.clear()
            for number in range(30):
                await talk.server.send(str(number))
            await asyncio.sleep(0.5)
            assert talk.bench.link.up is not None
            talk.bench.heard.busy.set()

            assert [await talk.bench.heard.text() for _ in range(30)] == [str(number) for number in range(30)]
            await asyncio.sleep(0.3)
            assert talk.bench.link.up is not None

    run(scenario())


# Full queues


def test_a_busy_core_makes_the_server_wait_not_the_memory_grow() -> None:
    """Design section 6: when the inbox is full, the socket is not read."""

    async def scenario() -> None:
        async with talking(PLAIN) as talk:
            talk.bench.heard.busy.clear()
            sent = 0

            async def flood() -> None:
                nonlocal sent
                while True:
                    await talk.server.send("x" * 100_000)
                    sent += 1

            flooding = asyncio.ensure_future(flood())
            await asyncio.wait({flooding}, timeout=0.5)
            first = sent
            await asyncio.wait({flooding}, timeout=0.3)

            assert sent == first, "the server can still send"
            assert sent < 200
            flooding.cancel()
            await asyncio.wait({flooding})

    run(scenario())


def test_a_server_that_stops_reading_is_cut() -> None:
    """Effects are enqueued, never awaited, so the queue has a limit; beyond it the connection is given up."""

    async def scenario() -> None:
        async with talking(PLAIN) as talk:
            talk.server.transport.pause_reading()
            refused = 0
            for _ in range(3000):
                refused += not talk.bench.link.send("x" * 50_000)
                await asyncio.sleep(0)
                if refused:
                    break

            assert refused
            assert not await talk.bench.link.flush(0.05)
            assert (await talk.ended()).kind is DownKind.STALLED

    run(scenario())


def test_a_message_in_endless_parts_takes_no_memory() -> None:
    """A part may be empty, so that no limit of a message's size ever counts it."""

    async def scenario() -> None:
        async with talking(PLAIN) as talk:
            talk.server.transport.write(Frame(Opcode.TEXT, b"[", fin=False).serialize(mask=False))
            talk.server.transport.write(Frame(Opcode.CONT, b"", fin=False).serialize(mask=False) * 10_000)
            await (await talk.server.ping())  # its pong comes when all of them have been read

            assert sum(type(each) is Frame for each in gc.get_objects()) < 100  # isinstance would follow weak proxies

    run(scenario())


def test_a_message_in_parts_is_put_together() -> None:
    """Whatever comes between them, and each after the other."""

    async def scenario() -> None:
        async with talking() as talk:
            await talk.server.send(["[", "", "2,", "]"])
            await talk.server.send([b"\x00", b"\x01"])

            assert await talk.bench.heard.text() == "[2,]"
            assert await talk.bench.heard.text() == b"\x00\x01"

    run(scenario())


def test_a_server_that_pings_and_does_not_read_the_answers_is_cut() -> None:
    """Each ping has to be answered, and the answers would wait in memory for ever."""

    async def scenario() -> None:
        async with talking(PLAIN) as talk:
            talk.server.transport.pause_reading()
            ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=False)
            while not talk.bench.heard.downs:
                talk.server.transport.write(ping * 200)
                await asyncio.sleep(0)

            assert (await talk.ended()).kind is DownKind.STALLED

    run(scenario())


# Ends


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000])
def test_a_close_by_the_server_is_told_with_its_code(code: int) -> None:
    """And met with the wait for a drop."""

    async def scenario() -> None:
        async with talking() as talk:
            await talk.server.close(code, "because")

            down = await talk.ended()

            assert down.kind is DownKind.CLOSED
            assert str(code) in down.detail
            assert "because" in down.detail
            assert await talk.bench.pauses.next() == 10

    run(scenario())


def test_what_arrived_before_the_end_is_still_read() -> None:
    """A reply that came with the close acknowledges its message."""

    async def scenario() -> None:
        async with talking() as talk:
            for number in range(3):
                await talk.server.send(str(number))
            await talk.server.close()

            assert [await talk.bench.heard.text() for _ in range(3)] == ["0", "1", "2"]
            await talk.ended()

    run(scenario())


def test_a_cut_cable_is_noticed() -> None:
    """No close frame, just the end."""

    async def scenario() -> None:
        async with talking() as talk:
            talk.server.transport.abort()

            assert (await talk.ended()).kind is DownKind.CLOSED

    run(scenario())


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\xff\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\nServer: a proxy in between that has lost its mind and speaks HTTP again\r\n\r\n",
        Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=False),
        Frame(Opcode.TEXT, b"masked").serialize(mask=True),
        Frame(Opcode.CONT, b"continues nothing").serialize(mask=False),
        b"\xc1\x0bcompressed?",
        b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x89\x7e\x00\x80" + b"x" * 128,
    ],
    ids=["noise", "http", "utf-8", "masked", "continuation", "rsv", "huge", "long-ping"],
)
def test_frames_that_break_the_protocol_cost_the_connection_only(rubbish: bytes) -> None:
    """RFC 6455: the connection fails, the link goes on."""

    async def scenario() -> None:
        async with talking(PLAIN) as talk:
            talk.server.transport.write(rubbish)

            assert (await talk.ended()).kind is DownKind.CLOSED
            talk.bench.pauses.allow()
            await talk.bench.heard.up()

    run(scenario())


@pytest.mark.parametrize("compression", [True, False])
def test_a_message_above_the_limit_is_not_stored(compression: bool) -> None:  # noqa: FBT001 - a table
    """Neither plain nor as a small compressed bomb."""

    async def scenario() -> None:
        options = msgspec.structs.replace(OPTIONS, max_message_bytes=10_000, compression=compression)
        async with talking(options) as talk:
            assert any(isinstance(each, PerMessageDeflate) for each in talk.server.protocol.extensions) is compression
            await talk.server.send("x" * 10_000)
            await talk.server.send("x" * 10_001)

            assert await talk.bench.heard.text() == "x" * 10_000
            down = await talk.ended()
            assert down.kind is DownKind.CLOSED
            assert "1009" in down.detail

    run(scenario())


# What the station itself asks for


@pytest.mark.req("B10.FR.06")
def test_reconnecting_says_goodbye_and_waits_two_seconds() -> None:
    """B10.FR.06: disconnect first; field, lessons: never sooner than two seconds."""

    async def scenario() -> None:
        async with talking() as talk:
            talk.bench.link.send("last words")
            assert await talk.bench.link.flush(1)
            talk.bench.link.reconnect()

            down = await talk.ended()
            assert down.kind is DownKind.REQUESTED
            await talk.server.wait_closed()
            assert talk.server.protocol.close_code == 1000
            assert await talk.messages.get() == "last words"
            assert await talk.bench.pauses.next() == 2
            talk.bench.pauses.allow()
            await talk.bench.heard.up()

    run(scenario())


def test_a_link_that_is_switched_off_stays_down_until_it_is_switched_on() -> None:
    """`network {up}` of the control socket: at once, both ways."""

    async def scenario() -> None:
        async with talking() as talk:
            talk.bench.link.enable(False)  # noqa: FBT003 - the state itself
            assert (await talk.ended()).kind is DownKind.REQUESTED
            await talk.server.wait_closed()
            assert talk.server.protocol.close_code == 1006
            await asyncio.sleep(0.1)
            assert talk.bench.heard.events.empty()

            talk.bench.link.enable(True)  # noqa: FBT003 - the state itself
            await talk.bench.heard.up()
            assert talk.bench.pauses.waits == []

    run(scenario())


def test_an_accepted_exchange_resets_the_waits() -> None:
    """Field 1: told by the caller, who knows what an answer is."""

    async def scenario() -> None:
        async with csms() as server, running(setup_for(server.url())) as bench:
            waits = []
            for accepted in (False, False, False, True, False):
                await bench.heard.up()
                if accepted:
                    bench.link.accepted()
                await (await server.lines.get()).close()
                await bench.heard.down()
                waits.append(await bench.pauses.next())
                bench.pauses.allow()

            assert waits == [10, 20, 40, 10, 10]

    run(scenario())


def test_stopping_ends_the_connection_in_good_order() -> None:
    """SIGTERM: the CSMS sees a close frame."""

    async def scenario() -> None:
        async with talking() as talk:
            talk.bench.link.stop()
            await talk.server.wait_closed()

            assert talk.server.protocol.close_code == 1000

    run(scenario())
