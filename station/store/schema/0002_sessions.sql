-- What the station must know of a charging session after a power cut: one small row per EVSE, replaced with each event.
CREATE TABLE session (
    evse_id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,            -- the BootId that wrote it: another one means an interruption
    data BLOB NOT NULL                -- state/sessions.py: Session as JSON
);

CREATE TABLE session_sample (         -- intermediate readings for the Ended event (TxEndedInterval)
    id INTEGER PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    clock INTEGER NOT NULL,           -- 1: clock-aligned, 0: counted from the start of the transaction
    data BLOB NOT NULL                -- state/meters.py: Sample as JSON
);

CREATE INDEX session_sample_of ON session_sample (transaction_id);
