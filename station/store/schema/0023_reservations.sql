-- Reservations (H01) that are neither used, cancelled nor over. Who they are for is kept as a hash.
CREATE TABLE reservation (
    id INTEGER PRIMARY KEY,           -- chosen by the CSMS
    made INTEGER NOT NULL,            -- counts up: what cannot be kept any more goes from the newest
    expires REAL NOT NULL,            -- wall time
    token BLOB NOT NULL,              -- state/tokens.py: digest()
    group_id TEXT,                    -- casefolded
    evse_id INTEGER,                  -- NULL: any EVSE
    connector_type TEXT               -- NULL: any
);
