"""`ocpp-station factory-reset`: what was set at the station is forgotten, what it owes is kept.

A running agent does it itself and starts anew; else it is done to its database here.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from station.commands import errors, local
from station.commands.run import DATABASE, owned
from station.config import Config
from station.state.factory import FactoryState
from station.store.db import Database, StoreFailed
from station.store.migrations import NeedsNewerAgent


def factory_reset(config: Config, address: str, *, sure: bool) -> int:
    """Ask the agent that runs, or do it without one."""
    if not sure:
        return errors.tell("everything that was set at this station would be forgotten", "say --yes to do it", 2)
    try:
        answer = local.ask(address, {"cmd": "factory_reset", "confirm": True}) if address else None
    except local.NotRunning:
        answer = None
    if answer is not None and not answer.get("ok"):
        return errors.tell(str(answer.get("error")), "", 1)
    return _told(answer["forgotten"]) if answer is not None else _without_agent(config.state)


def _without_agent(state: Path) -> int:
    if not (state / DATABASE).exists():
        return _told([])
    try:
        with owned(state):
            database = Database.open(state / DATABASE)
            try:
                with database.transaction():
                    emptied = FactoryState(database).forget()
            finally:
                database.connection.close()
    except OSError as error:
        return errors.tell(f"{state}: {error.strerror or error}", "stop the agent, or look at the disk", errors.EX_BUSY)
    except (StoreFailed, NeedsNewerAgent, sqlite3.Error) as error:
        return errors.tell(f"{state / DATABASE}: {error}", "check the disk, or move the file away", errors.EX_BUSY)
    return _told(emptied)


def _told(emptied: list[str]) -> int:
    sys.stdout.write(f"forgotten: {', '.join(emptied) or 'nothing, for nothing was set'}\n")
    return 0
