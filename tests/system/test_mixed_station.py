"""A mixed station as one process: four EVSEs, two meters and two boards on one line, CAN, OpenEVSE, two readers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.process import cpu_ns, memory
from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms
from tests.system.mixed import CONFIG, MixedSite
from tests.system.rig import energy
from tests.wire_order import Payload

pytestmark = pytest.mark.system

CARDS = {1: "04A1B2C3D4E501", 2: "04A1B2C3D4E502", 3: "010063E9A3", 4: "010063E9A4"}
ROUNDING_WH = 0.0015
MEASURED_S = 10.0
MOST_CPU = 0.03
"""Of one core, with four polled or listening boards at 1 Hz and two meters. A busy machine counts more; see the log."""


class Mixed(NamedTuple):
    """Everything that runs."""

    site: MixedSite
    csms: LiveCsms
    agent: Agent

    def events(self, evse: int) -> list[Payload]:
        """The TransactionEvents of one EVSE: those of the transaction that it began."""
        told = self.csms.script.received("TransactionEvent")
        ids = {each["transactionInfo"]["transactionId"] for each in told if each.get("evse", {}).get("id") == evse}
        return [each for each in told if each["transactionInfo"]["transactionId"] in ids]

    def available(self) -> set[int]:
        """EVSEs whose last status is Available."""
        last = {each["evseId"]: each["connectorStatus"] for each in self.csms.script.received("StatusNotification")}
        return {evse for evse, status in last.items() if status == "Available"}

    def start(self, evse: int) -> None:
        """Plug in, show the card, charge."""
        self.site.plug_in(evse)
        self.csms.until(lambda: self.events(evse), f"EVSE {evse} to start")
        self.site.card(evse, CARDS[evse])
        self.site.until(lambda: evse in self.site.closed(), f"EVSE {evse} to charge")

    def stop(self, evse: int) -> None:
        """Show the card again, and take the cable out once it is open."""
        self.site.card(evse, CARDS[evse])
        self.until_ended(evse)
        self.site.until(lambda: evse not in self.site.closed(), f"EVSE {evse} to open")
        self.site.plug_out(evse)

    def charge_on(self, seconds: float, evses: tuple[int, ...] = (1, 2, 3, 4)) -> None:
        """For so long none of these opens; looked at far more often than a contactor moves."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            closed = self.site.do(self.site.closed)
            assert set(evses) <= set(closed), f"closed: {closed}"
            time.sleep(0.02)

    def until_sampled(self) -> None:
        """Two more samples of each meter."""
        counts = {evse: len(self.events(evse)) for evse in (1, 2)}
        self.csms.until(lambda: all(len(self.events(e)) >= count + 2 for e, count in counts.items()), "two samples")

    def were_shown(self, evse: int, told: list[float]) -> bool:
        """Whether its meter has shown each of these, to a milliwatt-hour: a float may be rounded either way."""
        shown = self.site.do(lambda: list(self.site.rs485.shown[evse]))
        return all(min(abs(wh - value) for value in shown) < ROUNDING_WH for wh in told)

    def transactions(self) -> dict[int, str]:
        """The one of each EVSE that was begun last."""
        return {evse: self.events(evse)[-1]["transactionInfo"]["transactionId"] for evse in CARDS}

    def until_ended(self, evse: int) -> Payload:
        """The Ended of its transaction."""
        self.csms.until(lambda: self.events(evse)[-1]["eventType"] == "Ended", f"EVSE {evse} to end")
        return self.events(evse)[-1]


@pytest.fixture(params=[(1, "")])
def mixed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mixed]:
    """The parameter: every how many seconds a transaction is updated, and what else is configured."""
    updated_s, more = request.param
    with LiveCsms(password=PASSWORD) as csms, MixedSite(tmp_path) as site:
        agent = Agent(tmp_path, csms.url)
        (tmp_path / "station.yaml").write_text(
            CONFIG.format(url=csms.url, folder=tmp_path, updated_s=updated_s, more=more), "utf-8"
        )
        with agent:
            running = Mixed(site, csms, agent)
            csms.until(lambda: running.available() == {1, 2, 3, 4}, "four EVSEs to be Available")
            yield running


def test_four_evses_of_three_kinds_charge_at_once(mixed: Mixed) -> None:
    """Each by its own card; a line that is pulled out for a moment ends no session; each ends by its own card."""
    for evse in CARDS:
        mixed.start(evse)
    assert mixed.site.do(mixed.site.closed) == [1, 2, 3, 4]
    assert mixed.site.do(mixed.site.offered_a) == [16, 16, 16, 16]

    mixed.site.pull("rs485")
    time.sleep(1.0)  # how long the plug is out
    mixed.site.put_back("rs485")
    count = len(mixed.events(1))
    mixed.csms.until(lambda: len(mixed.events(1)) >= count + 2, "samples after the line is back")
    assert mixed.site.do(mixed.site.closed) == [1, 2, 3, 4]

    for evse in CARDS:
        mixed.stop(evse)
    mixed.csms.until(lambda: mixed.available() == {1, 2, 3, 4}, "four EVSEs to be Available")
    for evse, card in CARDS.items():
        events = mixed.events(evse)
        kinds = [event["eventType"] for event in events]
        assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"]
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        assert {event["idToken"]["idToken"] for event in events if "idToken" in event} == {card}
        assert events[-1]["transactionInfo"]["stoppedReason"] == "Local"
    for evse in (1, 2):
        told = [each.wh for each in energy(mixed.events(evse))]
        assert mixed.were_shown(evse, told)
        assert told[0] < told[-1]
    assert mixed.agent.stop() == 0


