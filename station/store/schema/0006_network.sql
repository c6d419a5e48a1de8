-- The ways to the CSMS as the CSMS changed them (B09, B10, A01, A05); what has no row is as the station's file says.

CREATE TABLE network_profile (
    slot INTEGER PRIMARY KEY,         -- configurationSlot
    data BLOB                         -- state/network.py: NetworkProfile as JSON; NULL: removed (A05.FR.06)
);

CREATE TABLE network_state (
    name TEXT PRIMARY KEY,            -- security_profile: the level reached, and the file's level at that time
    value TEXT NOT NULL               -- former_password: sealed, kept until the new one has been accepted
) WITHOUT ROWID;
