"""What the agent does with keys, in threads: one thing after another."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from certs.file_keys import FileKeys
from certs.keystore import KeyKind
from certs.own import OwnChains
from station.block import Job, JobResult
from station.blocks.own_certificates.jobs import DestroyKeys, MakeRequest
from station.commands.signing import KeyWork, Places
from station.state.own_certificates import CHARGING_STATION

PATIENCE_S = 30.0


class Slow(FileKeys):
    """A key store that makes keys when the test lets it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.made: list[str] = []

    def create(self, name: str, kind: KeyKind) -> None:
        """Make one, as slowly as it takes."""
        self.begun.set()
        assert self.go_on.wait(PATIENCE_S)
        self.made.append(name)
        super().create(name, kind)


def request(name: str) -> MakeRequest:
    """For a key of this name."""
    return MakeRequest(use=CHARGING_STATION, name=name, common_name="4711", organization="Operator")


def test_it_is_done_in_the_order_it_was_begun_and_a_chip_that_hangs_gathers_no_threads(tmp_path: Path) -> None:
    """A key that is given up before it is made is destroyed after that, and not before, when it would stay for ever."""
    keys = Slow(tmp_path / "keys")
    workers = KeyWork(Places(keys, OwnChains(tmp_path), roots=str, installed=lambda _: ())).workers()

    def begin(job: Job) -> asyncio.Future[JobResult]:
        return asyncio.ensure_future(workers[type(job)](job))

    async def scenario() -> None:
        work = [begin(request("cs-a")), begin(request("cs-b")), begin(DestroyKeys(names=("cs-a", "cs-b")))]
        await asyncio.to_thread(keys.begun.wait, PATIENCE_S)
        assert len([each for each in threading.enumerate() if each.name == "keys"]) == 1

        keys.go_on.set()
        await asyncio.gather(*work)

    asyncio.run(scenario())

    assert keys.made == ["cs-a", "cs-b"]
    assert keys.names() == []
