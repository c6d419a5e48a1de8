"""Block P. Messages of a vendor's own, both ways, for functions that OCPP lacks.

The vendors' extensions are packages of their own (`station/extension.py`); a station without any answers
UnknownVendorId to all. The CSMS may switch one off (CustomizationCtrlr): then its vendor is unknown.
Invariant: no vendor's message is answered by a CALLERROR, whatever it holds, and nothing that an extension does wrong
reaches others; of a handler that failed, nothing is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from station.block import Answered, Block, NotSent, Outcome, Outcomes, Routes, outcome, route
from station.extension import Answer, Extension, Message, Reply, Way
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ocpp.messages import DataTransferRequest, DataTransferResponse
from station.ports import Csms
from station.refusal import Refusal
from station.state.variables import Variables

log = logging.getLogger(__name__)

T = TypeVar("T")

Told = Callable[[Outcome[DataTransferRequest], Now], None]
"""Hears once what became of a message that was sent."""
InStep = Callable[[Callable[[Now], None]], None]
"""Runs something in a step, soon; from any thread."""

PATIENCE_S = 30.0
"""How long a message may wait for its turn."""
LEAST_PERIOD_S = 1.0
WRONG = (Exception, SystemExit)
"""What an extension may raise: parsers of command lines, which some take for other texts, leave by SystemExit."""
SWITCH = ("CustomizationCtrlr", "CustomImplementationEnabled")


class Installed(msgspec.Struct, frozen=True):
    """An extension that station.yaml names. `make` may raise whatever it likes."""

    vendor_id: str
    make: Callable[[Way], Extension]


class _Sent(msgspec.Struct, frozen=True):
    """The context of a DataTransfer of ours."""

    number: int


class DataTransfers(Block):
    """Block P."""

    def __init__(self, *, csms: Csms, variables: Variables, installed: Sequence[Installed]) -> None:
        self._csms = csms
        self._variables = variables
        self._waiting: dict[int, Told] = {}
        self._count = 0
        self.in_step: InStep | None = None
        """How an extension's own thread gets into a step; nobody's before the shell has started."""
        self._vendors = {each.vendor_id: made for each in installed if (made := self._made(each)) is not None}

    def _made(self, installed: Installed) -> _Vendor | None:
        try:
            vendor = _Vendor(self, installed.vendor_id)
            vendor.begin(installed.make(vendor))
        except WRONG:
            log.exception("vendor.not_started", extra={"vendor": installed.vendor_id})
            return None
        return vendor

    def routes(self) -> Routes:
        """P01."""
        return [route(DataTransferRequest, self.received)]

    def outcomes(self) -> Outcomes:
        """P02."""
        return [outcome(DataTransferRequest, self.answered)]

    def load(self, now: Now) -> None:
        """Whoever wants to be called regularly is, from now on."""
        for vendor in self._vendors.values():
            vendor.schedule(now)

    # --- from the CSMS

    def received(self, request: DataTransferRequest, now: Now) -> DataTransferResponse:
        """P01.FR.05, P01.FR.06, P01.FR.07."""
        vendor = self._vendors.get(request.vendor_id)
        if vendor is None or not self.enabled(request.vendor_id):
            return DataTransferResponse(status="UnknownVendorId")
        message = vendor.messages.get(request.message_id or "")
        if message is None:
            return DataTransferResponse(status="UnknownMessageId")
        try:
            try:
                payload = typed(request.data, message.payload)
            except msgspec.ValidationError as error:
                return _rejected(Refusal("InvalidValue", str(error)))
            return vendor.handled(message, payload, now)
        except WRONG:
            log.exception("vendor.failed", extra={"vendor": request.vendor_id, "kind": request.message_id})
            return _rejected(Refusal("InternalError", "the vendor's extension failed"))

    def enabled(self, vendor_id: str) -> bool:
        """Whether the CSMS wants it."""
        return self._variables.boolean(*SWITCH, vendor_id)

    # --- to the CSMS

    def send(self, message: DataTransferRequest, told: Told, now: Now) -> None:
        """Send a message to the CSMS, inside a step; `told` hears the outcome."""
        self._count += 1
        self._waiting[self._count] = told
        self._csms.ask(message, by=now.after(PATIENCE_S), context=_Sent(self._count))

    def answered(self, outcome: Outcome[DataTransferRequest], now: Now) -> None:
        """Whoever sent it hears what became of it."""
        told = self._waiting.pop(outcome.context.number, None) if isinstance(outcome.context, _Sent) else None
        if told is not None:
            told(outcome, now)

    # --- time

    def next_due(self) -> Deadline | None:
        """Of the extension whose turn is next."""
        due = [vendor.due_at for vendor in self._vendors.values() if vendor.due_at is not None]
        return MonoDeadline(min(due)) if due else None

    def due(self, now: Now) -> None:
        """Those whose turn it is; one that is switched off has none."""
        for vendor_id, vendor in self._vendors.items():
            if vendor.due_at is not None and vendor.due_at <= now.mono:
                vendor.tick(now, enabled=self.enabled(vendor_id))


class _Vendor:
    """One extension, and its way to the CSMS."""

    def __init__(self, block: DataTransfers, vendor_id: str) -> None:
        self._block = block
        self._vendor_id = vendor_id
        self._extension: Extension | None = None
        self._unsent: list[_Unsent] = []
        self.messages: dict[str, Message] = {}
        self.due_at: Mono | None = None
        self._every_s: float | None = None

    def begin(self, extension: Extension) -> None:
        """Its tables are read once."""
        self._extension = extension
        self.messages = {row.id: row for row in extension.messages()}
        every_s = type(extension).every_s
        self._every_s = max(LEAST_PERIOD_S, float(every_s)) if every_s is not None else None

    # the port

    def send(
        self, id_: str, data: Any, now: Now, *, told: Callable[[Reply[Any]], None] | None = None, answer: Any = None
    ) -> None:
        """It leaves when the extension's turn ends well."""
        del now  # that of the step in which it leaves
        message = DataTransferRequest(vendor_id=self._vendor_id, message_id=id_ or None, data=msgspec.to_builtins(data))
        msgspec.json.encode(message)  # what is no JSON is the sender's mistake, in his turn
        self._unsent.append(_Unsent(message, told, answer))

    def in_step(self, command: Callable[[Now], None]) -> None:
        """From any thread."""
        if self._block.in_step is not None:
            self._block.in_step(lambda now: self._turn(command, now))

    # the extension's turns

    def handled(self, message: Message, payload: Any, now: Now) -> DataTransferResponse:
        """Raises what its handler raises, and what its answer cannot be told for; then nothing is sent."""
        try:
            response = _response(message.handle(payload, now))
        except WRONG:
            self._unsent.clear()
            raise
        self._flush(now)
        return response

    def tick(self, now: Now, *, enabled: bool) -> None:
        """Its regular turn."""
        self.schedule(now, anew=True)
        if enabled and self._extension is not None:
            self._turn(self._extension.due, now)

    def schedule(self, now: Now, *, anew: bool = False) -> None:
        """When its next turn is."""
        if self._every_s is not None and (anew or self.due_at is None):
            self.due_at = now.after(self._every_s)

    def _turn(self, act: Callable[[Now], None], now: Now) -> None:
        if self._contained(act, now):
            self._flush(now)

    def _flush(self, now: Now) -> None:
        """What its turn has sent; it hears at once if the CSMS wants none of it."""
        unsent, self._unsent = self._unsent, []
        if self._block.enabled(self._vendor_id):
            for each in unsent:
                self._block.send(each.message, self._hearing(each), now)
            return
        for told in [each.told for each in unsent if each.told is not None]:
            self._contained(told, Reply("Disabled"))
        self._unsent.clear()  # what it says to that is not wanted either

    def _hearing(self, sent: _Unsent) -> Told:
        def heard(outcome: Outcome[DataTransferRequest], now: Now) -> None:
            if sent.told is not None and self._contained(sent.told, _reply(outcome, sent.answer)):
                self._flush(now)

        return heard

    def _contained(self, turn: Callable[[T], object], given: T) -> bool:
        """Whether it went well; else nothing of it is sent."""
        try:
            turn(given)
        except WRONG:
            self._unsent.clear()
            log.exception("vendor.failed", extra={"vendor": self._vendor_id})
            return False
        return True


