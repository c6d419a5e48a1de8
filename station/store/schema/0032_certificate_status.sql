-- What responders say of the SECC's certificates (M06), as it is shown to vehicles. It can be asked for again, so a
-- factory reset empties this table.
CREATE TABLE certificate_status (
    fingerprint TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the certificate
    ocsp BLOB NOT NULL,                    -- OCSPResponse, DER
    asked REAL NOT NULL,                   -- wall times: when it came,
    until REAL NOT NULL                    -- and how long it counts
) WITHOUT ROWID;
