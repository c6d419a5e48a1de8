"""A negative result as a value: state objects and blocks say no with it; it becomes part of a response (design 6)."""

from __future__ import annotations

import msgspec

from station.ocpp.types import StatusInfoType

_LONGEST = 512
"""Characters of additionalInfo (part 2, StatusInfoType)."""


class Refusal(msgspec.Struct, frozen=True):
    """Why something is not done: becomes `statusInfo` of a response, never a CALLERROR.

    `reason_code` is one of the appendix (at most 20 characters); `additional_info` is for people.
    """

    reason_code: str
    additional_info: str = ""

    @property
    def info(self) -> StatusInfoType:
        """As a response tells it; a text that is too long loses its end rather than the response."""
        text = self.additional_info[:_LONGEST]
        return StatusInfoType(reason_code=self.reason_code, additional_info=text or None)
