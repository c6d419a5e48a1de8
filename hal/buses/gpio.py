"""Lines of a GPIO chip, by libgpiod (the extra `gpio`): inputs that tell their changes, outputs that are set.

    buses: {io: {kind: gpio, chip: /dev/gpiochip0}}

Wiring: 3.3 V logic; an opto-coupler or a driver stage between it and anything that leaves the box. Source: Linux,
Documentation/userspace-api/gpio (uAPI v2); libgpiod 2, Python bindings. The kernel keeps a line as it was requested
until it is released; **what an output does after that is the chip's affair, and most keep the last level**: a process
that dies does not switch anything off.

A driver requests its lines together and is given `Lines`; nobody else may have them meanwhile. Nothing here blocks for
longer than a register access.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import msgspec

from hal.context import parse_options
from hal.errors import DeviceError, NotFound

CONSUMER = "ocpp-station"


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line, as a configuration names it."""

    line: Annotated[int, msgspec.Meta(ge=0)] | Annotated[str, msgspec.Meta(min_length=1)]
    """Its number on the chip, or its name in the device tree."""
    active_low: bool = False
    """A contact to ground, with a pull-up."""
    bias: Literal["as-is", "pull-up", "pull-down", "disabled"] = "as-is"
    """Inputs: the chip's own resistor, where it has one."""
    debounce_s: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.02
    """Inputs: a contact that bounces shorter than that has not moved."""


class ChipOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A chip."""

    chip: Annotated[str, msgspec.Meta(min_length=1)]
    """Device path. The number of /dev/gpiochipN may change: best a stable name by udev."""


class Lines(Protocol):
    """Lines that were requested together, by the driver's own names; True is active."""

    def values(self) -> dict[str, bool]:
        """All inputs and outputs now. Raises NotFound when the chip is gone."""
        ...

    def set(self, name: str, *, active: bool) -> None:
        """Drive an output. Raises NotFound."""
        ...

    def watch(self, changed: Callable[[], None], lost: Callable[[DeviceError], None]) -> None:
        """Calls `changed` after edges of inputs, and `lost` once when the chip is gone."""
        ...

    def release(self) -> None:
        """Let go of the lines; harmless twice. Set outputs to what they shall be before."""
        ...


@runtime_checkable
class Gpio(Protocol):
    """A chip: what drivers refer to by `bus`."""

    def request(self, owner: str, inputs: Mapping[str, Line], outputs: Mapping[str, Line]) -> Lines:
        """The lines, outputs inactive. Raises NotFound: no chip, no such line, in use, no right, no library."""
        ...


class GpioChip:
    """A chip of the kernel. Raises BadOptions when built; a line is touched when a driver opens."""

    def __init__(self, name: str, options: Mapping[str, object], clock: Callable[[], float] | None = None) -> None:
        del clock
        self.name = name
        self._path = parse_options(f"bus {name!r}", options, ChipOptions).chip

    async def close(self) -> None:
        """Each driver lets go of its own lines."""

    def request(self, owner: str, inputs: Mapping[str, Line], outputs: Mapping[str, Line]) -> Lines:
        """See `Gpio.request`."""
        try:
            import gpiod  # noqa: PLC0415 - an extra, needed where GPIO is named
        except ImportError:
            raise NotFound(owner, "libgpiod is missing: install the extra `gpio`") from None
        config: dict[Any, Any] = {}
        for each in outputs.values():
            config[each.line] = gpiod.LineSettings(
                direction=gpiod.line.Direction.OUTPUT,
                active_low=each.active_low,
                output_value=gpiod.line.Value.INACTIVE,
            )
        for each in inputs.values():
            config[each.line] = gpiod.LineSettings(
                direction=gpiod.line.Direction.INPUT,
                edge_detection=gpiod.line.Edge.BOTH,
                active_low=each.active_low,
                bias=getattr(gpiod.line.Bias, each.bias.replace("-", "_").upper()),
                debounce_period=timedelta(seconds=each.debounce_s),
            )
        try:
            request = gpiod.request_lines(self._path, consumer=CONSUMER, config=config)
        except (OSError, ValueError) as error:
            raise NotFound(owner, f"{self._path}: {_why(error)}") from None
        lines = {name: each.line for name, each in (*inputs.items(), *outputs.items())}
        return _Requested(owner, self._path, request, lines)


class _Requested:
    """What the kernel has given."""

    def __init__(self, owner: str, path: str, request: Any, lines: Mapping[str, int | str]) -> None:
        self._owner = owner
        self._path = path
        self._request: Any | None = request
        self._lines = lines
        self._watching: asyncio.AbstractEventLoop | None = None

    def values(self) -> dict[str, bool]:
        request = self._held()
        try:
            found = request.get_values(list(self._lines.values()))
        except OSError as error:
            raise self._gone(error) from None
        return {name: bool(value) for name, value in zip(self._lines, found, strict=True)}

    def set(self, name: str, *, active: bool) -> None:
        import gpiod  # noqa: PLC0415 - as above

        value = gpiod.line.Value.ACTIVE if active else gpiod.line.Value.INACTIVE
        try:
            self._held().set_value(self._lines[name], value)
        except OSError as error:
            raise self._gone(error) from None

    def watch(self, changed: Callable[[], None], lost: Callable[[DeviceError], None]) -> None:
        request = self._held()

        def edges() -> None:
            try:
                request.read_edge_events()
            except OSError as error:
                lost(self._gone(error))
                return
            changed()

        self._watching = asyncio.get_running_loop()
        self._watching.add_reader(request.fd, edges)

    def release(self) -> None:
        request, self._request = self._request, None
        if request is None:
            return
        if self._watching is not None:
            self._watching.remove_reader(request.fd)
        with contextlib.suppress(OSError):  # of a chip that is gone
            request.release()

    def _held(self) -> Any:
        if self._request is None:
            raise NotFound(self._owner, f"its lines of {self._path} were released")
        return self._request

    def _gone(self, error: OSError) -> NotFound:
        self.release()
        return NotFound(self._owner, f"{self._path} is gone: {_why(error)}")


def _why(error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EBUSY:
        return "a line is in use by another program"
    return os.strerror(code) if isinstance(code, int) else str(error)
