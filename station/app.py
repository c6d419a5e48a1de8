"""One station, put together: what is known, who acts on it, the engine, the conversation with the CSMS. No logic.

Read `setup.py` (of what a station is made), `known.py` (what it knows) and `roster.py` (its blocks, in the order in
which they hear facts) as parts of this page. All that belongs to one charging station hangs on one `Station`; nothing
is kept in modules, so that one process could run several.
"""

from __future__ import annotations

from station import roster
from station.effects import Effect
from station.engine import Engine
from station.exchange import Exchange
from station.facts import Fact, SecurityEventOccurred, StationStarted, StoreDegraded
from station.inputs import Ask, Happened
from station.known import Known
from station.now import BootId, Now
from station.ocpp.rpc import Endpoint
from station.setup import Setup, World
from station.store.boots import Boots
from station.store.db import Database


class Station(Known):
    """One charging station. Built over an open database whose boot has begun (`Boots.begin`)."""

    def __init__(self, setup: Setup, world: World, db: Database, boots: Boots, boot: BootId) -> None:
        super().__init__(setup, world, db, boots, boot)
        blocks = roster.blocks(self)
        for block in blocks:
            self.vetoes.add(block.guards())
        self.engine = Engine(
            db=self.db, facts=self.facts, ports=self.ports, csms=self.csms, states=self.states(), blocks=blocks
        )
        self.exchange = Exchange(
            engine=self.engine,
            csms=self.csms,
            outbox=self.outbox,
            stamps=self.stamps,
            intents=self.intents,
            registration=self.registration,
            endpoint=Endpoint(call_timeout_s=self.setup.message_timeout_s),
            speakers=self.speakers,
        )

    def start(self, now: Now) -> list[Effect]:
        """Read the tables: the station is as it was when it stopped, its contactors wanted open."""
        self.engine.load(now)
        learnt = self.exchange.give(Ask(self.stamps.learn), now)
        news: list[Fact] = [StationStarted(at=now.instant)]
        if self.setup.security_log_lost:
            lost = "it begins anew: the database was lost or damaged"
            news.append(SecurityEventOccurred(type="SecurityLogWasCleared", tech_info=lost))
        if self.db.failed is not None:  # the start itself found the disk failing
            news.append(StoreDegraded(kind=self.db.failed.kind.name))
        return [*learnt, *self.exchange.give(Happened(tuple(news)), now)]
