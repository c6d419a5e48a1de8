"""The promises of each kind of driver, as coroutines that return, or raise `Broken`. `hal.contract` lists them.

The docstring of each is the promise, as reports word it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from hal.api import (
    LEASE_S,
    Board,
    BoardSnapshot,
    Device,
    Display,
    Identified,
    Identity,
    Indication,
    Lamp,
    Lock,
    LockingBoard,
    LockState,
    Meter,
    MeterReading,
    Permit,
    Sensor,
    SensorReading,
    SensorWatch,
    SignedMeter,
    SignMoment,
    Token,
    TokenReader,
)
from hal.errors import NotFound, Refused
from hal.harness import Harness, expect, first, opened, patience, raises, until
from hal.iso15118 import Iso15118Bridge, SeccSetup, VehicleStatus

# --- every driver


async def reopens(h: Harness) -> None:
    """It opens and closes, again and again."""
    device: Device = h.build()
    await device.close()  # harmless without open
    for _ in range(2):
        await device.open()
        await device.close()
        await device.close()  # harmless twice


async def absence(h: Any) -> None:
    """An absent device is told by a DeviceError, and found when it is back."""
    await h.unplug_device(gone=True)
    try:
        device: Device = h.build()
        await raises(device.open())
        await device.close()
    finally:
        await h.unplug_device(gone=False)
    await device.open()
    await device.close()


async def identity(h: Harness) -> None:
    """If it can identify itself, it says something."""
    async with opened(h, Device) as device:
        if isinstance(device, Identified):
            identity = await device.identify()
            expect(isinstance(identity, Identity) and any(msgspec.structs.astuple(identity)), f"said {identity}")


# --- meters


def _check_reading(meter: Meter, reading: MeterReading, began: float, ended: float) -> None:
    expect(began <= reading.sampled_at <= ended, f"sampled_at {reading.sampled_at} is not in [{began}, {ended}]")
    quantities = set(MeterReading.__struct_fields__) - {"sampled_at", "quality", "signed", "soc_percent"}
    filled = {name for name in quantities if getattr(reading, name) is not None}
    expect(filled == meter.info.quantities, f"info promises {set(meter.info.quantities)}, the reading has {filled}")
    expect(type(reading.energy_import_mwh) is int, f"energy is {reading.energy_import_mwh!r}, not an integer")
    for name in ("energy_import_mwh", "energy_export_mwh", "power_import_w", "power_export_w"):
        expect((getattr(reading, name) or 0) >= 0, f"{name} is negative: {getattr(reading, name)}")
    if reading.voltage_v is not None:
        phases = sum(volt is not None for volt in reading.voltage_v)
        expect(phases == meter.info.phases, f"info promises {meter.info.phases} phases, the reading has {phases}")


async def reading(h: Harness) -> None:
    """A reading has what info promises, sampled while it was asked for; the register does not fall."""
    async with opened(h, Meter) as meter:
        last = 0
        for _ in range(3):
            began = h.clock()
            reading = await meter.read()
            _check_reading(meter, reading, began, h.clock())
            expect(reading.energy_import_mwh >= last, f"the register fell from {last} to {reading.energy_import_mwh}")
            last = reading.energy_import_mwh


async def together(h: Harness) -> None:
    """Two readings at once are both right."""
    async with opened(h, Meter) as meter:
        began = h.clock()
        for reading in await asyncio.gather(meter.read(), meter.read()):
            _check_reading(meter, reading, began, h.clock())


async def gives_up(h: Harness) -> None:
    """A requester that gives up disturbs nobody after it."""
    async with opened(h, Meter) as meter:
        task = asyncio.ensure_future(meter.read())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        began = h.clock()
        _check_reading(meter, await meter.read(), began, h.clock())


async def meter_lost(h: Any) -> None:
    """A meter that is lost tells it by a DeviceError, and reads again when reopened."""
    async with opened(h, Meter) as meter:
        await meter.read()
        await h.unplug_device(gone=True)
        try:
            await raises(meter.read())
        finally:
            await h.unplug_device(gone=False)
        await meter.close()
        await meter.open()
        await meter.read()


async def signs(h: Harness) -> None:
    """If it can sign, the end is signed; begin and sample are, or are in the record of the end."""
    async with opened(h, Meter) as meter:
        if isinstance(meter, SignedMeter):
            for moment in (SignMoment.BEGIN, SignMoment.SAMPLE, SignMoment.END):
                signed = (await meter.sign(moment, "04AABBCC")).signed
                expect(signed is None or (signed.data and signed.encoding), f"what was signed is empty: {signed}")
            expect(signed is not None, "nothing was signed")


# --- boards


async def shows(h: Harness) -> None:
    """Every channel shows itself, and no other exists."""
    async with opened(h, Board) as board:
        expect(board.channels(), "a board has a channel")
        for channel in board.channels():
            info, seen = board.info(channel), await board.snapshot(channel)
            expect(seen.channel == channel, f"asked for channel {channel}, got {seen}")
            expect(0 < info.min_a <= info.max_a and info.phases in {1, 2, 3}, f"the channel cannot be so: {info}")
            expect(seen.sampled_at <= h.clock(), f"sampled in the future: {seen}")
        await raises(board.snapshot(max(board.channels()) + 1), NotFound)


async def tells_all(h: Harness) -> None:
    """Events begin with a snapshot per channel."""
    async with opened(h, Board) as board:
        told = await first(board.events(), len(board.channels()))
        seen = [event.channel for event in told if isinstance(event, BoardSnapshot)]
        expect(sorted(seen) == sorted(board.channels()), f"the first events are not a snapshot per channel: {told}")


async def denies(h: Harness) -> None:
    """To deny is idempotent and leaves nothing offered."""
    async with opened(h, Board) as board:
        for channel in board.channels():
            await board.deny(channel)
            await board.deny(channel)
            seen = await board.snapshot(channel)
            expect(not seen.contactor_closed and seen.limit_a == 0, f"denied, and yet: {seen}")


async def refuses(h: Harness) -> None:
    """A permission out of range is refused and changes nothing."""
    async with opened(h, Board) as board:
        channel = board.channels()[0]
        info = board.info(channel)
        try:
            for limit_a in (info.max_a + 1, 0.0, -1.0, float("nan")):
                await raises(board.allow(channel, Permit(limit_a, info.phases)), Refused)
            seen = await board.snapshot(channel)
        finally:
            await board.deny(channel)  # of a driver that refused nothing
        expect(seen.limit_a == 0, f"every permission was refused, and yet: {seen}")


@asynccontextmanager
async def _energised(h: Any) -> AsyncGenerator[tuple[Board, int], None]:
    """A board whose first channel charges a vehicle."""
    async with opened(h, Board) as board:
        channel = board.channels()[0]
        await h.vehicle(channel, connected=True)
        try:
            await until(h, lambda: board.snapshot(channel), lambda s: s.pilot.plugged, "the vehicle is not seen")
            await board.allow(channel, Permit(board.info(channel).min_a, board.info(channel).phases))
            await until(h, lambda: board.snapshot(channel), lambda s: s.contactor_closed, "the contactor did not close")
            yield board, channel
        finally:
            await board.deny(channel)
            await h.vehicle(channel, connected=False)


async def _opens(h: Harness, board: Board, channel: int, why: str) -> None:
    await until(h, lambda: board.snapshot(channel), lambda s: not s.contactor_closed, f"it did not open: {why}")


async def charges(h: Any) -> None:
    """With a permission the contactor closes for a vehicle, and opens without."""
    async with _energised(h) as (board, channel):
        seen = await board.snapshot(channel)
        expect(seen.limit_a == board.info(channel).min_a, f"permitted {board.info(channel).min_a} A, offered: {seen}")
        await board.deny(channel)
        await _opens(h, board, channel, "the permission was withdrawn")


async def lapses(h: Any) -> None:
    """A lease that is not renewed runs out, a renewed one does not."""
    async with _energised(h) as (board, channel):
        await h.wait(LEASE_S / 2)
        await board.allow(channel, Permit(board.info(channel).min_a, board.info(channel).phases))
        await h.wait(LEASE_S * 0.75)
        expect((await board.snapshot(channel)).contactor_closed, "a renewed lease must outlive the first")
        await h.wait(LEASE_S * 0.25)
        await _opens(h, board, channel, "the lease ran out")


async def unplugged(h: Any) -> None:
    """Unplugging opens the contactor."""
    async with _energised(h) as (board, channel):
        await h.vehicle(channel, connected=False)
        await _opens(h, board, channel, "the vehicle was unplugged")
        seen = await board.snapshot(channel)
        expect(not seen.pilot.plugged, f"the vehicle is gone, and yet: {seen}")
        await h.vehicle(channel, connected=True)


async def faulted(h: Any) -> None:
    """A fault opens the contactor and is told while it lasts."""
    async with _energised(h) as (board, channel):
        await h.fault(channel, present=True)
        try:
            await _opens(h, board, channel, "a fault is present")
            seen = await board.snapshot(channel)
            expect(seen.faults, f"the fault is not told: {seen}")
        finally:
            await h.fault(channel, present=False)
        await until(h, lambda: board.snapshot(channel), lambda s: not s.faults, "the fault went and is still told")


async def locks_itself(h: Harness) -> None:
    """A lock goes where it is moved."""
    async with opened(h, Board) as board:
        for channel in board.channels():
            if isinstance(board, LockingBoard) and (await board.snapshot(channel)).lock is not LockState.ABSENT:
                for locked, state in ((True, LockState.LOCKED), (False, LockState.UNLOCKED)):
                    await board.lock(channel, locked=locked)
                    seen = (await board.snapshot(channel)).lock
                    expect(seen is state, f"the lock was moved to {state.value}, and is {seen.value}")


async def bridges(h: Harness) -> None:
    """A board that speaks ISO 15118 takes its setup at any time, and answers for vehicles that are not there."""
    async with opened(h, Board) as board:
        if not isinstance(board, Iso15118Bridge):
            return
        for setup in (SeccSetup(contract=True, certificates=True), SeccSetup(), SeccSetup()):
            await board.equip(setup)
        for channel in board.channels():
            seen = await board.vehicle(channel)
            expect(isinstance(seen, VehicleStatus), f"that says nothing of a vehicle: {seen!r}")
            expect(seen.evcc_id is None, f"no vehicle is there, and yet: {seen}")
            await board.authorized(channel, accepted=True)
            await raises(board.certificate(channel, accepted=True, exi_response=""), Refused)


async def board_lost(h: Any) -> None:
    """A board that is lost ends its events by a DeviceError, and reopens."""
    async with opened(h, Board) as board:
        events = board.events()
        await first(events, len(board.channels()))
        await h.unplug_device(gone=True)
        try:
            await raises(first(events, 100, patience(h)))
        finally:
            await h.unplug_device(gone=False)
        await board.close()
        await board.open()
        await board.snapshot(board.channels()[0])


# --- readers, locks, displays, sensors


async def reads_cards(h: Any) -> None:
    """A card is told with its whole identifier in upper-case hex."""
    async with opened(h, TokenReader) as reader:
        waiting = asyncio.ensure_future(first(reader.tokens(), 1, patience(h)))
        await h.wait(0.1)
        uid = await h.card()
        (token,) = await waiting
        expect(isinstance(token, Token) and token.uid_hex == uid, f"presented {uid}, read {token}")
        expect(token.uid_hex == token.uid_hex.upper(), f"{token.uid_hex} is not upper case")


async def moves(h: Harness) -> None:
    """It goes where it is moved."""
    async with opened(h, Lock) as lock:
        for locked, state in ((True, LockState.LOCKED), (True, LockState.LOCKED), (False, LockState.UNLOCKED)):
            await lock.move(locked=locked)
            seen = await lock.state()
            expect(seen is state, f"the lock was moved to {state.value}, and is {seen.value}")


async def jams(h: Any) -> None:
    """A jammed lock refuses, and works again when freed."""
    async with opened(h, Lock) as lock:
        await h.jam(jammed=True)
        try:
            await raises(lock.move(locked=True), Refused)
        finally:
            await h.jam(jammed=False)
        await lock.move(locked=False)


async def displays(h: Harness) -> None:
    """It shows any text, however long."""
    async with opened(h, Display) as display:
        columns, rows = display.size
        expect(columns >= 0 and rows >= 0, f"no display has the size {display.size}")
        for text in ("Grüße", "x" * 500, "two\nlines", ""):
            await display.show(text)


async def indicates(h: Harness) -> None:
    """It shows every state, whichever it showed before."""
    async with opened(h, Lamp) as lamp:
        for before in Indication:
            for after in Indication:
                await lamp.indicate(before)
                await lamp.indicate(after)


async def measures(h: Harness) -> None:
    """A reading was sampled when it was read; one that tells its changes may give the last."""
    async with opened(h, Sensor) as sensor:
        began = h.clock()
        reading = await sensor.read()
        expect(isinstance(reading, SensorReading), f"that is no reading: {reading!r}")
        began = 0.0 if isinstance(sensor, SensorWatch) else began
        expect(began <= reading.sampled_at <= h.clock(), f"not sampled when it was read: {reading}")
