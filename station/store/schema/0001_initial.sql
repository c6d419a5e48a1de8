-- The queue, what fell out of it, durable intents and the clock of each boot. Migrations only add: an older agent must be able to read
-- this file after a roll-back. Text of a message is the 2.x message as JSON (see store/rows.py).

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;

CREATE TABLE boot (
    id INTEGER PRIMARY KEY,           -- BootId
    guess REAL NOT NULL,              -- wall minus monotonic, as believed when the boot began
    known REAL                        -- the same, once a trusted source told it
);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,           -- lane, boot and counter in one number, never reused: rows.row_id()
    message_id TEXT NOT NULL,
    action TEXT NOT NULL,
    key TEXT NOT NULL,                -- order is kept among equal keys: a transaction id or ''
    droppable INTEGER NOT NULL,       -- 1: an Updated that may go when the disk is full (E04.FR.08)
    attempts INTEGER NOT NULL,        -- transmissions that were refused or timed out (E13)
    boot INTEGER NOT NULL,
    mono REAL NOT NULL,
    stamped REAL NOT NULL,            -- the wall time that the payload gives to (boot, mono)
    payload BLOB NOT NULL
);

CREATE TABLE undelivered (            -- given up after MessageAttempts (E13.FR.04) or impossible to render
    id INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    action TEXT NOT NULL,
    key TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    mono REAL NOT NULL,
    stamped REAL NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL
);

CREATE TABLE poison (                 -- its handling failed twice; kept for a person to look at
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,             -- 'outbox', 'job', ...
    name TEXT NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL
);

CREATE TABLE intent (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    data BLOB NOT NULL,
    waits_for TEXT NOT NULL           -- 'reply' or 'drained'
);
