"""The ways to the CSMS: what the tables and the file give, and what stays secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_model import catalogue
from device_model.build import InitialValue, Layout, build, configure
from device_model.model import ComponentId, Settable, VariableId
from device_model.storage import Storage
from station.facts import Facts
from station.now import BootId, Mono, Now, Wall
from station.state.network import PASSWORD, Network, NetworkProfile
from station.state.variables import Variables
from station.store.db import Database

OLD, NEW = "the-old-password-1", "the-new-password-2"
GIVEN = NetworkProfile(slot=0, url="ws://csms.example", security_profile=1)


def backwards(text: str) -> str:
    return text[::-1]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "station.db")
    yield database
    database.connection.close()


def made(db: Database, boot: int = 1) -> tuple[Network, Variables]:
    model = build(catalogue.load(), Layout(vendor_name="V", model="M", evses=()))
    configure(model, [InitialValue(ComponentId(PASSWORD[0]), VariableId(PASSWORD[1]), OLD)])
    variables = Variables(model=model, storage=Storage(db, backwards, backwards), facts=Facts())
    network = Network(db=db, variables=variables, given=[GIVEN], given_level=1, seal=backwards, unseal=backwards)
    now = Now(BootId(boot), Mono(0.0), Wall(0.0))
    variables.load(now)
    network.load(now)
    return network, variables


@pytest.mark.req("A01.FR.10")
def test_passwords_lie_sealed_on_the_disk(db: Database) -> None:
    """The new one and the former one; they come back as they were."""
    network, variables = made(db)

    with db.transaction():
        variables.apply(settable(variables, NEW))
        network.password_changed()

    dump = "\n".join(db.connection.iterdump())
    assert OLD not in dump
    assert NEW not in dump
    assert backwards(OLD) in dump
    again, _ = made(db, boot=2)
    assert again.passwords() == (NEW, OLD)


def settable(variables: Variables, value: str) -> Settable:
    checked = variables.model.check_set(ComponentId(PASSWORD[0]), VariableId(PASSWORD[1]), value)
    assert isinstance(checked, Settable)
    return checked


def test_a_bad_row_costs_its_slot_only(db: Database) -> None:
    """One unreadable profile must not keep the station from starting."""
    with db.transaction():
        db.execute("INSERT INTO network_profile VALUES (1, ?)", (b"{broken",))
        db.execute("INSERT INTO network_profile VALUES (2, ?)", (b'{"slot":2,"url":"ws://two","security_profile":1}',))
        db.execute("INSERT INTO network_state VALUES ('security_profile', 'x/y')")

    network, _ = made(db)

    assert network.profiles() == [GIVEN]
    assert network.stored(1) is None
    assert network.stored(2) == NetworkProfile(slot=2, url="ws://two", security_profile=1)
    assert network.level == 1


def failing_step(db: Database, network: Network) -> None:
    with db.transaction():
        network.store(NetworkProfile(slot=2, url="ws://two", security_profile=1))
        network.connected(0, 2)
        raise ZeroDivisionError


def test_after_a_rollback_the_memory_is_what_the_tables_say(db: Database) -> None:
    """The way of every recovery: load again; what this run connects by stays."""
    network, variables = made(db)
    with db.transaction():
        network.store(NetworkProfile(slot=1, url="ws://one", security_profile=1))
    with pytest.raises(ZeroDivisionError):
        failing_step(db, network)

    now = Now(BootId(1), Mono(1.0), Wall(1.0))
    variables.load(now)
    network.load(now)

    assert network.stored(1) is not None
    assert network.stored(2) is None
    assert (network.level, network.profiles()) == (1, [GIVEN])
