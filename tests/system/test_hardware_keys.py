"""Profile 3 with a key that exists only in a TPM or an HSM: handshakes, renewal, and what may happen to the chip.

swtpm is a TPM without a resource manager: three keys fill it, and one that is forgotten is seen at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import ssl
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from certs.errors import BadTlsSettings
from certs.keystore import KeyKind, KeyStore, Subject
from certs.throwaway import Authority, Issued, Wish
from certs.tls import TlsSettings, client_context
from station.shell.link import LinkSetup, LinkUp
from station.shell.linkdown import DownKind, LinkDown
from tests import hardware, lossy
from tests.hardware import SlowBus, SoftHsm, SoftwareTpm, needs_tpm
from tests.link_bench import OPTIONS, Bench, Csms, csms, running, server_context, setup_for
from tests.own_process import in_own_process

pytestmark = pytest.mark.system

PATIENCE_S = 150
HANDSHAKES = 500
RECONNECTS = 20
COMMAND_S = 0.4
PR_SET_MDWE, PR_GET_MDWE = 65, 66
OF_THE_NETWORK = {DownKind.TIMEOUT, DownKind.CLOSED, DownKind.UNREACHABLE}
VERSIONS = ("TLSv1_2", "TLSv1_3")
SUBJECT = Subject("CS001", "Operator")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario that ends by itself, sooner or later."""
    asyncio.run(asyncio.wait_for(scenario, PATIENCE_S))


class Site(NamedTuple):
    """A station's keys, where they are, and an authority that certifies them."""

    keys: KeyStore
    place: SoftwareTpm | SoftHsm
    authority: Authority
    server: Issued
    folder: Path

    def certify(self, name: str, kind: KeyKind = KeyKind.EC_P256) -> TlsSettings:
        """A new key and a certificate for it; what TLS then needs."""
        self.keys.create(name, kind)
        chain = self.folder / f"{name}.pem"
        chain.write_text(self.authority.sign_request(self.keys.csr(name, SUBJECT)), "ascii")
        return TlsSettings(self.authority.root_pem, chain=chain, key=self.keys.tls_key(name))

    def loaded(self) -> int:
        """Keys in the TPM; a token counts none."""
        return self.place.loaded() if isinstance(self.place, SoftwareTpm) else 0

    def away(self) -> None:
        """TPM or token is gone."""
        if isinstance(self.place, SoftwareTpm):
            self.place.power_off()
        else:
            self.place.take_out()

    def back(self) -> None:
        """It is there again."""
        if isinstance(self.place, SoftwareTpm):
            self.place.power_on()
        else:
            self.place.put_back()


@contextlib.contextmanager
def site(kind: str, folder: Path) -> Iterator[Site]:
    """All of it."""
    authority = Authority.create("Root", folder)
    server = authority.issue("localhost", Wish(["localhost", "127.0.0.1", lossy.THERE]))
    with hardware.opened(kind, folder) as (keys, place):
        yield Site(keys, place, authority, server, folder)


@asynccontextmanager
async def profile_3(given: Site, version: str = "TLSv1_3", host: str = "127.0.0.1") -> AsyncIterator[Csms]:
    """A CSMS that lets nobody in without a certificate."""
    context = server_context(given.server, client_root=given.authority.root_pem)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    async with csms(context, host=host) as server:
        server.basic = False
        yield server


def set_up(server: Csms, settings: TlsSettings, host: str = "127.0.0.1") -> LinkSetup:
    """A link that has time for a busy machine."""
    options = OPTIONS.__class__(ping_interval_s=0, connect_timeout_s=30, close_timeout_s=1)
    return setup_for(server.url("wss", host), 3, tls=settings, options=options)


