"""The owner of a CAN interface: slcan in bulk, python-can's interfaces without its Notifier, and how they are lost."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.buses import build
from hal.buses.can import CanBus, PythonCan
from hal.buses.can_ascii import Frame, parse_slcan, parse_socketcand
from hal.errors import BadOptions, DeviceError, NotFound
from tests.drivers.emulators.slcan_board import SlcanBoard


class Ear:
    """A driver that only listens."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.losses: list[DeviceError] = []

    def heard(self, frame: Frame) -> None:
        """Keeps it."""
        self.frames.append(frame)

    def lost(self, error: DeviceError) -> None:
        """Keeps it."""
        self.losses.append(error)


async def until(true: Callable[[], bool]) -> None:
    """Waits until it is true, at most ten seconds: the machine may be busy."""
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("did not come true")


def slcan(path: Path) -> CanBus:
    """The bus behind the adapter at `path`."""
    return CanBus("can0", {"interface": "slcan", "channel": str(path), "bitrate": 250_000})


@pytest.mark.parametrize(
    "line, frame",
    [
        (b"t10081122334455667788", Frame(0x100, bytes.fromhex("1122334455667788"))),
        (b"t7FF0", Frame(0x7FF, b"")),
        (b"T1ABCDEF02AA55", Frame(0x1ABCDEF0, b"\xaa\x55", extended=True)),
        (b"t1002AA551F00", Frame(0x100, b"\xaa\x55")),  # with a time stamp behind
        (b"t1003AA55", None),  # cut short
        (b"t1G02AA55", None),
        (b"r1008", None),  # remote frame
        (b"t-1F0", None),  # Python's own readers take signs, blanks and underscores
        (b"t1_00", None),
        (b"t100 ", None),
        (b"t8000", None),  # beyond 11 bits
        (b"T200000000", None),  # beyond 29
        (b"t1009112233445566778899", None),  # nine bytes
        (b"t1001 1", None),
        (b"z", None),
        (b"", None),
    ],
)
def test_lines_of_an_adapter(line: bytes, frame: Frame | None) -> None:
    """Lawicel ASCII; what is no data frame, or damaged, is nothing."""
    assert parse_slcan(line) == frame


@given(st.binary(max_size=60))
def test_no_line_breaks_the_parser(line: bytes) -> None:
    """Noise is nothing."""
    parse_slcan(line)
    parse_socketcand(line.decode("latin-1"))


class KernelBus:
    """What `can.Bus` is for socketcan, over a pair of sockets instead of a kernel with CAN."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.wire.settimeout(0)

    def fileno(self) -> int:
        """To wait on."""
        return self.wire.fileno()

    def recv(self, timeout: float) -> can.Message | None:
        """One frame, or none; raises when the interface goes down."""
        assert timeout == 0
        try:
            data = self.wire.recv(64)
        except BlockingIOError:
            return None
        if not data:
            raise can.CanOperationError("Network is down", 100)
        return can.Message(arbitration_id=int.from_bytes(data[:2], "big"), data=data[2:], is_extended_id=False)

    def send(self, message: can.Message, timeout: float) -> None:
        """One frame."""
        assert timeout == 0
        self.wire.send(message.arbitration_id.to_bytes(2, "big") + bytes(message.data))

    def shutdown(self) -> None:
        """As slcan does after an unplug."""
        self.wire.close()
        raise can.CanOperationError("Could not close")


def test_the_kernel_keeps_frames_away_that_nobody_listens_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other nodes say to each other wakes no station."""

    class Filtering(KernelBus):
        def set_filters(self, filters: list[dict[str, int]]) -> None:
            kept.append([(each["can_id"], each["can_mask"]) for each in filters])

    kept: list[list[tuple[int, int]]] = []
    whole = 0x1FFFFFFF

    async def scenario() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        monkeypatch.setattr(can, "Bus", lambda **_options: Filtering(ours))
        bus, one, other = CanBus("can0", {"interface": "socketcan", "channel": "can0"}), Ear(), Ear()
        await bus.attach(one, {0x110, 0x100})
        await bus.attach(other, {0x100, 0x18FF0001})
        await bus.detach(one)
        await bus.detach(other)
        theirs.close()

    asyncio.run(scenario())

    assert kept == [
        [(0x100, whole), (0x110, whole)],
        [(0x100, whole), (0x110, whole), (0x18FF0001, whole)],
        [(0x100, whole), (0x18FF0001, whole)],
    ]


def test_an_interface_that_cannot_be_waited_on_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not kept open for each attempt to open it."""

    class Blind(KernelBus):
        def fileno(self) -> int:
            raise io.UnsupportedOperation("fileno")

    async def scenario() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        monkeypatch.setattr(can, "Bus", lambda **_options: Blind(ours))
        with pytest.raises(NotFound, match="has no file descriptor"):
            await CanBus("can0", {"interface": "virtual", "channel": "x"}).attach(Ear(), {0x100})
        assert ours.fileno() == -1
        theirs.close()

    asyncio.run(scenario())


def test_an_interface_of_python_can_is_drained_on_its_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts are read whole, frames sent; an interface that goes down is lost once."""

    async def scenario() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        monkeypatch.setattr(can, "Bus", lambda **_options: KernelBus(ours))
        bus, ear = CanBus("can0", {"interface": "socketcan", "channel": "can0"}), Ear()
        await bus.attach(ear, {0x100})
        for number in range(300):
            theirs.send(b"\x01\x00" + number.to_bytes(2, "big"))
            if number % 50 == 0:
                await asyncio.sleep(0)
        bus.send(Frame(0x108, b"\xaa"))
        await until(lambda: len(ear.frames) == 300)
        assert ear.frames[-1] == Frame(0x100, b"\x01\x2b")
        assert theirs.recv(64) == b"\x01\x08\xaa"

        theirs.close()
        await until(lambda: bool(ear.losses))
        await asyncio.sleep(0.02)
        assert [type(error) for error in ear.losses] == [NotFound]

    asyncio.run(scenario())


