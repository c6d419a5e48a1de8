"""Block P. Messages of a vendor's own, both ways, for functions that OCPP lacks.

A vendor's extension is a function under its name in `vendors`; a station without any answers UnknownVendorId to all.
Invariant: no vendor's message is answered by a CALLERROR, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from station.block import Block, Outcome, Outcomes, Routes, outcome, route
from station.now import Now
from station.ocpp.messages import DataTransferRequest, DataTransferResponse
from station.ports import Csms

Extension = Callable[[Any, Now], DataTransferResponse]
"""Answers one kind of message: gets its `data`."""

Told = Callable[[Outcome[DataTransferRequest]], None]
"""Hears once what became of a message that was sent."""

PATIENCE_S = 30.0
"""How long a message may wait for its turn."""


class _Sent(msgspec.Struct, frozen=True):
    """The context of a DataTransfer of ours."""

    number: int


class DataTransfers(Block):
    """Block P. `vendors`: vendorId -> messageId ("" where a vendor uses none) -> what answers it."""

    def __init__(self, *, csms: Csms, vendors: Mapping[str, Mapping[str, Extension]]) -> None:
        self._csms = csms
        self._vendors = vendors
        self._waiting: dict[int, Told] = {}
        self._count = 0

    def routes(self) -> Routes:
        """P01."""
        return [route(DataTransferRequest, self.received)]

    def outcomes(self) -> Outcomes:
        """P02."""
        return [outcome(DataTransferRequest, self.answered)]

    def received(self, request: DataTransferRequest, now: Now) -> DataTransferResponse:
        """P01.FR.05, P01.FR.06, P01.FR.07."""
        vendor = self._vendors.get(request.vendor_id)
        if vendor is None:
            return DataTransferResponse(status="UnknownVendorId")
        extension = vendor.get(request.message_id or "")
        if extension is None:
            return DataTransferResponse(status="UnknownMessageId")
        return extension(request.data, now)

    def send(self, message: DataTransferRequest, told: Told, now: Now) -> None:
        """Send a message to the CSMS, inside a step; `told` hears the outcome."""
        self._count += 1
        self._waiting[self._count] = told
        self._csms.ask(message, by=now.after(PATIENCE_S), context=_Sent(self._count))

    def answered(self, outcome: Outcome[DataTransferRequest], now: Now) -> None:
        """Whoever sent it hears what became of it."""
        del now
        told = self._waiting.pop(outcome.context.number, None) if isinstance(outcome.context, _Sent) else None
        if told is not None:
            told(outcome)
