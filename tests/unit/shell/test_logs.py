"""A log line is an event with fields: one line, no secrets, nothing that a stranger could write into it."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from station.shell import logs

Log = Callable[..., str]


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was before."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def log(root: logging.Logger) -> Log:
    """Logs an event, gives its line."""
    stream = io.StringIO()
    logs.set_up("info", stream, {"JOURNAL_STREAM": "1:2"})

    def write(event: str, **extra: object) -> str:
        stream.seek(0)
        stream.truncate()
        root.info(event, extra=extra)
        return stream.getvalue()

    return write


def test_a_line_is_an_event_with_its_fields(log: Log) -> None:
    """The priority in front is for journald, which takes it off."""
    assert log("transaction.started", evse=1, tx="a b", trigger=None) == (
        '<6>transaction.started evse=1 tx="a b" trigger=-\n'
    )


def test_on_a_terminal_it_bears_its_time(root: logging.Logger) -> None:
    """UTC, with milliseconds."""
    stream = io.StringIO()
    logs.set_up("info", stream, {})

    root.warning("link.down")

    stamp, level, event = stream.getvalue().split()
    assert (len(stamp), stamp[-1], level, event) == (24, "Z", "warning", "link.down")


def test_below_its_level_nothing_is_written(log: Log, root: logging.Logger) -> None:
    """And nothing is formatted."""
    log("first")
    formatted: list[int] = []

    class Costly:
        def __str__(self) -> str:
            formatted.append(1)
            return "x"

    root.debug("second", extra={"field": Costly()})

    assert formatted == []


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "opensesame-opensesame"},
        {"basic_auth_password": "opensesame-opensesame"},
        {"authorization": "opensesame-opensesame"},
        {"text": "Authorization: Basic opensesame-opensesame0=".replace("-", "+")},
        {"url": "wss://me:opensesame-opensesame@host/ocpp"},
        {"detail": "password=opensesame-opensesame"},
        {"detail": '{"password": "opensesame-opensesame"}'},
        {"pem": "-----BEGIN PRIVATE KEY-----\nopensesame-opensesame\n-----END PRIVATE KEY-----"},
    ],
)
def test_a_secret_never_reaches_a_line(log: Log, fields: dict[str, str]) -> None:
    """By the name of its field, or by its looks."""
    line = log("event", **fields)

    assert "opensesame" not in line
    assert "***" in line


def test_a_stranger_cannot_write_lines_of_his_own(log: Log) -> None:
    """Line ends and escape sequences are shown, not done."""
    line = log("rpc.invalid", text='x"\n<0>kernel.panic \x1b[31m')

    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert "\\n<0>kernel.panic \\x1b" in line


def test_a_traceback_is_one_field(root: logging.Logger) -> None:
    """One line per event, always."""
    stream = io.StringIO()
    logs.set_up("info", stream, {})

    try:
        int("the reason")
    except ValueError:
        root.exception("step.failed")

    (line,) = stream.getvalue().splitlines()
    assert "the reason" in line
    assert "test_logs.py" in line


def test_a_long_text_is_cut_in_the_middle(log: Log) -> None:
    """A traceback's end matters more than its beginning."""
    line = log("event", text="a" * 2000 + "THE END")

    assert len(line) < 1200
    assert "THE END" in line


def test_the_last_lines_are_kept_with_their_times(root: logging.Logger, log: Log) -> None:
    """Whether a journal dates them or not, and without secrets as everywhere."""
    log("first", n=1, password="opensesame")
    root.debug("below its level")
    written = log("second", n=2)

    kept = logs.recent()

    assert [line.text for line in kept] == ["first n=1 password=***", "second n=2"]
    assert written == f"<6>{kept[1].text}\n"
    stamp, level, event, _ = str(kept[1]).split()
    assert (len(stamp), stamp[-1], level, event) == (24, "Z", "info", "second")


def test_what_is_kept_is_bounded(log: Log) -> None:
    """By lines and by characters: memory is for other things."""
    for n in range(logs.KEPT_LINES + 10):
        log(f"event.{n // logs.BURST}", n=n)
    assert (len(logs.recent()), logs.recent()[0].text) == (logs.KEPT_LINES, "event.0 n=10")

    for n in range(logs.KEPT_LINES):
        log(f"long.{n // logs.BURST}", text="x" * 900)
    assert sum(len(line.text) for line in logs.recent()) <= logs.KEPT_CHARACTERS


def test_who_never_set_it_up_has_kept_nothing(root: logging.Logger) -> None:
    root.handlers[:] = []

    assert logs.recent() == []


def test_a_flood_of_one_event_is_written_now_and_then(root: logging.Logger) -> None:
    """A line tells how many were left out; other events are written meanwhile."""
    now, stream = [0.0], io.StringIO()
    logs.set_up("info", stream, {})
    (handler,) = root.handlers
    handler.filters[:] = [logs.Limit(lambda: now[0])]

    for n in range(10 * logs.BURST):
        root.warning("device.failed", extra={"n": n})
    root.warning("link.down")
    now[0] = logs.REFILL_S
    root.warning("device.failed", extra={"n": "later"})
    root.warning("device.failed", extra={"n": "too soon"})
    now[0] = 2 * logs.BURST * logs.REFILL_S
    root.warning("device.failed", extra={"n": "at rest"})

    lines = stream.getvalue().splitlines()
    assert len(lines) == logs.BURST + 3
    assert [line.partition("warning ")[2] for line in lines[-3:]] == [
        "link.down",
        f"device.failed n=later suppressed={9 * logs.BURST}",
        'device.failed n="at rest" suppressed=1',
    ]


def test_an_error_is_not_lost_in_a_flood_of_warnings_of_its_name(root: logging.Logger) -> None:
    stream = io.StringIO()
    logs.set_up("info", stream, {})

    for _ in range(2 * logs.BURST):
        root.warning("device.failed")
    root.error("device.failed")

    assert len(stream.getvalue().splitlines()) == logs.BURST + 1


def test_at_level_debug_every_line_is_wanted(root: logging.Logger) -> None:
    stream = io.StringIO()
    logs.set_up("debug", stream, {})

    for _ in range(2 * logs.BURST):
        root.debug("frame")

    assert len(stream.getvalue().splitlines()) == 2 * logs.BURST


def test_texts_instead_of_events_take_no_memory() -> None:
    limit = logs.Limit(lambda: 0.0)

    for n in range(3 * logs.MOST_EVENTS):
        limit.filter(logging.LogRecord("", logging.INFO, "", 0, f"text {n}", (), None))

    assert len(limit._seen) <= logs.MOST_EVENTS
