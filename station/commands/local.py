"""`status`, `variables`, `security-log` and `sim`: one line to the control socket of a running agent, one line back."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from station.commands import errors
from station.shell.logs import one_line

ANSWER_S = 40.0
"""Some commands answer only when the CSMS has."""

WATCH_EVERY_S = 2.0
_SET = ("name", "value")
_LONGEST = 4_194_304


class NotRunning(Exception):  # noqa: N818 - reads as what it says
    """No agent answers on that address."""


def ask(address: str, command: dict[str, Any]) -> dict[str, Any]:
    """The agent's answer. Raises NotRunning."""
    try:
        with _connected(address) as line, line.makefile("rwb") as stream:
            stream.write(json.dumps(command).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline(_LONGEST) or b"null")
    except (OSError, ValueError) as error:
        raise NotRunning(f"no agent answers on {address}: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(answer, dict):
        raise NotRunning(f"what answers on {address} is no agent")
    return answer


@contextlib.contextmanager
def _connected(address: str) -> Iterator[socket.socket]:
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER_S) as line:
            yield line
        return
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(ANSWER_S)
        line.connect(address)
        yield line


def address_of(config: str | None, given: str | None) -> str:
    """Where the agent listens: as given, or as its configuration says. Raises ConfigError."""
    if given is not None:
        return given
    from station.config import load  # noqa: PLC0415 - not needed where the socket is given

    loaded = load(Path(config or "/etc/ocpp-station/station.yaml"))
    found = loaded.file.control_socket
    if found is None:
        return ""
    return found if ":" in found and "/" not in found else str(loaded.locate(found))


def status(address: str, *, watch: bool, raw: bool) -> int:
    """Show what the agent does, once or until somebody has seen enough.

    Who watches goes on while the agent is started anew.
    """
    answered = False
    while True:
        try:
            answer = ask(address, {"cmd": "status"})
        except NotRunning as gone:
            if not watch or not answered:
                return errors.tell(str(gone), "is ocpp-station.service running?", errors.EX_NOT_RUNNING)
            text = one_line(str(gone))
        else:
            if not answer.get("ok"):
                return errors.tell(str(answer.get("error")), "", 1)
            answered = True
            text = json.dumps(answer, indent=1) if raw else "\n".join(map(one_line, lines(answer)))
        sys.stdout.write(_calm(text) if watch and not raw and sys.stdout.isatty() else text + "\n")
        sys.stdout.flush()
        if not watch:
            return 0
        try:
            time.sleep(WATCH_EVERY_S)
        except KeyboardInterrupt:
            return 0


def _calm(text: str) -> str:
    """Written over what stands there: a terminal that is cleared first flickers, a serial one for long."""
    rows = (f"{line[: shutil.get_terminal_size().columns - 1]}\x1b[K\n" for line in text.split("\n"))
    return "\x1b[H" + "".join(rows) + "\x1b[J"


def lines(told: dict[str, Any]) -> Iterator[str]:
    """The state for people."""
    link = told["link"]
    yield f"station   {told['identity']}  ocpp-station {told['version']}, up {_duration(told['uptime_s'])}"
    yield f"time      {told['time']}  (clock: {told['clock']})"
    if link["up"]:
        secured = link["tls"] or "no TLS"
        yield f"csms      {link['url']}  profile {link['security_profile']}, {link['subprotocol']}, {secured}"
    else:
        yield f"csms      not connected: {link['reason']}" + (f" - {link['remedy']}" if link.get("remedy") else "")
    yield f"accepted  {told['registration']}  (boot reason {told['boot_reason']})"
    for evse in told["evses"]:
        yield f"evse {evse['id']:<4} " + _evse(evse)
    queue = told["queue"]
    waits = "transaction events wait" if queue["transactions_waiting"] else "empty"
    lost = f"; {queue['undelivered']} given up and kept" if queue["undelivered"] else ""
    yield f"queue     {waits}{lost}; store {told['store']}"
    for certificate in told.get("certificates", ()):
        yield f"valid     {certificate['role']} until {certificate['until']}"


