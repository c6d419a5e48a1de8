-- When each start of the agent began, by its monotonic clock: what a start that never learned the time dates lies before
-- the beginning of a later one that did.
CREATE TABLE IF NOT EXISTS boot_began (
    id INTEGER PRIMARY KEY,
    mono REAL NOT NULL
);
