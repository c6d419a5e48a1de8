"""The world: commands, catching up, who is told what and when."""

from __future__ import annotations

import math

import pytest

from hal.api import BoardEvent, BoardSnapshot, Fault, Permit, PilotState, Token, TokenType
from hal.iso15118 import CertificateWanted, ContractPresented, VehicleIdentified
from hal.sim.ev import EvSpec
from hal.sim.evse import EvseSpec
from hal.sim.world import Contract, Listener, SimWorld


class Hand:
    """A clock wound by hand."""

    def __init__(self) -> None:
        self.t = 1000.0

    def __call__(self) -> float:
        """The present."""
        return self.t


class Stage:
    """A world of two EVSEs, its clock, and what a listener heard."""

    def __init__(self) -> None:
        self.clock = Hand()
        self.world = SimWorld({1: EvseSpec(lock=True), 2: EvseSpec(connectors=2)}, self.clock)
        self.heard: list[BoardEvent] = []
        self.world.listen(Listener(self.heard.append, lambda: None))

    def snapshots(self) -> list[BoardSnapshot]:
        """The snapshots heard."""
        return [event for event in self.heard if isinstance(event, BoardSnapshot)]


@pytest.fixture
def stage() -> Stage:
    """A fresh world."""
    return Stage()


def test_each_change_is_told_at_its_own_instant_however_late_somebody_looks(stage: Stage) -> None:
    """The lease ended at 1010, although the world is next looked at an hour later."""
    stage.world.plug_in(1)
    stage.world.allow(1, Permit(16, 3))
    stage.clock.t = 4600

    stage.world.catch_up()

    assert [(s.sampled_at, s.pilot.value, s.contactor_closed) for s in stage.snapshots()] == [
        (1000, "B", False),
        (1000, "C", True),
        (1010, "B", False),
    ]


def test_equal_states_are_not_told_again(stage: Stage) -> None:
    """Renewing a lease is no news."""
    stage.world.plug_in(1)
    stage.world.allow(1, Permit(16, 3))
    told = len(stage.heard)
    stage.clock.t += 4

    stage.world.allow(1, Permit(16, 3))

    assert len(stage.heard) == told
    assert stage.world.next_change() == 1014


def test_evses_do_not_disturb_each_other(stage: Stage) -> None:
    """A fault on one is not heard of on the other."""
    stage.world.plug_in(1)
    stage.world.plug_in(2, connector=2)
    stage.world.allow(1, Permit(16, 3))
    stage.world.allow(2, Permit(10, 3))

    stage.world.fault(1, Fault.GROUND_FAULT)

    one, two = (stage.world.evse(n).snapshot() for n in (1, 2))
    assert (one.contactor_closed, two.contactor_closed) == (False, True)
    assert (two.connector, two.limit_a) == (2, 10)


def test_the_main_meter_is_the_sum(stage: Stage) -> None:
    """EVSE 0 counts everything."""
    for number in (1, 2):
        stage.world.plug_in(number, ev=EvSpec(ramp_a_per_s=0))
        stage.world.allow(number, Permit(10, 3))
    stage.clock.t += 10

    total = stage.world.reading(0)

    assert total.energy_import_mwh == 2 * int(10 * 230 * 3 * 10 / 3.6)
    assert total.sampled_at == 1010


def test_a_told_register_and_power_hold_until_the_vehicle_leaves(stage: Stage) -> None:
    """Scripts set what the meter shows."""
    stage.world.plug_in(1)
    stage.world.meter(1, energy_import_wh=1234.5, power_import_w=3600, sampled_at=900)

    first = stage.world.reading(1)
    stage.clock.t += 10
    second = stage.world.reading(1)
    stage.world.unplug(1)

    assert (first.sampled_at, first.energy_import_mwh, first.power_import_w) == (900, 1_234_500, 3600)
    assert (second.sampled_at, second.energy_import_mwh) == (1010, 1_244_500)
    assert stage.world.reading(1).power_import_w == 0


def test_a_card_goes_to_the_reader_that_serves_the_evse(stage: Stage) -> None:
    """A choice is told only by a reader that has one to offer."""
    seen: list[tuple[str, Token]] = []
    stage.world.add_reader("left", [1], lambda token: seen.append(("left", token)))
    stage.world.add_reader("both", [1, 2], lambda token: seen.append(("both", token)))

    stage.world.swipe("04aabbcc", evses=[1])
    stage.world.swipe("08aabbcc", evses=[2])
    stage.world.lose("left")
    stage.world.swipe("1234", TokenType.KEY_CODE)

    assert seen == [
        ("left", Token("04AABBCC")),
        ("both", Token("08AABBCC", random_uid=True, outlet=2)),
        ("both", Token("1234", TokenType.KEY_CODE)),
    ]


def test_a_contract_vehicle_names_itself_presents_its_contract_and_waits(stage: Stage) -> None:
    """ISO 15118: energy is wanted only when the contract was accepted."""
    stage.world.plug_in(1, ev=EvSpec(evcc_id="AABBCCDDEEFF"), charge=False, contract=Contract("DE8AA1A2B3C4D5", "pem"))
    stage.world.allow(1, Permit(16, 3))
    before = stage.world.evse(1).pilot

    stage.world.authorized(1, accepted=True)
    stage.world.want_certificate(1, "urn:iso:15118:2:2013:MsgDef", "AAAA")

    assert (before, stage.world.evse(1).pilot) == (PilotState.B, PilotState.C)
    assert [event for event in stage.heard if not isinstance(event, BoardSnapshot)] == [
        VehicleIdentified(1, "AABBCCDDEEFF"),
        ContractPresented(1, "DE8AA1A2B3C4D5", "pem"),
        CertificateWanted(1, "urn:iso:15118:2:2013:MsgDef", "AAAA"),
    ]
    assert stage.world.reading(1).soc_percent == 20


def test_a_world_at_rest_has_nothing_due(stage: Stage) -> None:
    """No wake-ups at idle."""
    stage.world.plug_in(1)
    assert math.isinf(stage.world.next_change())


@pytest.mark.parametrize(
    "mistake",
    [
        lambda w: w.plug_in(3),
        lambda w: w.plug_in(1, connector=2),
        lambda w: w.unplug(1),
        lambda w: w.ev(1, "charge"),
        lambda w: w.ev(1, "fly"),
        lambda w: w.swipe("04", evses=[1]),
        lambda w: w.meter(1, energy_import_wh=-1),
        lambda w: w.sensor("none", 1.0),
        lambda w: w.want_certificate(1, "", ""),
    ],
)
def test_a_bad_command_says_why_and_changes_nothing(stage: Stage, mistake: object) -> None:
    """Bad input gives a clear error."""
    with pytest.raises(ValueError, match=r"\w{3}"):
        mistake(stage.world)  # type: ignore[operator] # one lambda per mistake

    assert stage.heard == []
