"""What a control socket tells, and who may change a station by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from station.app import Station
from station.commands.control import CHANGING, Limit, commands
from station.config import Config, load
from station.now import Now
from station.shell.control import CommandError
from station.shell.runner import Runner
from tests.bench import Bench
from tests.scenarios.variables import put
from tests.unit.test_cli import GOOD

REAL = """\
buses: {can: {kind: can, interface: socketcan, channel: can0}}
boards: {board: {driver: can, bus: can, channels: [1], max_a: 32}}
evses: [{board: board}]
"""


class Asked:
    """A runner and a station that note what is asked of them."""

    def __init__(self) -> None:
        self.count = 0
        self.operator = self

    def factory_reset(self, now: object) -> None:
        """Never called: `ask` only counts."""

    async def ask(self, command: object) -> dict[str, Any]:
        """Somebody passed."""
        del command
        self.count += 1
        return {}


def config(folder: Path, *, socket: str, simulated: bool) -> Config:
    """A station with this control socket."""
    (folder / "password").touch(0o600)
    (folder / "password").write_text("a secret of sixteen", "utf-8")
    text = GOOD.replace("control.sock", socket)
    if not simulated:
        text = text.replace("simulator: {evses: 1}\n", REAL)
    (folder / "station.yaml").write_text(text, "utf-8")
    return load(folder / "station.yaml")


@pytest.mark.parametrize(
    "socket, simulated, may", [("c.sock", False, True), ("127.0.0.1:9", False, False), ("127.0.0.1:9", True, True)]
)
def test_by_a_port_nobody_changes_a_real_station(tmp_path: Path, socket: str, simulated: bool, may: bool) -> None:  # noqa: FBT001 - columns of the table
    """A port has no owner; a simulated station may be anybody's."""
    asked: Any = Asked()
    given = config(tmp_path, socket=socket, simulated=simulated)
    found = commands(given, cast("Station", asked), cast("Runner", _runner(asked)))

    given.state.mkdir()
    lines = {
        "set_variable": b'{"cmd":"set_variable","name":"A.B","value":1}',
        "limit": b'{"cmd":"limit","amperes":8}',
        "allow_firmware": b'{"cmd":"allow_firmware","version":"1.0"}',
    }
    for name in CHANGING:
        line = lines.get(name, b'{"cmd":"factory_reset","confirm":true}')
        if may:
            asyncio.run(_answer(found[name], line))
        else:
            with pytest.raises(CommandError, match="give control_socket a path"):
                asyncio.run(_answer(found[name], line))
    assert asked.count == (len(CHANGING) - 1 if may else 0)  # a file is all that allow_firmware needs
    assert (given.state / "firmware-floor").exists() is may


async def _answer(handler: Any, line: bytes) -> Any:
    return await handler(line)


def _runner(asked: Asked) -> Any:
    """With the parts that simulated hardware wants."""
    runner: Any = type("Parts", (), {"ask": asked.ask, "hardware": None, "clock": None, "tell": None, "link": None})()
    return runner


def test_the_security_log_is_told_with_what_does_not_fit_in_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    runner: Any = Running(bench)
    given = config(tmp_path, socket="c.sock", simulated=False)
    handler = commands(given, bench.station, cast("Runner", runner))["security_log"]

    before = asyncio.run(_answer(handler, b""))
    with bench.database.transaction():
        bench.database.execute("UPDATE security_log SET info = 'nothing'")
    after = asyncio.run(_answer(handler, b""))

    (entry,) = before["entries"]
    assert (entry["type"], entry["info"]) == ("StartupOfTheDevice", "PowerUp")
    assert (before["flaw"], before["head"]["id"]) == (None, 1)
    assert after["flaw"] is not None


class Running:
    """A runner that asks the station of a bench."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.hardware = self.link = self.clock = self.tell = None

    async def ask(self, command: Callable[[Now], Any]) -> Any:
        """At once."""
        return command(self._bench.now)


class Stepping(Running):
    """A runner that lets the station take a step."""

    async def ask(self, command: Callable[[Now], Any]) -> Any:
        """What it answers, once what follows has been sent."""
        answer, effects = self._bench.station.exchange.ask(command, self._bench.now)
        self._bench._do(effects)
        self._bench.settle()
        return answer


@pytest.mark.parametrize(
    "line, periods, unit",
    [
        (b'{"cmd":"limit","amperes":8}', ((0, 8.0),), "A"),
        (b'{"cmd":"limit","watts":4200,"source":"SO","evse":1}', ((0, 4200.0),), "W"),
        (b'{"cmd":"limit","schedule":[[0,16],[60,8]],"duration_s":90}', ((0, 16.0), (60, 8.0)), "A"),
        (b'{"cmd":"limit"}', (), "A"),
        (b'{"cmd":"limit","amperes":null}', (), "A"),
    ],
)
def test_a_limit_is_read_as_one_value_or_a_schedule(
    line: bytes, periods: tuple[tuple[int, float], ...], unit: str
) -> None:
    given = msgspec.json.decode(line, type=Limit).limit()

    assert (given.periods, given.unit) == (periods, unit)


def test_a_limit_of_two_values_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="one of amperes, watts and schedule"):
        Limit(cmd="limit", amperes=8, watts=4000).limit()


def test_an_energy_manager_limits_a_station_by_the_socket(tmp_path: Path) -> None:
    """It hears at once why not, if not."""
    (tmp_path / "state").mkdir()
    bench = Bench(tmp_path / "state")
    runner = cast("Runner", Stepping(bench))
    limit = commands(config(tmp_path, socket="c.sock", simulated=True), bench.station, runner)["limit"]

    with pytest.raises(CommandError, match="ExternalControlSignalsEnabled is false"):
        asyncio.run(_answer(limit, b'{"cmd":"limit","amperes":8}'))

    put(bench, "SmartChargingCtrlr.ExternalControlSignalsEnabled", "true")
    assert asyncio.run(_answer(limit, b'{"cmd":"limit","amperes":8}')) == {}
    assert bench.csms.received("NotifyChargingLimit") == [{"chargingLimit": {"chargingLimitSource": "EMS"}}]
