"""A CSMS whose certificate was revoked gets no connection; whom the station asks for that cannot harm it (A00)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from certs.throwaway import Authority, Issued
from certs.tls import TlsSettings
from station.blocks.security import LINK_EVENTS
from station.shell.link import LinkSetup
from station.shell.linkdown import Down, DownKind
from station.shell.names import Resolver
from station.shell.network import Revocation
from station.shell.revocation import Revoked
from tests.link_bench import Csms, csms, first_failure, run, running, server_context, setup_for
from tests.responder import HOUR, NOW, Responder, crl, listening, ok, path, server

pytestmark = pytest.mark.system

Policy = Literal["off", "soft", "hard"]


class Site:
    """An authority with a responder, and a CSMS whose certificate names it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create("Root", folder)
        self.responder = Responder(self.authority)
        self.server: Issued

    def certified(self, url: str) -> Issued:
        """The CSMS gets its certificate."""
        self.server = server(self.authority, url)
        return self.server

    def revoke(self) -> None:
        """It is worth nothing any more."""
        self.responder.revoked = {self.server.certificate.serial_number}

    def say(self, request: bytes) -> bytes:
        """What the responder answers."""
        return ok(self.responder.answer(request, self.server.certificate))

    def setup(self, listening_: Csms, how: Revocation) -> LinkSetup:
        """The station."""
        setup = setup_for(listening_.url("wss", "localhost"), 2, tls=TlsSettings(roots_pem=self.authority.root_pem))
        changed = tuple(msgspec.structs.replace(each, revocation=how) for each in setup.credentials)
        return msgspec.structs.replace(setup, credentials=changed)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Nothing is revoked yet."""
    return Site(tmp_path)


@pytest.mark.parametrize("policy", ["soft", "hard"])
def test_a_csms_with_a_good_certificate_is_connected_and_asked_about_once(site: Site, policy: Policy) -> None:
    """What was answered is remembered for the next connection."""

    async def scenario() -> None:
        async with (
            listening(site.say) as url,
            csms(server_context(site.certified(url))) as there,
            running(site.setup(there, Revocation(policy))) as bench,
        ):
            await bench.heard.up()
            await (await there.lines.get()).close()
            await bench.heard.down()
            bench.pauses.allow()
            await bench.heard.up()

            assert len(site.responder.asked) == 1

    run(scenario())


@pytest.mark.req("A00.FR.308", "A00.FR.310", "A00.FR.311")
@pytest.mark.parametrize("policy", ["soft", "hard"])
def test_a_csms_whose_certificate_was_revoked_gets_neither_password_nor_request(site: Site, policy: Policy) -> None:
    """The event tells the reason."""

    async def scenario() -> None:
        async with listening(site.say) as url, csms(server_context(site.certified(url))) as there:
            site.revoke()
            down = await first_failure(site.setup(there, Revocation(policy)))

            assert down.kind is DownKind.TLS_CERTIFICATE
            assert "keyCompromise (OCSP)" in down.detail
            assert LINK_EVENTS[down.kind.value] == "InvalidCsmsCertificate"
            assert there.requests == []

    run(scenario())


def test_switched_off_nobody_is_asked(site: Site) -> None:
    """`csms.revocation: off`."""

    async def scenario() -> None:
        async with listening(site.say) as url, csms(server_context(site.certified(url))) as there:
            site.revoke()
            async with running(site.setup(there, Revocation("off"))) as bench:
                await bench.heard.up()

        assert site.responder.asked == []

    run(scenario())


SAYS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "rubbish": lambda _: b"\xff" * 1000,
    "no HTTP": lambda _: b"220 mail.example ESMTP\r\n\r\n",
    "an error": lambda _: b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
    "a redirection": lambda _: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    "too much": lambda _: ok(b"\x00" * 1_000_000),
    "no answer": lambda _: ok(b"\x30\x03\x0a\x01\x06"),  # OCSP: unauthorized
}


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("policy", ["soft", "hard"])
def test_a_responder_that_says_nothing_of_use(site: Site, policy: Policy, says: str) -> None:
    """Soft: silence is consent, or whoever cuts the way to the responder would cut the way to the CSMS."""

    async def scenario() -> None:
        async with listening(SAYS[says]) as url, csms(server_context(site.certified(url))) as there:
            setup = site.setup(there, Revocation(policy))
            if policy == "hard":
                down = await first_failure(setup)
                assert down.kind is DownKind.TLS_CERTIFICATE
                assert "not known" in down.detail
                assert there.requests == []
            else:
                async with running(setup) as bench:
                    await bench.heard.up()

    run(scenario())


@pytest.mark.parametrize("policy", ["soft", "hard"])
def test_a_responder_that_never_answers_is_not_waited_for(site: Site, policy: Policy) -> None:
    """Within its time."""

    async def scenario() -> None:
        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        silent = await asyncio.start_server(hang, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/status"
        async with silent, csms(server_context(site.certified(url))) as there:
            setup = site.setup(there, Revocation(policy, within_s=0.2))
            if policy == "hard":
                assert "no answer within 0.2 s" in (await first_failure(setup)).detail
            else:
                async with running(setup) as bench:
                    await bench.heard.up()

    run(scenario())


def test_a_csms_on_its_authoritys_list_gets_no_connection(site: Site, tmp_path: Path) -> None:
    """A CRL file; the responder need not be asked, a file that is missing is passed over."""

    async def scenario() -> None:
        async with listening(site.say) as url, csms(server_context(site.certified(url))) as there:
            file = tmp_path / "crl.pem"
            file.write_bytes(crl(site.authority, site.server.certificate.serial_number))
            down = await first_failure(site.setup(there, Revocation("off", (tmp_path / "missing", file))))

            assert down.kind is DownKind.TLS_CERTIFICATE
            assert "keyCompromise (CRL)" in down.detail
            assert there.requests == []

    run(scenario())


# --- what is remembered


class Wire:
    """Stands for the network; the clock is wound by hand."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.asked = 0
        self.cut = False
        self.seconds = time.time()

    async def __call__(self, url: str, request: bytes, resolver: Resolver) -> bytes:
        """The responder's answer."""
        del url, resolver
        self.asked += 1
        if self.cut:
            raise OSError("nobody answers")
        return self.site.responder.answer(request, self.site.server.certificate)

    def judge(self) -> Callable[[], None]:
        """Asks about the server's certificate; raises Down."""
        revoked = Revoked(Resolver(), self, lambda: self.seconds)
        chain = path(self.site.server, self.site.authority)
        return lambda: asyncio.run(revoked(chain, Revocation()))


