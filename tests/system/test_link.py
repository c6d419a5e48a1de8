"""Connecting to real servers on loopback: security profiles, TLS, what may be wrong with a handshake (A00)."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.throwaway import Authority, Issued, Wish
from certs.tls import TlsSettings
from station.shell.link import LinkSetup
from station.shell.linkdown import DownKind, LinkDown
from station.shell.network import LinkOptions, NetworkProfile
from tests.link_bench import (
    IDENTITY,
    PASSWORD,
    Pki,
    alerting_server,
    csms,
    make_pki,
    raw_server,
    run,
    running,
    server_context,
    setup_for,
)

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """One set of certificates for all tests of this file."""
    return make_pki(tmp_path_factory.mktemp("pki"))


async def first_failure(setup: LinkSetup) -> LinkDown:
    """Why the first attempt fails; and that the next one is planned."""
    async with running(setup) as bench:
        down = await bench.heard.down()
        assert await bench.pauses.next() == 10
        assert bench.link.up is None
        assert down.remedy
        assert down.slot == 1
        assert not down.was_up
        return down


# The three profiles


@pytest.mark.req("A00.FR.202", "A00.FR.203", "A00.FR.204")
def test_profile_1_sends_identity_and_password_with_each_request() -> None:
    """A00.FR.202 to 204; part 4, 3.1.1: the identity is percent-encoded in the URL and raw as user name."""

    async def scenario() -> None:
        async with csms() as server, running(setup_for(server.url(path="/ocpp//"))) as bench:
            up = await bench.heard.up()
            line = await server.lines.get()
            await line.close()
            await bench.heard.down()
            bench.pauses.allow()
            await bench.heard.up()

            assert [request.path for request in server.requests] == ["/ocpp/CS%20001%2Fa"] * 2
            assert up.subprotocol == "ocpp2.0.1"
            assert up.tls is None
            assert server.requests[0].headers["Sec-WebSocket-Protocol"] == "ocpp2.0.1, ocpp1.6"

    run(scenario())


@pytest.mark.req("A00.FR.301", "A00.FR.302", "A00.FR.303", "A00.FR.312", "A00.FR.313", "A00.FR.319")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_profile_2_adds_tls_with_a_checked_server(pki: Pki, version: ssl.TLSVersion, suite: str) -> None:
    """A00.FR.301 to 303: the same credentials; A00.FR.312, 313, 319: TLS 1.2 or newer, the suites named."""

    async def scenario() -> None:
        context = server_context(pki.good)
        context.minimum_version = context.maximum_version = version
        context.set_ciphers(suite)
        async with csms(context) as server:
            setup = setup_for(server.url("wss", "localhost"), 2, tls=pki.trust())
            async with running(setup) as bench:
                up = await bench.heard.up()

                assert up.tls is not None
                assert up.tls.startswith("TLSv1.2 " + suite if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3 ")
                assert server.requests[0].headers["Authorization"].startswith("Basic ")

    run(scenario())


@pytest.mark.req("A00.FR.401", "A00.FR.402", "A00.FR.415", "A00.FR.416", "A00.FR.422")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_profile_3_shows_the_whole_chain_and_no_password(pki: Pki, version: ssl.TLSVersion) -> None:
    """A00.FR.401, 402: the station's certificate; field 12: the server knows the root alone, so the chain is sent."""

    async def scenario() -> None:
        context = server_context(pki.chained, client_root=pki.root.root_pem)
        context.minimum_version = context.maximum_version = version
        async with csms(context) as server:
            server.basic = False
            setup = setup_for(server.url("wss"), 3, tls=pki.trust(pki.station))
            async with running(setup) as bench:
                up = await bench.heard.up()
                line = await server.lines.get()

                peer = line.transport.get_extra_info("peercert")
                assert ((("commonName", "CS001"),)) in peer["subject"]
                assert "Authorization" not in server.requests[0].headers
                assert up.tls is not None

    run(scenario())


# Servers that must not be trusted


def wrong_trust(pki: Pki) -> TlsSettings:
    """Another authority's root."""
    return TlsSettings(roots_pem=pki.stranger.root_pem)


