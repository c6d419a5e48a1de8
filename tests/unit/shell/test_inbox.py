"""What waits for the core: bounded, and nothing that matters is dropped (design 6)."""

from __future__ import annotations

import asyncio

from hal.api import MeterReading
from station.effects import Effect
from station.facts import Fact, MeterSampled, PlugInserted, SensorRead
from station.now import BootId, Instant, Mono, Now
from station.shell.inbox import BEHIND, ROOM, Inbox, Item
from station.shell.reconcile import Batch

AT = Instant(BootId(1), Mono(0.0))


def nothing(_: Now) -> list[Effect]:
    """An input without effects."""
    return []


def unheard() -> None:
    """Nobody waits for news."""


def idle_sample(evse_id: int, energy_mwh: int, purpose: str = "idle") -> MeterSampled:
    """A reading."""
    reading = MeterReading(sampled_at=0.0, energy_import_mwh=energy_mwh)
    return MeterSampled(evse_id=evse_id, at=AT, reading=reading, purpose=purpose)


def temperature(value: str) -> SensorRead:
    """A sensor's value."""
    return SensorRead(component="Cabinet", variable="Temperature", value=value, at=AT)


def taken(inbox: Inbox) -> list[Item | Batch]:
    """Everything, in order."""
    found = []
    while (item := inbox.pop()) is not None:
        found.append(item)
    return found


def filled(count: int = BEHIND + 1) -> Inbox:
    """A core that is behind."""
    inbox = Inbox(unheard)
    for _ in range(count):
        inbox.put(nothing)
    return inbox


def test_inputs_come_out_in_the_order_in_which_they_went_in() -> None:
    """Whatever kind they are."""

    async def run() -> None:
        inbox = Inbox(unheard)
        inbox.put(nothing)
        inbox.put_batch(Batch(1, ()))
        inbox.put(nothing)

        assert [type(item) for item in taken(inbox)] == [Item, Batch, Item]

    asyncio.run(run())


def test_while_the_core_is_behind_only_the_newest_sample_of_a_source_stays() -> None:
    """Samples that nobody asked for."""

    async def run() -> None:
        inbox = filled()
        inbox.put_batch(Batch(1, (idle_sample(1, 10), temperature("20"))))
        inbox.put_batch(Batch(2, (idle_sample(2, 20),)))
        inbox.put_batch(Batch(3, (idle_sample(1, 30), temperature("21"))))

        batches = [item for item in taken(inbox) if isinstance(item, Batch)]
        assert [batch.number for batch in batches] == [1, 2, 3]
        assert [len(batch.facts) for batch in batches] == [0, 1, 2]

    asyncio.run(run())


def test_edges_and_samples_that_were_asked_for_are_never_dropped() -> None:
    """However far the core is behind."""

    async def run() -> None:
        inbox = filled(2 * ROOM)
        plug: Fact = PlugInserted(evse_id=1, at=AT, connector_id=1)
        inbox.put_batch(Batch(1, (plug, idle_sample(1, 10, purpose="begin"), idle_sample(1, 10))))
        inbox.put_batch(Batch(2, (plug, idle_sample(1, 20))))

        first = next(item for item in taken(inbox) if isinstance(item, Batch))
        assert first.facts == (plug, idle_sample(1, 10, purpose="begin"))

    asyncio.run(run())


def test_a_full_inbox_lets_the_socket_wait() -> None:
    """Texts of the CSMS stay outside until there is room again."""

    async def run() -> None:
        inbox = filled(ROOM - 1)
        assert inbox.room() is None
        inbox.put(nothing)
        room = inbox.room()
        assert room is not None
        waiting = asyncio.ensure_future(room)
        await asyncio.sleep(0)
        assert not waiting.done()

        inbox.pop()

        await asyncio.wait_for(waiting, 1)

    asyncio.run(run())
