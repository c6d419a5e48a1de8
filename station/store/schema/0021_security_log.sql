-- The security log (A04.FR.04): events of the station's security, each chained to the one before by a hash.
CREATE TABLE security_log (
    id INTEGER PRIMARY KEY,           -- counted from 1 without gaps, never used again
    boot INTEGER NOT NULL,
    mono REAL NOT NULL,
    at REAL NOT NULL,                 -- the wall time of (boot, mono), as known when it was written
    type TEXT NOT NULL,
    info TEXT NOT NULL,
    hash BLOB NOT NULL                -- SHA-256 of the hash before and of all this: state/security_log.py
);

CREATE TABLE security_log_base (      -- one row, once the oldest entries have been rolled away
    only INTEGER PRIMARY KEY CHECK (only = 0),
    last INTEGER NOT NULL,            -- the id of the last of them, and its hash
    hash BLOB NOT NULL
);
