"""A key whose TPM is away is waited for; the certificate of a key in a file does not take its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from certs.keystore import TlsKey
from certs.tls import TlsSettings
from station.shell.dial import Line
from station.shell.link import Link
from station.shell.linkdown import Down, DownKind
from station.shell.network import Credentials, LinkOptions, NetworkProfile, OwnCertificate
from tests.link_bench import Heard, dice, setup_for

ATTEMPTS = 20
CERTIFICATES = tuple(OwnCertificate(name, Path(f"{name}.pem"), TlsKey(Path(name))) for name in ("tpm", "file"))


@pytest.mark.parametrize("kind, shown", [(DownKind.KEY, {"tpm"}), (DownKind.TLS_CLIENT, {"tpm", "file"})])
def test_another_certificate_is_tried_after_a_refusal_and_not_for_want_of_the_key(
    kind: DownKind, shown: set[str]
) -> None:
    """A weaker key is never used in place of one that cannot be reached."""
    keys: list[str] = []
    enough = asyncio.Event()

    async def dial(profile: NetworkProfile, credentials: Credentials, options: LinkOptions) -> Line:
        del profile, options
        assert credentials.tls.key is not None
        keys.append(str(credentials.tls.key.file))
        if len(keys) == ATTEMPTS:
            enough.set()
        raise Down(kind, "no")

    async def scenario() -> None:
        setup = setup_for("wss://127.0.0.1/ocpp", 3, tls=TlsSettings("root"), certificates=CERTIFICATES)
        link = Link(setup, Heard(), dice(), dial=dial, pause=lambda _: asyncio.sleep(0))
        running = asyncio.ensure_future(link.run())
        await enough.wait()
        link.stop()
        await running

    asyncio.run(scenario())

    assert set(keys) == shown
