-- The local authorization list (D01). What is valid is the newest row of a token whose generation lies between base and top of the head;
-- all other rows are an update under way or what an update has superseded, and are cleaned away in steps.

CREATE TABLE local_list (
    token BLOB NOT NULL,              -- SHA-256 of type and casefolded id
    generation INTEGER NOT NULL,      -- of the update that wrote the row
    info BLOB,                        -- IdTokenInfoType as JSON; NULL: this update removed the token (D01.FR.17)
    PRIMARY KEY (token, generation)
) WITHOUT ROWID;

CREATE INDEX local_list_generation ON local_list (generation);

CREATE TABLE local_list_head (        -- one row, written when an update becomes valid
    id INTEGER PRIMARY KEY CHECK (id = 0),
    base INTEGER NOT NULL,            -- the last full update
    top INTEGER NOT NULL,             -- the last update
    cleaned INTEGER NOT NULL,         -- up to this generation nothing superseded is left
    version INTEGER NOT NULL,         -- as the CSMS numbers it; 0: no list was ever received (D02.FR.02)
    entries INTEGER NOT NULL
);
