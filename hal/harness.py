"""How a driver is put to the test: what stimulates the device, and how a promise is found broken.

A *harness* builds the driver and stimulates the device: a simulator, an emulator on a pty, or a person with a cable.
What a harness cannot do is a further small protocol that it lacks: `Unplugs`, `Plugs`, `Faults`, `Presents`, `Jams`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn, Protocol, TypeVar, runtime_checkable

from hal.errors import DeviceError

T = TypeVar("T")

PATIENCE_S = 5.0
"""How long a change may take to show. A board opens much sooner; this is what a driver may need to tell it."""


class Broken(AssertionError):  # noqa: N818 - reads as the verdict it is
    """The driver does not do what it promised; the text says what was expected and what came."""


@runtime_checkable
class Harness(Protocol):
    """The least a harness can do. `kind` as in `hal.registry`."""

    kind: str

    def build(self) -> Any:
        """A new driver for the same device, not opened."""
        ...

    def clock(self) -> float:
        """The clock that the driver was given."""
        ...

    async def wait(self, seconds: float) -> None:
        """Let time pass, really or virtually."""
        ...


@runtime_checkable
class Unplugs(Protocol):
    """The harness can take the device from its port, and give it back."""

    async def unplug_device(self, *, gone: bool) -> None:
        """Take away or give back."""
        ...


@runtime_checkable
class Plugs(Protocol):
    """The harness can connect a vehicle that asks for current."""

    async def vehicle(self, channel: int, *, connected: bool) -> None:
        """Connect or disconnect."""
        ...


@runtime_checkable
class Faults(Protocol):
    """The harness can cause a fault that must open the contactor."""

    async def fault(self, channel: int, *, present: bool) -> None:
        """Cause or mend."""
        ...


@runtime_checkable
class Presents(Protocol):
    """The harness can hold a card to the reader."""

    async def card(self) -> str:
        """Hold a card to the reader once; gives its identifier, upper-case hex."""
        ...


@runtime_checkable
class Jams(Protocol):
    """The harness can block the lock."""

    async def jam(self, *, jammed: bool) -> None:
        """Block or free."""
        ...


# --- helpers of checks


def broken(text: str) -> NoReturn:
    """The verdict."""
    raise Broken(text)


def expect(true: object, text: str) -> None:
    """Raise Broken with the text unless `true`."""
    if not true:
        broken(text)


@asynccontextmanager
async def opened(harness: Harness, kind: Callable[..., T]) -> AsyncGenerator[T, None]:
    """A fresh driver, opened, which must be of this protocol; closed whatever happens."""
    device = harness.build()
    expect(isinstance(device, kind), f"{type(device).__name__} is not a {kind.__name__}")  # type: ignore[arg-type] # a protocol
    await device.open()
    try:
        yield device
    finally:
        await device.close()


async def raises(call: Awaitable[object], *kinds: type[DeviceError]) -> DeviceError:
    """The DeviceError that a call must raise; of one of these kinds if any are given."""
    try:
        given = await call
    except DeviceError as error:
        expect(not kinds or isinstance(error, kinds), f"expected {_names(kinds)}, got {type(error).__name__}: {error}")
        return error
    broken(f"expected {_names(kinds)}, got {given!r}")


def _names(kinds: tuple[type[DeviceError], ...]) -> str:
    return " or ".join(kind.__name__ for kind in kinds) or "a DeviceError"


def patience(harness: Harness) -> float:
    """How long a change may take to show; longer where a person has a hand in it (`patience_s`)."""
    return float(getattr(harness, "patience_s", PATIENCE_S))


async def until(harness: Harness, look: Callable[[], Awaitable[T]], good: Callable[[T], object], text: str) -> T:
    """Look again and again until it is good; Broken with the text and the last look after PATIENCE_S."""
    end = harness.clock() + patience(harness)
    while True:
        seen = await look()
        if good(seen):
            return seen
        if harness.clock() >= end:
            broken(f"{text}; after {patience(harness):.0f} s: {seen}")
        await harness.wait(0.1)


async def first(source: AsyncIterator[T], count: int, within_s: float = PATIENCE_S) -> list[T]:
    """The first values of an iterator, within so long of the loop's time."""
    found: list[T] = []

    async def collect() -> None:
        async for item in source:
            found.append(item)
            if len(found) == count:
                return

    task = asyncio.ensure_future(collect())
    done, _ = await asyncio.wait({task}, timeout=within_s)
    if not done:
        task.cancel()
        broken(f"expected {count} values, got {found}")
    task.result()
    return found
