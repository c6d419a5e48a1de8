"""The opening handshake with real servers on loopback, and with what is none (part 4, chapter 3)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from station.blocks.security import LINK_EVENTS
from station.shell.link import LinkSetup
from station.shell.linkdown import DownKind, LinkDown
from station.shell.network import LinkOptions, NetworkProfile
from tests.fileservers import drip, hostile
from tests.link_bench import (
    IDENTITY,
    PASSWORD,
    Pki,
    csms,
    first_failure,
    make_pki,
    raw_server,
    run,
    running,
    setup_for,
)

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """One set of certificates for all tests of this file."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    "status, kind",
    [
        (HTTPStatus.UNAUTHORIZED, DownKind.HTTP_401),
        (HTTPStatus.FORBIDDEN, DownKind.HTTP_403),
        (HTTPStatus.NOT_FOUND, DownKind.HTTP_404),
        (HTTPStatus.SERVICE_UNAVAILABLE, DownKind.HTTP_OTHER),
        (HTTPStatus.OK, DownKind.HTTP_OTHER),
    ],
)
def test_an_http_refusal_is_told_by_its_number(status: HTTPStatus, kind: DownKind) -> None:
    """Part 4, 3.2: 404 for an unknown identity."""

    async def scenario() -> None:
        async with csms() as server:
            server.status = status
            down = await first_failure(setup_for(server.url()))

            assert down.kind is kind
            assert str(status.value) in down.detail

    run(scenario())


def test_a_redirect_is_not_followed() -> None:
    """The password is for the server that was configured."""

    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/ocpp\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        async with raw_server(redirect) as url:
            assert (await first_failure(setup_for(url))).kind is DownKind.HTTP_OTHER

    run(scenario())


def test_a_wrong_password_is_a_security_event_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Field 13: not even at debug level, neither in clear nor in base64."""
    caplog.set_level("DEBUG")

    async def scenario() -> LinkDown:
        async with csms() as server:
            return await first_failure(setup_for(server.url(), password="wrong-but-secret-0"))

    down = run(scenario())

    assert down.kind is DownKind.HTTP_401
    assert LINK_EVENTS[down.kind.value] == "FailedToAuthenticateAtCsms"
    sent_by_us = [record for record in caplog.records if record.name != "websockets.server"]
    assert not any("Authorization" in record.getMessage() for record in sent_by_us)
    assert not any("secret" in record.getMessage() for record in sent_by_us)


def test_secrets_have_no_repr(pki: Pki) -> None:
    """Neither a set-up nor its parts show a password, wherever it may be printed."""
    setup = setup_for("wss://localhost/ocpp", 3, tls=pki.trust(pki.station))

    assert PASSWORD not in repr(setup)
    assert PASSWORD not in f"{setup.credentials[0]} {setup.credentials!r}"
    assert IDENTITY in repr(setup)


# Versions


@pytest.mark.parametrize("offered", [None, ["ocpp1.5"]])
def test_a_server_without_a_common_version_is_left(offered: list[str] | None) -> None:
    """Part 4, 3.2: an answer without subprotocol; the dialect is never guessed."""

    async def scenario() -> None:
        async with csms(subprotocols=offered, select_subprotocol=lambda *_: None) as server:
            down = await first_failure(setup_for(server.url()))

            assert down.kind is DownKind.SUBPROTOCOL

    run(scenario())


def test_a_version_that_was_not_offered_is_refused() -> None:
    """A server that answers with another protocol than any of ours."""

    async def scenario() -> None:
        async with csms(select_subprotocol=lambda *_: "ocpp2.1") as server:
            down = await first_failure(setup_for(server.url()))

            assert down.kind is DownKind.SUBPROTOCOL

    run(scenario())


def test_the_servers_choice_among_ours_decides() -> None:
    """Part 4, 3.1.2: a list in order of preference."""

    async def scenario() -> None:
        async with csms(subprotocols=["ocpp1.6"]) as server, running(setup_for(server.url())) as bench:
            assert (await bench.heard.up()).subprotocol == "ocpp1.6"

    run(scenario())


# Servers that are none


async def close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and close."""
    writer.close()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read for ever."""
    await reader.read()
    writer.close()


async def speak_otherwise(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Another protocol."""
    writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    "talk, kind",
    [
        (close_at_once, DownKind.CLOSED),
        (say_nothing, DownKind.TIMEOUT),
        (speak_otherwise, DownKind.HANDSHAKE),
    ],
)
@pytest.mark.parametrize("profile", [1, 2])
def test_what_is_no_websocket_server_is_left_in_time(pki: Pki, talk: Any, kind: DownKind, profile: int) -> None:
    """Whatever listens there, the attempt ends, with a reason."""

    async def scenario() -> None:
        # Only the silent one needs the timeout; the others end by themselves, however busy the machine is.
        options = LinkOptions(connect_timeout_s=0.3 if kind is DownKind.TIMEOUT else 10.0, close_timeout_s=0.2)
        async with raw_server(talk) as url:
            endpoint = url.replace("ws:", "wss:") if profile == 2 else url
            down = await first_failure(setup_for(endpoint, profile, tls=pki.trust(), options=options))

            assert down.kind is kind or (profile == 2 and down.kind in {DownKind.TLS_OTHER, DownKind.CLOSED})

    run(scenario())


