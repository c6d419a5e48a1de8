"""One meter's worker in virtual time: who is answered by which reading, and when nobody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from hal.api import MeterInfo, MeterReading, SignedText, SignMoment
from hal.errors import BadReply, DeviceError, NotFound, Timeout
from station.facts import Fact, MeterSampled, SampleFailed
from station.now import BootId, Rhythm
from station.shell import metering
from station.shell.alarms import Alarms
from station.shell.metering import MeterHooks, MeterWorker
from tests.virtualloop import run


class Meter:
    """Counts 1 Wh a second; each reading takes 0.2 s; fails as told."""

    name = "meter-1"
    info = MeterInfo(frozenset({"energy_import_mwh", "power_import_w"}))

    def __init__(self) -> None:
        self.reads: list[float] = []
        self.opened = 0
        self.errors: list[DeviceError] = []
        self.absent = False

    async def open(self) -> None:
        """Count it."""
        self.opened += 1
        if self.absent:
            raise NotFound(self.name, "no such port")

    async def close(self) -> None:
        """Nothing to let go of."""

    async def read(self) -> MeterReading:
        """Sampled in the middle."""
        loop = asyncio.get_running_loop()
        self.reads.append(round(loop.time(), 3))
        await asyncio.sleep(0.1)
        at = loop.time()
        await asyncio.sleep(0.1)
        if self.errors:
            raise self.errors.pop(0)
        return MeterReading(sampled_at=at, energy_import_mwh=int(at * 1000), power_import_w=3600.0)


class SigningMeter(Meter):
    """Signs, too."""

    def __init__(self) -> None:
        super().__init__()
        self.signed: list[SignMoment] = []

    async def sign(self, moment: SignMoment, label: str) -> MeterReading:
        """At once."""
        self.signed.append(moment)
        reading = await self.read()
        return msgspec.structs.replace(reading, signed=SignedText(data=label, encoding="OCMF"))


class Stage:
    """A worker under a simple supervisor, and what it told."""

    def __init__(self, meter: Meter | None = None, *, needs_power: bool = False) -> None:
        self.meter = meter or Meter()
        self.told: list[Fact] = []
        self.powers: list[float | None] = []
        self.returns = 0
        self.lost: list[str] = []
        self._needs_power = needs_power
        loop = asyncio.get_running_loop()
        hooks = MeterHooks(
            boot=BootId(1),
            clock=loop.time,
            tell=self.told.append,
            alarm=Alarms(loop.time).set,
            power=self._power,
            needs_power=lambda: self._needs_power,
            returned=self._returned,
        )
        self.worker = MeterWorker(1, self.meter, hooks, 60.0)
        self.task = asyncio.ensure_future(self._live())

    def _returned(self) -> None:
        self.returns += 1

    def _power(self, power_w: float | None, _at: float) -> bool:
        self.powers.append(power_w)
        return self._needs_power

    async def _live(self) -> None:
        while True:
            try:
                await self.worker.run()
            except DeviceError as error:
                self.lost.append(str(error))
            await asyncio.sleep(1)

    def purposes(self) -> list[str]:
        """What the samples told are for."""
        return [fact.purpose for fact in self.told if isinstance(fact, MeterSampled)]

    def failures(self) -> list[tuple[str, str, float]]:
        """Purpose, reason and instant of each sample that failed."""
        return [(f.purpose, f.reason, round(f.at.mono, 1)) for f in self.told if isinstance(f, SampleFailed)]


def scene(play: Callable[[], Awaitable[None]]) -> None:
    """Run a scene in virtual time."""

    async def main() -> None:
        await play()

    run(main())


def test_a_meter_nobody_asks_is_read_at_common_multiples_of_a_minute() -> None:
    """All meters share a wake-up."""

    async def play() -> None:
        await asyncio.sleep(17)
        stage = Stage()
        await asyncio.sleep(200)
        assert stage.meter.reads == [17, 60, 120, 180]
        assert stage.purposes() == ["idle"] * 4

    scene(play)


def test_a_meter_is_read_in_the_rhythm_that_the_core_gave_until_it_takes_it_back() -> None:
    """Every 30 s and every 45 s, both counted from the same second; what is read for it is not told twice."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.told.clear()
        stage.worker.keep_reading(Rhythm(5.0, (30, 45)))
        await asyncio.sleep(99)
        stage.worker.keep_reading(None)
        await asyncio.sleep(30)
        assert stage.meter.reads == [0, 35, 50, 60, 65, 95, 120]
        assert stage.purposes() == ["moment", "moment", "idle", "moment", "moment", "idle"]

    scene(play)


def test_a_moment_at_which_the_meter_fails_is_made_up_for_as_soon_as_it_answers() -> None:
    """Late is better than never: whoever it is too late for asks himself."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.told.clear()
        stage.worker.keep_reading(Rhythm(0.0, (10,)))
        stage.meter.errors = [Timeout("meter-1", "no answer")]
        await asyncio.sleep(18)
        assert stage.meter.reads == [0, 10, 10.7]
        assert stage.purposes() == ["moment"]

    scene(play)


def test_requests_that_came_together_are_answered_by_one_reading() -> None:
    """Each for its purpose, at the instant sampled."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.told.clear()
        stage.worker.request("updated", 10)
        stage.worker.request("triggered", 10)
        await asyncio.sleep(1)
        assert stage.meter.reads == [0, 1]
        assert [(f.purpose, round(f.at.mono, 3)) for f in stage.told if isinstance(f, MeterSampled)] == [
            ("updated", 1.1),
            ("triggered", 1.1),
        ]

    scene(play)


