-- Which parts of the station are ordered out of service (G03, G04). 0 stands for "the whole": (0, 0) is the station, (n, 0) an EVSE.
-- Only what is inoperative has a row; it stays over reboots and power cuts (G03.FR.08, G04.FR.09).

CREATE TABLE inoperative (
    evse_id INTEGER NOT NULL,
    connector_id INTEGER NOT NULL,
    PRIMARY KEY (evse_id, connector_id)
) WITHOUT ROWID;
