"""`ocpp-station check`: is this configuration usable, here and now? A row for each thing, with a remedy if need be.

Nothing is changed and nothing is charged: devices are opened, asked once and closed, the CSMS sees one connection that
says nothing. What a running agent holds is left to it: then its own state is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from station.commands import extensions, local
from station.commands.findings import Finding, Grade
from station.commands.network import as_renewed
from station.commands.readable import service, unreadable
from station.commands.trials import devices, reach
from station.config import Config, ConfigError, checks, load
from station.shell.clock import BUILT, Machine
from station.shell.linkdown import REMEDIES, DownKind
from station.store import files

LITTLE_SPACE_BYTES = 50_000_000
_WIDTHS = {Grade.OK: "ok", Grade.WARNING: "warning", Grade.ERROR: "error"}
_COLOURS = {Grade.OK: "\x1b[32m", Grade.WARNING: "\x1b[33m", Grade.ERROR: "\x1b[31m"}


def check(path: Path) -> int:
    """Show the table; 1 if there is an error in it."""
    worst = Grade.OK
    for finding in findings(path):
        sys.stdout.write(row(finding, colours=sys.stdout.isatty()) + "\n")
        sys.stdout.flush()
        worst = max(worst, finding.grade)
    return 1 if worst is Grade.ERROR else 0


def row(finding: Finding, *, colours: bool) -> str:
    """A line of the table, and a second one for the remedy."""
    grade = f"{_WIDTHS[finding.grade]:<8}"
    if colours:
        grade = f"{_COLOURS[finding.grade]}{grade}\x1b[0m"
    line = f"{grade}{finding.what:<22} {finding.detail}"
    return line + (f"\n{'':<8}{'':<22} -> {finding.remedy}" if finding.remedy else "")


def findings(path: Path) -> Iterator[Finding]:
    """Everything, as it is found."""
    try:
        config = load(path, cached=False)
    except ConfigError as error:
        for mistake in error.mistakes:
            reason, _, remedy = mistake.rpartition(" - ")
            yield Finding(Grade.ERROR, "file", reason or remedy, remedy if reason else "")
        return
    evses, profile = len(config.file.evses), config.file.csms.security_profile
    yield Finding(Grade.OK, "file", f"{path}: {evses} EVSE{'s' * (evses > 1)}, security profile {profile}")
    yield from unreadable(path, config, service())
    yield from state_directory(config)
    yield from clock(Machine())
    if config.file.keys.store != "file":
        from station.commands.stores import store  # noqa: PLC0415 - rarely needed

        yield from store(config)
    yield from certificates(config)
    yield from revocation_lists(config)
    yield from extensions.findings(config)
    if config.file.firmware is not None:
        from station.commands.installers import findings as updates  # noqa: PLC0415 - rarely needed

        yield from updates.findings(config)
    if runs_already(config):
        yield from running(config)
        return
    for finding in asyncio.run(devices(config.wiring)):
        yield finding
    for finding in asyncio.run(reach(config, _password(config))):
        yield finding


def _password(config: Config) -> str:
    name = config.file.csms.password_file
    return checks.password_in(config.locate(name)) if name is not None else ""


# --- the machine


def state_directory(config: Config) -> Iterator[Finding]:
    """Whether the database can be kept there."""
    what, path = "state directory", config.state
    try:
        nearest = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    except PermissionError:  # systemd keeps it in a folder of root's
        yield Finding(Grade.WARNING, what, f"{path} is not shown to this user", "root may look at it")
        return
    if nearest != path:
        if os.access(nearest, os.W_OK | os.X_OK):
            yield Finding(Grade.OK, what, f"{path} will be made at the first start")
        else:
            yield Finding(Grade.ERROR, what, f"{path} cannot be made", f"make it, and give it to the agent: {nearest}")
        return
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        yield Finding(Grade.ERROR, what, f"{path} cannot be written", "give it to the agent's user")
        return
    if files.open_to(path):
        detail = f"others may write into {path}: roots and a database of their own"
        yield Finding(Grade.ERROR, what, detail, f"chmod go-w {path}")
        return
    free = shutil.disk_usage(path).free
    if free < LITTLE_SPACE_BYTES:
        detail = f"{path}: {free // 1_000_000} MB are free"
        yield Finding(Grade.WARNING, what, detail, "make room: days without a CSMS are kept there")
    else:
        yield Finding(Grade.OK, what, f"{path}, {free // 1_000_000} MB free")
    database = path / "station.db"
    if database.exists() and not runs_already(config):
        yield _integrity(database)


def _integrity(database: Path) -> Finding:
    remedy = "the agent will set it aside at its next start and save what can be read; see its log"
    try:
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            found = str(opened.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return Finding(Grade.ERROR, "database", str(error), remedy)
    if found != "ok":
        return Finding(Grade.ERROR, "database", found, remedy)
    return Finding(Grade.OK, "database", f"{database.name}: {database.stat().st_size // 1000} kB, sound")


def clock(machine: Machine) -> Iterator[Finding]:
    """Certificates are judged by the system clock."""
    if machine.wall() < BUILT:
        remedy = "let NTP set it, or `clock: {set_system_clock: true}` and `ocpp-station drop-in`"
        yield Finding(Grade.ERROR, "clock", "the system clock is before this agent was made", remedy)
    elif machine.synchronised():
        yield Finding(Grade.OK, "clock", "kept by NTP")
    else:
        detail = "plausible, but nobody keeps it" + ("" if machine.has_rtc() else "; no hardware clock")
        yield Finding(Grade.WARNING, "clock", detail, "run systemd-timesyncd or chrony; OCPP times come from the CSMS")


def runs_already(config: Config) -> bool:
    """Whether an agent uses the state directory now."""
    try:
        handle = os.open(config.state / "lock", os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:  # not this user's to look at: somebody who answers is there
        return _answers(config)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _answers(config: Config) -> bool:
    with contextlib.suppress(local.NotRunning):
        return config.file.control_socket is not None and bool(_status(config, config.file.control_socket))
    return False


def _status(config: Config, socket: str) -> dict[str, Any]:
    """What the agent says of itself. Raises NotRunning."""
    return local.ask(socket if ":" in socket else str(config.locate(socket)), {"cmd": "status"})


def running(config: Config) -> Iterator[Finding]:
    """An agent holds ports and connection: it is asked instead of tried."""
    socket = config.file.control_socket
    if socket is None:
        yield Finding(Grade.WARNING, "agent", "is running: devices and CSMS were not tried", "stop it, to try them")
        return
    try:
        told = _status(config, socket)
    except local.NotRunning as error:
        yield Finding(Grade.WARNING, "agent", f"is running, but: {error}", "stop it, to try devices and CSMS")
        return
    link = told["link"]
    yield Finding(Grade.OK, "agent", "is running; devices are in its hands")
    for evse in told["evses"]:
        faults = evse.get("faults")
        grade = Grade.ERROR if faults else Grade.OK
        yield Finding(grade, f"evse {evse['id']}", evse["status"] + (f": {', '.join(faults)}" if faults else ""))
    if link["up"]:
        yield Finding(Grade.OK, "csms", f"connected to {link['url']}, {told['registration']}")
    else:
        remedy = link.get("remedy") or REMEDIES[DownKind.UNREACHABLE]
        yield Finding(Grade.ERROR, "csms", f"not connected: {link['reason']}", remedy)


# --- certificates


def revocation_lists(config: Config) -> Iterator[Finding]:
    """One that is damaged or old accuses nobody, and nothing else would tell that."""
    for name in config.file.csms.crl_files:
        from certs import ocsp  # noqa: PLC0415 - heavy, rarely needed

        try:
            flaw = ocsp.flaw_of_list(config.locate(name).read_bytes(), datetime.now(UTC))
        except OSError as error:
            flaw = f"cannot be read: {error.strerror}"
        if flaw:
            yield Finding(Grade.ERROR, "revocation list", f"{name} {flaw}: it says nothing", "fetch a new one")
        else:
            yield Finding(Grade.OK, "revocation list", name)


def certificates(config: Config) -> Iterator[Finding]:
    """The authorities trusted, and the station's own certificate and key."""
    if config.file.csms.security_profile == 1:
        return
    from station.commands.pki import own, roots  # noqa: PLC0415 - brings `cryptography`, 60 ms

    yield from roots(config)
    who = as_renewed(config)
    if who.tls.chain is not None:
        yield from own(config, who)
