"""`ocpp-station commission` on a real terminal, with four EVSEs of emulated parts: meters, a test session, its ends."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.cli import main
from tests.system.mixed import CONFIG, MixedSite, Outlet
from tests.system.terminal import Terminal

pytestmark = pytest.mark.system
PASSWORD = "a secret of sixteen"


class Idle(Outlet):
    """A vehicle that asks for current and takes none, so that the session stays where it is."""

    def settle(self) -> None:
        """Nothing flows."""
        super().settle()
        self.power_w = 0.0

    def trips(self) -> None:
        """Its RCD."""
        self.fails.add("rcd")
        self.settle()


class Bench:
    """A station whose parts are there, and that nobody has commissioned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "station.yaml"
        base = CONFIG.format(url="ws://127.0.0.1:9/ocpp", folder=folder, updated_s=60, more="")
        (folder / "base.yaml").write_text(base, "utf-8")
        self.words = ("commission", "--base", str(folder / "base.yaml"), "--config", str(self.file))

    def set_up(self, terminal: Terminal, *lines: str) -> None:
        """Enter for everything that the base says, after a look at these lines."""
        for question in ("Identity", "Vendor", "Model", "Serial", "Security profile", "URL"):
            terminal.answers(question, "")
        terminal.answers("Password", PASSWORD)
        terminal.answers("Who sets the station up", "Anna")
        for line in (*lines, ""):
            terminal.answers("Lines to look at, in turn .rs485; all; ", line)
        terminal.answers(r"Write .*\[y/N\]: ", "y")

    @property
    def record(self) -> str:
        """What was recorded."""
        return (self.folder / "commissioning.txt").read_text("utf-8")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """In a folder of its own."""
    return Bench(tmp_path)


@pytest.fixture
def site(bench: Bench) -> Iterator[MixedSite]:
    """The far ends of its wires."""
    with MixedSite(bench.folder) as parts:
        yield parts


def test_meters_are_compared_and_vehicles_charged_at_three_kinds_of_board(bench: Bench, site: MixedSite) -> None:
    """EVSE-WB with a meter, the reference board on CAN, an OpenEVSE; at EVSE 2 nobody agrees."""
    for address, value in {0x00: 230.0, 0x46: 50.0}.items():  # what a scan knows mains by
        site.do(functools.partial(site.rs485.do_set, 1, "input", address, float=value))
    with Terminal(*bench.words) as terminal:
        bench.set_up(terminal, "rs485")
        terminal.answers("What does the display of one show", "1.2345")
        terminal.answers("What does the display of two show", "what?")
        terminal.answers("expected a number(.|\n)*What does the display of two show", "1234.5")
        for evse in (1, 3, 4):
            terminal.answers(rf"Charge a vehicle at EVSE {evse} .*\[y/N\]: ", "yes")
            assert evse not in site.closed()
            terminal.sees("Plug in a vehicle")
            site.plug_in(evse)
            terminal.sees("Unplug it")
            site.until(lambda: not site.closed(), "the relays")
            site.plug_out(evse)
            if evse == 1:
                terminal.answers(r"Charge a vehicle at EVSE 2 .*\[y/N\]: ", "")
        assert terminal.ends() == 1

    assert PASSWORD not in terminal.screen + bench.record
    assert re.search(r"address 1: eastron-sdm\w+, .* kWh \(meter one\)", bench.record)
    assert "address 12 answers, by no register map of a meter (board second)" in bench.record
    rows = {
        row[0]: row[1] for row in re.findall(r"^\w+ +(test EVSE \d|reading \w+) +(.*)$", bench.record, re.MULTILINE)
    }
    assert re.search(
        r"plugged in, contactor closed after .* s, .* Wh counted in .* s, \d+ W, .* unplugged", rows["test EVSE 1"]
    )
    assert "nobody agreed" in rows["test EVSE 2"]
    assert "locked, contactor closed" in rows["test EVSE 3"]
    assert "contactor open after" in rows["test EVSE 4"]
    assert "its display shows 1.2345 kWh" in rows["reading one"]
    assert "its display shows 1234.5 kWh -> is it this meter" in rows["reading two"]
    assert "by: Anna (user " in bench.record
    assert re.search(r"board first +ev-racing EVSE-WB firmware 18", bench.record)
    assert main(["commission", "--verify", str(bench.folder / "commissioning.txt")]) == 0


@pytest.mark.parametrize("how", ["ctrl-c", "hang-up", "fault"])
def test_whatever_ends_a_session_the_contactor_is_open_afterwards(bench: Bench, site: MixedSite, how: str) -> None:
    """An EVSE-WB does not watch its host: nobody else would open it."""
    with Terminal(*bench.words) as terminal:
        bench.set_up(terminal)
        terminal.answers("display of one show", "")
        terminal.answers("display of two show", "")
        outlet = Idle(site.rs485.registers[11]["holding"])
        site.do(lambda: site.rs485.outlets.update({11: outlet}))
        terminal.answers(r"Charge a vehicle at EVSE 1 .*\[y/N\]: ", "y")
        terminal.sees("Plug in a vehicle")
        site.plug_in(1)
        terminal.sees("the meter should count")
        assert site.closed() == [1]

        if how == "ctrl-c":
            terminal.interrupts()
            assert terminal.ends() == 1
            assert (
                "stopped: the station is set up, and was not recorded - the same command once more" in terminal.screen
            )
        elif how == "hang-up":
            terminal.hangs_up()
        else:
            site.do(outlet.trips)
            told = terminal.sees("test EVSE 1 .*")
            assert "plugged in, contactor closed after" in told
            assert "the board tells ResidualCurrent" in told

        site.until(lambda: site.closed() == [], "the relay to open")
