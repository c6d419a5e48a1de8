"""What the tests of transfers share: one upload or download, run to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from certs.tls import TlsSettings
from station.location import located
from station.shell.transfer.line import Pace, Trust
from station.shell.transfer.transfers import Transfers
from station.shell.transfer.ways import Failed, Incoming, Outgoing

CONTENT = bytes(range(256)) * 1200
"""300 kB: more than sockets buffer at once."""
QUICK = Pace(connect_s=5.0, stall_s=1.0)


def transfers(folder: Path, roots_pem: str = "", *, pace: Pace = Pace(), known_hosts: Path | None = None) -> Transfers:  # noqa: B008 - immutable
    """As the agent has them."""
    tls, hosts = TlsSettings(roots_pem=roots_pem), folder / "hosts.json"
    return Transfers(lambda: Trust(tls, hosts, known_hosts, this_machine=True), pace)


def outgoing(folder: Path, content: bytes = CONTENT) -> Outgoing:
    """A file to be sent."""
    path = folder / "bundle.zip"
    path.write_bytes(content)
    return Outgoing(path=path, name="log.zip")


def incoming(folder: Path, limit_bytes: int = 10_000_000) -> Incoming:
    """A file to be fetched."""
    return Incoming(path=folder / "fetched", limit_bytes=limit_bytes)


def up(moving: Transfers, url: str, what: Outgoing) -> None:
    """Upload. Raises Failed."""
    asyncio.run(moving.upload(located(url), what))


def down(moving: Transfers, url: str, into: Incoming) -> None:
    """Download. Raises Failed."""
    asyncio.run(moving.download(located(url), into))


def refused(moving: Transfers, url: str, what: Outgoing | Incoming) -> Failed:
    """How it fails."""
    move = moving.upload(located(url), what) if isinstance(what, Outgoing) else moving.download(located(url), what)
    with pytest.raises(Failed) as caught:
        asyncio.run(move)
    return caught.value
