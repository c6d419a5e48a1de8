"""Imports that a library makes and hardly ever needs, left undone until it does. Costs at the start are counted."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any


@contextlib.contextmanager
def postponed(*names: str) -> Iterator[None]:
    """What is imported inside finds empty modules, each of which is imported once it is asked for something.

    Everybody else, then and later, gets the modules themselves.
    """
    with contextlib.ExitStack() as stack:
        for name in names:
            if name not in sys.modules:
                stack.enter_context(_empty(name))
        yield


@contextlib.contextmanager
def withheld(name: str) -> Iterator[None]:
    """What is imported inside finds no such module, and takes the way it has without."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # how the import system notes what must not be found
    try:
        yield
    finally:
        del sys.modules[name]


@contextlib.contextmanager
def answering(name: str, **known: object) -> Iterator[None]:
    """The same for one module of which some answers are known; whoever asks for those has it imported no more."""
    with _empty(name, known) if name not in sys.modules else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _empty(name: str, known: Mapping[str, object] = MappingProxyType({})) -> Iterator[None]:
    empty = ModuleType(name)
    empty.__dict__.update(known)

    def imported() -> ModuleType:
        if sys.modules.get(name) is empty:
            del sys.modules[name]
        return importlib.import_module(name)

    def ask(what: str) -> Any:
        return getattr(imported(), what)

    empty.__dict__["__getattr__"] = ask  # PEP 562
    package, _, attribute = name.rpartition(".")
    parent = sys.modules.get(package)  # one that is not there yet will find it when it asks
    sys.modules[name] = empty
    if parent is not None:
        setattr(parent, attribute, empty)
    try:
        yield
    finally:
        if sys.modules.get(name) is empty:
            del sys.modules[name]
            if parent is not None:
                delattr(parent, attribute)
