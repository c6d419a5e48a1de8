-- The start register of a charging session. It is written once; in the row of its session, which is replaced with each
-- event, it would be written each time, and the row would not fit into a page.
CREATE TABLE session_begin (
    evse_id INTEGER PRIMARY KEY,
    data BLOB NOT NULL                -- state/meters.py: Sample as JSON
);