@pytest.mark.req("A00.FR.308", "A00.FR.309", "A00.FR.311", "A00.FR.411", "A00.FR.412", "A00.FR.414")
@pytest.mark.parametrize("profile", [2, 3])
@pytest.mark.parametrize(
    "certificate, trust, detail",
    [
        ("good", wrong_trust, "unable to get local issuer"),
        ("expired", Pki.trust, "expired"),
        ("future", Pki.trust, "not yet valid"),
        ("elsewhere", Pki.trust, "Hostname mismatch"),
    ],
)
def test_a_server_that_cannot_be_trusted_gets_neither_password_nor_request(
    pki: Pki, profile: int, certificate: str, trust: Callable[[Pki], TlsSettings], detail: str
) -> None:
    """A00.FR.308, 309, 311 and their twins of profile 3: path, period and name are checked before HTTP begins."""

    async def scenario() -> None:
        issued: Issued = getattr(pki, certificate)
        settings = trust(pki)
        if profile == 3:
            settings = pki.trust(pki.station)._replace(roots_pem=settings.roots_pem)
        async with csms(server_context(issued)) as server:
            down = await first_failure(setup_for(server.url("wss", "localhost"), profile, tls=settings))

            assert down.kind is DownKind.TLS_CERTIFICATE
            assert detail in down.detail
            assert down.security_event == "InvalidCsmsCertificate"
            assert server.requests == []

    run(scenario())


@pytest.mark.req("A00.FR.501", "A00.FR.502")
def test_a_server_with_a_weak_key_is_left(tmp_path: Path) -> None:
    """A00.FR.501, 502: RSA below 2048 bits is not enough, whoever signed it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
    authority = Authority.create("Careless", tmp_path)
    issued = authority.issue("localhost", Wish(["127.0.0.1"], key=key))

    async def scenario() -> None:
        async with csms(server_context(issued, ciphers="DEFAULT:@SECLEVEL=0")) as server:
            settings = TlsSettings(roots_pem=authority.root_pem)
            down = await first_failure(setup_for(server.url("wss"), 2, tls=settings))

            assert down.kind is DownKind.TLS_CERTIFICATE
            assert "too weak" in down.detail
            assert server.requests == []

    run(scenario())


@pytest.mark.parametrize("allowed", [False, True])
def test_a_wildcard_is_accepted_only_where_it_is_allowed(pki: Pki, allowed: bool) -> None:  # noqa: FBT001 - a table
    """Errata of A00: AllowCSMSTLSWildcards."""

    async def scenario() -> None:
        # The name in the URL must be one that the wildcard covers, and it need not exist in any name server.
        from station.shell.dial import Dialer  # noqa: PLC0415 - for this test alone
        from station.shell.names import Resolver, look_up  # noqa: PLC0415 - the same

        async with csms(server_context(pki.wildcard)) as server:
            setup = setup_for(server.url("wss", "csms.localhost.test"), 2, tls=pki.trust(allow_wildcards=allowed))
            dial = Dialer(Resolver(lambda _, port: look_up("127.0.0.1", port)))
            attempt = dial(setup.profiles[0], setup.credentials[0], setup.options)
            if allowed:
                line = await attempt
                await line.close()
            else:
                with pytest.raises(Exception, match="AllowCSMSTLSWildcards"):
                    await attempt
            assert len(server.requests) == int(allowed)

    run(scenario())


def old_tls(pki: Pki) -> ssl.SSLContext:
    """A server that stopped at TLS 1.1."""
    context = server_context(pki.good)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def weak_suites(pki: Pki, suite: str = "ECDHE-ECDSA-AES128-SHA") -> ssl.SSLContext:
    """A server that offers no suite of our list."""
    context = server_context(pki.good)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    return context


@pytest.mark.req("A00.FR.313", "A00.FR.314", "A00.FR.416", "A00.FR.417")
@pytest.mark.parametrize("profile", [2, 3])
def test_a_server_with_old_tls_only_is_left(pki: Pki, profile: int) -> None:
    """A00.FR.313, 314: TLS 1.1 is refused, and named as the reason."""
    settings = pki.trust(pki.station)
    with alerting_server(old_tls(pki)) as url:
        down = run(first_failure(setup_for(url, profile, tls=settings)))

    assert down.kind is DownKind.TLS_VERSION
    assert down.security_event == "InvalidTLSVersion"


@pytest.mark.req("A00.FR.320", "A00.FR.423")
@pytest.mark.parametrize("profile", [2, 3])
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
def test_a_server_with_forbidden_suites_only_is_left(pki: Pki, profile: int, suite: str) -> None:
    """A00.FR.320: nothing but the suites on our list is negotiated."""
    settings = pki.trust(pki.station)
    with alerting_server(weak_suites(pki, suite)) as url:
        down = run(first_failure(setup_for(url, profile, tls=settings)))

    assert down.kind is DownKind.TLS_CIPHER
    assert down.security_event == "InvalidTLSCipherSuite"


@pytest.mark.parametrize("make, kind", [(old_tls, DownKind.TLS_VERSION), (weak_suites, DownKind.TLS_CIPHER)])
def test_the_reason_is_found_even_if_the_server_hangs_up_without_a_word(
    pki: Pki, make: Callable[[Pki], ssl.SSLContext], kind: DownKind
) -> None:
    """Some servers send no alert: they are asked once more, without a byte of data, and not at every attempt."""

    async def scenario() -> None:
        context = make(pki)
        async with csms(context) as server, running(setup_for(server.url("wss"), 2, tls=pki.trust())) as bench:
            bench.pauses.allow()

            assert (await bench.heard.down()).kind is kind
            assert (await bench.heard.down()).kind is kind
            assert server.requests == []

    run(scenario())


# Servers that do not trust the station


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_refused_certificate_of_the_station_is_named(pki: Pki, version: ssl.TLSVersion) -> None:
    """Field: with TLS 1.3 the refusal comes after the client's handshake; it is told apart from a dropped line."""
    context = server_context(pki.good, client_root=pki.root.root_pem)
    context.minimum_version = context.maximum_version = version
    with alerting_server(context) as url:
        down = run(first_failure(setup_for(url, 3, tls=pki.trust(pki.foreign_station))))

    assert down.kind is DownKind.TLS_CLIENT
    assert down.security_event == "FailedToAuthenticateAtCsms"