def test_an_answer_is_asked_for_again_when_it_counts_no_more(site: Site) -> None:
    """It said for an hour; a certificate that was revoked meanwhile is refused then."""
    site.certified("http://ocsp.example/status")
    wire = Wire(site)
    judge = wire.judge()
    judge()
    site.revoke()
    judge()
    assert wire.asked == 1

    wire.seconds += 3700
    site.responder.since, site.responder.until = NOW + HOUR, NOW + 2 * HOUR

    with pytest.raises(Down, match="keyCompromise"):
        judge()
    assert wire.asked == 2


def test_a_revocation_is_remembered_even_if_nobody_answers_any_more(site: Site) -> None:
    """As long as it counts."""
    site.certified("http://ocsp.example/status")
    site.revoke()
    wire = Wire(site)
    judge = wire.judge()
    for _ in range(2):
        with pytest.raises(Down, match="keyCompromise"):
            judge()

    assert wire.asked == 1


def test_a_revocation_outlives_its_answer_when_nobody_gives_another_one(site: Site) -> None:
    """Whoever has stolen the certificate may cut the way to the responder. If that takes it back, it is good again."""
    site.certified("http://ocsp.example/status")
    site.revoke()
    wire = Wire(site)
    judge = wire.judge()
    with pytest.raises(Down, match="keyCompromise"):
        judge()

    wire.seconds += 3700
    wire.cut = True
    with pytest.raises(Down, match="keyCompromise"):
        judge()

    wire.cut, site.responder.revoked = False, set()
    site.responder.since, site.responder.until = NOW + HOUR, NOW + 2 * HOUR
    judge()


@pytest.mark.parametrize("policy", ["soft", "hard"])
def test_certificates_that_nobody_tells_cannot_be_asked_about(site: Site, policy: Policy) -> None:
    """A Python that keeps the verified chain to itself: hard is hard all the same."""
    revoked = Revoked(Resolver(), Wire(site))

    if policy == "hard":
        with pytest.raises(Down, match="not known"):
            asyncio.run(revoked([], Revocation(policy)))
    else:
        asyncio.run(revoked([], Revocation(policy)))
