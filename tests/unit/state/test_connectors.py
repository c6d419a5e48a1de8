"""EVSEs and connectors: three levels of orders, what the hardware shows, and the status that follows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_model.build import ConnectorLayout, EvseLayout, Layout
from hal.api import Fault
from station.now import BootId, Mono, Now, Wall
from station.state.connectors import Connectors, Place, Shown
from station.store.db import Database

NOW = Now(BootId(1), Mono(10.0), Wall(1000.0))
EVSE = EvseLayout(
    connectors=(
        ConnectorLayout(type="sType2", max_current_a=32.0, lock=True),
        ConnectorLayout(type="cType2", max_current_a=16.0),
    )
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "station.db")
    yield database
    database.connection.close()


@pytest.fixture
def connectors(db: Database) -> Connectors:
    """Two EVSEs with two connectors each."""
    made = Connectors(layout=Layout(vendor_name="V", model="M", evses=(EVSE, EVSE)), db=db)
    made.load(NOW)
    return made


def test_what_there_is_comes_from_the_layout(connectors: Connectors) -> None:
    assert connectors.evse_ids() == (1, 2)
    assert connectors.connector_ids(1) == (1, 2)
    assert connectors.connector_ids(3) == ()
    assert list(connectors.places()) == [Place(1, 1), Place(1, 2), Place(2, 1), Place(2, 2)]
    assert [connectors.exists(*place) for place in [(1, None), (3, None), (2, 2), (2, 3)]] == [True, False, True, False]
    assert (connectors.has_lock(1, 1), connectors.has_lock(1, 2)) == (True, False)
    assert (connectors.fixed_cable(1, 1), connectors.fixed_cable(1, 2)) == (False, True)
    assert (connectors.limit_a(1), connectors.phases(1)) == (16.0, 3)


@pytest.mark.req("G03.FR.06", "G03.FR.07", "G04.FR.07", "G04.FR.08")
def test_a_connector_is_usable_if_all_three_levels_allow_it(db: Database, connectors: Connectors) -> None:
    """Every combination of orders; those of other EVSEs do not matter."""
    for station, evse, connector in itertools.product((True, False), repeat=3):
        with db.transaction():
            connectors.order(Place(), operative=station)
            connectors.order(Place(1, 0), operative=evse)
            connectors.order(Place(1, 1), operative=connector)
            connectors.order(Place(2, 1), operative=False)

        usable = station and evse and connector
        assert connectors.operative(1, 1) is usable
        assert connectors.status(1, 1) == ("Available" if usable else "Unavailable")
        assert connectors.operative(1) is (station and evse)


def test_an_evse_is_usable_as_long_as_one_of_its_connectors_is(db: Database, connectors: Connectors) -> None:
    with db.transaction():
        connectors.order(Place(1, 1), operative=False)
    assert connectors.operative(1)

    with db.transaction():
        connectors.order(Place(1, 2), operative=False)
    assert not connectors.operative(1)


@pytest.mark.req("G03.FR.08", "G04.FR.09")
def test_orders_are_read_again(db: Database, connectors: Connectors) -> None:
    """What the hardware showed is not: it tells it again."""
    with db.transaction():
        connectors.order(Place(2, 0), operative=False)
    connectors.set_plugged(1, 1, plugged=True)
    connectors.set_known(1)

    connectors.load(Now(BootId(2), Mono(1.0), Wall(1.0)))

    assert not connectors.ordered_operative(Place(2, 0))
    assert connectors.plugged(1) is None
    assert not connectors.known(1)


def test_a_fault_comes_before_all_else(connectors: Connectors) -> None:
    """A jammed lock is none for this purpose."""
    connectors.set_plugged(1, 1, plugged=True)
    connectors.set_fault(1, Fault.LOCK_JAMMED, present=True)
    assert connectors.status(1, 1) == "Occupied"
    assert connectors.may_start(1) is None

    connectors.set_fault(1, Fault.RCD, present=True)
    assert connectors.status(1, 1) == connectors.status(1, 2) == "Faulted"
    refusal = connectors.may_start(1)
    assert refusal is not None
    assert refusal.reason_code == "InternalError"


def test_a_block_passes_and_is_not_stored(connectors: Connectors) -> None:
    """Two reasons may block at once; each is lifted by itself."""
    connectors.block("reset", frozenset({1}))
    connectors.block("store", frozenset({1, 2}))
    assert (connectors.status(1, 1), connectors.status(2, 1)) == ("Unavailable", "Unavailable")

    connectors.block("store", None)
    assert (connectors.status(1, 1), connectors.status(2, 1)) == ("Unavailable", "Available")


@pytest.mark.req("G01.FR.08", "G01.FR.05")
def test_a_busy_connector_stays_occupied_whatever_is_ordered(db: Database, connectors: Connectors) -> None:
    """Until its vehicle has gone; the one beside it follows the order at once."""
    connectors.set_plugged(1, 1, plugged=True)
    connectors.set_busy(1, busy=True)
    with db.transaction():
        connectors.order(Place(), operative=False)
    assert (connectors.status(1, 1), connectors.status(1, 2)) == ("Occupied", "Unavailable")

    connectors.set_plugged(1, 1, plugged=False)
    assert connectors.status(1, 1) == "Unavailable"


@pytest.mark.req("G01.FR.09", "G03.FR.09")
def test_a_reserved_evse_stays_so_whoever_is_plugged_in(connectors: Connectors) -> None:
    """Also with a transaction that nobody has authorized; to be out of service, or broken, counts more."""
    connectors.reserved = lambda evse: evse == 1
    connectors.set_plugged(1, 1, plugged=True)
    assert (connectors.status(1, 1), connectors.status(1, 2), connectors.status(2, 1)) == (
        *("Reserved", "Reserved"),
        "Available",
    )

    connectors.set_busy(1, busy=True)
    assert connectors.status(1, 1) == "Reserved"

    connectors.block("test", frozenset({1}))
    assert connectors.status(1, 2) == "Unavailable"
    connectors.set_fault(1, Fault.RCD, present=True)
    assert connectors.status(1, 1) == "Faulted"


@pytest.mark.parametrize(
    "plugged, broken, evse, station",
    [
        ((), (), "Available", "Available"),
        ((1,), (), "Occupied", "Available"),
        ((1, 2), (), "Occupied", "Occupied"),
        ((), (1,), "Faulted", "Available"),
        ((), (1, 2), "Faulted", "Faulted"),
        ((2,), (1,), "Faulted", "Occupied"),
    ],
)
def test_the_whole_is_as_good_as_its_best_part(
    connectors: Connectors, plugged: tuple[int, ...], broken: tuple[int, ...], evse: str, station: str
) -> None:
    """An EVSE with one vehicle is Occupied; the station only when all EVSEs are."""
    for each in plugged:
        connectors.set_plugged(each, 1, plugged=True)
    for each in broken:
        connectors.set_fault(each, Fault.RCD, present=True)

    assert (connectors.status_of_evse(1), connectors.status_of_station()) == (evse, station)


def test_what_a_failed_step_showed_was_never_shown(db: Database, connectors: Connectors) -> None:
    """Else its fact and its message would be missing for ever."""
    before = connectors.shown(Place(1, 1))
    assert before == Shown("Unavailable", NOW.instant)

    with pytest.raises(ZeroDivisionError):
        failing_step(db, connectors)

    assert connectors.shown(Place(1, 1)) == before


def failing_step(db: Database, connectors: Connectors) -> None:
    with db.transaction():
        connectors.show(Place(1, 1), Shown("Occupied", NOW.instant, "Occupied"))
        raise ZeroDivisionError


def test_a_board_that_is_lost_makes_its_evses_faulted_until_it_tells_its_state(connectors: Connectors) -> None:
    connectors.set_lost(2)
    assert (connectors.status(1, 1), connectors.status(2, 1)) == ("Available", "Faulted")
    assert not connectors.operative(2)

    connectors.set_known(2)
    assert connectors.status(2, 1) == "Available"