@pytest.mark.req("A00.FR.430")
def test_an_expired_certificate_of_the_station_is_still_shown(pki: Pki) -> None:
    """A00.FR.430: the CSMS decides; this one refuses it."""
    context = server_context(pki.good, client_root=pki.root.root_pem)
    with alerting_server(context) as url:
        down = run(first_failure(setup_for(url, 3, tls=pki.trust(pki.expired))))

    assert down.kind is DownKind.TLS_CLIENT
    assert "EXPIRED" in down.detail


def test_profile_3_without_a_certificate_is_a_mistake_in_the_configuration(pki: Pki) -> None:
    """It is not even tried without."""

    async def scenario() -> None:
        async with csms(server_context(pki.good)) as server:
            down = await first_failure(setup_for(server.url("wss"), 3, tls=pki.trust()))

            assert down.kind is DownKind.CONFIG
            assert server.requests == []

    run(scenario())


def test_a_server_that_asks_for_a_certificate_in_profile_2_does_not_get_one(pki: Pki) -> None:
    """The certificate belongs to profile 3."""

    async def scenario() -> None:
        context = server_context(pki.good, client_root=pki.root.root_pem)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        async with csms(context) as server:
            down = await first_failure(setup_for(server.url("wss"), 2, tls=pki.trust(pki.station)))

            assert not down.was_up
            assert server.requests == []

    run(scenario())


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


def test_a_wrong_password_is_a_security_event_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Field 13: not even at debug level, neither in clear nor in base64."""
    caplog.set_level("DEBUG")

    async def scenario() -> LinkDown:
        async with csms() as server:
            return await first_failure(setup_for(server.url(), password="wrong-but-secret-0"))

    down = run(scenario())

    assert down.kind is DownKind.HTTP_401
    assert down.security_event == "FailedToAuthenticateAtCsms"
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
        options = LinkOptions(connect_timeout_s=0.3, close_timeout_s=0.2)
        async with raw_server(talk) as url:
            endpoint = url.replace("ws:", "wss:") if profile == 2 else url
            down = await first_failure(setup_for(endpoint, profile, tls=pki.trust(), options=options))

            assert down.kind is kind or (profile == 2 and down.kind in {DownKind.TLS_OTHER, DownKind.CLOSED})

    run(scenario())


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
    import subprocess  # noqa: PLC0415 - for this test alone
    import sys  # noqa: PLC0415 - the same

    program = "import sys, station.shell.link; sys.exit(any(name.startswith('websockets') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path.cwd(), check=False).returncode == 0  # noqa: S603 - our own interpreter
