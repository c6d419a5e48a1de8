"""How a driver is made: a class `Driver(name, options, context)`, built from plain data without touching the device.

The constructor checks its options with `parse_options`, keeps what it needs and never blocks; `open()` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

import msgspec

from hal.errors import BadOptions

T = TypeVar("T")


class DriverContext(msgspec.Struct, frozen=True):
    """What a driver is given besides its options.

    `clock` returns monotonic seconds. `resources` holds what several drivers share, by the name that options refer to:
    bus owners of `hal.buses` (`bus: rs485-1`) and simulated worlds (`world: sim`).
    """

    clock: Callable[[], float]
    resources: Mapping[str, object]

    def resource(self, driver: str, path: str, name: str, kind: Callable[..., T]) -> T:
        """The shared thing called `name`; raises BadOptions at `path` if there is none or it is of another kind."""
        found = self.resources.get(name)
        wanted = cast("type[T]", kind)  # a callable in the signature, because an abstract class is none of `type[T]`
        if isinstance(found, wanted):
            return found
        if found is not None:
            raise BadOptions(driver, path, f"{name!r} is a {type(found).__name__}, not a {wanted.__name__}")
        known = ", ".join(sorted(n for n, thing in self.resources.items() if isinstance(thing, wanted))) or "none"
        raise BadOptions(driver, path, f"no {wanted.__name__} is called {name!r} (there are: {known})")


def parse_options(driver: str, options: Mapping[str, object], kind: type[T]) -> T:
    """`options` as the driver's own struct; raises BadOptions with the path and the reason of the first mistake.

    Declare the struct with `forbid_unknown_fields=True`, so that a misspelt option is a mistake too.
    """
    try:
        return msgspec.convert(options, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        path = path.rstrip("`").removeprefix("$")
        name = reason.rpartition("field `")[2].rstrip("`")
        if not path and reason.startswith("Object contains unknown field"):
            known = ", ".join(
                sorted(field.encode_name for field in msgspec.structs.fields(cast("type[msgspec.Struct]", kind)))
            )
            raise BadOptions(driver, f".{name}", f"unknown here (there are: {known})") from None
        if reason.startswith("Object missing required field"):
            raise BadOptions(driver, path, f"'{name}' is missing") from None
        raise BadOptions(driver, path, reason) from None


class DriverFactory(Protocol):
    """A driver class as the registry sees it."""

    def __call__(self, name: str, options: Mapping[str, object], context: DriverContext) -> Any:
        """Builds without blocking; raises BadOptions."""
        ...
