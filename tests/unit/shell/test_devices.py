"""The hardware thread with simulated drivers: real thread, real loop, little waiting."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from hal.api import Fault, Indication, Permit
from hal.drivers import kernel_files, led
from hal.errors import BadOptions
from hal.sim.driver import SimBoard
from hal.sim.ev import EvSpec
from hal.sim.evse import SimEvse
from hal.sim.world import SimWorld
from station.effects import Want
from station.facts import (
    DeviceIdentified,
    DeviceLost,
    DeviceReturned,
    Fact,
    FaultChanged,
    LockChanged,
    MeterSampled,
    PlugInserted,
    PowerPathChanged,
    SampleFailed,
    SensorRead,
    SnapshotTold,
    TokenPresented,
    VehicleStopped,
)
from station.now import BootId, Mono
from station.shell import calls, guards, metering
from station.shell import supervise as supervision
from station.shell.devices import HardwareThread
from station.shell.guards import Guard
from station.shell.hub import Setting
from station.shell.reconcile import Batch
from station.shell.wiring import BusEntry, DeviceEntry, EvseEntry, LampEntry, ReaderEntry, SensorEntry, Wiring
from station.state import meters
from tests.drivers.emulators.kernel_tree import LedTree

CHARGE = Want(energise=True, limit_a=16.0)
WAIT_S = 5.0


def wiring(**changes: object) -> Wiring:
    """Two EVSEs on one simulated board, a meter each, a reader, a sensor, a display."""

    def sim(name: str, kind: str, **options: object) -> DeviceEntry:
        return DeviceEntry(name=name, kind=kind, driver="sim", options=options)

    whole: dict[str, object] = {
        "buses": (BusEntry(name="sim", kind="sim", options={"evses": [{"lock": True}, {}]}),),
        "devices": (
            sim("board", "board"),
            sim("meter-1", "meter", evse=1),
            sim("meter-2", "meter", evse=2),
            sim("main", "meter", evse=0),
            sim("reader", "reader"),
            sim("heat", "sensor", value=21.5, unit="Celsius"),
            sim("panel", "display"),
        ),
        "evses": (
            EvseEntry(evse_id=1, board="board", channel=1, meter="meter-1"),
            EvseEntry(evse_id=2, board="board", channel=2, meter="meter-2"),
        ),
        "main_meter": "main",
        "idle_period_s": 1e9,
        "readers": (ReaderEntry(device="reader", evse_ids=(1, 2)),),
        "sensors": (SensorEntry(device="heat", component="Temperature", variable="Temperature"),),
        "displays": ("panel",),
    }
    return Wiring(**{**whole, **changes})  # type: ignore[arg-type] # the table above is typed loosely


class Core:
    """Takes batches as the core would; commits them unless it is stalled."""

    def __init__(self, wires: Wiring | None = None) -> None:
        self.batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self.told: list[Fact] = []
        self.commits = True
        self.hardware = HardwareThread(wires or wiring(), self.batches.put, Setting(BootId(3)))

    def hear(self, kind: type[Fact], test: Callable[[Fact], bool] = lambda _: True) -> Fact:
        """The next fact of a kind; fails after 5 s."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for n, fact in enumerate(self.told):
                if isinstance(fact, kind) and test(fact):
                    del self.told[n]
                    return fact
            try:
                batch = self.batches.get(timeout=0.5)
            except queue.Empty:
                continue
            self.told += batch.facts
            if self.commits:
                self.hardware.committed(batch.number)
        raise AssertionError(f"no {kind.__name__} in {self.told}")

    def world(self, do: Callable[[SimWorld], object]) -> None:
        """Do something to the simulated world."""
        self.hardware.call(lambda resources: do(cast("SimWorld", resources["sim"]))).result(WAIT_S)


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Iterator[Core]:
    """A running hardware thread that has told both snapshots; what fails restarts quickly."""
    monkeypatch.setattr(supervision.supervise, "__kwdefaults__", {"first_s": 0.05, "longest_s": 0.1})
    core = Core()
    core.hardware.start()
    core.hear(SnapshotTold)
    core.hear(SnapshotTold)
    core.told = [fact for fact in core.told if isinstance(fact, SensorRead | MeterSampled | DeviceIdentified)]
    yield core
    core.hardware.stop()
    assert "hardware" not in {thread.name for thread in threading.enumerate()}


