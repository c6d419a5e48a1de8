"""What a version of OCPP can do for the rest of the station: judge and read what comes, render what goes.

Version-independent: the engine, the queue and the blocks know this protocol and no speaker by name. A speaker keeps no
state of the station and has no policy; what it must remember of a message (the memo) the engine stores for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from station.ocpp.base import Message, Request, Response
from station.ocpp.errors import ErrorCode

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Message)


class Wire(msgspec.Struct, frozen=True):
    """One CALL as it leaves: the action's name in that version and the payload object's text."""

    action: str
    payload: bytes


class Rendered(msgspec.Struct, frozen=True):
    """What a version makes of one message: no, one or several CALLs, and what must be stored with the answer."""

    wires: tuple[Wire, ...]
    memo: Mapping[str, Any] | None = None


class Fitted(msgspec.Struct, Generic[M], frozen=True):
    """A message that the version can express, and the paths of the free texts that were cut for it.

    `text` is the payload as `encode` would give it, where `fit` had to make it anyway: nothing was cut and the version
    makes one CALL of the message, under the same name and in the vocabulary's own words, as `codec.load` reads them.
    """

    message: M
    truncated: tuple[str, ...] = ()
    text: bytes | None = None


class Speaker(Protocol):
    """One version of OCPP."""

    @property
    def version(self) -> str:
        """As `NetworkConnectionProfile` and people write it: `2.0.1`."""

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol: `ocpp2.0.1`."""

    @property
    def actions(self) -> frozenset[str]:
        """Names of all actions of this version, whoever may send them."""

    def can(self, message: type[Message]) -> bool:
        """Whether this version has words for such messages."""

    def decode_request(self, action: str, payload: bytes | msgspec.Raw) -> Request[Any, Any]:
        """The 2.x request of a CALL. Raises RpcError if the version has no such action or refuses the payload."""

    def decode_response(self, request: type[Request[Any, R]], payload: bytes | msgspec.Raw) -> R:
        """The 2.x response of a CALLRESULT to such a request. Raises RpcError if the version does not allow it."""

    def encode(self, message: Request[Any, Any]) -> Rendered:
        """The message as this version sends it. Raises CannotRender if it has no words for it."""

    def encode_response(self, response: Response) -> bytes:
        """The payload of a CALLRESULT. Raises CannotRender if the version does not allow it."""

    def fit(self, message: M) -> Fitted[M]:
        """The message with free texts cut to what this version allows.

        Raises CannotRender if something else does not fit: an identifier is never cut.
        """

    def error_code(self, code: ErrorCode) -> str:
        """How this version spells a code in a CALLERROR."""

    def read_error_code(self, text: str) -> ErrorCode:
        """The code of a received CALLERROR; any version's spelling is understood, an unknown one is `GENERIC`."""
