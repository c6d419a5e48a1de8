"""Commands that move simulated hardware: what they do, and what they say to a wrong argument (design 9)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from certs.contract import judged
from hal.api import Fault
from hal.iso15118 import SeccSetup
from hal.schedules import ScheduleOffer
from hal.sim.world import SimWorld
from station.effects import EvCertificate, Want
from station.facts import (
    CertificateWantedByEv,
    ContractShown,
    DeviceIdentified,
    EnergyRequested,
    Fact,
    FaultChanged,
    PlugInserted,
    PlugRemoved,
    SensorRead,
    SnapshotTold,
    TokenPresented,
    VehicleNeedsTold,
    VehicleScheduleTold,
    VehicleSpoke,
)
from station.now import BootId
from station.shell.clock import StationClock
from station.shell.control import Control
from station.shell.devices import HardwareThread
from station.shell.hub import Setting
from station.shell.reconcile import Batch
from station.shell.simulation import Simulation
from station.shell.wiring import BusEntry, DeviceEntry, EvseEntry, ReaderEntry, SensorEntry, Wiring

WORLD = {"world": "sim"}
WIRING = Wiring(
    buses=(BusEntry(name="sim", kind="sim", options={"evses": [{"lock": True}, {"lock": False}]}),),
    devices=(
        DeviceEntry(name="board", kind="board", driver="sim", options=WORLD),
        DeviceEntry(name="meter", kind="meter", driver="sim", options={**WORLD, "evse": 1}),
        DeviceEntry(name="reader", kind="reader", driver="sim", options=WORLD),
        DeviceEntry(name="cabinet", kind="sensor", driver="sim", options={**WORLD, "value": 20.0}),
        DeviceEntry(name="display", kind="display", driver="sim", options=WORLD),
    ),
    evses=(
        EvseEntry(evse_id=1, board="board", channel=1, meter="meter"),
        EvseEntry(evse_id=2, board="board", channel=2),
    ),
    readers=(ReaderEntry(device="reader", evse_ids=(1, 2)),),
    sensors=(SensorEntry(device="cabinet", component="Cabinet", variable="Temperature"),),
    displays=("display",),
)


class Bench:
    """Simulated hardware in its thread, and its commands. `facts`: what the core would hear."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self._heard = threading.Condition()
        self.hardware = HardwareThread(WIRING, self._tell, Setting(BootId(1)))
        simulation = Simulation(self.hardware, WIRING, StationClock(), self._add)
        self._control = Control(None, None, simulation.commands(), lambda: None)

    def _tell(self, batch: Batch) -> None:
        for fact in batch.facts:
            self._add(fact)
        self.hardware.committed(batch.number)

    def _add(self, fact: Fact) -> None:
        with self._heard:
            self.facts.append(fact)
            self._heard.notify_all()

    def answer(self, cmd: str, **fields: object) -> dict[str, Any]:
        """What the control socket answers."""
        line = json.dumps({"cmd": cmd, **fields}).encode()
        return dict(asyncio.run(self._control.answer(line)))

    def do(self, cmd: str, **fields: object) -> dict[str, Any]:
        """A command that must work."""
        answer = self.answer(cmd, **fields)
        assert answer.pop("ok"), answer
        return answer

    def hears(self, *kinds: type[Fact]) -> list[Any]:
        """The newest fact of each kind; waits until all have come."""
        with self._heard:
            came = self._heard.wait_for(lambda: all(any(isinstance(f, k) for f in self.facts) for k in kinds), 5)
            assert came, self.facts
            return [next(fact for fact in reversed(self.facts) if isinstance(fact, kind)) for kind in kinds]

    def world(self) -> SimWorld:
        """What is simulated."""
        return self.hardware.call(
            lambda found: next(each for each in found.values() if isinstance(each, SimWorld))
        ).result()

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for it."""
        ends = time.monotonic() + 30
        while not true():
            assert time.monotonic() < ends
            with self._heard:
                self._heard.wait(0.05)

    def forget(self) -> None:
        """What was told so far does not count."""
        with self._heard:
            self.facts.clear()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Hardware that has told its state."""
    made = Bench()
    made.hardware.start()
    made.hears(SnapshotTold, SensorRead)
    made.forget()
    yield made
    made.hardware.stop()


def test_a_vehicle_comes_and_goes(bench: Bench) -> None:
    """Whatever is not said has a sensible value."""
    bench.do("plug_in")
    (plugged,) = bench.hears(PlugInserted)
    bench.do("unplug", evse=1, connector=1)
    (gone,) = bench.hears(PlugRemoved)

    assert (plugged.evse_id, plugged.connector_id, gone.evse_id) == (1, 1, 1)


def test_a_card_is_read_for_the_evse_that_was_chosen(bench: Bench) -> None:
    """Upper-case hex, its type in the words of the specification."""
    bench.do("swipe", id_token="04aabbcc", evses=[2])

    (token,) = bench.hears(TokenPresented)
    assert (token.id_token.id_token, token.id_token.type, token.evse_ids) == ("04AABBCC", "ISO14443", (2,))


