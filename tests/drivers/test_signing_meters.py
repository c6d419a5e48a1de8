"""EM580 and BSM-WS36A: whole sessions, each signature verified by the key that the meter tells; and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hal import contract
from hal.api import MeterReading, SignedMeter, SignMoment
from hal.buses.modbus_rtu import ModbusRtu
from hal.context import DriverContext
from hal.drivers import signing
from hal.errors import BadReply, DeviceError, NotFound, Refused, Timeout
from hal.registry import Registry
from tests import virtualloop
from tests.drivers.boards import now
from tests.drivers.emulators.signing_meters import BsmMeter, Em580Meter, SigningMeter

BEGIN, SAMPLE, END = SignMoment.BEGIN, SignMoment.SAMPLE, SignMoment.END
KINDS: dict[str, type[SigningMeter]] = {"em580": Em580Meter, "bsm-ws36a": BsmMeter}


class Rig(NamedTuple):
    """A meter that signs, and its driver."""

    device: Any
    meter: Any
    bus: ModbusRtu


@asynccontextmanager
async def rig(path: Path, driver: str, **options: object) -> AsyncIterator[Rig]:
    """On a line of its own."""
    device = KINDS[driver](path / "port")
    device.start()
    bus = ModbusRtu("bus", {"port": str(path / "port"), "baud": 115200, "reopen_s": 0.02, "quiet_s": 0.02}, now)
    context = DriverContext(now, {"bus": bus})
    given = {"bus": "bus", "timeout_s": 0.3, **options}
    try:
        yield Rig(device, Registry().build("meter", driver, "left", given, context), bus)
    finally:
        await bus.close()
        device.stop()


def verified(reading: MeterReading) -> dict[str, Any]:
    """The payload of a record whose signature is that of the key which came with it."""
    assert reading.signed is not None
    assert reading.signed.encoding == "OCMF"
    name, payload, signature = reading.signed.data.split("|")
    key = load_der_public_key(bytes.fromhex(reading.signed.public_key))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(bytes.fromhex(json.loads(signature)["SD"]), payload.encode(), ec.ECDSA(SHA256()))
    assert name == "OCMF"
    found: dict[str, Any] = json.loads(payload)
    return found


def test_a_session_of_the_em580_is_one_record_that_verifies(tmp_path: Path) -> None:
    """Begun for a card at an EVSE, sampled without a signature, ended with the record; the meter's clock is set."""

    async def scenario() -> None:
        async with rig(tmp_path, "em580", evse_id="DE*ABC*E1") as r:
            assert isinstance(r.meter, SignedMeter)
            r.device.do_slow(3)
            begun = await r.meter.sign(BEGIN, "04AABBCC")
            r.device.do_energy(8_211_243)
            sampled = await r.meter.sign(SAMPLE, "04AABBCC")
            ended = await r.meter.sign(END, "04AABBCC")

            assert begun.signed is None
            assert sampled.signed is None
            assert [each.energy_import_mwh for each in (begun, sampled, ended)] == [
                8_211_234_000, 8_211_243_000, 8_211_243_000,
            ]  # fmt: skip
            record = verified(ended)
            assert (record["ID"], record["CI"], record["IS"]) == ("04AABBCC", "DE*ABC*E1", True)
            assert [(read["TX"], read["RV"]) for read in record["RD"]] == [("B", 8_211_234), ("E", 8_211_243)]
            assert abs(record["RD"][0]["TM"] - time.time()) < 60

    virtualloop.hurry(scenario())


def test_a_record_of_the_em580_stays_until_the_next_session(tmp_path: Path) -> None:
    """An agent that lost its power before it had stored the record asks again, and gets the same."""

    async def scenario() -> None:
        async with rig(tmp_path, "em580") as r:
            await r.meter.sign(BEGIN, "1")
            first = await r.meter.sign(END, "1")
            again = await r.meter.sign(END, "1")
            assert again.signed == first.signed

            await r.meter.sign(BEGIN, "2")
            assert verified(await r.meter.sign(END, "2"))["ID"] == "2"

    virtualloop.hurry(scenario())


