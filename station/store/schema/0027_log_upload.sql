-- The log that the CSMS has asked for and has not got yet (N01): at most one row. A factory reset empties it: the URL and
-- its password were the CSMS's.
CREATE TABLE log_upload (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    location TEXT NOT NULL,           -- sealed: it may hold a password
    data BLOB NOT NULL                -- state/log_uploads.py: LogUpload as JSON, without the location
);
