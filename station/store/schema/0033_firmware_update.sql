-- The firmware update that the CSMS asked for last (L01, L02), and how far it has come: at most one row, which stays when
-- the update has ended, since a TriggerMessage may ask for its last status. A factory reset empties it: the URL was the
-- CSMS's.
CREATE TABLE firmware_update (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    location TEXT NOT NULL,           -- sealed where it may hold a password
    data BLOB NOT NULL                -- state/firmware_updates.py: FirmwareUpdate as JSON, without the location
);
