"""Which root vouches for a CSMS, and when one that was replaced still may (M05.FR.12 to M05.FR.16)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from certs.throwaway import Authority, Wish
from certs.tls import TlsSettings
from certs.trust import fingerprint
from station.shell.link import LinkSetup
from station.shell.linkdown import DownKind
from station.shell.network import Replaced
from tests.link_bench import Pki, csms, first_failure, make_pki, run, running, server_context, setup_for

pytestmark = pytest.mark.system

LOCAL = ("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """One set of certificates for all tests of this file."""
    return make_pki(tmp_path_factory.mktemp("pki"))


class Roots:
    """An old root and its successor, and what a station that has both knows."""

    def __init__(self, folder: Path) -> None:
        self.old = Authority.create("Old", folder)
        self.new = self.old.successor("New")

    def setup(self, url: str, *places: str) -> LinkSetup:
        """The old root may vouch for CSMSs at these places."""
        setup = setup_for(url, 2, tls=TlsSettings(roots_pem=self.new.root_pem))
        replaced = Replaced(self.old.root_pem, places)
        changed = tuple(msgspec.structs.replace(each, replaced=replaced) for each in setup.credentials)
        return msgspec.structs.replace(setup, credentials=changed)


@pytest.mark.parametrize("server", ["good", "chained"])
def test_the_root_that_vouches_is_told(pki: Pki, server: str) -> None:
    """With and without an intermediate; one of several."""

    async def scenario() -> None:
        trust = TlsSettings(roots_pem=pki.stranger.root_pem + pki.root.root_pem)
        async with (
            csms(server_context(getattr(pki, server))) as listening,
            running(setup_for(listening.url("wss", "localhost"), 2, tls=trust)) as bench,
        ):
            assert (await bench.heard.up()).path[-1] == fingerprint(pki.root.root_pem)

    run(scenario())


def test_without_tls_no_root_is_told() -> None:
    """Profile 1."""

    async def scenario() -> None:
        async with csms() as listening, running(setup_for(listening.url())) as bench:
            assert (await bench.heard.up()).path == ()

    run(scenario())


def test_a_root_that_another_trusted_one_has_signed_is_in_the_path_before_that_one(tmp_path: Path) -> None:
    """The server sends its own certificate alone: without the new root, the old one would be of no use."""

    async def scenario() -> None:
        roots = Roots(tmp_path)
        both = TlsSettings(roots_pem=roots.old.root_pem + roots.new.root_pem)
        issued = roots.new.issue("localhost", Wish(LOCAL))
        assert issued.pem.count("BEGIN") == 1
        async with (
            csms(server_context(issued)) as listening,
            running(setup_for(listening.url("wss", "localhost"), 2, tls=both)) as bench,
        ):
            path = (await bench.heard.up()).path
            nearest = [
                each for each in path if each in {fingerprint(roots.old.root_pem), fingerprint(roots.new.root_pem)}
            ]
            assert nearest[0] == fingerprint(roots.new.root_pem)

    run(scenario())


@pytest.mark.req("M05.FR.14", "M05.FR.16")
def test_a_replaced_root_is_tried_at_once_where_it_may_still_vouch(tmp_path: Path) -> None:
    """In the same attempt: no wait lies between."""

    async def scenario() -> None:
        roots = Roots(tmp_path)
        async with csms(server_context(roots.old.issue("localhost", Wish(LOCAL)))) as listening:
            url = listening.url("wss", "localhost")
            async with running(roots.setup(url, url)) as bench:
                up = await bench.heard.up()

                assert up.path[-1] == fingerprint(roots.old.root_pem)
                assert bench.pauses.waits == []
                assert bench.heard.downs == []

    run(scenario())


@pytest.mark.req("M05.FR.12")
def test_the_new_root_comes_first(tmp_path: Path) -> None:
    """A server that both could vouch for: its authority, signed by the old root, is the new root."""

    async def scenario() -> None:
        roots = Roots(tmp_path)
        async with csms(server_context(roots.new.issue("localhost", Wish(LOCAL)))) as listening:
            url = listening.url("wss", "localhost")
            async with running(roots.setup(url, url)) as bench:
                assert (await bench.heard.up()).path[-1] == fingerprint(roots.new.root_pem)

    run(scenario())


@pytest.mark.req("M05.FR.15")
def test_a_replaced_root_vouches_for_no_csms_that_is_new(tmp_path: Path) -> None:
    """The attempt fails, and counts as one."""

    async def scenario() -> None:
        roots = Roots(tmp_path)
        async with csms(server_context(roots.old.issue("localhost", Wish(LOCAL)))) as listening:
            down = await first_failure(roots.setup(listening.url("wss", "localhost"), "wss://elsewhere/ocpp"))

            assert down.kind is DownKind.TLS_CERTIFICATE
            assert listening.requests == []

    run(scenario())


@pytest.mark.req("M05.FR.14")
def test_a_server_that_neither_vouches_for_is_left(pki: Pki, tmp_path: Path) -> None:
    """No password leaves."""

    async def scenario() -> None:
        roots = Roots(tmp_path)
        async with csms(server_context(pki.good)) as listening:
            url = listening.url("wss", "localhost")
            down = await first_failure(roots.setup(url, url))

            assert down.kind is DownKind.TLS_CERTIFICATE
            assert listening.requests == []

    run(scenario())
