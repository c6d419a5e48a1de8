"""The speaker of OCPP 2.0.1 (edition 3): its rules, both ways.

What comes is judged before it becomes a message; what goes is judged as the text that will leave, so that nothing the
CSMS may refuse is sent. One message of the vocabulary is always one message of 2.0.1, and nothing need be remembered.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from station.ocpp import codec, rules_v201
from station.ocpp.base import DataType, Message, Request, Response
from station.ocpp.errors import CannotRender, ErrorCode, RpcError
from station.ocpp.messages import ACTIONS
from station.ocpp.rules import Mistake, Rules
from station.ocpp.speaker import Fitted, Rendered, Wire

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Message)
D = TypeVar("D", bound=DataType)

FREE_TEXT = frozenset(
    {
        "ChargingStationType.firmwareVersion",
        "ChargingStationType.model",
        "ChargingStationType.vendorName",
        "EventDataType.actualValue",  # ReportingValueSize allows to cut reported values
        "EventDataType.techInfo",
        "GetVariableResultType.attributeValue",
        "SecurityEventNotificationRequest.techInfo",
        "StatusInfoType.additionalInfo",
        "VariableAttributeType.value",
    }
)
"""Texts for people, which may lose their end. All others name something or are evidence, and must fit as they are."""

SPELLINGS: Mapping[str, ErrorCode] = {
    **{code.value.lower(): code for code in ErrorCode},
    "occurenceconstraintviolation": ErrorCode.OCCURRENCE_CONSTRAINT,  # 1.6, and seen from 2.0.1 servers
    "formationviolation": ErrorCode.FORMAT_VIOLATION,  # 1.6
}

WARNINGS = 100
"""So many different unknown fields are told in the log; a CSMS cannot fill the disk with inventions."""


_RULES = Rules(rules_v201.OBJECTS, rules_v201.ENUMS)
"""Of all speakers that announce no other lengths: what judges is built once, however many stations there are."""


class Speaker201:
    """OCPP 2.0.1.

    `strict`: refuse a payload with a field that 2.0.1 does not have (ProtocolError) instead of passing over the field.
    `lengths`: longer texts than 2.0.1 demands, announced by OCPPCommCtrlr.FieldLength (see `Rules`).
    """

    version = "2.0.1"
    subprotocol = "ocpp2.0.1"
    actions = frozenset(ACTIONS)

    def __init__(self, *, strict: bool = False, lengths: Mapping[str, int] | None = None) -> None:
        self._strict = strict
        self._rules = Rules(rules_v201.OBJECTS, rules_v201.ENUMS, lengths) if lengths else _RULES
        self._warned: set[str] = set()
        self._empty: dict[type[Request[Any, Any]], Any] = {}
        """What an answer without a field is, which most answers are: frozen, and so the same each time."""

    def can(self, message: type[Message]) -> bool:
        """Whether 2.0.1 has words for such messages."""
        return self._rules.has(message.__name__)

    # -------------------------------------------------------------------------------------------------- what comes

    def decode_request(self, action: str, payload: bytes | msgspec.Raw) -> Request[Any, Any]:
        """The request of a CALL.

        Raises RpcError: NOT_IMPLEMENTED for an action that 2.0.1 does not have, else what is wrong with the payload.
        """
        if action not in ACTIONS:
            raise RpcError(ErrorCode.NOT_IMPLEMENTED, "2.0.1 has no such action")
        return self._decoded(ACTIONS[action].request, payload)

    def decode_response(self, request: type[Request[Any, R]], payload: bytes | msgspec.Raw) -> R:
        """The response of a CALLRESULT to such a request. Raises RpcError if 2.0.1 does not allow it."""
        if payload == b"{}" and request in self._empty:
            empty: R = self._empty[request]
            return empty
        response: Any = ACTIONS[request.__name__.removesuffix("Request")].response
        decoded: R = self._decoded(response, payload)
        if payload == b"{}":
            self._empty[request] = decoded
        return decoded

    def _decoded(self, kind: type[D], payload: bytes | msgspec.Raw) -> D:
        try:
            if self._rules.accepts(kind.__name__, payload):
                return codec.load(kind, payload)
            return codec.convert(kind, self._tolerated(kind.__name__, payload))
        except ValueError:
            # The rules allowed it, so only an instant beyond the calendar is left.
            raise RpcError(ErrorCode.PROPERTY_CONSTRAINT, f"{kind.__name__}: a dateTime is out of range") from None

    def _tolerated(self, name: str, payload: bytes | msgspec.Raw) -> Any:
        """The document without unknown fields. Raises RpcError for the first mistake that is not tolerated."""
        try:
            document = codec.plain(payload)
        except ValueError:
            raise RpcError(ErrorCode.FORMAT_VIOLATION, f"{name}: not JSON that can be read") from None
        judged = self._rules.examine(name, document)
        for mistake in judged.mistakes:
            if self._strict or not mistake.unknown:
                raise RpcError(mistake.code, f"{name}: {mistake}")
            self._warn(mistake)
        return judged.document

    def _warn(self, mistake: Mistake) -> None:
        """Tell of an unknown field, once each."""
        field = f"{mistake.rule}.{str(mistake.where[-1])[:50]}"
        if field not in self._warned and len(self._warned) < WARNINGS:
            self._warned.add(field)
            log.warning("ocpp.unknown_field", extra={"field": field})

    # -------------------------------------------------------------------------------------------------- what goes

    def encode(self, message: Request[Any, Any]) -> Rendered:
        """The one CALL that says it. Raises CannotRender if 2.0.1 does not allow the message or a field of it."""
        return Rendered((Wire(type(message).__name__.removesuffix("Request"), self._encoded(message)),))

    def encode_response(self, response: Response) -> bytes:
        """The payload of a CALLRESULT. Raises CannotRender if 2.0.1 does not allow it."""
        return self._encoded(response)

    def _encoded(self, message: Message) -> bytes:
        name = type(message).__name__
        if not self._rules.has(name):
            raise CannotRender(f"2.0.1 has no {name}")
        payload = codec.render(message)
        if not self._rules.accepts(name, payload):
            for mistake in self._rules.examine(name, codec.plain(payload)).mistakes:
                raise CannotRender(f"{name}: {mistake}")
        return payload

    def fit(self, message: M) -> Fitted[M]:
        """The message with free texts cut to what 2.0.1 allows, and the paths of those that were.

        Raises CannotRender if anything else is not allowed.
        """
        kind = type(message)
        name = kind.__name__
        if not self._rules.has(name):
            raise CannotRender(f"2.0.1 has no {name}")
        payload = codec.render(message)
        if self._rules.accepts(name, payload):
            return Fitted(message, text=payload)
        document = codec.plain(codec.dump(message))
        mistakes = self._rules.examine(name, document).mistakes
        for mistake in mistakes:
            if mistake.cut is None or mistake.rule not in FREE_TEXT:
                raise CannotRender(f"{name}: {mistake}")
            _cut(document, mistake)
        return Fitted(codec.convert(kind, document), tuple(mistake.path for mistake in mistakes))

    # ------------------------------------------------------------------------------------------------------ errors

    def error_code(self, code: ErrorCode) -> str:
        """The code as 2.0.1 spells it; `ErrorCode` has this very spelling."""
        return code.value

    def read_error_code(self, text: str) -> ErrorCode:
        """The code of a received CALLERROR, in whatever spelling and case; GENERIC if it is none that we know."""
        return SPELLINGS.get(text.strip().lower(), ErrorCode.GENERIC)


def _cut(document: Any, mistake: Mistake) -> None:
    """Cut the text that is too long, in place."""
    *way, last = mistake.where
    for step in way:
        document = document[step]
    document[last] = document[last][: mistake.cut]