def test_a_session_from_plug_to_contactor_and_back(core: Core) -> None:
    """Facts come from the thread, wants go in, the contactor follows."""
    core.world(lambda w: w.plug_in(1, ev=EvSpec(ramp_a_per_s=0)))
    plugged = core.hear(PlugInserted)
    assert isinstance(plugged, PlugInserted)
    assert (plugged.evse_id, plugged.at.boot) == (1, 3)

    core.hardware.want(1, CHARGE)
    core.hear(PowerPathChanged, lambda f: cast("PowerPathChanged", f).closed)
    core.hardware.want(1, Want(energise=False, limit_a=0))
    core.hear(PowerPathChanged, lambda f: not cast("PowerPathChanged", f).closed)


def test_the_board_locks_first(core: Core) -> None:
    """A wanted lock comes before the contactor."""
    core.world(lambda w: w.plug_in(1))
    core.hear(PlugInserted)
    core.hardware.want(1, Want(energise=True, limit_a=16, lock=True))
    core.hear(LockChanged, lambda f: cast("LockChanged", f).locked)
    core.hear(PowerPathChanged, lambda f: cast("PowerPathChanged", f).closed)


def test_a_card_names_the_evses_of_its_reader(core: Core) -> None:
    """A choice at the reader narrows them."""
    core.world(lambda w: w.swipe("04aabb"))
    card = core.hear(TokenPresented)
    assert isinstance(card, TokenPresented)
    assert (card.id_token.id_token, card.id_token.type, card.evse_ids) == ("04AABB", "ISO14443", (1, 2))

    core.world(lambda w: w.swipe("04aabb", evses=[2]))
    card = core.hear(TokenPresented)
    assert isinstance(card, TokenPresented)
    assert card.evse_ids == (2,)


@pytest.mark.parametrize("evse_id", [0, 1])
def test_a_sample_is_read_for_its_purpose(core: Core, evse_id: int) -> None:
    """Of an EVSE, or of the main meter."""
    before = time.monotonic()
    core.hardware.sample(evse_id, "end", Mono(before + 3))

    sample = core.hear(MeterSampled, lambda f: cast("MeterSampled", f).purpose == "end")

    assert isinstance(sample, MeterSampled)
    assert sample.evse_id == evse_id
    assert before <= sample.at.mono <= time.monotonic()


def test_a_sample_of_a_lost_meter_fails_at_its_deadline_and_the_loss_is_told_once(core: Core) -> None:
    """Asked or not: exactly one answer, and a meter's death is a fact."""
    core.world(lambda w: w.lose("meter-1"))
    core.hardware.sample(1, "end", Mono(time.monotonic() + 0.3))

    failed = core.hear(SampleFailed)
    lost = core.hear(DeviceLost)
    core.world(lambda w: w.lose("meter-1", on=False))
    core.hardware.sample(1, "updated", Mono(time.monotonic() + 4))
    core.hear(DeviceReturned)

    assert isinstance(failed, SampleFailed)
    assert (failed.purpose, failed.evse_id) == ("end", 1)
    assert isinstance(lost, DeviceLost)
    assert (lost.device, lost.evse_ids) == ("meter-1", (1,))
    assert not [fact for fact in core.told if isinstance(fact, DeviceLost)]


def test_an_evse_without_a_meter_says_so_at_once() -> None:
    """No waiting for what cannot come."""
    core = Core(wiring(evses=(EvseEntry(evse_id=1, board="board"),), main_meter=None))
    core.hardware.start()
    core.hardware.sample(1, "end", Mono(time.monotonic() + 100))
    assert "no meter" in cast("SampleFailed", core.hear(SampleFailed)).reason
    core.hardware.stop()