def descriptors() -> int:
    """Files and sockets of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def hang_up(bench: Bench, server: Csms) -> None:
    """The CSMS ends the connection; the link is about to dial again."""
    line = await server.lines.get()
    await line.close()
    await bench.heard.down()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", ["EC_P256", "RSA_2048", "RSA_3072"])
@pytest.mark.parametrize("store", hardware.STORES)
@in_own_process
def test_the_key_signs_the_handshake_where_it_is(store: str, key: str, version: str, tmp_path: Path) -> None:
    """A00.FR.401 and 402 with a key that no file holds."""

    async def scenario(given: Site) -> None:
        settings = given.certify("station-1", KeyKind[key])
        async with profile_3(given, version) as server, running(set_up(server, settings)) as bench:
            up = await bench.heard.up()
            line = await server.lines.get()

            peer = line.transport.get_extra_info("peercert")
            assert (("commonName", "CS001"),) in peer["subject"]
            assert up.tls is not None
            assert up.tls.startswith(version.replace("_", "."))

    with site(store, tmp_path) as given:
        run(scenario(given))
        text = b"".join(path.read_bytes() for path in (tmp_path / "keys").iterdir())
        assert b"PRIVATE KEY-----" not in text.replace(b"TSS2 PRIVATE KEY-----", b"")


@pytest.mark.parametrize("store", hardware.STORES)
@in_own_process
def test_a_renewed_key_takes_over_and_the_old_one_is_destroyed(store: str, tmp_path: Path) -> None:
    """A02: key and request while the old one is in use, a connection with the new one, then the old one goes."""

    async def scenario(given: Site) -> None:
        old = given.certify("station-1")
        async with profile_3(given) as server, running(set_up(server, old)) as bench:
            await bench.heard.up()
            first = (await server.lines.get()).transport.get_extra_info("peercert")["serialNumber"]
            new = given.certify("station-2")
            bench.link.configure(set_up(server, new))
            bench.link.reconnect()
            bench.pauses.allow()
            await bench.heard.down()
            await bench.heard.up()
            second = (await server.lines.get()).transport.get_extra_info("peercert")["serialNumber"]
            given.keys.delete("station-1")

            assert first != second
            assert given.keys.names() == ["station-2"]
            assert given.loaded() <= 1

    with site(store, tmp_path) as given:
        run(scenario(given))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("store", hardware.STORES[:2])
@in_own_process
def test_a_tpm_that_was_restarted_loads_the_key_again(store: str, version: str, tmp_path: Path) -> None:
    """It forgets what was loaded; the attempt that meets this fails, the next one connects."""

    async def scenario(given: Site) -> None:
        assert isinstance(given.place, SoftwareTpm)
        settings = given.certify("station-1")
        async with profile_3(given, version) as server, running(set_up(server, settings)) as bench:
            await bench.heard.up()
            for _ in range(3):
                given.place.power_cycle()
                await hang_up(bench, server)
                bench.pauses.allow(2)
                failed = await bench.heard.down()
                assert failed.kind is DownKind.TLS_OTHER
                await bench.heard.up()
                assert given.loaded() == 1

    with site(store, tmp_path) as given:
        run(scenario(given))


@pytest.mark.parametrize("store", hardware.STORES)
@in_own_process
def test_without_its_chip_the_station_says_so_and_it_connects_when_the_chip_is_back(store: str, tmp_path: Path) -> None:
    """However often it tries: no other key is used, and nobody has to restart anything."""

    async def scenario(given: Site) -> None:
        settings = given.certify("station-1")
        async with profile_3(given) as server, running(set_up(server, settings)) as bench:
            await bench.heard.up()
            for _ in range(3):
                given.away()
                await hang_up(bench, server)
                for _ in range(3):
                    bench.pauses.allow()
                    failed = await bench.heard.down()
                assert failed.kind is DownKind.KEY
                assert "TPM" in failed.detail or "token" in failed.detail
                given.back()
                bench.pauses.allow()
                await bench.heard.up()

    with site(store, tmp_path) as given:
        run(scenario(given))


@pytest.mark.parametrize("store", hardware.STORES)
@in_own_process
def test_a_certificate_of_another_key_is_refused_before_it_is_shown(store: str, tmp_path: Path) -> None:
    """As with a key in a file."""
    with site(store, tmp_path) as given:
        one, other = given.certify("station-1"), given.certify("station-2")

        with pytest.raises(BadTlsSettings, match="belongs to another key"):
            client_context(one._replace(chain=other.chain))
        broken = tmp_path / "broken.pem"
        broken.write_text("rubbish", "ascii")
        with pytest.raises(BadTlsSettings, match="no certificate that can be read"):
            client_context(one._replace(chain=broken))


@pytest.mark.parametrize("store", hardware.STORES[:2])
@in_own_process
def test_a_cleared_tpm_is_a_lost_key(store: str, tmp_path: Path) -> None:
    """The remedy is a new key and a new certificate; the old file helps nobody."""

    async def scenario(given: Site) -> None:
        assert isinstance(given.place, SoftwareTpm)
        settings = given.certify("station-1")
        given.place.clear()
        async with profile_3(given) as server:
            async with running(set_up(server, settings)) as bench:
                down = await bench.heard.down()
                assert down.kind is DownKind.KEY
                assert server.requests == []
            async with running(set_up(server, given.certify("station-2"))) as bench:
                await bench.heard.up()

    with site(store, tmp_path) as given:
        run(scenario(given))


@pytest.mark.parametrize("store", hardware.STORES)
@in_own_process
def test_hundreds_of_handshakes_leave_nothing_behind(store: str, tmp_path: Path) -> None:
    """One context for all of them: no handle in the TPM, no descriptor in the process, no failure."""

    async def scenario(given: Site) -> None:
        settings = given.certify("station-1")
        async with profile_3(given) as server, running(set_up(server, settings)) as bench:
            await bench.heard.up()
            await hang_up(bench, server)
            before, began = descriptors(), time.monotonic()
            for _ in range(HANDSHAKES):
                bench.pauses.allow()
                await bench.heard.up()
                await hang_up(bench, server)
            print(f"{HANDSHAKES} connections, {1000 * (time.monotonic() - began) / HANDSHAKES:.1f} ms each")  # noqa: T201 - for who asks

            assert descriptors() <= before + 2
            assert given.loaded() == (1 if isinstance(given.place, SoftwareTpm) else 0)
            assert len(server.requests) == HANDSHAKES + 1

    with site(store, tmp_path) as given:
        run(scenario(given))


@pytest.mark.skipif(not lossy.possible(), reason="needs root, unshare, iproute2 and /dev/net/tun")
@pytest.mark.parametrize("store", [hardware.STORES[0], hardware.STORES[2]])
@functools.partial(in_own_process, prefix=lossy.IN_A_NAMESPACE)
def test_under_packet_loss_no_handshake_fails_that_the_network_allows(store: str, tmp_path: Path) -> None:
    """Every tenth packet is lost, either way. An attempt may fail for that, but never for the key."""

    async def scenario(given: Site) -> None:
        settings, network = given.certify("station-1"), lossy.Lossy(loss=0.1)
        async with (
            profile_3(given, host=lossy.HERE) as server,
            running(set_up(server, settings, lossy.THERE)) as bench,
        ):
            connections = 0
            while connections < RECONNECTS:
                event = await bench.heard.events.get()
                if isinstance(event, LinkUp):
                    connections += 1
                    (await server.lines.get()).transport.abort()
                else:
                    assert isinstance(event, LinkDown)
                    assert event.kind in OF_THE_NETWORK, event
                    bench.pauses.allow()

            assert network.lost > RECONNECTS
            assert given.loaded() == (1 if isinstance(given.place, SoftwareTpm) else 0)
            print(f"{network.lost} of {network.lost + network.passed} packets lost")  # noqa: T201 - for who asks

    with site(store, tmp_path) as given:
        run(scenario(given))


class Pulse:
    """A heart in the event loop: the longest time in which it did not beat."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._task = asyncio.ensure_future(self._beat())

    async def _beat(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            self.longest_s, before = max(self.longest_s, now - before), now

    def stop(self) -> float:
        """The longest pause, in seconds."""
        self._task.cancel()
        return self.longest_s


@needs_tpm
@in_own_process
def test_a_slow_tpm_never_holds_the_loop(tmp_path: Path) -> None:
    """Neither for loading the key nor for the signature within the handshake, at the first connection and later."""

    async def scenario(given: Site, bus: SlowBus) -> None:
        settings = given.certify("station-1")
        bus.delay(COMMAND_S)
        async with profile_3(given) as server:
            pulse, began = Pulse(), time.monotonic()
            async with running(set_up(server, settings)) as bench:
                await bench.heard.up()
                took = time.monotonic() - began
                await hang_up(bench, server)
                bench.pauses.allow()
                await bench.heard.up()
                longest = pulse.stop()

                print(f"connected in {took:.2f} s, the loop stood for {longest:.2f} s")  # noqa: T201 - for who asks
                assert took > 3 * COMMAND_S
                assert longest < COMMAND_S

    with SoftwareTpm(tmp_path) as chip:
        bus = SlowBus(chip, tmp_path)
        authority = Authority.create("Root", tmp_path)
        issued = authority.issue("localhost", Wish(["127.0.0.1"]))
        run(scenario(Site(bus.keys(tmp_path / "keys"), chip, authority, issued, tmp_path), bus))


@needs_tpm
@in_own_process
def test_a_tpm_that_hangs_is_told_and_used_when_it_goes_on(tmp_path: Path) -> None:
    """While its key is loaded: the attempts end in time, the loop beats on, and one thread waits, not many."""

    async def scenario(given: Site, bus: SlowBus) -> None:
        settings = given.certify("station-1")
        bus.open.clear()
        async with profile_3(given) as server:
            setup = set_up(server, settings)
            options = OPTIONS.__class__(ping_interval_s=0, connect_timeout_s=1, close_timeout_s=1)
            pulse = Pulse()
            async with running(structs.replace(setup, options=options)) as bench:
                for _ in range(3):
                    down = await bench.heard.down()
                    assert down.kind is DownKind.KEY
                    bench.pauses.allow()
                assert len([each for each in threading.enumerate() if each.name == "tls-key"]) == 1
                assert pulse.stop() < 1
                bench.link.configure(setup)

                bus.open.set()
                event = await bench.heard.events.get()
                while not isinstance(event, LinkUp):
                    bench.pauses.allow()
                    event = await bench.heard.events.get()

    with SoftwareTpm(tmp_path) as chip:
        bus = SlowBus(chip, tmp_path)
        authority = Authority.create("Root", tmp_path)
        issued = authority.issue("localhost", Wish(["127.0.0.1"]))
        run(scenario(Site(bus.keys(tmp_path / "keys"), chip, authority, issued, tmp_path), bus))


@needs_tpm
@in_own_process
def test_a_tpm_that_hangs_within_the_handshake_does_not_hold_the_loop(tmp_path: Path) -> None:
    """Its key is loaded, and it signs no more: who charges goes on charging. It is used again when it goes on."""

    async def scenario(given: Site, bus: SlowBus) -> None:
        settings = given.certify("station-1")
        async with profile_3(given) as server:
            setup = set_up(server, settings)
            options = OPTIONS.__class__(ping_interval_s=0, connect_timeout_s=1, close_timeout_s=1)
            async with running(setup) as bench:
                await bench.heard.up()
                bench.link.configure(structs.replace(setup, options=options))
                bus.open.clear()
                pulse = Pulse()
                await hang_up(bench, server)
                for _ in range(3):
                    bench.pauses.allow()
                    down = await bench.heard.down()
                    assert down.kind is DownKind.KEY
                waiting = [each.name for each in threading.enumerate() if each.name in {"tls", "tls-key"}]
                assert sorted(waiting) == ["tls", "tls-key"]
                assert pulse.stop() < 1
                bench.link.configure(setup)

                bus.open.set()
                event = None
                while not isinstance(event, LinkUp):
                    bench.pauses.allow()
                    event = await bench.heard.events.get()
                assert given.loaded() == 1

    with SoftwareTpm(tmp_path) as chip:
        bus = SlowBus(chip, tmp_path)
        authority = Authority.create("Root", tmp_path)
        issued = authority.issue("localhost", Wish(["127.0.0.1"]))
        run(scenario(Site(bus.keys(tmp_path / "keys"), chip, authority, issued, tmp_path), bus))


@pytest.mark.skipif(ctypes.CDLL(None).prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0, reason="a kernel before 6.3")
@pytest.mark.parametrize("store", hardware.STORES)
@in_own_process
def test_it_works_where_memory_is_never_writable_and_executable(store: str, tmp_path: Path) -> None:
    """As the service's unit has it (MemoryDenyWriteExecute)."""
    assert ctypes.CDLL(None).prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0

    async def scenario(given: Site) -> None:
        settings = given.certify("station-1")
        async with profile_3(given) as server, running(set_up(server, settings)) as bench:
            await bench.heard.up()

    with site(store, tmp_path) as given:
        run(scenario(given))
