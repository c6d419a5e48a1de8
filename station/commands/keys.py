"""`ocpp-station keys`: keys and requests in the store that station.yaml names, before a CSMS could ask for them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from certs.errors import CertsError
from certs.keystore import KeyKind, KeyStore, Subject
from station.commands import errors
from station.commands.keystore import key_store
from station.config import Config, ConfigError, load

EX_USAGE = 2
"""As the parser of the command line has it."""


def keys(file: Path, what: str, name: str | None, *, sure: bool = False) -> int:
    """Do it; the exit code."""
    try:
        config = load(file)
    except ConfigError as error:
        return errors.tell_config(error)
    owner = _owner(config.state)
    if owner is not None and owner != os.geteuid():
        remedy = "run this as that user: runuser -u ocpp-station -- ocpp-station keys ..."
        return errors.tell(f"{config.state} belongs to another user, who could not use the keys", remedy, 1)
    if what != "list" and name is None:
        return errors.tell(f"`keys {what}` of which key?", "add its name, such as station-1", EX_USAGE)
    if what == "delete" and _used(config, name or "") and not sure:
        return errors.tell(f"the station connects with {name!r}", "`--yes`, to destroy it all the same", 1)
    try:
        sys.stdout.write(_done(config, key_store(config), what, name or ""))
    except CertsError as error:
        return errors.tell(*_words(error, name or ""), 1)
    except (OSError, ValueError) as error:
        return errors.tell(str(error), "see docs/keys.md", 1)
    return 0


def _done(config: Config, store: KeyStore, what: str, name: str) -> str:
    """Do it; what to show. Raises the errors of the key store, and ValueError."""
    station = config.file.station
    match what:
        case "create":
            store.create(name, KeyKind(config.file.keys.kind))
            return f"{name}: {config.file.keys.kind} in the store {config.file.keys.store!r}\n"
        case "csr":
            return store.csr(name, Subject(station.serial or station.identity, station.organization or station.vendor))
        case "delete":
            store.delete(name)
            return f"{name} is destroyed\n"
        case _:
            return "".join(f"{each}\n" for each in store.names())


def _words(error: CertsError, name: str) -> tuple[str, str]:
    reason, colon, remedy = str(error).rpartition(": ")
    if colon:
        return reason, remedy
    kind = {"NoSuchKey": "there is no key {!r}", "KeyExists": "there is a key {!r} already"}.get(type(error).__name__)
    return (kind.format(name), "`keys list` shows all") if kind else (str(error), "see docs/keys.md")


def _used(config: Config, name: str) -> bool:
    return name == config.file.csms.key or (config.chains / f"{name}.pem").exists()


def _owner(state: Path) -> int | None:
    try:
        return state.stat().st_uid
    except OSError:
        return None