def test_a_fault_appears(bench: Bench) -> None:
    """By its name, however it is spelt."""
    bench.do("fault", evse=2, connector=1, fault="ground_fault", on=True)

    (fault,) = bench.hears(FaultChanged)
    assert (fault.evse_id, fault.fault, fault.present) == (2, Fault.GROUND_FAULT, True)


def test_a_meter_shows_what_it_is_told_to(bench: Bench) -> None:
    """And tells it when it is only asked."""
    bench.do("meter", evse=1, energy_import_wh=1234.5, timestamp="2026-11-21T08:00:00Z")

    assert bench.do("meter", evse=1)["energy_import_wh"] == 1234.5


def test_a_configured_sensor_measures_and_another_variable_is_told_all_the_same(bench: Bench) -> None:
    """So that monitors can be tried for any variable."""
    bench.do("sensor", component="Cabinet", variable="Temperature", value=71.5)
    assert bench.hears(SensorRead)[0].value == "71.5"

    bench.do("sensor", component="Door", variable="Open", value=True, evse=1)
    newest = bench.hears(SensorRead)[0]
    assert (newest.component, newest.evse_id, newest.value) == ("Door", 1, "true")


def test_a_display_tells_what_it_shows(bench: Bench) -> None:
    """Whatever the station put there last."""
    assert bench.do("display", evse=1) == {"displays": {}, "text": ""}


def test_a_vehicle_wants_energy_when_it_is_told_to(bench: Bench) -> None:
    """And only with a vehicle is there anybody to tell."""
    assert bench.answer("ev", evse=2, state="pause")["error"] == "ev: EVSE 2: nothing is plugged in"
    bench.hardware.want(2, Want(energise=True, limit_a=16.0))
    bench.do("plug_in", evse=2, charge=False)

    bench.do("ev", evse=2, state="charge")

    assert bench.hears(EnergyRequested)[0].requested


def test_a_vehicle_that_speaks_iso15118_says_what_it_needs_and_chooses_an_offer(bench: Bench) -> None:
    """It takes as much of it as it can."""
    bench.do("plug_in", evse=1, protocol="iso15118-2", current_a=12)
    bench.hears(VehicleSpoke)

    bench.do("needs", evse=1, energy_wh=9000, departs_in_s=3600)

    (wish,) = bench.hears(VehicleNeedsTold)
    assert (wish.evse_id, wish.needs.energy_wh, wish.needs.max_a, wish.needs.departs_in_s) == (1, 9000, 12, 3600)
    assert bench.hardware.offer(1, (ScheduleOffer(7, ((0, 16.0), (60, 8.0)), 3600),)).result(5) == ""
    (choice,) = bench.hears(VehicleScheduleTold)
    assert (choice.evse_id, choice.schedule_id, choice.periods) == (1, 7, ((0, 12.0), (60, 8.0)))


def test_a_vehicle_with_a_contract_presents_a_real_chain(bench: Bench) -> None:
    answer = bench.do("plug_in", protocol="iso15118-2", payment="contract", contract={"emaid": "DE8AAC12345678"})

    (shown,) = bench.hears(ContractShown)
    assert (shown.emaid, shown.certificate_pem) == ("DE8AAC12345678", answer["certificate"])
    found = judged(shown.certificate_pem, shown.emaid, [answer["mo_root"]], datetime.now(UTC))
    assert found.flaw == ""
    assert len(found.named) == 2


def test_a_vehicle_presents_the_chain_that_it_was_given(bench: Bench) -> None:
    contract = {"emaid": "DE8AAC12345678", "certificate": "its own"}

    assert bench.do("plug_in", protocol="iso15118-20", contract=contract) == {}

    (shown,) = bench.hears(ContractShown)
    assert shown.certificate_pem == "its own"


def test_a_vehicle_that_asks_for_a_certificate_is_answered_when_the_core_has(bench: Bench) -> None:
    bench.do("plug_in", protocol="iso15118-2")
    given: list[dict[str, Any]] = []
    wish = {"action": "Update", "schema_version": "urn:iso:15118:2:2013:MsgDef", "exi_request": "gJgB"}
    asking = threading.Thread(target=lambda: given.append(bench.do("ev_certificate_request", **wish, patience_s=60)))
    asking.start()

    (wanted,) = bench.hears(CertificateWantedByEv)
    bench.hardware.answer(1, EvCertificate(accepted=True, exi_response="gJgC"))
    asking.join(30)

    assert (wanted.update, wanted.exi_request, wanted.patience_s) == (True, "gJgB", 60.0)
    assert given == [{"status": "Accepted", "exi_response": "gJgC"}]


