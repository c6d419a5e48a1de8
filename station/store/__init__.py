"""Persistence: one SQLite file, the queue of messages inside it, and the few files beside it.

    db.py          the file: opened, migrated, checked; `transaction()`; `StoreFailed`
    salvage.py     what is done with a damaged file
    boots.py       the boot counter and what wall time each boot's monotonic clock meant
    rows.py        what a queued message is, and the table that says how each action is delivered
    spool.py       the rows on disk, and the window of them that is in memory
    outbox.py      which message is next, and when; its attempts and its one outcome
    intents.py     what is to happen after a reply or when the queue is drained
    essentials.py  what is needed to reach the CSMS when the database is lost
    files.py       how any other file is written

Invariant: what a step wrote and the messages it told become durable together or not at all.
"""
