"""A negative result as a value: state objects and blocks say no with it; it becomes part of a response (design 6)."""

from __future__ import annotations

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """Why something is not done: becomes `statusInfo` of a response, never a CALLERROR.

    `reason_code` is one of the appendix (at most 20 characters); `additional_info` is for people.
    """

    reason_code: str
    additional_info: str = ""