def test_a_vehicle_that_leaves_or_hears_nothing_ends_the_wait(bench: Bench) -> None:
    wish = {"action": "Install", "schema_version": "urn:iso:15118:2:2013:MsgDef", "exi_request": "gJgB"}
    bench.do("plug_in", protocol="iso15118-2")

    assert "heard nothing" in bench.answer("ev_certificate_request", **wish, patience_s=0.1)["error"]
    given: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: given.append(bench.do("ev_certificate_request", **wish, patience_s=60)))
    bench.forget()
    asking.start()
    bench.hears(CertificateWantedByEv)
    bench.do("unplug")
    asking.join(30)

    assert given == [{"status": "Failed", "exi_response": ""}]


def test_boards_that_speak_iso15118_are_equipped_again_when_they_return(bench: Bench) -> None:
    world = bench.world()
    setup = SeccSetup(contract=True)
    bench.hardware.equip(SeccSetup())
    bench.hardware.equip(setup)
    bench.until(lambda: world.secc == setup)

    world.secc = None
    bench.hardware.call(lambda _resources: world.lose("board")).result()
    bench.hardware.call(lambda _resources: world.lose("board", on=False)).result()

    bench.until(lambda: world.secc == setup)


def test_where_no_vehicle_speaks_nothing_is_offered(bench: Bench) -> None:
    bench.do("plug_in", evse=2)

    assert bench.answer("needs", evse=2)["error"] == "needs: EVSE 2: no vehicle that speaks ISO 15118"
    offer = (ScheduleOffer(1, ((0, 16.0),), 3600),)
    assert "no vehicle that speaks ISO 15118" in bench.hardware.offer(2, offer).result(5)


@pytest.mark.parametrize(
    "command, expected",
    [
        ({"cmd": "plug_in", "evse": 3}, "no EVSE 3 (there are: 1, 2)"),
        ({"cmd": "plug_in", "evse": "left"}, "Expected int, got str - at $.evse"),
        ({"cmd": "plug_in", "volts": 230}, "unknown field volts"),
        ({"cmd": "plug_in", "current_a": -1}, "Expected float > 0.0"),
        ({"cmd": "plug_in", "connector": 2}, "EVSE 1 has no connector 2"),
        ({"cmd": "plug_in", "protocol": "chademo"}, "Invalid enum value 'chademo'"),
        ({"cmd": "plug_in", "payment": "contract"}, "a contract needs protocol iso15118-2"),
        ({"cmd": "unplug"}, "nothing is plugged in"),
        ({"cmd": "swipe"}, "missing required field id_token"),
        ({"cmd": "swipe", "id_token": "04", "type": "Barcode"}, "no token is of type 'Barcode'"),
        ({"cmd": "fault", "fault": "Meteor"}, "no fault is called 'Meteor' (there are: GroundFault"),
        ({"cmd": "meter", "energy_import_wh": -5}, "no register shows -5.0 Wh (0 to 1e+12)"),
        ({"cmd": "meter", "energy_import_wh": 1e300}, "no register shows 1e+300 Wh"),
        ({"cmd": "meter", "power_import_w": 1e300}, "no meter shows 1e+300 W"),
        ({"cmd": "meter", "timestamp": "yesterday"}, "Invalid RFC3339 encoded datetime"),
        ({"cmd": "lock", "result": "maybe"}, "result is 'maybe' (works, or jams)"),
        ({"cmd": "fault", "fault": "GroundFault", "connector": 2}, "EVSE 1 has no connector 2"),
        ({"cmd": "lock", "result": "jams", "connector": 2}, "EVSE 1 has no connector 2"),
        ({"cmd": "unplug", "connector": 2}, "EVSE 1 has no connector 2"),
        ({"cmd": "display", "evse": 3}, "no EVSE 3"),
        ({"cmd": "ev", "state": "fly"}, "Invalid enum value 'fly'"),
    ],
)
def test_a_wrong_argument_is_named_and_changes_nothing(bench: Bench, command: dict[str, Any], expected: str) -> None:
    """One line that tells what would have been right."""
    cmd = command.pop("cmd")

    answer = bench.answer(cmd, **command)

    assert answer["ok"] is False
    assert expected in answer["error"]
    assert not [fact for fact in bench.facts if not isinstance(fact, SensorRead | DeviceIdentified)]


def test_a_lock_jams_and_works_again(bench: Bench) -> None:
    """The motor is tried by the station, not by the command."""
    bench.do("lock", evse=1, connector=1, result="jams")
    assert bench.hardware.unlock(1).result(10)

    bench.do("lock", evse=1, connector=1, result="works")
    assert bench.hardware.unlock(1).result(10) == ""


def test_a_command_while_the_agent_stops_is_refused_and_no_mistake(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The control socket serves until the link has ended, the hardware's thread does not."""
    bench.hardware.stop()

    answer = bench.answer("unplug", evse=1)

    assert answer == {"ok": False, "error": "unplug: hardware: it is stopped"}
    assert "control.bug" not in caplog.text
