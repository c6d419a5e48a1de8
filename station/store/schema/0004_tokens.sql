-- The authorization cache (C10). Tokens are kept as hashes (C10.FR.12); what the CSMS said of them is needed in clear.

CREATE TABLE auth_cache (
    token TEXT PRIMARY KEY,           -- SHA-256 of type and casefolded id
    accepted INTEGER NOT NULL,
    updated REAL NOT NULL,            -- wall time at which the CSMS last judged the token
    expires REAL,                     -- cacheExpiryDateTime
    info BLOB NOT NULL                -- IdTokenInfoType as JSON, without personal message
) WITHOUT ROWID;

CREATE INDEX auth_cache_age ON auth_cache (accepted, updated);