def test_a_lost_board_returns_with_its_whole_state(core: Core) -> None:
    """DeviceLost per board with its EVSEs, then the snapshot again."""
    core.world(lambda w: w.lose("board"))
    lost = core.hear(DeviceLost)
    assert isinstance(lost, DeviceLost)
    assert lost.evse_ids == (1, 2)

    core.world(lambda w: w.plug_in(2))
    core.world(lambda w: w.lose("board", on=False))
    core.hear(DeviceReturned)
    core.hear(PlugInserted)
    core.hear(SnapshotTold)


def test_a_plug_where_the_configuration_has_none_is_the_boards_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board with two connectors, a station.yaml with one: nothing is charged at what nobody configured."""
    monkeypatch.setattr(supervision.supervise, "__kwdefaults__", {"first_s": 0.05, "longest_s": 0.1})
    core = Core(wiring(buses=(BusEntry(name="sim", kind="sim", options={"evses": [{"connectors": 2}, {}]}),)))
    core.hardware.start()
    core.hear(SnapshotTold)

    core.world(lambda w: w.plug_in(1, 2))

    lost = core.hear(DeviceLost)
    core.hardware.stop()
    assert isinstance(lost, DeviceLost)
    assert "shows connector 2 of 1" in lost.reason


def test_a_contact_that_means_a_fault_opens_without_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emergency stop: pressed, released, and its wire cut."""
    monkeypatch.setattr(supervision.supervise, "__kwdefaults__", {"first_s": 0.05, "longest_s": 0.1})
    button = DeviceEntry(name="button", kind="sensor", driver="sim", options={"value": False})
    guard = Guard(device="button", fault=Fault.EMERGENCY_STOP, evse_ids=(1, 2))
    entry = SensorEntry(device="button", component="EmergencyStopSensor", variable="Tripped", guard=guard)
    core = Core(wiring(devices=(*wiring().devices, button), sensors=(entry,)))
    core.hardware.start()
    try:
        core.hear(SnapshotTold)
        core.world(lambda w: w.plug_in(1, ev=EvSpec(ramp_a_per_s=0)))
        core.hardware.want(1, CHARGE)
        core.hear(PowerPathChanged, lambda fact: isinstance(fact, PowerPathChanged) and fact.closed)
        core.commits = False

        core.world(lambda w: w.sensor("button", value=True))
        core.hear(PowerPathChanged, lambda fact: isinstance(fact, PowerPathChanged) and not fact.closed)

        core.commits = True
        stops = [cast("FaultChanged", core.hear(FaultChanged)) for _ in range(2)]
        assert {(stop.evse_id, stop.fault, stop.present) for stop in stops} == {
            (1, Fault.EMERGENCY_STOP, True),
            (2, Fault.EMERGENCY_STOP, True),
        }
        core.world(lambda w: w.sensor("button", value=False))
        core.hear(FaultChanged, lambda fact: isinstance(fact, FaultChanged) and not fact.present)
        core.hear(PowerPathChanged, lambda fact: isinstance(fact, PowerPathChanged) and fact.closed)
        core.told.clear()
        core.world(lambda w: w.lose("button"))
        core.hear(FaultChanged, lambda fact: isinstance(fact, FaultChanged) and fact.present)
        core.hear(PowerPathChanged, lambda fact: isinstance(fact, PowerPathChanged) and not fact.closed)
    finally:
        core.hardware.stop()


