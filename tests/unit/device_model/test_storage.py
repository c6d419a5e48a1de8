"""The table of changed values, and that of monitors."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from device_model.build import InitialValue, configure
from device_model.model import AttributeType, Change, ComponentId, DeviceModel, VariableId
from device_model.monitor_rules import MonitorType, Wanted
from device_model.monitors import Monitors
from device_model.storage import Storage, Stray, schema

COMM, OFFLINE = ComponentId("OCPPCommCtrlr"), VariableId("OfflineThreshold")
SECURITY, PASSWORD = ComponentId("SecurityCtrlr"), VariableId("BasicAuthPassword")
FAN, SPEED = ComponentId("AirCoolingSystem", evse_id=2), VariableId("FanSpeed")


def seal(text: str) -> str:
    """No cipher, but not the text either."""
    return "sealed:" + text[::-1]


def unseal(text: str) -> str:
    """The other way round."""
    if not text.startswith("sealed:"):
        raise ValueError("not sealed")
    return text.removeprefix("sealed:")[::-1]


@pytest.fixture
def database() -> sqlite3.Connection:
    """An empty database with the tables."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema())
    return connection


@pytest.fixture
def storage(database: sqlite3.Connection) -> Storage:
    """Its storage."""
    return Storage(database, seal, unseal)


@pytest.fixture
def change(model: DeviceModel, storage: Storage) -> Callable[..., Change]:
    """Set as the CSMS does, and store it."""

    def do(
        component: ComponentId, variable: VariableId, value: str, attribute: AttributeType = AttributeType.ACTUAL
    ) -> Change:
        made = model.set_by_csms(component, variable, value, attribute)
        assert isinstance(made, Change), made
        storage.save(made)
        return made

    return do


def count(database: sqlite3.Connection) -> int:
    """How many values are stored."""
    return int(database.execute("SELECT count(*) FROM variable").fetchone()[0])


def test_a_changed_value_survives(model: DeviceModel, storage: Storage, change: Callable[..., Change]) -> None:
    """Part 2, chapter 2: what can be written is persistent; each attribute for itself."""
    change(ComponentId("ocppCOMMctrlr"), OFFLINE, "300")
    change(FAN, SPEED, "500", AttributeType.MAX_SET)
    model.restore()
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 60

    assert storage.load(model) == []

    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 300
    assert model.get(FAN, SPEED, AttributeType.MAX_SET).value == "500"


def test_only_what_differs_is_stored(database: sqlite3.Connection, change: Callable[..., Change]) -> None:
    """Back at the default, the row is gone; setting what is set writes nothing."""
    change(COMM, OFFLINE, "60")
    assert count(database) == 0
    change(COMM, OFFLINE, "300")
    written = database.total_changes
    change(COMM, OFFLINE, "300")
    assert (count(database), database.total_changes) == (1, written)

    change(COMM, OFFLINE, "60")

    assert count(database) == 0


def test_the_csms_wins_over_the_file_until_the_operator_resets(
    model: DeviceModel, storage: Storage, database: sqlite3.Connection, change: Callable[..., Change]
) -> None:
    """Contract of station.yaml."""
    assert configure(model, [InitialValue(COMM, OFFLINE, "120")]) == []
    change(COMM, OFFLINE, "300")
    assert configure(model, [InitialValue(COMM, OFFLINE, "240")]) == []
    storage.load(model)
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 300

    (back,) = storage.reset(model)

    assert (back.old, back.new) == ("300", "240")
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 240
    assert count(database) == 0


def test_a_secret_lies_sealed(
    model: DeviceModel, storage: Storage, database: sqlite3.Connection, change: Callable[..., Change]
) -> None:
    """And comes back readable for the station alone."""
    change(SECURITY, PASSWORD, "correct-horse-battery")
    assert "correct" not in "".join(database.iterdump())

    model.restore()
    storage.load(model)

    assert model.text("SecurityCtrlr", "BasicAuthPassword") == "correct-horse-battery"


def test_a_row_that_does_not_fit_prevents_nothing_and_is_kept(
    model: DeviceModel, storage: Storage, database: sqlite3.Connection, change: Callable[..., Change]
) -> None:
    """An older or newer image may have written it; its value is never told."""
    change(COMM, OFFLINE, "300")
    rows = [
        ("gonectrlr", "enabled", "Actual", "true", 0),
        ("ocppcommctrlr", "gone", "Actual", "1", 0),
        ("ocppcommctrlr", "resetretries", "Target", "1", 0),
        ("ocppcommctrlr", "resetretries", "Average", "1", 0),
        ("ocppcommctrlr", "heartbeatinterval", "Actual", "0", 0),
        ("securityctrlr", "basicauthpassword", "Actual", "broken seal of a password", 1),
    ]
    for component, variable, attribute, value, sealed in rows:
        database.execute(
            "INSERT INTO variable VALUES (?, '', 0, 0, ?, '', ?, ?, ?)", (component, variable, attribute, value, sealed)
        )

    strays = storage.load(model)

    assert {stray.reason for stray in strays} == {
        "UnknownComponent",
        "UnknownVariable",
        "NotSupportedAttributeType",
        "below 1",
        "cannot be decrypted",
    }
    assert len(strays) == len(rows)
    assert isinstance(strays[0], Stray)
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 300
    assert count(database) == 7


def test_a_value_of_the_station_is_kept_if_it_is_saved(model: DeviceModel, storage: Storage) -> None:
    """Such as the level of monitoring, which the CSMS sets by a message of its own."""
    level = VariableId("ActiveMonitoringLevel")
    made = model.set_by_station(ComponentId("MonitoringCtrlr"), level, "4")
    assert made is not None
    storage.save(made)
    model.set_by_station(ComponentId("MonitoringCtrlr"), level, "9")

    storage.load(model)

    assert model.integer("MonitoringCtrlr", "ActiveMonitoringLevel") == 4


def test_a_failed_transaction_leaves_the_old_value(
    model: DeviceModel, storage: Storage, database: sqlite3.Connection, change: Callable[..., Change]
) -> None:
    """Recovery: roll back, load again."""
    change(COMM, OFFLINE, "300")
    database.commit()

    change(COMM, OFFLINE, "400")
    database.rollback()
    storage.load(model)

    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 300


# The rules of N07.FR.13; a station proves them when its block N is built.
def test_monitors_and_their_alarms_survive(model: DeviceModel, storage: Storage, database: sqlite3.Connection) -> None:
    """One row each; a cleared one has none."""
    evse, power = ComponentId("EVSE", evse_id=1), VariableId("Power")
    monitors = Monitors(model)
    kept = monitors.put(Wanted(evse, power, MonitorType.UPPER, 7_000.5, 5, transaction=True), 0, 0).id
    cleared = monitors.put(Wanted(evse, power, MonitorType.LOWER, 10, 5), 0, 0).id
    assert kept is not None
    assert cleared is not None
    storage.save_monitors(monitors)
    monitors.clear(cleared)
    storage.save_monitors(monitors)

    after = Monitors(model)
    assert after.restore(storage.load_monitors(), 0, 0) == []

    (one,) = after
    assert (one.id, one.type, one.value, one.severity, one.transaction) == (kept, MonitorType.UPPER, 7_000.5, 5, True)
    assert one.variable.component == evse
    written = database.total_changes
    storage.save_monitors(after)
    assert database.total_changes == written
