"""Events as systemd's journal takes them: read back by the rules of its protocol, from a socket in its place."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from station.shell import journal_socket, logs
from station.shell.journal_socket import JournalSocket, datagram, name_of


class Journal:
    """The far end."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.settimeout(0)

    def entry(self) -> dict[str, str]:
        """The next one."""
        return parsed(self._socket.recv(1 << 20))

    def all(self) -> list[dict[str, str]]:
        """Everything that has come."""
        found = []
        while True:
            try:
                found.append(self.entry())
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Nobody is there any more."""
        self._socket.close()
        self.place.unlink()


def parsed(data: bytes) -> dict[str, str]:
    """What journald makes of a datagram."""
    entry = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        entry[name.decode()] = value.decode()
    return entry


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    far = Journal(tmp_path / "journal")
    yield far
    far._socket.close()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[TextIO]:
    """What systemd would have made the journal's stream."""
    with (tmp_path / "stream").open("w+", encoding="utf-8") as opened:
        yield opened


@pytest.fixture
def root(journal: Journal, stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root logger, set up as under systemd."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    monkeypatch.setattr(logs, "JournalSocket", lambda: JournalSocket(journal.place))
    logs.set_up("info", stream, {"JOURNAL_STREAM": its_name(stream)})
    yield logger
    for each in logger.handlers:
        each.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)


def its_name(stream: TextIO) -> str:
    told = os.fstat(stream.fileno())
    return f"{told.st_dev}:{told.st_ino}"


def test_the_fields_of_an_event_are_fields_of_the_journal(root: logging.Logger, journal: Journal) -> None:
    """By the specification's words; the line that a person reads is there, too."""
    root.warning("transaction.no_start_value", extra={"evse": 1, "transaction": "7c1e", "older": True, "reason": None})

    assert journal.entry() == {
        "MESSAGE": "transaction.no_start_value evse=1 transaction=7c1e older=True reason=-",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "ocpp-station",
        "EVENT": "transaction.no_start_value",
        "EVSE_ID": "1",
        "TRANSACTION_ID": "7c1e",
        "OLDER": "True",
    }


def test_it_is_told_once(root: logging.Logger, journal: Journal, stream: TextIO) -> None:
    """Not on stderr as well; memory keeps it for the diagnostics all the same."""
    root.info("link.up")

    assert len(journal.all()) == 1
    assert (stream.seek(0), stream.read()) == (0, "")
    assert [line.text for line in logs.recent()] == ["link.up"]


@pytest.mark.parametrize(
    "level, priority",
    [(logging.INFO, "6"), (logging.WARNING, "4"), (logging.ERROR, "3"), (logging.CRITICAL, "2")],
)
def test_the_priority_is_that_of_syslog(root: logging.Logger, journal: Journal, level: int, priority: str) -> None:
    root.log(level, "event")

    assert journal.entry()["PRIORITY"] == priority


def test_no_secret_is_in_any_field(root: logging.Logger, journal: Journal) -> None:
    """By the name of its field, or by its looks."""
    fields = {"password": "opensesame", "url": "wss://me:opensesame@host/", "detail": "password=opensesame"}

    root.info("event", extra=fields)

    entry = journal.entry()
    assert "opensesame" not in str(entry)
    assert entry["PASSWORD"] == "***"
    assert [entry[name].count("***") for name in ("URL", "DETAIL", "MESSAGE")] == [1, 1, 3]


def test_a_traceback_is_whole_and_in_lines(root: logging.Logger, journal: Journal) -> None:
    """While the message stays one line, and short."""
    try:
        getattr(root, "x" * 2000)
    except AttributeError:
        root.exception("step.failed")

    entry = journal.entry()
    assert "x" * 2000 in entry["ERROR"]
    assert entry["ERROR"].startswith("Traceback (most recent call last):\n")
    assert "\n" not in entry["MESSAGE"]
    assert len(entry["MESSAGE"]) < 1200


def test_a_stranger_cannot_write_fields_of_his_own(root: logging.Logger, journal: Journal) -> None:
    root.info("rpc.invalid", extra={"text": "x\nPRIORITY=0\nMESSAGE=all is well\n"})

    entry = journal.entry()
    assert entry["TEXT"] == "x\nPRIORITY=0\nMESSAGE=all is well\n"
    assert (entry["PRIORITY"], entry["EVENT"]) == ("6", "rpc.invalid")