def _evse(evse: dict[str, Any]) -> str:
    parts = [evse["status"]]
    parts += [f"faults: {', '.join(evse['faults'])}"] if "faults" in evse else []
    parts += [f"{evse['offered_a']:g} A offered"] if "offered_a" in evse else []
    if transaction := evse.get("transaction"):
        parts.append(f"{transaction['charging_state']} {transaction['id']}")
        if "energy_wh" in transaction:
            parts.append(f"{transaction['energy_wh'] / 1000:.3f} kWh")
    return ", ".join(parts)


def _duration(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    return (f"{days} d " if days else "") + f"{hours}:{rest // 60:02}:{rest % 60:02}"


def sim(address: str, name: str, arguments: list[str]) -> int:
    """Drive simulated hardware: `plug_in evse=1 current_a=16`. Values are JSON, or texts where they are not."""
    command: dict[str, Any] = {"cmd": name}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            return errors.tell(f"{argument!r} is no argument", "write KEY=VALUE, such as evse=1", 2)
        command[key] = _value(value)
    try:
        answer = ask(address, command)
    except NotRunning as gone:
        return errors.tell(str(gone), "is the agent running?", errors.EX_NOT_RUNNING)
    if not answer.pop("ok", False):
        return errors.tell(str(answer.get("error")), "", 1)
    if answer:
        sys.stdout.write(json.dumps(answer, indent=1) + "\n")
    return 0


def variables(address: str, what: str, arguments: list[str]) -> int:
    """Show variables, or set one: `list [PART]`, `get NAME`, `set NAME VALUE`."""
    needed = {"list": range(2), "get": range(1, 2), "set": range(2, 3)}[what]
    if len(arguments) not in needed:
        return errors.tell(f"variables {what} takes other arguments", "list [PART], get NAME, or set NAME VALUE", 2)
    if what == "set" and arguments[1] == "-":  # secrets do not belong on a command line, which others see
        arguments = [arguments[0], sys.stdin.readline().rstrip("\r\n")]
    cmd, *keys = {"list": ("variables", "part"), "get": ("get_variable", "name"), "set": ("set_variable", *_SET)}[what]
    try:
        answer = ask(address, {"cmd": cmd, **dict(zip(keys, arguments, strict=False))})
    except NotRunning as gone:
        return errors.tell(str(gone), "is the agent running?", errors.EX_NOT_RUNNING)
    if not answer.pop("ok", False):
        return errors.tell(str(answer.get("error")), "", 1)
    if what == "get":
        sys.stdout.write(one_line(str(answer["value"])) + "\n")
    elif what == "set":
        sys.stdout.write(one_line(f"{answer['status']}: {answer['name']} = {answer['value']}") + "\n")
    for one in answer.get("variables", ()):
        unit = f" {one['unit']}" if "unit" in one and one["value"] else ""
        sys.stdout.write(one_line(f"{one['name']} = {one['value']}{unit}  ({one['mutability']})") + "\n")
    return 0


def security_log(address: str, *, verify: bool) -> int:
    """Show the security log, and whether it is as it was written; exit 1 if it is not."""
    try:
        answer = ask(address, {"cmd": "security_log"})
    except NotRunning as gone:
        return errors.tell(str(gone), "is the agent running?", errors.EX_NOT_RUNNING)
    if not answer.pop("ok", False):
        return errors.tell(str(answer.get("error")), "", 1)
    for one in () if verify else answer["entries"]:
        sys.stdout.write(one_line(f"{one['id']:>6}  {one['time']}  {one['type']}  {one['info']}") + "\n")
    if answer["flaw"] is not None:
        return errors.tell(f"the security log was changed: {answer['flaw']}", "", 1)
    head = answer["head"]
    sys.stdout.write(f"unchanged up to entry {head['id']}, {head['hash']}\n")
    return 0


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
