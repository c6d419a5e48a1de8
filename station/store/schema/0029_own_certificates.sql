-- The station's own certificates (A02, A03). The private key lies in the key store under the name `key`, the chain in
-- a file of that name; what is written here makes them valid. A factory reset empties these tables.
CREATE TABLE own_certificate (
    key TEXT NOT NULL PRIMARY KEY,
    use TEXT NOT NULL,                -- ChargingStationCertificate, V2GCertificate
    stage TEXT NOT NULL,              -- 'used', or 'new': the CSMS has not been reached with it yet
    not_before REAL NOT NULL,         -- wall times
    not_after REAL NOT NULL,
    root TEXT NOT NULL                -- SHA-256 of the root it leads to
) WITHOUT ROWID;

CREATE TABLE signing_request (        -- what the CSMS was or will be asked to sign: one for each use
    use TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    csr TEXT NOT NULL,                -- '' until the key is made
    stage TEXT NOT NULL,              -- making, sending, waiting, stopped
    sent INTEGER NOT NULL,            -- how often the CSMS accepted it
    asked INTEGER NOT NULL            -- whether a TriggerMessage asked for it
) WITHOUT ROWID;

CREATE TABLE superseded_certificate ( -- the certificate of the station's file, once it was replaced
    fingerprint TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE expiry_told (            -- of which certificates' end the CSMS was warned, and how many days before
    fingerprint TEXT NOT NULL PRIMARY KEY,
    days INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE doomed_key (             -- private keys to be destroyed, with their chains; outlives a factory reset
    key TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
