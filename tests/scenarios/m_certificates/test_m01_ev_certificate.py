"""M01, M02: a vehicle asks for its contract certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hal.sim.ev import EvSpec
from tests.bench import Bench
from tests.csms import Error
from tests.scenarios.vehicles import secc_bench

VERSION = "urn:iso:15118:2:2013:MsgDef"
RESPONSE = {"status": "Accepted", "exiResponse": "gJgCAAAA"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A vehicle that speaks ISO 15118 is plugged in at each EVSE."""
    bench = secc_bench(tmp_path)
    for evse in (1, 2):
        bench.world.plug_in(evse, 1, EvSpec(evcc_id="0A1B2C3D4E5F"))
    bench.settle()
    bench.csms.on("Get15118EVCertificate", RESPONSE)
    return bench


def wants(bench: Bench, evse: int = 1, exi: str = "gJgB", **more: Any) -> None:
    """The vehicle asks."""
    bench.world.want_certificate(evse, more.pop("version", VERSION), exi, **more)
    bench.settle()


def given(bench: Bench, evse: int = 1) -> tuple[bool, str] | None:
    """What the vehicle was told; None: it waits."""
    return bench.world.certificates.get(evse)


def asked(bench: Bench) -> list[dict[str, Any]]:
    """What the CSMS was asked."""
    return bench.csms.received("Get15118EVCertificate")


@pytest.mark.req("M01.FR.01", "M02.FR.01")
@pytest.mark.parametrize("update, action", [(False, "Install"), (True, "Update")])
def test_the_csms_is_asked_and_its_answer_handed_on(bench: Bench, action: str, *, update: bool) -> None:
    wants(bench, update=update)

    assert asked(bench) == [{"iso15118SchemaVersion": VERSION, "action": action, "exiRequest": "gJgB"}]
    assert given(bench) == (True, "gJgCAAAA")


@pytest.mark.req("M01.FR.01")
def test_the_longest_texts_that_messages_have_get_through_whole(bench: Bench) -> None:
    bench.csms.on("Get15118EVCertificate", {"status": "Accepted", "exiResponse": "B" * 5600})

    wants(bench, exi="A" * 5600)

    assert asked(bench)[0]["exiRequest"] == "A" * 5600
    assert given(bench) == (True, "B" * 5600)


@pytest.mark.parametrize("more", [{"exi": "A" * 5601}, {"exi": "A" * 10**7}, {"exi": ""}, {"version": "v" * 51}])
def test_what_no_message_could_carry_fails_at_once(bench: Bench, more: dict[str, Any]) -> None:
    wants(bench, **more)

    assert asked(bench) == []
    assert given(bench) == (False, "")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "Failed", "exiResponse": ""},
        {"status": "Failed"},
        {"status": "Accepted"},
        {"status": "Accepted", "exiResponse": "B" * 5601},
        Error("InternalError"),
        Error("NotImplemented"),
    ],
)
def test_whatever_else_the_csms_answers_the_vehicle_hears_that_it_failed(bench: Bench, answer: Any) -> None:
    bench.csms.valid_answers = False
    bench.csms.on("Get15118EVCertificate", answer)

    wants(bench)

    assert given(bench) == (False, "")


def test_a_failure_that_the_csms_words_for_the_vehicle_is_handed_on(bench: Bench) -> None:
    bench.csms.on("Get15118EVCertificate", {"status": "Failed", "exiResponse": "gJgF"})

    wants(bench)

    assert given(bench) == (False, "gJgF")


@pytest.mark.parametrize("patience", [4.5, 30.0])
def test_the_vehicle_is_told_before_it_gives_up_and_a_late_answer_is_dropped(bench: Bench, patience: float) -> None:
    bench.csms.hold()
    wants(bench, patience_s=patience)
    bench.advance(seconds=patience - 0.1)
    assert given(bench) is None

    bench.advance(seconds=0.1)

    assert given(bench) == (False, "")
    if patience < 30:
        bench.csms.release()
        assert given(bench) == (False, "")


@pytest.mark.parametrize("patience", [float("inf"), float("nan"), 1e9, -1.0])
def test_no_vehicle_waits_for_ever(bench: Bench, patience: float) -> None:
    bench.csms.hold()

    wants(bench, patience_s=patience)
    bench.advance(seconds=60)

    assert given(bench) == (False, "")


def test_offline_nobody_is_asked_then_or_later(bench: Bench) -> None:
    bench.csms.disconnect()

    wants(bench)
    assert given(bench) == (False, "")
    bench.csms.connect()
    bench.advance(minutes=5)

    assert asked(bench) == []


def test_a_link_that_is_lost_meanwhile_is_told_at_once(bench: Bench) -> None:
    bench.csms.hold()
    wants(bench)

    bench.csms.disconnect()

    assert given(bench) == (False, "")
    bench.csms.release()
    bench.csms.connect()
    bench.advance(minutes=5)
    assert len(asked(bench)) == 1


def test_behind_a_slow_csms_a_question_does_not_wait_longer_than_the_vehicle(bench: Bench) -> None:
    bench.csms.hold()
    wants(bench, 1)
    wants(bench, 2)

    bench.advance(seconds=4.5)

    assert (given(bench, 1), given(bench, 2)) == ((False, ""), (False, ""))
    bench.csms.release()
    bench.advance(minutes=5)
    assert len(asked(bench)) == 1


def test_each_of_several_vehicles_gets_its_own(bench: Bench) -> None:
    bench.csms.on("Get15118EVCertificate", lambda sent: {**RESPONSE, "exiResponse": sent["exiRequest"].lower()})
    bench.csms.hold()
    wants(bench, 1, "ONE")
    wants(bench, 2, "TWO")

    bench.csms.release()

    assert (given(bench, 1), given(bench, 2)) == ((True, "one"), (True, "two"))


def test_an_answer_for_a_vehicle_that_left_does_not_reach_the_next_one(bench: Bench) -> None:
    bench.csms.on("Get15118EVCertificate", lambda sent: {**RESPONSE, "exiResponse": sent["exiRequest"].lower()})
    bench.csms.hold()
    wants(bench, 1, "FIRST")
    bench.evse(1).unplug()
    bench.evse(1).plug_in(evcc_id="0A1B2C3D4E60")

    bench.csms.release()
    assert given(bench) is None
    wants(bench, 1, "SECOND")

    assert given(bench) == (True, "second")


def test_of_a_vehicle_that_asks_twice_the_second_question_is_answered(bench: Bench) -> None:
    bench.csms.on("Get15118EVCertificate", lambda sent: {**RESPONSE, "exiResponse": sent["exiRequest"].lower()})
    bench.csms.hold()
    wants(bench, 1, "FIRST")
    wants(bench, 1, "SECOND")

    bench.csms.release()

    assert given(bench) == (True, "second")


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    bench = secc_bench(tmp_path, variables={"ISO15118Ctrlr.ContractCertificateInstallationEnabled": "false"})
    bench.evse(1).plug_in(evcc_id="0A1B2C3D4E5F")

    wants(bench)

    assert asked(bench) == []
    assert given(bench) == (False, "")
    assert bench.world.secc is not None
    assert not bench.world.secc.certificates


def test_a_restart_forgets_whoever_waited(bench: Bench) -> None:
    bench.csms.hold()
    wants(bench)

    bench.crash()
    bench.csms.release()
    bench.advance(minutes=1)

    assert given(bench) is None
    wants(bench)
    assert given(bench) == (True, "gJgCAAAA")
