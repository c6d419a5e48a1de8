"""What every board with channels has: its numbers and limits, what each channel showed last, and whether it is there.

`polled` builds on it for boards that must be asked, `can_board` for one that tells by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Generic, TypeVar

import msgspec

from hal.api import BoardInfo, BoardSnapshot, Fault, Permit, PilotState
from hal.errors import BadOptions, DeviceError, NotFound, Refused

Current = Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)]
Phases = Annotated[int, msgspec.Meta(ge=1, le=3)]


class OutletOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every such driver can be told about its outlets."""

    min_a: Current = 6.0
    max_a: Current = 32.0
    phases: Phases = 3

    def __post_init__(self) -> None:
        if self.min_a > self.max_a:
            raise ValueError(
                f"min_a {self.min_a:g} is more than max_a {self.max_a:g}: every permission would be refused"
            )


class ChannelLine:
    """One channel: what it showed last, and which command about its permission is the newest."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.last: BoardSnapshot | None = None
        self.order = 0
        """Grows with each command: an older one must not go on after a newer."""

    def command(self) -> int:
        """A new command: it overtakes every other. Gives its order."""
        self.order += 1
        return self.order


L = TypeVar("L", bound=ChannelLine)


class ChannelBoard(Generic[L]):
    """The part of a Board that is the same for all. Not open when built."""

    def __init__(self, name: str, lines: Iterable[L], info: BoardInfo, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._info = info
        self._lines: dict[int, L] = {line.number: line for line in lines}
        self._lost: DeviceError | None = NotFound(name, "is not open")

    def channels(self) -> tuple[int, ...]:
        """As configured."""
        return tuple(self._lines)

    def info(self, channel: int) -> BoardInfo:
        """As configured, or as found. Raises NotFound for another channel."""
        self._line(channel)
        return self._info

    def _line(self, channel: int) -> L:
        if channel not in self._lines:
            known = ", ".join(map(str, self._lines))
            raise NotFound(self.name, f"has no channel {channel} (there are: {known})")
        return self._lines[channel]

    def _check(self) -> None:
        """Raises what the board was lost by: anew, for a traceback that is kept would grow."""
        if self._lost is not None:
            raise NotFound(self.name, self._lost.reason)

    def _check_limits(self, permit: Permit) -> None:
        info = self._info
        if not info.min_a <= permit.limit_a <= info.max_a or permit.phases not in (1, 2, 3):
            allowed = f"{info.min_a:g} to {info.max_a:g} A on 1 to 3 phases"
            raise Refused(self.name, f"{permit.limit_a:g} A on {permit.phases} phases is not {allowed}")

    def _shown(self, line: L) -> BoardSnapshot:
        """What the channel showed last; not available if it never did."""
        return line.last or BoardSnapshot(
            channel=line.number, sampled_at=self._clock(), pilot=PilotState.F, contactor_closed=False
        )

    def _faulty(self, line: L) -> BoardSnapshot:
        """A channel that tells nothing: what it showed last, with an internal fault."""
        last = self._shown(line)
        return msgspec.structs.replace(last, faults=last.faults | {Fault.INTERNAL}, sampled_at=self._clock())


def checked_channels(owner: str, channels: tuple[int, ...]) -> tuple[int, ...]:
    """The channels of a configuration. Raises BadOptions for none, or one that is named twice."""
    if not channels or len(set(channels)) < len(channels):
        raise BadOptions(owner, ".channels", "must name each channel once, and at least one")
    return channels


def differs(before: BoardSnapshot, after: BoardSnapshot) -> bool:
    """Whether there is news in it, besides its instant."""
    return msgspec.structs.replace(before, sampled_at=after.sampled_at) != after