@pytest.mark.parametrize(
    "profile, begins",
    [(1, b"HTTP/1.1 101 Switching Protocols\r\nA: "), (2, bytes.fromhex("1603033fff02003ffb"))],
    ids=["HTTP", "TLS"],
)
def test_a_server_that_answers_a_byte_now_and_then_is_left_in_time(pki: Pki, profile: int, begins: bytes) -> None:
    """No wait for a single byte is too long, but the whole is; and no thread goes on listening."""

    async def scenario(port: int) -> None:
        options = LinkOptions(connect_timeout_s=0.5, close_timeout_s=0.2)
        url = f"{'ws' if profile == 1 else 'wss'}://127.0.0.1:{port}/ocpp"
        down = await first_failure(setup_for(url, profile, tls=pki.trust(), options=options))
        assert down.kind is DownKind.TIMEOUT

        for thread in threading.enumerate():
            if thread.name == "tls":
                await asyncio.to_thread(thread.join, 5.0)
                assert not thread.is_alive()

    with hostile(drip(begins, b"a", 0.02)) as port:
        run(scenario(port))


def test_a_port_that_nobody_listens_on_is_refused() -> None:
    """And nothing waits for its timeout."""

    async def scenario() -> None:
        async with raw_server(close_at_once) as url:
            pass
        down = await first_failure(setup_for(url))

        assert down.kind is DownKind.REFUSED

    run(scenario())


@pytest.mark.parametrize(
    "url, profile",
    [
        ("http://127.0.0.1/ocpp", 1),
        ("wss://127.0.0.1/ocpp", 1),
        ("ws://127.0.0.1/ocpp", 2),
        ("ws://127.0.0.1/ocpp", 3),
        ("ws:///ocpp", 1),
        ("ws://127.0.0.1:99999/ocpp", 1),
        ("ws://user:secret@127.0.0.1/ocpp", 1),
        ("ws://127.0.0.1/ocpp#x", 1),
        ("ws://127.0.0.1/ocpp", 4),
        ("nonsense", 1),
    ],
)
def test_a_profile_that_cannot_work_is_told_and_tried_again(pki: Pki, url: str, profile: int) -> None:
    """A mistake in a profile must not stop the link: the next entry may be right."""
    down = run(first_failure(setup_for(url, profile, tls=pki.trust(pki.station))))

    assert down.kind is DownKind.CONFIG
    assert "secret" not in down.detail


# More than one way


@pytest.mark.req("B10.FR.03")
def test_the_next_profile_is_dialled_when_the_attempts_are_used_up() -> None:
    """B10.FR.03: NetworkProfileConnectionAttempts per entry, in order."""

    async def scenario() -> None:
        async with raw_server(close_at_once) as dead, csms() as server:
            setup = setup_for(server.url())
            first = NetworkProfile(7, dead, 1)
            setup = LinkSetup((first, *setup.profiles), setup.credentials, setup.options, setup.backoff)
            async with running(setup) as bench:
                bench.pauses.allow(3)
                failures = [(await bench.heard.down()).slot for _ in range(3)]
                up = await bench.heard.up()

                assert failures == [7, 7, 7]
                assert up.profile.slot == 1

    run(scenario())


def test_a_refused_new_password_gives_way_to_the_old_one() -> None:
    """Field 13: the old one is kept until the new one has connected once."""

    async def scenario() -> None:
        async with csms() as server:
            setup = setup_for(server.url())
            new = setup_for(server.url(), password="new-and-refused-123").credentials[0]
            setup = LinkSetup(setup.profiles, (new, *setup.credentials), setup.options, setup.backoff)
            async with running(setup) as bench:
                assert (await bench.heard.down()).kind is DownKind.HTTP_401
                bench.pauses.allow()

                assert (await bench.heard.up()).credentials == 1

    run(scenario())


def test_importing_the_link_does_not_import_websockets() -> None:
    """It is needed at the first attempt only, and nothing of servers is needed at all."""
    program = "import sys, station.shell.link; sys.exit(any(name.startswith('websockets') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path.cwd(), check=False).returncode == 0  # noqa: S603 - our own interpreter


@pytest.mark.octt("TC_B_57_CS")
def test_reconnecting_after_connection_loss() -> None:
    """TC_B_57: closed, closed again, then refused: the minimum, the minimum, at least twice that."""

    async def scenario() -> None:
        async with csms() as server, running(setup_for(server.url())) as bench:
            await bench.heard.up()
            bench.link.accepted()  # booted

            await (await server.lines.get()).close()
            await bench.heard.down()
            assert await bench.pauses.next() == 10
            bench.pauses.allow()
            await bench.heard.up()

            await (await server.lines.get()).close()
            await bench.heard.down()
            assert await bench.pauses.next() == 10
            server.status = HTTPStatus.SERVICE_UNAVAILABLE
            bench.pauses.allow()
            assert not (await bench.heard.down()).was_up
            assert await bench.pauses.next() == 20
            server.status = None
            bench.pauses.allow()
            await bench.heard.up()

    run(scenario())