def test_adapters_that_are_pulled_out_under_load_open_no_contactor_and_end_no_session(mixed: Mixed) -> None:
    """Each of the five for a second, then all at once; each comes back as another pty by the same name."""
    for evse in CARDS:
        mixed.start(evse)
    began = mixed.transactions()
    adapters = tuple(mixed.site.adapters)

    for pulled in (*((name,) for name in adapters), adapters):
        for name in pulled:
            mixed.site.pull(name)
        mixed.charge_on(1.0)
        for name in pulled:
            mixed.site.put_back(name)
        mixed.charge_on(1.5)
        mixed.until_sampled()

    assert mixed.transactions() == began
    for evse in CARDS:
        mixed.stop(evse)
    assert mixed.transactions() == began
    for evse in (1, 2):
        assert mixed.were_shown(evse, [each.wh for each in energy(mixed.events(evse))])


def test_wires_that_are_away_for_longer_than_a_lease_cost_the_others_nothing(mixed: Mixed) -> None:
    """CAN and RS-485 are out: the CAN board opens by itself; EVSE 4 charges on; all charge again in what they began."""
    for evse in CARDS:
        mixed.start(evse)
    began = mixed.transactions()

    for name in ("rs485", "can"):
        mixed.site.pull(name)
    mixed.charge_on(12.0, (1, 2, 4))
    assert mixed.site.do(mixed.site.closed) == [1, 2, 4]
    for name in ("rs485", "can"):
        mixed.site.put_back(name)

    mixed.site.until(lambda: mixed.site.closed() == [1, 2, 3, 4], "the board on CAN to close")
    mixed.site.until(lambda: mixed.site.offered_a() == [16, 16, 16, 16], "all to be offered all")
    assert mixed.transactions() == began
    for evse in CARDS:
        mixed.stop(evse)
    assert mixed.transactions() == began


def test_an_agent_that_is_killed_leaves_what_each_board_makes_of_it(mixed: Mixed) -> None:
    """As docs/hardware.md says: CAN opens, OpenEVSE offers 6 A, an EVSE-WB goes on; the next agent ends all of it."""
    for evse in CARDS:
        mixed.start(evse)

    mixed.agent.kill()
    mixed.site.until(lambda: mixed.site.closed() == [1, 2, 4], "the board on CAN to open by itself")
    mixed.site.until(lambda: mixed.site.offered_a() == [16, 16, 0, 6], "the OpenEVSE to miss its host")

    mixed.agent.start()
    mixed.site.until(lambda: mixed.site.closed() == [], "the next agent to open the rest")
    for evse in CARDS:
        assert mixed.until_ended(evse)["transactionInfo"]["stoppedReason"] == "Reboot"


@pytest.mark.parametrize("mixed", [(1, "resume_transactions: true\n")], indirect=True)
def test_an_agent_that_is_killed_may_resume_what_each_board_has_made_of_it(mixed: Mixed) -> None:
    """The cars charge on in the transactions that they began, with all that they were offered before."""
    for evse in CARDS:
        mixed.start(evse)
    before = {evse: mixed.events(evse)[0]["transactionInfo"]["transactionId"] for evse in CARDS}

    mixed.agent.kill()
    mixed.site.until(lambda: mixed.site.offered_a() == [16, 16, 0, 6], "CAN and OpenEVSE to fall back")
    mixed.agent.start()

    mixed.site.until(lambda: mixed.site.closed() == [1, 2, 3, 4], "all to charge again")
    mixed.site.until(lambda: mixed.site.offered_a() == [16, 16, 16, 16], "all to be offered all")
    for evse, transaction in before.items():
        mixed.stop(evse)
        assert {event["transactionInfo"]["transactionId"] for event in mixed.events(evse)} == {transaction}


@pytest.mark.parametrize("mixed", [(60, "")], indirect=True)
def test_what_four_charging_evses_cost(mixed: Mixed) -> None:
    """CPU and memory of the whole agent, while four boards, two meters and a sensor are looked at once a second."""
    for evse in CARDS:
        mixed.start(evse)
    assert mixed.agent.process is not None
    pid = mixed.agent.process.pid

    before, began = cpu_ns(pid), time.monotonic()
    time.sleep(MEASURED_S)  # the time that is measured
    share = (cpu_ns(pid) - before) / 1e9 / (time.monotonic() - began)
    held = memory(pid)

    print(f"mixed station: {share:.2%} of a core, {held.rss} KiB resident, {held.anonymous} KiB anonymous")  # noqa: T201 - the figure
    assert share < MOST_CPU
