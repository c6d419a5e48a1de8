"""Imports that a library makes and hardly ever needs, left undone until it does. Costs at the start are counted."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def postponed(name: str) -> Iterator[None]:
    """What is imported inside finds an empty module `name`, which is imported once it is asked for something.

    `name` is one of a package. Everybody else, then and later, gets the module itself.
    """
    if name in sys.modules:
        yield
        return
    package, _, attribute = name.rpartition(".")
    parent = importlib.import_module(package)
    empty = sys.modules[name] = ModuleType(name)
    setattr(parent, attribute, empty)

    def imported() -> ModuleType:
        if sys.modules.get(name) is empty:
            del sys.modules[name]
        return importlib.import_module(name)

    def ask(what: str) -> Any:
        return getattr(imported(), what)

    empty.__dict__["__getattr__"] = ask  # PEP 562
    try:
        yield
    finally:
        if sys.modules.get(name) is empty:
            del sys.modules[name]
            delattr(parent, attribute)
