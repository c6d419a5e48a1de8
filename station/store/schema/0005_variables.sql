-- The device model's own tables, as device_model/schema.sql gives them (a test compares).
-- Tables of the device model (device_model/storage.py). Names are casefolded; 0 stands for no EVSE or no connector.

-- Attributes whose value differs from what the catalogue and the station's file give.
CREATE TABLE variable (
    component TEXT NOT NULL,
    component_instance TEXT NOT NULL,
    evse_id INTEGER NOT NULL,
    connector_id INTEGER NOT NULL,
    variable TEXT NOT NULL,
    variable_instance TEXT NOT NULL,
    attribute TEXT NOT NULL,
    value TEXT NOT NULL,
    sealed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (component, component_instance, evse_id, connector_id, variable, variable_instance, attribute)
) STRICT, WITHOUT ROWID;

-- Monitors that the CSMS made or changed, and the alarms of all of them.
CREATE TABLE variable_monitor (
    id INTEGER PRIMARY KEY,
    component TEXT NOT NULL,
    component_instance TEXT NOT NULL,
    evse_id INTEGER NOT NULL,
    connector_id INTEGER NOT NULL,
    variable TEXT NOT NULL,
    variable_instance TEXT NOT NULL,
    type TEXT NOT NULL,
    value REAL NOT NULL,
    severity INTEGER NOT NULL,
    in_transaction INTEGER NOT NULL,
    kind TEXT NOT NULL,
    active INTEGER NOT NULL,
    alarmed INTEGER NOT NULL
) STRICT;
