-- What block N keeps beside the monitors themselves (table variable_monitor).
CREATE TABLE monitoring (
    name TEXT NOT NULL PRIMARY KEY,   -- 'base', 'level', 'events': ids below this one may have been told
    value NOT NULL
) WITHOUT ROWID;

CREATE TABLE hard_wired_alarm (       -- faults of the hardware that the CSMS was told, and not yet that they are over
    evse_id INTEGER NOT NULL,
    fault TEXT NOT NULL,
    PRIMARY KEY (evse_id, fault)
) WITHOUT ROWID;
