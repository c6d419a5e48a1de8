"""What every message and data type of the vocabulary has in common, and how a request knows its response."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

Q = TypeVar("Q", bound="Message")
R = TypeVar("R", bound="Message")


class DataType(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A structured value of the vocabulary. `None` means absent; it is never written."""

    custom_data: dict[str, Any] | None = None


class Message(DataType, frozen=True):
    """Anything that travels as a payload."""


class Response(Message, frozen=True):
    """The payload of a CALLRESULT."""


class Request(Message, Generic[Q, R], frozen=True):
    """The payload of a CALL. `Q` is the request itself and `R` its response.

    Both are named so that a function can be generic over an action and a type checker refuses a handler that takes or
    gives the wrong message:

        def route(request: type[Request[Q, R]], handler: Callable[[Q], R]) -> Route: ...
    """

    def __class_getitem__(cls, _: Any) -> type:
        """The class itself: at run time its parameters mean nothing, and an alias for each message costs a start."""
        return cls


class Action(NamedTuple):
    """The two messages of an action."""

    request: type[Request[Any, Any]]
    response: type[Response]