def test_a_session_that_the_power_ended_is_told_by_end_and_left_behind_by_begin(tmp_path: Path) -> None:
    """The meter closed it by itself; and one that still runs, because only the agent was away, is aborted."""

    async def scenario() -> None:
        async with rig(tmp_path, "em580") as r:
            await r.meter.sign(BEGIN, "1")
            r.device.do_lose_power()
            assert verified(await r.meter.sign(END, "1"))["ID"] == "1"

            await r.meter.sign(BEGIN, "2")
            r.device.do_slow(2)
            await r.meter.sign(BEGIN, "3")
            assert r.device.aborted == 1
            assert verified(await r.meter.sign(END, "3"))["ID"] == "3"

    virtualloop.hurry(scenario())


def test_what_the_em580_cannot_sign_is_an_error_and_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to end, a corrupted record, a record of no bytes, a meter that never finishes."""
    monkeypatch.setattr(signing, "PATIENCE_S", 0.3)

    async def scenario() -> None:
        async with rig(tmp_path, "em580") as r:
            with pytest.raises(Refused, match="no session to end"):
                await r.meter.sign(END, "1")
            await r.meter.sign(BEGIN, "1")
            r.device.do_corrupt_record()
            with pytest.raises(BadReply, match="corrupted"):
                await r.meter.sign(END, "1")
            await r.meter.sign(BEGIN, "2")
            await r.meter.sign(END, "2")
            r.device.put(0x7101, [0])
            with pytest.raises(BadReply, match="0 registers"):
                await r.meter.sign(END, "2")
            r.device.do_slow(1000)
            with pytest.raises(Timeout, match="does not begin"):
                await r.meter.sign(BEGIN, "3")

    virtualloop.hurry(scenario())


def test_a_session_of_the_bsm_is_two_snapshots_that_verify(tmp_path: Path) -> None:
    """Start and end, which switch no contactor; what is told is the register of the snapshot."""

    async def scenario() -> None:
        async with rig(tmp_path, "bsm-ws36a") as r:
            r.device.do_slow(2)
            begun = await r.meter.sign(BEGIN, "04AABBCC")
            r.device.do_energy(5264)
            sampled = await r.meter.sign(SAMPLE, "04AABBCC")
            ended = await r.meter.sign(END, "04AABBCC")

            told = [(verified(each)["RD"][0]["XT"], verified(each)["RD"][0]["XV"]) for each in (begun, sampled, ended)]
            assert told == [(3, 52_620), (0, 52_640), (4, 52_640)]
            assert [each.energy_import_mwh for each in (begun, sampled, ended)] == [
                52_620_000, 52_640_000, 52_640_000,
            ]  # fmt: skip
            assert verified(ended)["ID"] == "04AABBCC"
            assert abs(verified(begun)["RD"][0]["TM"] - time.time()) < 60
            assert begun.voltage_v is not None

    virtualloop.hurry(scenario())


@pytest.mark.parametrize("outcome, reason", [(3, "failed"), (4, "missing enable signal"), (1, "invalid")])
def test_a_snapshot_that_fails_is_refused_with_its_reason(tmp_path: Path, outcome: int, reason: str) -> None:
    """And the next one is as good as any."""

    async def scenario() -> None:
        async with rig(tmp_path, "bsm-ws36a") as r:
            r.device.do_fail(outcome)
            with pytest.raises(Refused, match=reason):
                await r.meter.sign(END, "1")
            r.device.do_fail(0)
            verified(await r.meter.sign(END, "1"))

    virtualloop.hurry(scenario())


@pytest.mark.parametrize("exponent", [0x7FFF, 0x8000, 11])
def test_a_snapshot_without_a_scale_is_no_energy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exponent: int
) -> None:
    """Neither none (10 to the -32768th) nor a number that nobody can hold."""

    async def scenario() -> None:
        async with rig(tmp_path, "bsm-ws36a") as r:
            sound = r.device._snapshot

            def unscaled(number: int, at: int) -> None:
                sound(number, at)
                r.device.put(at + 8, [exponent])

            monkeypatch.setattr(r.device, "_snapshot", unscaled)
            with pytest.raises(BadReply, match="the scale factor of its energy"):
                await r.meter.sign(END, "1")

    virtualloop.hurry(scenario())


@pytest.mark.parametrize("driver", sorted(KINDS))
def test_a_clock_that_cannot_be_right_sets_no_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    """A station that boots in 1970 must not sign for that year: the meter keeps its own time."""
    monkeypatch.setattr(time, "time", lambda: 4711.0)

    async def scenario() -> None:
        async with rig(tmp_path, driver) as r:
            r.device.put(0x7032, [1, 2, 3, 4])
            await r.meter.sign(BEGIN, "1")
            record = verified(await r.meter.sign(END, "1"))
            assert record["RD"][-1]["TM"] == (0 if driver == "bsm-ws36a" else 1 + (2 << 16) + (3 << 32) + (4 << 48))

    virtualloop.hurry(scenario())


@pytest.mark.parametrize("driver", sorted(KINDS))
def test_faults_of_the_line_cost_time_and_no_signature(tmp_path: Path, driver: str) -> None:
    """Dropped, damaged, late, noise: asked again, and the session is whole; unplugged, it is told."""

    async def scenario() -> None:
        async with rig(tmp_path, driver) as r:
            faults = (
                r.device.do_drop,
                r.device.do_corrupt,
                lambda: r.device.do_delay(0.15),
                r.device.do_garbage,
                r.device.do_wrong_unit,
            )
            for number, cause in enumerate(faults):
                cause()
                await r.meter.sign(BEGIN, f"card {number}")
                cause()
                assert verified(await r.meter.sign(END, f"card {number}"))["ID"] == f"card {number}"
            await r.meter.sign(BEGIN, "last")
            r.device.do_unplug()
            with pytest.raises(NotFound):
                await r.meter.sign(END, "last")
            r.device.do_plug()
            await asyncio.sleep(0.05)
            assert verified(await r.meter.sign(END, "last"))["ID"] == "last"

    virtualloop.hurry(scenario())


@pytest.mark.parametrize("driver", sorted(KINDS))
def test_signing_and_reading_at_once_do_not_disturb_each_other(tmp_path: Path, driver: str) -> None:
    """A reading between the requests of a signature."""

    async def scenario() -> None:
        async with rig(tmp_path, driver) as r:
            r.device.do_slow(5)
            readings = await asyncio.gather(r.meter.sign(BEGIN, "1"), *(r.meter.read() for _ in range(5)))
            assert len({each.energy_import_mwh for each in readings}) == 1
            verified(await r.meter.sign(END, "1"))

    virtualloop.hurry(scenario())


class ContractRig:
    """For the contract."""

    kind = "meter"

    def __init__(self, given: Rig, driver: str) -> None:
        self.given = given
        self.driver = driver

    def build(self) -> Any:
        """A new driver for the same meter."""
        context = DriverContext(self.clock, {"bus": self.given.bus})
        return Registry().build("meter", self.driver, "device", {"bus": "bus", "timeout_s": 0.2}, context)

    def clock(self) -> float:
        """The loop's, hurried."""
        return now()

    async def wait(self, seconds: float) -> None:
        """Let it pass, hurried."""
        await asyncio.sleep(seconds * 0.03)

    async def unplug_device(self, *, gone: bool) -> None:
        """Take the USB adapter away or give it back."""
        if gone:
            self.given.device.line.unplug()
        else:
            self.given.device.line.plug()
            await asyncio.sleep(0.03)


@pytest.mark.parametrize("driver", sorted(KINDS))
@pytest.mark.parametrize("check", contract.checks("meter"), ids=lambda check: check.promise)
def test_the_driver_keeps_the_contract(tmp_path: Path, driver: str, check: contract.Check) -> None:
    """Nothing is skipped."""

    async def scenario() -> contract.Result:
        async with rig(tmp_path, driver) as r:
            return await contract.run_one(check, ContractRig(r, driver))

    assert virtualloop.hurry(scenario()) == (check.promise, "passed", "")


def test_a_meter_that_is_away_while_it_signs_is_told(tmp_path: Path) -> None:
    """Silence in the middle of a session: an error, and the session can still be ended afterwards."""

    async def scenario() -> None:
        async with rig(tmp_path, "em580", retries=0) as r:
            await r.meter.sign(BEGIN, "1")
            r.device.do_silence([1])
            with pytest.raises(DeviceError):
                await r.meter.sign(END, "1")
            r.device.do_silence([])
            assert verified(await r.meter.sign(END, "1"))["ID"] == "1"

    virtualloop.hurry(scenario())
