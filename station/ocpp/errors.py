"""What may go wrong in the RPC framework (OCPP 2.0.1 part 4, chapter 4.3), apart from any version's spelling.

`RpcError` is the caller's fault (or ours, `INTERNAL`), answered by a CALLERROR. It is never used for a negative result:
"no such EVSE" is a response with status Rejected, not an error.

    RpcError
      CannotRender    a message of ours that the negotiated version cannot express
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class ErrorCode(enum.Enum):
    """The kinds of RPC failure. How each is written on the wire is the speaker's business."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    FORMAT_VIOLATION = "FormatViolation"
    PROTOCOL_ERROR = "ProtocolError"
    OCCURRENCE_CONSTRAINT = "OccurrenceConstraintViolation"
    PROPERTY_CONSTRAINT = "PropertyConstraintViolation"
    TYPE_CONSTRAINT = "TypeConstraintViolation"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    RPC_FRAMEWORK = "RpcFrameworkError"
    SECURITY = "SecurityError"
    INTERNAL = "InternalError"
    GENERIC = "GenericError"


class RpcError(Exception):
    """A request that cannot be processed at all; becomes a CALLERROR.

    `description` is for people and at most 255 characters on the wire; `details` goes into errorDetails and never
    repeats text of a frame that could not be parsed.
    """

    def __init__(self, code: ErrorCode, description: str = "", details: Mapping[str, str] | None = None) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description[:255]
        self.details: Mapping[str, str] = details or {}

    def __str__(self) -> str:
        return f"{self.code.value}: {self.description}"


class CannotRender(RpcError):  # noqa: N818 - said as the design says it
    """The negotiated version has no words for this message; it moves to `undelivered` and never blocks (design A13)."""

    def __init__(self, description: str) -> None:
        super().__init__(ErrorCode.NOT_SUPPORTED, description)