def test_a_meter_that_counts_through_an_open_contactor_tells_a_weld(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the board cannot tell: after one such reading the next comes soon, without being asked for."""
    monkeypatch.setattr(guards, "WELD_S", 0.0)
    monkeypatch.setattr(metering, "FLOW_PERIOD_S", 0.1)
    show = SimEvse.snapshot
    monkeypatch.setattr(SimEvse, "snapshot", lambda self: msgspec.structs.replace(show(self), flowing=None))
    core.hardware.snapshot_again()
    core.world(lambda w: w.plug_in(1, ev=EvSpec(ramp_a_per_s=0)))
    core.hear(PlugInserted)
    core.world(lambda w: w.meter(1, power_import_w=3600.0))

    core.hardware.sample(1, "stop", Mono(time.monotonic() + 5))

    fault = cast("FaultChanged", core.hear(FaultChanged))
    assert (fault.evse_id, fault.fault, fault.present) == (1, Fault.CONTACTOR_WELDED, True)


def test_a_lamp_shows_what_its_evse_looks_like_also_when_it_was_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A real driver on files like the kernel's."""
    monkeypatch.setattr(supervision.supervise, "__kwdefaults__", {"first_s": 0.05, "longest_s": 0.1})
    tree = LedTree(tmp_path)
    monkeypatch.setattr(led, "FOLDER", tree.folder)
    monkeypatch.setattr(kernel_files, "put", tree.put)
    lamp = DeviceEntry(name="lamp", kind="lamp", driver="led", options={"green": "green", "red": "red"})
    lamps = (LampEntry(device="lamp", evse_id=2),)
    core = Core(wiring(devices=(*wiring().devices, lamp), lamps=lamps))
    core.hardware.start()

    def shows(red: str, green: str) -> None:
        for _ in range(250):
            with contextlib.suppress(AssertionError, OSError, KeyError):  # a file that is just being written
                if (tree.shows("red"), tree.shows("green")) == (red, green):
                    return
            time.sleep(0.02)
        raise AssertionError((tree.shows("red"), tree.shows("green")))

    try:
        core.hear(DeviceLost, lambda fact: isinstance(fact, DeviceLost) and fact.device == "lamp")
        core.hardware.indicate(1, Indication.FAULTED)
        core.hardware.indicate(2, Indication.AVAILABLE)
        for name in ("red", "green"):
            tree.add(name)
        core.hear(DeviceReturned)
        shows("off", "on")
        core.hardware.indicate(2, Indication.FAULTED)
        shows("on", "off")
    finally:
        core.hardware.stop()
    shows("off", "off")


def test_a_sensor_tells_its_changes_and_a_display_shows(core: Core) -> None:
    """Values as the device model writes them."""
    assert cast("SensorRead", core.hear(SensorRead)).value == "21.5"
    core.world(lambda w: w.sensor("heat", 80.0))
    assert cast("SensorRead", core.hear(SensorRead)).value == "80"

    core.hardware.show("Plug in")
    core.world(lambda w: w.lose("panel"))
    core.hardware.show("Welcome")
    core.hear(DeviceLost)
    core.world(lambda w: w.lose("panel", on=False))
    core.hear(DeviceReturned)
    for _ in range(50):
        shown = core.hardware.call(lambda r: cast("SimWorld", r["sim"]).displays).result(WAIT_S)
        if shown == {"panel": "Welcome"}:
            return
        time.sleep(0.02)
    raise AssertionError(shown)


def test_what_nobody_waits_for_any_more_is_not_done(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    """The agent was stopped while it commanded the simulator: no mistake in its log."""
    hold, done = threading.Event(), []
    core.hardware.call(lambda _: hold.wait(WAIT_S))
    given_up = core.hardware.call(lambda _: done.append("it"))
    assert given_up.cancel()
    hold.set()
    core.world(lambda _: done.append("next"))

    assert done == ["next"]
    assert caplog.messages == []


def test_devices_say_who_they_are(core: Core) -> None:
    """Once opened, and again after they were lost."""
    told = {cast("DeviceIdentified", core.hear(DeviceIdentified)).device for _ in range(5)}
    assert told == {"board", "meter-1", "meter-2", "main", "reader"}

    core.world(lambda w: w.lose("reader"))
    core.hear(DeviceLost)
    core.world(lambda w: w.lose("reader", on=False))
    again = cast("DeviceIdentified", core.hear(DeviceIdentified))
    assert (again.device, again.kind, again.identity.serial) == ("reader", "reader", "reader")


def test_a_bug_in_a_driver_takes_no_other_along(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """Supervised: logged, told, restarted."""
    from hal.sim.driver import SimMeter  # noqa: PLC0415 - patched here only

    async def broken(self: SimMeter) -> None:
        raise ZeroDivisionError(self.name)

    with monkeypatch.context() as patch:
        patch.setattr(SimMeter, "read", broken)
        core.hardware.sample(1, "end", Mono(time.monotonic() + 0.2))
        core.hear(SampleFailed)
        assert "ZeroDivisionError" in cast("DeviceLost", core.hear(DeviceLost)).reason
        core.world(lambda w: w.plug_in(2))
        core.hear(PlugInserted)
    core.hardware.sample(1, "end", Mono(time.monotonic() + 4))
    core.hear(MeterSampled, lambda f: cast("MeterSampled", f).purpose == "end")


def test_a_lock_is_opened_at_once_or_the_reason_is_told(core: Core) -> None:
    """F05: whatever the wants."""
    assert core.hardware.unlock(1).result(WAIT_S) == ""
    core.world(lambda w: w.jam_lock(1))
    assert "jammed" in core.hardware.unlock(1).result(WAIT_S)
    assert "no lock" in core.hardware.unlock(2).result(WAIT_S)
    assert "no EVSE" in core.hardware.unlock(9).result(WAIT_S)


def test_a_lock_is_not_opened_while_current_may_flow(core: Core) -> None:
    """F05, whatever the board or a lock of its own would do: a plug pulled out then draws an arc."""
    core.world(lambda w: w.plug_in(1))
    core.hear(PlugInserted)
    core.hardware.want(1, Want(energise=True, limit_a=16.0, lock=True))
    core.hear(PowerPathChanged, lambda f: cast("PowerPathChanged", f).closed)

    assert core.hardware.unlock(1).result(WAIT_S) == "current may flow through the connector"

    core.hardware.want(1, Want(energise=False, limit_a=0.0, lock=True))
    core.hear(PowerPathChanged, lambda f: not cast("PowerPathChanged", f).closed)
    assert core.hardware.unlock(1).result(WAIT_S) == ""


def test_a_call_that_its_driver_gave_up_is_asked_again(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that cancels what it was asked keeps no EVSE waiting for ever."""
    allow = SimBoard.allow
    given_up: list[int] = []

    async def cancelled(self: SimBoard, channel: int, permit: Permit) -> None:
        if not given_up:
            given_up.append(channel)
            raise asyncio.CancelledError
        await allow(self, channel, permit)

    monkeypatch.setattr(SimBoard, "allow", cancelled)
    core.world(lambda w: w.plug_in(1, ev=EvSpec(ramp_a_per_s=0)))
    core.hear(PlugInserted)

    core.hardware.want(1, CHARGE)

    core.hear(PowerPathChanged, lambda f: cast("PowerPathChanged", f).closed)
    assert given_up == [1]


@pytest.mark.parametrize("obeys", [True, False])
def test_a_call_that_hangs_counts_as_failed_and_is_asked_again(
    core: Core, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, obeys: bool
) -> None:
    """A driver that hears nothing of being given up, too: whatever it answers in the end, it was told once."""
    monkeypatch.setattr(calls, "CALL_S", 0.05)
    allow = SimBoard.allow
    asked: list[int] = []

    async def hangs(self: SimBoard, channel: int, permit: Permit) -> None:
        asked.append(channel)
        if len(asked) == 1:
            try:
                await asyncio.sleep(WAIT_S)
            except asyncio.CancelledError:
                if obeys:
                    raise
                return
        await allow(self, channel, permit)

    monkeypatch.setattr(SimBoard, "allow", hangs)
    core.world(lambda w: w.plug_in(1, ev=EvSpec(ramp_a_per_s=0)))
    core.hear(PlugInserted)

    core.hardware.want(1, CHARGE)

    core.hear(PowerPathChanged, lambda f: cast("PowerPathChanged", f).closed)
    assert asked[:2] == [1, 1]
    failed = [record for record in caplog.records if record.msg == "device.action_failed"]
    assert [record.__dict__["reason"] for record in failed] == [calls.NO_ANSWER]


def test_the_end_of_the_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a bug of ours too: nobody else would notice that no cable is heard of any more."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ended = threading.Event()
    hardware = HardwareThread(wiring(), lambda _: 1 / 0, Setting(BootId(1)))  # type: ignore[arg-type]  # a bug

    hardware.start(ended.set)

    assert ended.wait(WAIT_S)


def test_a_vehicle_that_ends_its_session_is_told(core: Core) -> None:
    """ISO 15118 SessionStop, before the unplug."""
    core.world(lambda w: w.plug_in(2))
    core.world(lambda w: w.end_session(2))
    assert cast("VehicleStopped", core.hear(VehicleStopped)).evse_id == 2


def test_a_wish_for_a_signature_is_heard(core: Core) -> None:
    """The purposes that the core and the meter's worker know are the same; a meter that cannot sign is read."""
    assert meters.signing("stop", sign=True) == "stop" + metering.SIGNED
    core.hardware.sample(1, "stop" + metering.SIGNED, Mono(time.monotonic() + 3))
    sample = cast("MeterSampled", core.hear(MeterSampled, lambda f: "signed" in cast("MeterSampled", f).purpose))
    assert sample.reading.signed is None


def test_a_stop_withdraws_every_permission(core: Core) -> None:
    """An orderly end leaves no cable live, even before the lease would run out."""
    core.world(lambda w: w.plug_in(1))
    core.hear(PlugInserted)
    core.hardware.want(1, CHARGE)
    core.hear(PowerPathChanged, lambda f: cast("PowerPathChanged", f).closed)
    world: list[SimWorld] = []
    core.world(world.append)

    core.hardware.stop()

    assert not world[0].evse(1).snapshot().contactor_closed


@pytest.mark.parametrize(
    "mistake, text",
    [
        ({"evses": (EvseEntry(evse_id=1, board="bord"),)}, "no Board is called 'bord' \\(there are: board\\)"),
        ({"evses": (EvseEntry(evse_id=1, board="board", channel=3),)}, "no channel 3 \\(there are: 1, 2\\)"),
        ({"main_meter": "board"}, "no Meter is called 'board'"),
        ({"buses": ()}, "no SimWorld is called 'sim'"),
        ({"buses": (BusEntry(name="sim", kind="smi"),)}, "no kind 'smi'"),
    ],
)
def test_a_wrong_wiring_ends_the_start_with_the_reason(mistake: dict[str, object], text: str) -> None:
    """Before any device is touched."""
    with pytest.raises(BadOptions, match=text):
        HardwareThread(wiring(**mistake), lambda _: None, Setting(BootId(1))).start()


def test_a_mistaken_command_to_the_world_comes_back_to_its_caller(core: Core) -> None:
    """It disturbs nothing."""
    with pytest.raises(ValueError, match="nothing is plugged in"):
        core.world(lambda w: w.unplug(1))


def test_an_idle_thread_sleeps(core: Core) -> None:
    """No car, no command: nothing runs until the next idle reading of the meters."""
    core.hear(MeterSampled, lambda f: cast("MeterSampled", f).evse_id == 0)
    ident = next(t.ident for t in threading.enumerate() if t.name == "hardware")
    clock = time.pthread_getcpuclockid(ident or 0)
    time.sleep(0.1)

    before = time.clock_gettime_ns(clock)
    time.sleep(0.5)

    assert time.clock_gettime_ns(clock) == before, "the hardware thread ran while nothing happened"
