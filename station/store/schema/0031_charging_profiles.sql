-- Charging profiles (K01): what the CSMS has set, and what limits the station from outside (K11). They outlive a reboot
-- (K01.FR.27); a factory reset forgets them.
CREATE TABLE charging_profile (
    id INTEGER PRIMARY KEY,           -- ChargingProfile.id; negative: an external limit
    evse_id INTEGER NOT NULL,         -- 0: the station
    source TEXT NOT NULL,             -- ChargingLimitSource
    data BLOB NOT NULL                -- ChargingProfileType, as JSON
);
-- The profile that came with a RequestStartTransaction, until its transaction starts (K05).
CREATE TABLE charging_profile_to_come (
    evse_id INTEGER PRIMARY KEY,
    remote_start_id INTEGER NOT NULL,
    data BLOB NOT NULL
);