def test_the_largest_event_fits_a_datagram(root: logging.Logger, journal: Journal, stream: TextIO) -> None:
    """So that none has to be handed over as a file."""
    root.error("event", extra={f"field_{n}": "\u20ac" * 100_000 for n in range(6)})

    entry = journal.entry()
    assert len(entry["FIELD_5"]) <= journal_socket.LONGEST + 10
    assert (stream.seek(0), stream.read()) == (0, "")


def test_where_it_does_not_fit_or_nobody_listens_it_is_a_line(
    root: logging.Logger, journal: Journal, stream: TextIO
) -> None:
    """With the priority in front; as soon as somebody listens again, it goes there."""
    root.error("large", extra={f"field_{n}": "\u20ac" * 100_000 for n in range(40)})
    journal.close()
    root.warning("alone")
    again = Journal(journal.place)
    root.info("together")

    stream.seek(0)
    assert [line.split()[0] for line in stream] == ["<3>large", "<4>alone"]
    assert [entry["EVENT"] for entry in again.all()] == ["together"]
    again._socket.close()


def test_another_journal_at_the_same_place_is_found(root: logging.Logger, journal: Journal, stream: TextIO) -> None:
    root.info("first")
    journal.close()
    again = Journal(journal.place)

    root.info("second")

    assert [entry["EVENT"] for entry in again.all()] == ["second"]
    assert (stream.seek(0), stream.read()) == (0, "")
    again._socket.close()


def test_a_journal_that_stands_still_holds_up_nobody(journal: Journal) -> None:
    """It is waited for once; then what finds no room is counted, and the next that does tells how many were lost."""
    now = [0.0]
    wire = JournalSocket(journal.place, lambda: now[0])
    waits: list[float] = []
    for n in range(2000):  # many more than the socket holds
        assert wire.send({"MESSAGE": str(n)})
        assert wire._socket is not None
        waits.append(wire._socket.gettimeout() or 0.0)
    standing = journal.all()

    assert wire.send({"MESSAGE": "after"})
    now[0] = journal_socket.PAUSE_S
    assert wire.send({"MESSAGE": "later"})

    after, later = journal.all()
    assert after == {"MESSAGE": "after", "LOST": str(2000 - len(standing))}
    assert later == {"MESSAGE": "later"}
    assert waits.count(0.0) == 2000 - len(standing) - 1, "but for one it did not wait"
    assert wire._socket is not None
    assert wire._socket.gettimeout() == journal_socket.PATIENCE_S
    wire.close()


def test_only_what_goes_to_the_journal_is_told_to_it(
    root: logging.Logger, journal: Journal, stream: TextIO, tmp_path: Path
) -> None:
    """The variable is inherited by those whose output goes elsewhere."""
    with (tmp_path / "elsewhere").open("w", encoding="utf-8") as elsewhere:
        logs.set_up("info", elsewhere, {"JOURNAL_STREAM": its_name(stream)})
        root.info("event")

    assert journal.all() == []
    assert (tmp_path / "elsewhere").read_text("utf-8") == "<6>event\n"
    assert not journal_socket.takes(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def test_a_flood_is_held_back_here_as_everywhere(root: logging.Logger, journal: Journal) -> None:
    taken = []
    for _ in range(3 * logs.BURST):
        root.warning("device.failed")
        taken += journal.all()

    assert len(taken) == logs.BURST


@pytest.mark.parametrize(
    "field, name",
    [
        ("evse", "EVSE_ID"),
        ("by_s", "BY_S"),
        ("_hidden", "HIDDEN"),
        ("message", "MESSAGE_"),
        ("event", "EVENT_"),
        ("grö/e", "GR__E"),
        ("9", "FIELD"),
        ("x" * 100, "X" * 64),
    ],
)
def test_a_name_is_one_that_the_journal_takes(field: str, name: str) -> None:
    """And none that means something else there."""
    assert name_of(field) == name


def test_what_cannot_be_encoded_does_not_matter() -> None:
    assert parsed(datagram({"MESSAGE": "\ud800"})) == {"MESSAGE": "?"}
