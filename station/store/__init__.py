"""Persistence: one SQLite file, the queue of messages inside it, and the few files beside it.

    db.py          the file: opened, checked; `transaction()`; `StoreFailed`;  migrations.py  what its tables are
    transaction.py how a transaction begins and ends
    fallback.py    a copy in memory while the disk takes no writes;  volatile.py  values that live in memory only
    salvage.py     what is done with a damaged file;  presence.py  with one that was removed or replaced
    boots.py       the boot counter and what wall time each boot's monotonic clock meant
    intents.py     what is to happen after a reply or when the queue is drained
    essentials.py  what is needed to reach the CSMS when the database is lost
    files.py       how any other file is written

The queue, from the outside in:

    outbox.py      what the engine calls: tell, ask, next; attempts and outcomes
    rows.py        what a queued message is, and the table that says how each action is delivered
    lanes.py       the waiting rows in memory, and the rule which is next
    ledger.py      what is owed to the disk, and with which commit it goes
    spool.py       the rows on disk, and the window of them that is in memory
    quota.py       what is dropped when the disk's share is used up

Invariant: what a step wrote and the messages it told become durable together or not at all.
"""
