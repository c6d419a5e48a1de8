"""`ocpp-station variables` and `factory-reset`: what the agent is asked, what is shown, what is done without one."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any, NamedTuple

import pytest

from station.cli import main
from station.commands.run import DATABASE, owned
from station.store.db import Database
from tests.unit.test_cli import GOOD

Heard = list[dict[str, Any]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A station.yaml and its password."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("a secret of sixteen", "utf-8")
    path = tmp_path / "station.yaml"
    path.write_text(GOOD, "utf-8")
    return path


@contextmanager
def agent(config: Path, answer: dict[str, Any]) -> Iterator[Heard]:
    """Somebody who gives this answer to each command; the commands that came."""
    heard: Heard = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            heard.append(json.loads(self.rfile.readline()))
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    with ThreadingUnixStreamServer(str(config.parent / "control.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield heard
        server.shutdown()
        thread.join()
    (config.parent / "control.sock").unlink()


FAN = {"name": "Fan@2.FanSpeed/MaxSet", "value": "2000", "unit": "RPM", "mutability": "ReadWrite", "type": "decimal"}


class Case(NamedTuple):
    """What is typed, answered, asked, and shown."""

    typed: str
    answer: dict[str, Any]
    asked: dict[str, Any]
    shown: str


@pytest.mark.parametrize(
    "case",
    [
        Case("list", {"variables": [FAN]}, {"cmd": "variables"}, "Fan@2.FanSpeed/MaxSet = 2000 RPM  (ReadWrite)\n"),
        Case("list fan", {"variables": []}, {"cmd": "variables", "part": "fan"}, ""),
        Case("get A.B", FAN, {"cmd": "get_variable", "name": "A.B"}, "2000\n"),
        Case(
            "set A.B -1",
            {"status": "RebootRequired", **FAN},
            {"cmd": "set_variable", "name": "A.B", "value": "-1"},
            "RebootRequired: Fan@2.FanSpeed/MaxSet = 2000\n",
        ),
    ],
    ids=lambda case: case.typed,
)
def test_variables_are_read_and_set(config: Path, capsys: pytest.CaptureFixture[str], case: Case) -> None:
    """One command to the agent, one line for each variable."""
    with agent(config, {"ok": True, **case.answer}) as heard:
        assert main(["variables", *case.typed.split(), "--config", str(config)]) == 0

    assert heard == [case.asked]
    assert capsys.readouterr().out == case.shown


def test_a_secret_may_come_from_elsewhere_than_the_command_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody on the machine sees command lines."""
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret\n"))

    with agent(config, {"ok": True, "status": "Accepted", **FAN}) as heard:
        assert main(["variables", "set", "A.B", "-", "--config", str(config)]) == 0

    assert heard == [{"cmd": "set_variable", "name": "A.B", "value": "a secret"}]


@pytest.mark.parametrize("arguments", [["get"], ["set", "A.B"], ["get", "A.B", "C"], ["list", "a", "b"]])
def test_wrong_arguments_are_told(config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """And no agent is asked."""
    assert main(["variables", *arguments, "--config", str(config)]) == 2
    assert "list [PART], get NAME, or set NAME VALUE" in capsys.readouterr().err


def test_a_refusal_is_the_agents_own(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; 69 where no agent answers."""
    with agent(config, {"ok": False, "error": "Rejected: read-only"}):
        assert main(["variables", "set", "A.B", "1", "--config", str(config)]) == 1
    assert capsys.readouterr().err == "ocpp-station: Rejected: read-only\n"

    assert main(["variables", "list", "--socket", str(config.parent / "nobody")]) == 69


def test_a_factory_reset_wants_to_be_meant(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing happens without --yes."""
    with agent(config, {"ok": True, "forgotten": []}) as heard:
        assert main(["factory-reset", "--config", str(config)]) == 2
    assert heard == []
    assert "say --yes to do it" in capsys.readouterr().err


def test_a_running_agent_resets_itself(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its database is not touched from outside."""
    with agent(config, {"ok": True, "forgotten": ["auth_cache", "variable"]}) as heard:
        assert main(["factory-reset", "--yes", "--config", str(config)]) == 0
    assert heard == [{"cmd": "factory_reset", "confirm": True}]
    assert capsys.readouterr().out == "forgotten: auth_cache, variable\n"

    with agent(config, {"ok": False, "error": "somebody is charging at EVSE 1"}):
        assert main(["factory-reset", "--yes", "--config", str(config)]) == 1


def rows(config: Path, table: str) -> int:
    """How many there are."""
    database = Database.open(config.parent / "state" / DATABASE)
    try:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of ours
    finally:
        database.connection.close()


def test_without_an_agent_its_database_is_reset(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was set is gone, what was not delivered is there; not while somebody uses the directory."""
    state = config.parent / "state"
    state.mkdir()
    database = Database.open(state / DATABASE)
    with database.transaction():
        database.execute("INSERT INTO inoperative VALUES (1, 0)")
        database.execute("INSERT INTO poison (source, name, payload, reason) VALUES ('outbox', 'x', x'00', 'kept')")
    database.connection.close()

    with owned(state):
        assert main(["factory-reset", "--yes", "--config", str(config)]) == 75
    assert rows(config, "inoperative") == 1

    assert main(["factory-reset", "--yes", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "forgotten: inoperative\n"
    assert (rows(config, "inoperative"), rows(config, "poison")) == (0, 1)


ENTRY = {"id": 7, "time": "2026-11-21T08:00:00+00:00", "type": "InvalidMessages", "info": "no frame"}
LOGGED = {
    "entries": [ENTRY],
    "head": {"id": 7, "hash": "ab12"},
}


def test_the_security_log_is_shown_and_verified(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was changed is an error."""
    with agent(config, {"ok": True, "flaw": None, **LOGGED}) as heard:
        assert main(["security-log", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    with agent(config, {"ok": True, "flaw": "entry 7 is missing", **LOGGED}):
        assert main(["security-log", "--verify", "--config", str(config)]) == 1

    assert heard == [{"cmd": "security_log"}]
    assert shown == ("     7  2026-11-21T08:00:00+00:00  InvalidMessages  no frame\nunchanged up to entry 7, ab12\n")
    after = capsys.readouterr()
    assert (after.out, after.err) == ("", "ocpp-station: the security log was changed: entry 7 is missing\n")


@pytest.mark.parametrize(
    "arguments, answer",
    [
        (["security-log"], {"flaw": None, **LOGGED, "entries": [{**ENTRY, "info": "\x1b]0;x\x07\n"}]}),
        (["variables", "list"], {"variables": [{"name": "A.B", "value": "\x1b[2J\n", "mutability": "ReadWrite"}]}),
        (["variables", "get", "A.B"], {"value": "\x1b[2J\n"}),
        (["variables", "set", "A.B", "1"], {"status": "Accepted", "name": "A.B", "value": "\x1b[2J\n"}),
    ],
)
def test_what_a_csms_has_set_draws_nothing_on_the_screen(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], answer: dict[str, Any]
) -> None:
    """Nor does it make lines of its own."""
    with agent(config, {"ok": True, **answer}):
        assert main([*arguments, "--config", str(config)]) == 0

    shown = capsys.readouterr().out
    assert "\\x1b" in shown
    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == (2 if arguments == ["security-log"] else 1)
