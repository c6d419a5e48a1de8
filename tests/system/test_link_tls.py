"""Security profiles 1, 2 and 3 against real servers on loopback, right ones and wrong ones (A00)."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.throwaway import Authority, Issued, Wish
from certs.tls import TlsSettings
from station.blocks.security import LINK_EVENTS
from station.shell.dial import Dialer
from station.shell.linkdown import Down, DownKind
from station.shell.names import Resolver, look_up
from tests.link_bench import (
    Pki,
    alerting_server,
    csms,
    first_failure,
    make_pki,
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


@pytest.mark.req("A00.FR.301", "A00.FR.302", "A00.FR.303", "A00.FR.312", "A00.FR.313", "A00.FR.317", "A00.FR.319")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_profile_2_adds_tls_with_a_checked_server(pki: Pki, version: ssl.TLSVersion, suite: str) -> None:
    """A00.FR.301 to 303: the same credentials; A00.FR.312, 313, 319: TLS 1.2 or newer, the suites named.

    The server's TLS is that of OpenSSL as it is: one that deviates from the standard gets no further (A00.FR.317).
    """

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


@pytest.mark.req("A00.FR.401", "A00.FR.402", "A00.FR.415", "A00.FR.416", "A00.FR.420", "A00.FR.422")
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
            assert LINK_EVENTS[down.kind.value] == "InvalidCsmsCertificate"
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
        async with csms(server_context(pki.wildcard)) as server:
            setup = setup_for(server.url("wss", "csms.localhost.test"), 2, tls=pki.trust(allow_wildcards=allowed))
            # a name that the wildcard covers, and that no name server needs to know
            dial = Dialer(Resolver(lambda _, port: look_up("127.0.0.1", port)))
            attempt = dial(setup.profiles[0], setup.credentials[0], setup.options)
            if allowed:
                line = await attempt
                await line.close()
            else:
                with pytest.raises(Down, match="AllowCSMSTLSWildcards"):
                    await attempt
            assert len(server.requests) == int(allowed)

    run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.req("A00.FR.317", "A00.FR.420")
def test_a_server_that_is_refused_hears_why_by_an_alert(pki: Pki, version: ssl.TLSVersion) -> None:
    """As the standards of TLS have it (RFC 5246, 7.2.2; RFC 8446, 6.2): its operator finds the reason in its log."""
    said: list[str] = []
    context = server_context(pki.expired)
    context.minimum_version = context.maximum_version = version
    with alerting_server(context, said=said) as url:
        down = run(first_failure(setup_for(url, 2, tls=pki.trust())))

    assert down.kind is DownKind.TLS_CERTIFICATE
    assert said == ["SSLV3_ALERT_CERTIFICATE_EXPIRED"]


def test_a_server_named_by_a_wildcard_is_not_shown_the_stations_certificate(pki: Pki) -> None:
    """OpenSSL is content with it, and has our side of the handshake ready: with TLS 1.3 that is the certificate."""
    said: list[str] = []
    context = server_context(pki.wildcard, client_root=pki.root.root_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with alerting_server(context, said=said) as url:
        setup = setup_for(url.replace("127.0.0.1", "csms.localhost.test"), 3, tls=pki.trust(pki.station))
        dial = Dialer(Resolver(lambda _, port: look_up("127.0.0.1", port)))
        with pytest.raises(Down, match="AllowCSMSTLSWildcards"):
            run(dial(setup.profiles[0], setup.credentials[0], setup.options))

    assert len(said) == 1
    assert said != [""], "the handshake is complete for the server"


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
    assert LINK_EVENTS[down.kind.value] == "InvalidTLSVersion"


@pytest.mark.req("A00.FR.320", "A00.FR.423")
@pytest.mark.parametrize("profile", [2, 3])
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
def test_a_server_with_forbidden_suites_only_is_left(pki: Pki, profile: int, suite: str) -> None:
    """A00.FR.320: nothing but the suites on our list is negotiated."""
    settings = pki.trust(pki.station)
    with alerting_server(weak_suites(pki, suite)) as url:
        down = run(first_failure(setup_for(url, profile, tls=settings)))

    assert down.kind is DownKind.TLS_CIPHER
    assert LINK_EVENTS[down.kind.value] == "InvalidTLSCipherSuite"


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
    assert LINK_EVENTS[down.kind.value] == "FailedToAuthenticateAtCsms"


def test_a_refusal_is_read_before_our_request_turns_it_into_a_reset(pki: Pki) -> None:
    """With TLS 1.3, and a server that says it and closes: each time, not every other."""
    context = server_context(pki.good, client_root=pki.root.root_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with alerting_server(context, patient=False) as url:
        setup = setup_for(url, 3, tls=pki.trust(pki.foreign_station))
        kinds = [run(first_failure(setup)).kind for _ in range(20)]

    assert kinds == [DownKind.TLS_CLIENT] * 20


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
