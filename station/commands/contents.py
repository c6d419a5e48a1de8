"""What is in a log that is uploaded (N01): told by the running agent, in small pieces, without a secret.

Made in a thread of its own. What the core knows is asked for in steps that write nothing, one page after the other, so
that charging goes on; `ask` waits for each.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import ssl
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, Protocol

import msgspec

from station.app import Station
from station.blocks.diagnostics.logs import AssembleLog
from station.commands import conversation, status
from station.config import Config
from station.now import Now, rfc3339
from station.shell import journal, logs
from station.shell.bundle import Part
from station.shell.runner import Runner
from station.state.security_log import Entry
from station.version import VERSION

PAGE = 200
"""Entries asked for at once: a step of a few milliseconds."""
LIBRARIES = ("msgspec", "websockets", "cryptography", "pymodbus", "python-can", "asyncssh")


class Asking(Protocol):
    """Runs a command in a step, and waits for its result."""

    def __call__(self, command: Callable[[Now], Any]) -> Any:
        """Raises what the command raised."""
        ...


class Contents:
    """Of one station, for one log."""

    def __init__(self, config: Config, station: Station, runner: Runner, ask: Asking) -> None:
        self._config = config
        self._station = station
        self._runner = runner
        self._ask = ask

    def parts(self, wanted: AssembleLog) -> Iterator[Part]:
        """The files, the small ones first: what is left out at the end is old log lines."""
        if wanted.log_type == "SecurityLog":
            yield Part("head.json", self._head())
            yield Part("security.jsonl", self._security(wanted))
            return
        yield Part("about.json", self._about(wanted))
        yield Part("status.json", self._status())
        yield Part("variables.txt", self._variables())
        yield Part("security.jsonl", self._security(wanted))
        yield Part("messages.jsonl", self._messages())
        yield Part("agent.log", _recent(wanted))
        unit = journal.unit(os.environ)
        if unit is not None:
            yield Part("journal.log", journal.lines(unit, wanted.oldest, wanted.latest))

    def _about(self, wanted: AssembleLog) -> Iterator[bytes]:
        """Versions of everything that takes part."""
        yield _json(
            {
                "request": wanted.request_id,
                "oldest": rfc3339(wanted.oldest) if wanted.oldest is not None else None,
                "latest": rfc3339(wanted.latest) if wanted.latest is not None else None,
                "agent": VERSION,
                "firmware": self._config.layout.firmware_version,
                "python": sys.version,
                "system": " ".join(os.uname()[i] for i in (0, 2, 4)),
                "distribution": _distribution(),
                "sqlite": sqlite3.sqlite_version,
                "tls": ssl.OPENSSL_VERSION,
                "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
                "configuration": self._config.sha256,
            }
        )

    def _status(self) -> Iterator[bytes]:
        yield _json(self._ask(lambda now: status.of(self._station, self._runner, self._config, now)))

    def _variables(self) -> Iterator[bytes]:
        """As `ocpp-station variables list` shows them: secrets are stars."""
        for one in self._ask(lambda now: self._station.operator.listed("", now)):
            unit = f" {one['unit']}" if one.get("unit") and one["value"] else ""
            yield logs.hidden(f"{one['name']} = {one['value']}{unit}  ({one['mutability']})\n").encode()

    def _messages(self) -> Iterator[bytes]:
        """What was said last, as `ocpp-station messages` shows it."""
        kept, closed, now = self._ask(
            lambda now: (
                self._runner.link.messages.after(0),
                conversation.closed(self._station.variables.model),
                now,
            )
        )
        for each in conversation.told(kept, 0, now, lambda *name: name in closed):
            yield msgspec.json.encode(each) + b"\n"

    def _head(self) -> Iterator[bytes]:
        """The end of the chain: who keeps it can tell later whether anything before it was changed."""
        head = self._ask(lambda _now: self._station.security_log.head())
        yield _json({"id": head.id, "hash": head.hash.hex()})

    def _security(self, wanted: AssembleLog) -> Iterator[bytes]:
        """Each event with its hash, which chains it to the one before."""
        last = 0
        while page := self._page(last):
            last = page[-1][0].id
            for entry, hash_ in page:
                if _within(wanted, entry.at):
                    told = {"id": entry.id, "time": rfc3339(entry.at), "type": entry.type, "info": entry.info}
                    yield msgspec.json.encode({**told, "hash": hash_.hex()}) + b"\n"

    def _page(self, after: int) -> list[tuple[Entry, bytes]]:
        page: list[tuple[Entry, bytes]] = self._ask(lambda _now: self._station.security_log.chained(after, PAGE))
        return page


def _recent(wanted: AssembleLog) -> Iterator[bytes]:
    """What this run has logged lately."""
    return (f"{line}\n".encode() for line in logs.recent() if _within(wanted, line.created))


def _within(wanted: AssembleLog, at: float) -> bool:
    return (wanted.oldest is None or at >= wanted.oldest) and (wanted.latest is None or at <= wanted.latest)


def _json(told: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None
