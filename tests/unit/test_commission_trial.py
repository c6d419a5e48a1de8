"""`ocpp-station commission`: what is tried at the station after its file is right, and what the record says of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from certs.throwaway import Authority
from hal.api import BoardSnapshot, Fault, MeterReading, Permit
from hal.sim.driver import SimBoard, SimMeter
from hal.sim.world import SimWorld
from station.cli import main
from station.commands.commissioning import session
from station.commands.run import owned

ANSWERS: dict[str, Any] = {
    "identity": "CS-1",
    "vendor": "Example",
    "model": "Wallbox",
    "serial": "0042",
    "security_profile": 1,
    "url": "ws://127.0.0.1:9/ocpp",
    "password": "a secret of sixteen",
    "installer": "Anna",
}
BASE = """\
station: {identity: EXAMPLE, vendor: Example, model: Wallbox}
csms: {url: "ws://example.invalid", security_profile: 1, password_file: password}
state_directory: state
control_socket: control.sock
simulator: {evses: 2, lock: true, energy_wh: 12345}
"""

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the station is, and the test, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE, "utf-8")
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commission with these answers; `typed` by somebody, else nobody is asked. The exit code, and what was said."""

    def runs(typed: str | None = None, **more: Any) -> tuple[int, str]:
        (folder / "answers.yaml").write_text(yaml.safe_dump({**ANSWERS, **more}), "utf-8")
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed or ""))
        alone = ["--yes"] if typed is None else []
        given = ["--base", "base.yaml", "--config", "station.yaml", "--answers", "answers.yaml"]
        code = main(["commission", *given, *alone])
        told = capsys.readouterr()
        return code, told.out + told.err

    return runs


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SimWorld]]:
    """Every simulated world that is made."""
    made: list[SimWorld] = []
    begin = SimWorld.__init__

    def noted(self: SimWorld, *given: Any) -> None:
        begin(self, *given)
        made.append(self)

    monkeypatch.setattr(SimWorld, "__init__", noted)
    yield made
    assert not any(world.evse(number).snapshot().contactor_closed for world in made for number in world.numbers)


def record() -> str:
    """What was recorded."""
    return Path("commissioning.txt").read_text("utf-8")


def test_a_vehicle_is_charged_without_any_csms(run: Run, worlds: list[SimWorld]) -> None:
    """Locked, closed, counted, opened, unlocked. Of the outlet that nobody named it says so."""
    code, told = run(energise=[1])

    assert (code, "error   csms connection" in told) == (1, True)
    row = re.search(r"ok +test EVSE 1 +plugged in, locked, contactor closed after (.*)$", record(), re.MULTILINE)
    assert row is not None
    assert re.fullmatch(
        r".* s, [\d.]+ Wh counted in \d+ s, \d+ W, contactor open after .* s, unlocked, unplugged", row[1]
    )
    assert re.search(r"warning test EVSE 2 +no vehicle was charged: nobody agreed to it", record())
    assert worlds


