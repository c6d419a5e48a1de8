"""What a vendor's package builds on, for messages of its own (block P). docs/extending.md shows one.

    class Lights(Extension):
        vendor_id = "com.example"

        def messages(self) -> Sequence[Message]:
            return [message("SetColour", Colour, self.set_colour)]

        def set_colour(self, colour: Colour, now: Now) -> Answer:
            return Answer()

A package announces the class in the entry-point group `ocpp_station.data_transfer`; station.yaml names it. Payloads are
types of msgspec: what does not fit is refused before the extension sees it. Handlers run inside a step of the station:
they never wait. What goes wrong in one is logged and answered, and harms nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec

from station.now import Now

__all__ = ["Answer", "Extension", "Message", "Reply", "Way", "message"]

T = TypeVar("T")

Status = Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId", "NotSent", "Failed", "Disabled"]


class Answer(msgspec.Struct, frozen=True):
    """What the CSMS gets: `data` is anything that msgspec can encode; `reason` is for people."""

    accepted: bool = True
    data: Any = None
    reason: str = ""


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """What became of a message to the CSMS.

    The first four statuses are the CSMS's words. NotSent: no connection, or not registered. Failed: an error, no
    answer, or one whose data is not of the type that was agreed. Disabled: the CSMS has switched the extension off.
    """

    status: Status
    data: T | None = None


class Message(msgspec.Struct, frozen=True):
    """One kind of message that an extension answers. Make it with `message`."""

    id: str
    payload: Any
    handle: Callable[[Any, Now], Answer]


def message(id_: str, payload: type[T], handle: Callable[[T, Now], Answer]) -> Message:
    """A row of `messages()`. `id_`: the messageId, "" where there is none. `payload`: the type of its data."""
    return Message(id_, payload, handle)


class Way(Protocol):
    """What an extension may do. For its own thread alone: `in_step`; all else inside of a step."""

    def send(
        self, id_: str, data: Any, now: Now, *, told: Callable[[Reply[T]], None] | None = None, answer: type[T]
    ) -> None:
        """Send a message to the CSMS. `told` hears once what became of it, the data of type `answer`."""
        ...

    def in_step(self, command: Callable[[Now], None]) -> None:
        """Run this in a step, soon; from any thread. Nothing happens once the station has stopped."""
        ...


class Extension:
    """The base of every extension. Constructed once, before the station starts; `options` are those of station.yaml.

    `vendor_id`: at most 50 characters, best a domain turned round. `every_s`: how often `due` is called, if at all.
    """

    vendor_id: ClassVar[str]
    every_s: ClassVar[float | None] = None

    def __init__(self, way: Way, options: Mapping[str, Any]) -> None:
        self.way = way
        self.options = options

    def messages(self) -> Sequence[Message]:
        """What it answers; asked for once."""
        return ()

    def due(self, now: Now) -> None:
        """`every_s` have passed."""
