"""The hardware's loop at 1 Hz in virtual time: how often it wakes the core, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from hal.api import Meter, MeterReading, Permit
from hal.sim.ev import EvSpec
from hal.sim.world import SimWorld
from station.effects import Want
from station.facts import MeterSampled, WantFailed
from station.now import BootId, Mono, Rhythm
from station.shell.calls import CALL_S
from station.shell.hub import Hub, Setting
from station.shell.metering import MOMENT
from station.shell.outlet import Timing
from station.shell.pump import HOLD_S
from station.shell.reconcile import IDLE, Batch
from station.shell.wiring import BusEntry, DeviceEntry, EvseEntry, Wiring
from tests.virtualloop import run

EVSES = (1, 2)
CHARGE = Want(energise=True, limit_a=16.0)


class Stage:
    """A hub whose core commits at once, until it is stalled."""

    def __init__(self, idle_period_s: float = 1e9) -> None:
        self.loop = asyncio.get_running_loop()
        self.told: list[tuple[float, Batch]] = []
        self.stalled = False
        devices = [DeviceEntry(name="board", kind="board", driver="sim")]
        devices += [DeviceEntry(name=f"meter-{n}", kind="meter", driver="sim", options={"evse": n}) for n in EVSES]
        wiring = Wiring(
            buses=(BusEntry(name="sim", kind="sim", options={"evses": len(EVSES)}),),
            devices=tuple(devices),
            evses=tuple(EvseEntry(evse_id=n, board="board", channel=n, meter=f"meter-{n}") for n in EVSES),
            idle_period_s=idle_period_s,
        )
        self.hub = Hub(wiring, self._tell, Setting(BootId(1), clock=self.loop.time))
        self.world = cast("SimWorld", self.hub.drivers.resources["sim"])
        self.life = asyncio.ensure_future(self.hub.run())

    def _tell(self, batch: Batch) -> None:
        self.told.append((self.loop.time(), batch))
        if batch.number and not self.stalled:
            self.loop.call_soon(self.hub.committed, batch.number)

    async def charge(self) -> None:
        """Two cars charge and are metered each second; what was told until then is forgotten."""
        await asyncio.sleep(0.5)
        for n in EVSES:
            self.world.plug_in(n, ev=EvSpec(ramp_a_per_s=0))
            self.hub.want(n, CHARGE)
            self.hub.keep_reading(n, Rhythm(0.0, (1,)))
        await asyncio.sleep(5.25)
        self.told.clear()

    async def end(self) -> None:
        """In good order."""
        self.hub.stop()
        await self.life

    def closed(self) -> list[bool]:
        """Whether current may flow, by EVSE."""
        return [self.world.evse(n).snapshot().contactor_closed for n in EVSES]


def test_readings_leases_and_signs_of_life_wake_the_core_once_a_second() -> None:
    """Two meters are one batch, the question whether the core lives goes with it, and leases are renewed beside."""

    async def play() -> None:
        stage = Stage()
        await stage.charge()
        await asyncio.sleep(60)
        assert [round(at, 6) for at, _ in stage.told] == list(range(6, 66))
        for at, batch in stage.told:
            assert [fact.evse_id for fact in batch.facts if isinstance(fact, MeterSampled)] == list(EVSES)
            assert bool(batch.number) == (round(at) % Timing().renew_s == 0)
        assert stage.closed() == [True, True]
        await stage.end()

    run(play())


def test_a_core_that_commits_no_more_lets_the_leases_end_though_meters_are_read() -> None:
    """That its inbox takes readings is no sign of life."""

    async def play() -> None:
        stage = Stage()
        await stage.charge()
        stage.stalled = True
        await asyncio.sleep(Timing().stall_s + Timing().lease_s + Timing().renew_s)
        assert stage.closed() == [False, False]
        await stage.end()

    run(play())


def test_a_core_that_is_back_gets_its_leases_again() -> None:
    """Its late answer is what was waited for."""

    async def play() -> None:
        stage = Stage()
        await stage.charge()
        stage.stalled = True
        await asyncio.sleep(40)
        stage.stalled = False
        stage.hub.committed(max(batch.number for _, batch in stage.told))
        await asyncio.sleep(5)
        assert stage.closed() == [True, True]
        await stage.end()

    run(play())


def test_a_wish_that_does_not_come_true_is_told_in_its_time_though_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No meter is read, no lease is renewed, and the board only looks as if it had heard."""

    async def play() -> None:
        stage = Stage()
        await stage.charge()
        for n in EVSES:
            stage.hub.keep_reading(n, None)
        await asyncio.sleep(2.5)  # the leases are fresh
        monkeypatch.setattr(stage.world, "deny", lambda _evse: None)
        stage.told.clear()
        began = stage.loop.time()
        for n in EVSES:
            stage.hub.want(n, Want(energise=False, limit_a=0.0))
        await asyncio.sleep(9)
        failed = [(at, fact) for at, batch in stage.told for fact in batch.facts if isinstance(fact, WantFailed)]
        assert [(fact.evse_id, fact.what) for _, fact in failed] == [(n, "open") for n in EVSES]
        assert {round(at - began, 3) for at, _ in failed} == {Timing().open_s}
        monkeypatch.undo()
        await stage.end()

    run(play())