def test_nobody_is_there_to_agree(run: Run, worlds: list[SimWorld], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither --yes nor the end of the input is consent; Enter is none."""
    monkeypatch.setattr(SimBoard, "allow", lambda *_given: pytest.fail("energised"))

    assert "nobody agreed" in run()[1]
    assert run(typed="y\n")[1].count("nobody agreed") == 2
    assert run(typed="y\n\n\n\n\n\n")[1].count("nobody agreed") == 2
    assert worlds


@pytest.mark.parametrize(
    "shown, grade, told",
    [
        (12.3, "ok", "its display shows 12.3 kWh"),
        (123.45, "error", "its display shows 123.45 kWh"),
        (None, "ok", "not compared with its display"),
    ],
)
def test_a_meter_is_compared_with_its_display(run: Run, shown: float | None, grade: str, told: str) -> None:
    """A factor of ten is found out."""
    run(**({"displays": {"meter-1": shown}} if shown is not None else {}))

    assert re.search(rf"^{grade} +reading meter-1 +EVSE 1.*energy_import 12.345 kWh.*{told}", record(), re.MULTILINE)


def test_what_is_no_number_is_asked_for_again(run: Run) -> None:
    """Nor what no file can hold, from a terminal of another encoding."""
    _, told = run(typed="y\nnan\n1e999\n\udce4\n12,3 kWh\n")

    assert told.count("expected a number of kilowatt-hours") == 2
    assert told.count("no plain text in UTF-8: once more") == 1
    assert "its display shows 12.3 kWh" in record()


def broken_meter(monkeypatch: pytest.MonkeyPatch, world: list[SimWorld]) -> None:
    """It shows what it showed, and no power."""
    del world
    read = SimMeter.read

    async def stands(self: SimMeter) -> MeterReading:
        found = await read(self)
        return MeterReading(sampled_at=found.sampled_at, energy_import_mwh=12_345_000)

    monkeypatch.setattr(SimMeter, "read", stands)
    monkeypatch.setattr(session, "COUNTS_S", 1.5)


def no_vehicle(monkeypatch: pytest.MonkeyPatch, world: list[SimWorld]) -> None:
    """Nobody plugs in."""
    del world
    monkeypatch.setattr(SimWorld, "plug_in", lambda *_given: None)
    monkeypatch.setattr(session, "PERSON_S", 0.5)


def trips(monkeypatch: pytest.MonkeyPatch, worlds: list[SimWorld]) -> None:
    """A ground fault as soon as current is offered."""
    allow = SimBoard.allow

    async def allowed(self: SimBoard, channel: int, permit: Permit) -> None:
        await allow(self, channel, permit)
        worlds[-1].fault(channel, Fault.GROUND_FAULT)

    monkeypatch.setattr(SimBoard, "allow", allowed)


def welded(monkeypatch: pytest.MonkeyPatch, worlds: list[SimWorld]) -> None:
    """Its contact stays closed, as its feedback tells."""
    del worlds
    shown, allow = SimBoard.snapshot, SimBoard.allow
    closed: set[int] = set()

    async def allowed(self: SimBoard, channel: int, permit: Permit) -> None:
        closed.add(channel)
        await allow(self, channel, permit)

    async def stuck(self: SimBoard, channel: int) -> BoardSnapshot:
        return msgspec.structs.replace(await shown(self, channel), contactor_closed=channel in closed)

    monkeypatch.setattr(SimBoard, "allow", allowed)
    monkeypatch.setattr(SimBoard, "snapshot", stuck)
    monkeypatch.setattr(session, "OPENS_S", 0.5)
    monkeypatch.setattr(session, "_LOOKS", 2)


@pytest.mark.parametrize(
    "trouble, told",
    [
        (welded, "the outlet may still be energised -> SWITCH ITS SUPPLY OFF"),
        (broken_meter, "the meter counted nothing in 2 s, and shows no power -> is it the meter of this outlet"),
        (no_vehicle, "nobody plugged in -> is the cable right"),
        (trips, "the board tells GroundFault -> mend that first"),
    ],
)
def test_what_goes_wrong_is_told_with_a_remedy_and_the_contactor_opened(
    run: Run, worlds: list[SimWorld], monkeypatch: pytest.MonkeyPatch, trouble: Callable[..., None], told: str
) -> None:
    """In the record, too, after what went well."""
    trouble(monkeypatch, worlds)

    code, _ = run(energise=[1])

    assert code == 1
    (row,) = [line for line in record().splitlines() if line.startswith("error   test EVSE 1")]
    assert told in row


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_who_stops_it_twice_does_not_leave_the_contactor_closed(
    run: Run, worlds: list[SimWorld], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A shell and the kernel each tell that a terminal has gone: once while current flows, once while it is ended."""
    read, deny = SimMeter.read, SimBoard.deny
    said: list[str] = []

    async def goes(self: SimMeter) -> MeterReading:
        if worlds and worlds[-1].evse(1).snapshot().contactor_closed:
            os.kill(os.getpid(), number)
            said.append("stopped")
        return await read(self)

    async def slow(self: SimBoard, channel: int) -> None:
        if said:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.2)  # an answer on the wire takes its time
        await deny(self, channel)
        said.extend(["denied"] if said else [])

    monkeypatch.setattr(SimMeter, "read", goes)
    monkeypatch.setattr(SimBoard, "deny", slow)

    code, told = run(energise=[1])

    assert (code, "stopped: the station is set up, and was not recorded" in told) == (1, True)
    assert said == ["stopped", "denied"]


def coarse_meter(monkeypatch: pytest.MonkeyPatch, since: list[float], counts_after_s: float) -> None:
    """Its register stands for so long after the first look; the power it shows at once."""
    read = SimMeter.read

    async def coarse(self: SimMeter) -> MeterReading:
        found = await read(self)
        since.append(found.sampled_at)
        counts = found.sampled_at - since[0] >= counts_after_s
        return MeterReading(
            sampled_at=found.sampled_at,
            energy_import_mwh=12_345_000 + counts * 100_000,
            power_import_w=found.power_import_w,
        )

    monkeypatch.setattr(SimMeter, "read", coarse)


