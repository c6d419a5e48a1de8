"""Whether an answer can be: by the types that will read it from station.yaml, and by what it names here and now.

Nothing is written here. A PEM file that lies elsewhere than beside station.yaml is noted down to be copied there, so
that the stick it came on can be pulled.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from certs.errors import CertsError, KeyUnavailable
from certs.keystore import KeyStore
from station.commands.commissioning import chains
from station.commands.commissioning.questions import KEYS, NONE, Answers
from station.commands.stores import Apart
from station.config import checks, shape
from station.config.schema import Csms, Identity, Keys
from station.shell.linkdown import Down
from station.shell.network import NetworkProfile, connection_url

_STRUCTS: Mapping[str, type[msgspec.Struct]] = {"station": Identity, "csms": Csms, "keys": Keys}
_COPIED = frozenset({"ca_file", "certificate", "key_file"})
_LONGEST_NAME = 100


class BadAnswer(ValueError):  # noqa: N818 - reads as what it says
    """An answer that cannot be; the text says why, and what to do."""


class Folders(NamedTuple):
    """Where files are: station.yaml and what belongs to it, and the file of answers. No copy is called `reserved`."""

    station: Path
    answers: Path
    reserved: frozenset[str]


class Judge:
    """Takes answers one after the other. `kept` tells what stands in the file already, and is left where it is."""

    def __init__(self, folders: Folders, kept: Mapping[str, Any], store: Callable[[Answers], KeyStore]) -> None:
        self._folder, self._beside, self._reserved = folders
        self._kept = kept
        self._store = store
        self.copies: dict[str, Path] = {}
        """Files to be copied beside station.yaml: the name there, and where they are."""
        self.copied: set[str] = set()
        """The answers that name one of these."""

    def judged(self, key: str, given: Any, before: Answers) -> Any:
        """The answer as station.yaml has it. Raises BadAnswer."""
        question = KEYS[key]
        if question.secret:
            if not isinstance(given, str | None):  # 0x1F is not what a CSMS knows, if 31 is written
                raise BadAnswer("a password is a text - put it in quotes")
            if flaw := checks.password_flaw(given or ""):
                raise BadAnswer(flaw)
            return given
        if not question.section:
            return self._name(given)
        if given in (None, "") and not question.must(before):
            return None if key != "serial" else ""
        if key in {"key", "certificate"} and given == NONE and not question.must(before):
            return None
        value = _typed(key, given)
        if key == "url":
            _address(value, before["security_profile"])
        elif key in _COPIED or key in {"module", "pin_file"}:
            value = self._file(key, value, before)
        if (key == "store" and value == "tpm") or key == "pin_file":
            self._answers({**before, key: value})
        return value

    def _name(self, given: Any) -> str:
        text = str(given or "").strip()
        if len(text) > _LONGEST_NAME or not text.isprintable():
            raise BadAnswer(f"expected a name of at most {_LONGEST_NAME} characters")
        return text

    def _answers(self, answers: Answers) -> None:
        """Whether a TPM or token is there, before a key is made in it."""
        store = self._store(answers)
        try:
            if isinstance(store, Apart):
                store.present()
        except KeyUnavailable as error:
            raise BadAnswer(f"{error.reason} - {error.remedy}") from error
        except (CertsError, OSError) as error:
            raise BadAnswer(f"{error} - see docs/keys.md") from error

    def _file(self, key: str, name: str, before: Answers) -> str:
        path = self._found(key, name)
        copied = key in _COPIED and path.parent.resolve() != self._folder.resolve() and name != self._kept.get(key)
        for mistake in checks.readable((key,), path, secret=key in {"key_file", "pin_file"} and not copied):
            raise BadAnswer(f"{mistake.reason} - {mistake.remedy}" if mistake.remedy else mistake.reason)
        if key in _COPIED:
            try:
                self._pem(key, path, before)
            except CertsError as error:
                raise BadAnswer(f"{path}: {error}") from error
        if not copied:
            return name
        if path.name in self._reserved:
            raise BadAnswer(f"{path} is copied beside station.yaml, where {path.name} is another file - rename it")
        other = self.copies.get(path.name)
        if other not in (None, path):
            raise BadAnswer(f"{other} has the same name, and both are copied beside station.yaml - rename one of them")
        self.copies[path.name] = path
        self.copied.add(key)
        return path.name

    def _found(self, key: str, name: str) -> Path:
        """Where a file is: beside the file of answers, if they came from one, or beside station.yaml."""
        if name != self._kept.get(key) and (self._beside / name).exists():
            return self._beside / name
        return self._folder / name

    def _pem(self, key: str, path: Path, before: Answers) -> None:
        if key == "key_file":
            chains.private_key(path)
            return
        found = chains.read(path)
        if key == "ca_file":
            return
        name = before.get("key")
        if name is None:
            key_file = before["key_file"]
            holder = chains.of_file(self.copies.get(key_file, self._folder / key_file))
        else:
            holder = chains.of_store(self._store(before), name)
        chains.check(found, holder, path)


def _typed(key: str, given: Any) -> Any:
    kind = typing.get_type_hints(_STRUCTS[KEYS[key].section], include_extras=True)[key]
    number = isinstance(given, str) and key == "security_profile" and given.strip().isdecimal()
    try:
        value = msgspec.convert(int(given) if number else given, kind)
    except msgspec.ValidationError as error:
        remedy = shape.remedy(given, str(error), kind)
        raise BadAnswer(shape.plain(str(error)) + (f" - {remedy}" if remedy else "")) from error
    if value is None:
        raise BadAnswer("expected an answer")
    return value


def _address(url: str, profile: int) -> None:
    try:
        connection_url(NetworkProfile(slot=0, url=url, security_profile=profile), "CS")
    except Down as down:
        raise BadAnswer(down.why.detail) from down
