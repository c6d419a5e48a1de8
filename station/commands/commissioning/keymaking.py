"""The station's own key, made where it will be used, and its request for whoever signs certificates."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography import x509

from certs.errors import KeyExists
from certs.keystore import KeyKind, KeyStore, Subject
from station.commands import keystore
from station.commands.commissioning.questions import Answers
from station.config import ConfigError, shape
from station.config.keys import OF
from station.config.schema import File, Keys


class Place(NamedTuple):
    """Where keys are kept, by the file and the answers. `owner`: whom they belong to, where root makes them."""

    folder: Path
    sections: Mapping[str, Any]
    owner: tuple[int, int] | None

    def keys(self, answers: Answers) -> Keys:
        """The section. Raises ConfigError for one that `load` refuses, too."""
        try:
            return msgspec.convert({**_section(self.sections), **changes(self.sections, answers, gone=False)}, Keys)
        except msgspec.ValidationError as error:
            raise ConfigError([f"keys: {shape.plain(str(error))}"]) from error

    def directory(self, answers: Answers) -> Path:
        """Where its files are."""
        named = self.keys(answers).directory
        if named is not None:
            return self.folder / named
        default = next(field.default for field in msgspec.structs.fields(File) if field.name == "state_directory")
        return self.folder / str(self.sections.get("state_directory") or default) / "keys"

    def store(self, answers: Answers) -> KeyStore:
        """The store; made without asking for TPM or token."""
        return keystore.opened(self.keys(answers), self.folder, self.directory(answers))


def changes(sections: Mapping[str, Any], answers: Answers, *, gone: bool = True) -> dict[str, Any]:
    """What the answers change in the section `keys`: of another store than before nothing stays. `gone`: as None."""
    found = {key: answers[key] for key in ("store", "module", "token", "pin_file") if answers.get(key) is not None}
    if not found:
        return {}
    foreign = {name for names in OF.values() for name in names} - set(OF[found["store"]])
    if gone:
        found |= dict.fromkeys(foreign & set(_section(sections)))
    if found == {"store": "file"} and "store" not in _section(sections):
        return {}  # as it is without a word
    return found


def _section(sections: Mapping[str, Any]) -> Mapping[str, Any]:
    given = sections.get("keys")
    return given if isinstance(given, dict) else {}


def make(place: Place, answers: Answers) -> tuple[str, bool]:
    """The request of the key, which is made unless it is there, and whether it was made now.

    Raises the errors of the key store, and ValueError for a subject that no certificate can name.
    """
    store, name = place.store(answers), str(answers["key"])
    made = True
    station = place.sections.get("station")
    told = station if isinstance(station, dict) else {}
    subject = Subject(answers["serial"] or answers["identity"], told.get("organization") or answers["vendor"])
    with _given(place.owner, place.directory(answers)):
        try:
            store.create(name, KeyKind(place.keys(answers).kind))
        except KeyExists:
            made = False
        return store.csr(name, subject), made


def same(file: Path, request: str) -> bool:
    """Whether a file holds a request for the same key and subject: their signatures may differ."""
    with contextlib.suppress(OSError, ValueError):
        old, new = (x509.load_pem_x509_csr(text) for text in (file.read_bytes(), request.encode()))
        return old.subject == new.subject and old.public_key() == new.public_key()
    return False


@contextlib.contextmanager
def _given(owner: tuple[int, int] | None, directory: Path) -> Iterator[None]:
    """What root makes inside, folders too, is for the service's user to use."""
    absent = [each for each in (directory, *directory.parents) if not each.exists()]
    before = set(directory.glob("*"))
    try:
        yield
    finally:
        for each in (*absent, *(set(directory.glob("*")) - before)):
            if owner is not None and each.exists():
                os.chown(each, *owner, follow_symlinks=False)  # that user may write here, a link, too