class _Unsent(msgspec.Struct, frozen=True):
    """A message whose sender's turn has not ended yet."""

    message: DataTransferRequest
    told: Callable[[Reply[Any]], None] | None
    answer: Any


def typed(data: Any, kind: Any) -> Any:
    """`data` as the type that was agreed. Many CSMSs send JSON as a text, as in OCPP 1.6.

    Raises msgspec.ValidationError, and whatever a type of the vendor's raises while it is made.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError:
        if not isinstance(data, str):
            raise
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise msgspec.ValidationError(str(error)) from error


def _reply(outcome: Outcome[DataTransferRequest], answer: Any) -> Reply[Any]:
    if isinstance(outcome, NotSent):
        return Reply("NotSent")
    if not isinstance(outcome, Answered):
        return Reply("Failed")
    data = outcome.response.data
    try:
        return Reply(outcome.response.status, typed(data, answer) if answer is not None and data is not None else data)
    except WRONG as error:
        log.warning("vendor.reply", extra={"vendor": outcome.request.vendor_id, "reason": str(error)})
        return Reply("Failed")


def _response(answer: Answer) -> DataTransferResponse:
    """As it is told. Raises whatever an answer that is none, or is no JSON, leads to."""
    response = DataTransferResponse(
        status="Accepted" if answer.accepted else "Rejected",
        data=msgspec.to_builtins(answer.data),
        status_info=Refusal("Unspecified", answer.reason).info if answer.reason else None,
    )
    msgspec.json.encode(response)
    return response


def _rejected(refusal: Refusal) -> DataTransferResponse:
    return DataTransferResponse(status="Rejected", status_info=refusal.info)
