"""Names to addresses in a thread of our own (design section 6)."""

from __future__ import annotations

import socket
import threading

import pytest

from station.shell.linkdown import Down, DownKind
from station.shell.names import Address, Resolver
from tests.link_bench import run

HERE = Address(socket.AF_INET, ("127.0.0.1", 443))


class NameServer:
    """Answers as told, in the resolver's thread; can be made to hang."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: list[Address] | Exception = [HERE]
        self.free = threading.Event()
        self.free.set()

    def __call__(self, host: str, port: int) -> list[Address]:
        """One look-up."""
        self.asked.append(host)
        assert port
        assert threading.current_thread().daemon
        self.free.wait(5)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "host, address",
    [
        ("127.0.0.1", Address(socket.AF_INET, ("127.0.0.1", 443))),
        ("::1", Address(socket.AF_INET6, ("::1", 443, 0, 0))),
        ("fe80::1%lo", Address(socket.AF_INET6, ("fe80::1", 443, 0, 1))),
    ],
)
def test_a_number_is_not_looked_up(host: str, address: Address) -> None:
    """No thread is started for it."""
    server = NameServer()

    assert run(Resolver(server).resolve(host, 443, 1)) == [address]
    assert server.asked == []


def test_localhost_is_this_machine_where_nobody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image without /etc/hosts: a tunnel or local controller is found all the same; other names are not."""

    def nobody_knows(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody_knows)

    found = run(Resolver().resolve("localhost", 443, 5))
    with pytest.raises(Down):
        run(Resolver().resolve("csms.example.com", 443, 5))

    assert found == [HERE, Address(socket.AF_INET6, ("::1", 443, 0, 0))]


def test_a_name_is_looked_up_each_time() -> None:
    """Addresses change; a CSMS that moves must be found."""
    server = NameServer()
    resolver = Resolver(server)

    async def scenario() -> None:
        assert await resolver.resolve("csms", 443, 1) == [HERE]
        server.answer = [Address(socket.AF_INET, ("127.0.0.2", 443))]
        assert await resolver.resolve("csms", 443, 1) == server.answer

    run(scenario())


@pytest.mark.parametrize("trouble", [socket.gaierror(-2, "unknown"), OSError("odd"), RuntimeError("a bug"), []])
def test_a_name_that_cannot_be_found_is_told(trouble: Exception | list[Address]) -> None:
    """With the name, so that a typing mistake is seen."""
    server = NameServer()
    server.answer = trouble

    with pytest.raises(Down, match="csms") as caught:
        run(Resolver(server).resolve("csms", 443, 1))

    assert caught.value.why.kind is DownKind.DNS


def test_the_last_good_addresses_serve_while_the_name_server_is_away() -> None:
    """Field: the mobile network's DNS fails more often than its data."""
    server = NameServer()
    resolver = Resolver(server)

    async def scenario() -> None:
        await resolver.resolve("csms", 443, 1)
        server.answer = socket.gaierror(-3, "try again")
        assert await resolver.resolve("csms", 443, 1) == [HERE]
        with pytest.raises(Down):
            await resolver.resolve("another", 443, 1)

    run(scenario())


def test_a_look_up_that_hangs_holds_nobody_up_and_is_not_piled_up() -> None:
    """The waits end in time, one thread and one question remain, and its late answer is used."""
    server = NameServer()
    server.free.clear()
    resolver = Resolver(server)

    async def scenario() -> None:
        for _ in range(5):
            with pytest.raises(Down, match="no answer"):
                await resolver.resolve("csms", 443, 0.01)
        server.free.set()
        assert await resolver.resolve("csms", 443, 2) == [HERE]

    run(scenario())

    assert server.asked == ["csms"]


def test_the_end_of_the_process_does_not_wait_for_a_look_up() -> None:
    """`asyncio.run` waits for the default executor; this thread is none of it."""
    server = NameServer()
    server.free.clear()

    with pytest.raises(Down):
        run(Resolver(server).resolve("csms", 443, 0.01))

    server.free.set()