def test_drivers_are_asked_before_the_core_is_told() -> None:
    """A core that wakes up meanwhile would wait for this thread."""

    async def play() -> None:
        stage = Stage()
        await stage.charge()
        order: list[tuple[float, str]] = []
        allow, tell = stage.world.allow, stage.hub._pump._tell

        def asked(evse: int, permit: Permit) -> str:
            order.append((stage.loop.time(), "asked"))
            return allow(evse, permit)

        def told(batch: Batch) -> None:
            order.append((stage.loop.time(), "told"))
            tell(batch)

        stage.world.allow, stage.hub._pump._tell = asked, told  # type: ignore[method-assign] # to see the order
        await asyncio.sleep(20)
        renewed = {at for at, what in order if what == "asked"}
        assert len(renewed) == 20 / Timing().renew_s
        for at in renewed:
            assert [what for then, what in order if then == at] == ["asked", "asked", "told"]
        await stage.end()

    run(play())


def test_a_question_that_was_answered_is_not_given_up_later(caplog: pytest.LogCaptureFixture) -> None:
    """Its time is over when it has its answer."""

    async def play() -> None:
        stage = Stage()
        await stage.charge()
        await asyncio.sleep(2 * CALL_S)
        await stage.end()

    run(play())
    assert [record.message for record in caplog.records if record.message == "device.action_failed"] == []


def slow(meter: Meter, seconds: Callable[[], float]) -> None:
    """Its answers take so long."""
    read = meter.read

    async def slowly() -> MeterReading:
        await asyncio.sleep(seconds())
        return await read()

    meter.read = slowly  # type: ignore[method-assign] # this one instance


def test_meters_that_answer_one_after_the_other_wake_the_core_once() -> None:
    """As those on one line do: the first waits for the last."""

    async def play() -> None:
        stage = Stage()
        slow(stage.hub.drivers.meters["meter-1"], lambda: 0.2)
        slow(stage.hub.drivers.meters["meter-2"], lambda: 0.4)
        await stage.charge()
        await asyncio.sleep(20)
        told = [(at, batch) for at, batch in stage.told if any(isinstance(fact, MeterSampled) for fact in batch.facts)]
        assert [round(at % 1, 6) for at, _ in told] == [0.4] * 20
        for _, batch in told:
            assert [fact.evse_id for fact in batch.facts if isinstance(fact, MeterSampled)] == list(EVSES)
        await stage.end()

    run(play())


@pytest.mark.parametrize("rhythm, hold_s", [(Rhythm(0.0, (20,)), HOLD_S[MOMENT]), (None, HOLD_S[IDLE])])
def test_a_meter_that_hangs_holds_the_readings_of_others_up_for_a_second_at_most(
    rhythm: Rhythm | None, hold_s: float
) -> None:
    """A driver without a timeout, and a rhythm in which nothing else happens meanwhile."""

    async def play() -> None:
        stage = Stage(idle_period_s=20)
        hangs = False
        slow(stage.hub.drivers.meters["meter-1"], lambda: 0.1)
        slow(stage.hub.drivers.meters["meter-2"], lambda: 1e6 if hangs else 0.1)
        await stage.charge()
        for n in EVSES:
            stage.hub.want(n, Want(energise=False, limit_a=0.0))
            stage.hub.keep_reading(n, rhythm)
        await asyncio.sleep(25)
        stage.told.clear()

        hangs = True
        await asyncio.sleep(60)
        samples = [(at, fact) for at, batch in stage.told for fact in batch.facts if isinstance(fact, MeterSampled)]
        assert {fact.evse_id for _, fact in samples} == {1}
        assert [round(at - fact.at.mono, 2) for at, fact in samples] == [hold_s] * 3
        await stage.end()

    run(play())


def test_what_somebody_waits_for_waits_for_no_other_meter() -> None:
    """A transaction begins with it."""

    async def play() -> None:
        stage = Stage()
        slow(stage.hub.drivers.meters["meter-2"], lambda: 0.9)
        await stage.charge()
        await asyncio.sleep(0.8)  # meter 2 is being read
        stage.hub.sample(1, "begin", Mono(stage.loop.time() + 5))
        began = stage.loop.time()
        stage.told.clear()
        await asyncio.sleep(0.05)
        ((at, batch),) = stage.told
        assert at == began
        assert [fact.purpose for fact in batch.facts if isinstance(fact, MeterSampled)][-1] == "begin"
        await stage.end()

    run(play())


def test_what_waits_is_told_before_what_happened_after_it() -> None:
    """A car that is unplugged while the other meter is read."""

    async def play() -> None:
        stage = Stage()
        slow(stage.hub.drivers.meters["meter-1"], lambda: 0.1)
        slow(stage.hub.drivers.meters["meter-2"], lambda: 0.8)
        await stage.charge()
        await asyncio.sleep(0.5)
        stage.told.clear()
        stage.world.unplug(1)
        await asyncio.sleep(0.05)
        facts = [fact for _, batch in stage.told for fact in batch.facts]
        kinds = [type(fact).__name__ for fact in facts]
        assert kinds.index("MeterSampled") < kinds.index("PlugRemoved")
        await stage.end()

    run(play())