def test_a_reading_that_began_before_the_request_does_not_answer_it() -> None:
    """The stop register is read after the stop."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.worker.request("updated", 10)
        await asyncio.sleep(0.05)
        stage.worker.request("stop", 10)
        await asyncio.sleep(1)
        stop = next(f for f in stage.told if isinstance(f, MeterSampled) and f.purpose == "stop")
        assert stop.at.mono >= 1.2

    scene(play)


def test_a_silent_meter_is_tried_again_until_the_deadline_and_then_the_request_fails_once() -> None:
    """Exactly one answer, although a reading comes later."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.told.clear()
        stage.meter.errors = [Timeout("meter-1", "no answer")] * 2
        stage.worker.request("stop", 1.5)
        await asyncio.sleep(30)
        assert stage.failures() == [("stop", "meter-1: no answer", 1.5)]
        assert stage.purposes() == []
        assert stage.lost == []

    scene(play)


def test_one_bad_reply_costs_half_a_second_not_the_sample() -> None:
    """A disturbance on the wire."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.meter.errors = [BadReply("meter-1", "checksum")]
        stage.worker.request("stop", 10)
        await asyncio.sleep(5)
        assert stage.purposes() == ["idle", "stop"]
        assert stage.lost == []

    scene(play)


def test_a_register_that_cannot_be_is_as_if_nothing_had_come() -> None:
    """What any driver may give: it is asked again, and the core hears the next."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.told.clear()
        good, calls = stage.meter.read, iter(range(9))

        async def read() -> MeterReading:
            reading = await good()
            return reading if next(calls) else msgspec.structs.replace(reading, energy_import_mwh=10**30)

        stage.meter.read = read  # type: ignore[method-assign]  # a driver with a fault
        stage.worker.request("ended", 10)
        await asyncio.sleep(3)

        assert stage.purposes() == ["ended"]
        assert all(f.reading.energy_import_mwh < 10_000 for f in stage.told if isinstance(f, MeterSampled))

    scene(play)


def test_three_failures_in_a_row_are_a_loss_and_one_that_is_gone_is_at_once() -> None:
    """The caller opens it again."""

    async def play() -> None:
        stage = Stage()
        await asyncio.sleep(1)
        stage.meter.errors = [Timeout("meter-1", "no answer")] * metering.TRIES
        stage.worker.request("updated", 20)
        await asyncio.sleep(19)
        assert stage.lost == ["meter-1: no answer"]
        assert stage.purposes() == ["idle", "updated"]
        stage.meter.errors = [NotFound("meter-1", "unplugged")]
        stage.worker.request("updated", 40)
        await asyncio.sleep(19)
        assert stage.lost[1:] == ["meter-1: unplugged"]

    scene(play)


def test_requests_at_a_lost_meter_fail_at_their_deadline() -> None:
    """Whether the meter returns or not."""

    async def play() -> None:
        meter = Meter()
        meter.absent = True
        stage = Stage(meter)
        stage.worker.request("stop", 3)
        await asyncio.sleep(10)
        assert [(purpose, at) for purpose, _, at in stage.failures()] == [("stop", 3.0)]
        assert meter.opened > 3

    scene(play)


def test_power_is_looked_at_often_while_only_the_meter_can_tell_of_current() -> None:
    """Every five seconds, and the core is told no more often than else."""

    async def play() -> None:
        stage = Stage(needs_power=True)
        await asyncio.sleep(50)
        assert len(stage.powers) == pytest.approx(50 / (metering.FLOW_PERIOD_S + 0.2), abs=1)
        assert stage.purposes() == ["idle"]

    scene(play)


def test_a_wish_for_a_signature_is_asked_of_a_meter_that_can() -> None:
    """J02: begin, stop, and samples in between."""

    async def play() -> None:
        meter = SigningMeter()
        stage = Stage(meter)
        await asyncio.sleep(1)
        for purpose in ("begin", "updated", "stop"):
            stage.worker.request(purpose + metering.SIGNED, 100)
            await asyncio.sleep(1)
        stage.worker.request("stop", 100)
        await asyncio.sleep(1)
        assert meter.signed == [SignMoment.BEGIN, SignMoment.SAMPLE, SignMoment.END]
        signed = [f.reading.signed is not None for f in stage.told if isinstance(f, MeterSampled)]
        assert signed == [False, True, True, True, False]

    scene(play)


def test_wishes_for_different_signatures_get_one_each_and_name_whom_they_are_for() -> None:
    """A sample that is due at the very stop must not be what the meter signs for it: its session would stay open."""

    async def play() -> None:
        meter = SigningMeter()
        stage = Stage(meter)
        await asyncio.sleep(1)
        stage.told.clear()
        stage.worker.request("sample" + metering.SIGNED, 100, "04AABBCC")
        stage.worker.request("stop" + metering.SIGNED, 100, "04AABBCC")
        stage.worker.request("idle", 100)
        await asyncio.sleep(1)
        assert meter.signed == [SignMoment.SAMPLE, SignMoment.END]
        assert stage.purposes() == ["sample" + metering.SIGNED, "idle", "stop" + metering.SIGNED]
        texts = {f.reading.signed.data for f in stage.told if isinstance(f, MeterSampled) and f.reading.signed}
        assert texts == {"04AABBCC"}

    scene(play)
