"""What is to happen to the station after a reply, or once the queue is drained."""

from __future__ import annotations

from pathlib import Path

from station.now import BootId, Mono, Now, Wall
from station.store.db import Database
from station.store.intents import Intents


def intents(db: Database, boot: int) -> Intents:
    """As a run of the agent sees them."""
    found = Intents(db)
    found.load(Now(BootId(boot), Mono(1), Wall(1)))
    return found


def test_an_intent_outlives_the_process_with_its_reason(tmp_path: Path) -> None:
    """The next boot tells why it happened, and does not do it again."""
    db = Database.open(tmp_path / "station.db")
    with db.transaction():
        intents(db, 1).add("reboot", after="drained", reason="RemoteReset", by=Mono(60))
    db.close()

    db = Database.open(tmp_path / "station.db")
    same_boot, next_boot = intents(db, 1), intents(db, 2)

    assert [(i.kind, i.after, i.by) for i in same_boot.pending()] == [("reboot", "drained", Mono(60))]
    assert next_boot.pending() == []
    left = next_boot.left_over("reboot")
    assert left is not None
    assert left.reason == "RemoteReset"
    with db.transaction():
        next_boot.done(left)
    assert intents(db, 3).left_over("reboot") is None
    db.close()


def test_a_newer_intent_of_a_kind_replaces_the_older(db: Database) -> None:
    """One reboot is enough."""
    now = intents(db, 1)
    with db.transaction():
        now.add("reboot", after="drained", reason="ScheduledReset")
        now.add("reconnect", after="reply")
        now.add("reboot", after="reply", reason="RemoteReset")

    assert [(i.kind, i.reason) for i in now.pending()] == [("reconnect", ""), ("reboot", "RemoteReset")]
    assert intents(db, 1).pending() == now.pending()


def test_an_unreadable_intent_does_not_prevent_a_start(db: Database) -> None:
    """A damaged row is passed over."""
    db.execute("INSERT INTO intent (kind, data, waits_for) VALUES ('reboot', ?, 'reply')", (b"rubbish",))

    assert intents(db, 1).pending() == []
