"""The section `keys`: which store takes which settings, and the files that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from station.config.checks import readable
from station.config.mistakes import Mistake
from station.config.schema import File, Keys

OF: Mapping[str, tuple[str, ...]] = {
    "file": ("passphrase_file",),
    "tpm": ("tcti", "parent", "owner_auth_file", "provider"),
    "pkcs11": ("module", "token", "pin_file", "provider"),
}
"""The settings that each store takes, beside `directory`."""

NEEDED: Mapping[str, Mapping[str, str]] = {
    "pkcs11": {
        "module": "its file, such as /usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
        "token": "the label of the token",
        "pin_file": "a file with the user's PIN and nothing else",
    }
}

FILES = {"passphrase_file": True, "owner_auth_file": True, "pin_file": True, "module": False, "provider": False}
"""Settings that name files, and whether these hold secrets."""


def mistakes(file: File, locate: Callable[[str], Path]) -> Iterator[Mistake]:
    """What is wrong with the section."""
    keys = file.keys
    for store, names in OF.items():
        for name in names:
            if name not in OF[keys.store] and getattr(keys, name) != getattr(Keys(), name):
                yield Mistake(("keys", name), f"the store {keys.store!r} knows no {name!r}", f"it belongs to {store!r}")
    for name, text in NEEDED.get(keys.store, {}).items():
        if getattr(keys, name) is None:
            yield Mistake(("keys",), f"the store {keys.store!r} needs {name!r}", f"add `{name}:` {text}")
    for name, secret in FILES.items():
        given = getattr(keys, name)
        if given is not None and name in OF[keys.store]:
            yield from readable(("keys", name), locate(given), secret=secret)
            yield from _one_line(name, locate(given), secret=secret)


def _one_line(name: str, file: Path, *, secret: bool) -> Iterator[Mistake]:
    if not secret:
        return
    try:
        text = file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text or not text.isprintable():
        yield Mistake(("keys", name), f"{file} does not hold one line of plain text", "the secret and nothing else")