def test_drivers_share_an_interface_and_the_last_one_closes_it(tmp_path: Path) -> None:
    """Frames go to who asked for their identifier; others are dropped."""

    async def scenario() -> None:
        board = SlcanBoard(tmp_path / "can", channels=0)
        board.start()
        bus, one, two = slcan(tmp_path / "can"), Ear(), Ear()
        await asyncio.gather(bus.attach(one, {0x100, 0x101}), bus.attach(two, {0x200}))
        await until(lambda: board.is_open)
        assert board.speed == "5"
        for identifier in (0x100, 0x200, 0x300, 0x101):
            board._transmit(identifier, b"\x01")
        await until(lambda: len(one.frames) == 2)
        assert [frame.id for frame in one.frames] == [0x100, 0x101]
        assert [frame.id for frame in two.frames] == [0x200]

        await bus.detach(one)
        bus.send(Frame(0x108, b"\x00"))
        await bus.detach(two)
        await until(lambda: not board.is_open)
        with pytest.raises(NotFound, match="not open"):
            bus.send(Frame(0x108, b"\x00"))
        assert not one.losses
        board.stop()

    asyncio.run(scenario())


def test_an_unplugged_adapter_is_told_once_to_each_driver(tmp_path: Path) -> None:
    """And the loop is idle after that."""

    async def scenario() -> None:
        board = SlcanBoard(tmp_path / "can", channels=0)
        board.start()
        bus, one, two = slcan(tmp_path / "can"), Ear(), Ear()
        await bus.attach(one, {0x100, 0x101})
        await bus.attach(two, {0x200})
        board.do_unplug()
        await until(lambda: bool(one.losses and two.losses))
        assert [len(ear.losses) for ear in (one, two)] == [1, 1]
        with pytest.raises(NotFound, match="cannot open"):
            await bus.attach(one, {0x100})
        board.do_plug()
        await bus.attach(one, {0x100})
        await bus.close()
        assert len(one.losses) == 2
        board.stop()

    asyncio.run(scenario())


@asynccontextmanager
async def socketcand() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter], list[str]]]:
    """A daemon that shares a bus over TCP: its port, its clients, what they sent."""
    clients: list[asyncio.StreamWriter] = []
    said: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        writer.write(b"< hi >")
        while text := await reader.readuntil(b">"):
            said.append(text.decode())
            if "open" in said[-1] or "rawmode" in said[-1]:
                writer.write(b"< ok >")

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], clients, said
    finally:
        server.close()
        for client in clients:
            client.close()
        await asyncio.sleep(0.01)


def test_a_bus_of_another_machine_is_reached_over_tcp() -> None:
    """Frames in and out through a socketcand, and no spinning when the daemon goes away."""

    async def scenario() -> None:
        async with socketcand() as (port, clients, said):
            options = {"interface": "socketcand", "channel": "vcan0", "host": "127.0.0.1", "port": port}
            bus, ear = CanBus("can0", options), Ear()
            await bus.attach(ear, {0x100})
            clients[0].write(b"< frame 100 1.0 0102 >< frame 300 1.0 00 >< frame 100 1.1 03 >")
            bus.send(Frame(0x108, b"\xaa\x55"))
            await until(lambda: len(ear.frames) == 2 and "send" in said[-1])
            assert ear.frames == [Frame(0x100, b"\x01\x02"), Frame(0x100, b"\x03")]
            assert said[-1].split()[:4] == ["<", "send", "108", "2"]

            clients[0].close()
            begun = time.process_time()
            await asyncio.sleep(0.2)
            assert len(ear.losses) == 1
            assert time.process_time() - begun < 0.05
            await bus.close()

    asyncio.run(scenario())


def test_an_interface_that_cannot_be_opened_is_not_found() -> None:
    """No such interface, no daemon, no such driver: one kind of error, with the reason."""

    async def scenario() -> None:
        for options in (
            {"interface": "socketcan", "channel": "nocan7"},
            {"interface": "nonsense", "channel": "x"},
        ):
            with pytest.raises(NotFound):
                await CanBus("can0", options).attach(Ear(), {1})

    asyncio.run(scenario())


def test_a_bus_whose_reading_raises_is_lost_once() -> None:
    """What makes python-can's Notifier spin: `recv` raises, and would raise for ever."""

    class Broken:
        """A bus whose adapter is gone."""

        def recv(self, timeout: float) -> None:
            """Raises as slcan does after an unplug."""
            raise OSError(5, f"Input/output error after {timeout}")

        def shutdown(self) -> None:
            """Raises too."""
            raise OSError(5, "Input/output error")

    async def scenario() -> None:
        losses: list[DeviceError] = []
        interface = PythonCan("can0", CanBus("can0", {"interface": "x", "channel": "y"}).options)
        interface._bus, interface._lost = Broken(), losses.append
        interface._readable()
        assert [str(error) for error in losses] == ["can0: was lost: [Errno 5] Input/output error after 0"]
        interface._fd = 0
        interface.close()

    asyncio.run(scenario())


def test_a_wrong_option_names_its_place() -> None:
    """Found when the bus is built."""
    with pytest.raises(BadOptions, match=r"\.bitrate: slcan needs one of .*250000.*, not None"):
        build("can", "can0", {"interface": "slcan", "channel": "/dev/ttyACM0"}, time.monotonic)
    with pytest.raises(BadOptions, match="bitrat"):
        build("can", "can0", {"interface": "socketcan", "channel": "can0", "bitrat": 1}, time.monotonic)