def test_the_permission_is_renewed_for_as_long_as_it_takes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of three seconds, a meter that counts after five."""
    monkeypatch.setattr(session, "LEASE_S", 3.0)
    monkeypatch.setattr(session, "_RENEW_S", 0.5)
    coarse_meter(monkeypatch, [], 5.0)

    run(energise=[2])

    assert re.search(r"^ok +test EVSE 2 .*, 100.0 Wh counted in \d+ s, ", record(), re.MULTILINE)


def test_power_that_is_not_counted_is_doubtful(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A register may have coarse steps: whether it counts is not known."""
    monkeypatch.setattr(session, "COUNTS_S", 1.5)
    coarse_meter(monkeypatch, [], 3600.0)

    run(energise=[2])

    assert re.search(r"^warning test EVSE 2 .* W, which the meter did not count within", record(), re.MULTILINE)


def test_an_agent_that_has_the_hardware_is_left_in_peace(run: Run, folder: Path) -> None:
    """Its sessions are none of the installer's."""
    with owned(folder / "state"):
        _, told = run(energise=[1])

    assert "warning trial                  an agent has the hardware" in told
    assert "test EVSE" not in told


@pytest.mark.parametrize(
    "more, told",
    [
        ({"displays": {"grid": 1.0}}, "displays: no meter is called 'grid' - there are: meter-1, meter-2"),
        ({"displays": {"meter-1": "much"}}, "displays"),
        ({"energise": [3]}, "energise: no EVSE 3 - there are 2"),
        ({"energise": True}, "energise"),
        ({"energise": "all"}, "energise"),
    ],
    ids=str,
)
def test_a_wrong_answer_changes_nothing(run: Run, folder: Path, more: dict[str, Any], told: str) -> None:
    """One line, before anything is written."""
    code, said = run(**more)

    assert (code, said.count("\n")) == (2, 1)
    assert told in said
    assert {path.name for path in folder.iterdir()} == {"base.yaml", "answers.yaml"}


def test_the_record_is_chained_to_the_one_before(run: Run) -> None:
    """Which is kept beside it."""
    run()
    first = record()
    run()

    assert f"the record before: sha256 {first[-65:-1]}\n" in record()
    assert Path("commissioning.txt.before").read_text("utf-8") == first


def test_a_station_with_a_key_signs_its_record(run: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever trusts its certificate sees who wrote it, and that nobody has changed it."""
    pki = Authority.create("Root", folder)
    (folder / "root.pem").write_text(pki.root_pem)
    one, other = pki.issue("0042"), pki.issue("0043")
    own = {"certificate": "0042.pem", "key_file": "0042.key", "ca_file": "root.pem", "url": "wss://127.0.0.1:9"}
    run(security_profile=3, password="x" * 16, **own)
    text = record()

    assert main(["commission", "--verify", "commissioning.txt", "--certificate", str(one.chain)]) == 0
    assert "signed by 0042.key, public key sha256 " in capsys.readouterr().out
    assert main(["commission", "--verify", "commissioning.txt", "--certificate", str(other.chain)]) == 1
    assert "it was signed by another key" in capsys.readouterr().err

    forged = text.rpartition("seal: ")[0].replace("by: Anna", "by: Eve")
    Path("commissioning.txt").write_text(f"{forged}seal: sha256 {sha256(forged)}\n", "utf-8")
    assert main(["commission", "--verify", "commissioning.txt"]) == 1
    assert "its signature is not by the key that it names" in capsys.readouterr().err

    longer = text.rpartition("seal: ")[0] + "ok      test EVSE 2            plugged in\n"
    Path("commissioning.txt").write_text(f"{longer}seal: sha256 {sha256(longer)}\n", "utf-8")
    assert main(["commission", "--verify", "commissioning.txt"]) == 1
    assert "there is more in it than was signed" in capsys.readouterr().err


def test_a_record_that_nobody_has_signed_proves_no_station(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so."""
    run()
    pki = Authority.create("Root", Path())
    capsys.readouterr()

    assert main(["commission", "--verify", "commissioning.txt"]) == 0
    assert "signed by nobody" in capsys.readouterr().out
    assert main(["commission", "--verify", "commissioning.txt", "--certificate", str(pki.issue("CS-1").chain)]) == 1


def sha256(text: str) -> str:
    """As anybody can make it."""
    return hashlib.sha256(text.encode()).hexdigest()
