-- Resets that wait for transactions to end (B11, B12). evse_id 0: the station. A row counts only in the boot that wrote it.

CREATE TABLE reset (
    evse_id INTEGER PRIMARY KEY,
    immediate INTEGER NOT NULL,
    reason TEXT NOT NULL,
    boot INTEGER NOT NULL
);
