"""The RPC framework of OCPP-J (part 4, chapter 4), sans I/O: text in, one event out; text out.

An `Endpoint` is one end of one station's line, for all connections of that line. It knows frames, message ids and
who owes whom an answer; it knows no role, no action, no version, no clock and no policy. It may relay payloads
undecoded. What a frame means is the business of the codec and the speaker above it.

Invariants: no text whatever makes `receive` raise; nothing here grows without bound; at most one CALL of ours is in
flight (FR.01); a reply is written at most once for each CALL handed up, and never for a broken CALLRESULT or CALLERROR.

Duplicate keys in a payload follow JSON's usual rule (the last one counts), numbers of any size pass as text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.frame import MAX_ID, Broken, Fault, Frame, json_string, read, text_of

UNREADABLE_ID = "-1"
"""The message id of a CALLERROR that answers a frame whose own id cannot be read (part 4, 4.2.3)."""

MAX_DESCRIPTION = 255
"""Characters of an errorDescription (part 4, 4.2.3)."""

LATE_S = 300.0
"""How long an answer that missed its deadline is still recognised (field.md 7)."""

REPEAT_S = 60.0
"""How long a reply is kept for a sender that asks the same again with the same id (errata 4.6)."""

_MAX_OWED = 32  # CALLs of the peer that wait for our reply; FR.01 allows it one, a timeout of its own a few more
_MAX_KEPT = 16
_MAX_KEPT_CHARS = 262_144
_MAX_ENDED = 64

_OPENING_BRACE = ord("{")
_NUMERIC = b"-0123456789"

_CODES: Mapping[Fault, ErrorCode] = {
    Fault.TOO_LARGE: ErrorCode.FORMAT_VIOLATION,
    Fault.TOO_DEEP: ErrorCode.FORMAT_VIOLATION,
    Fault.NOT_UTF8: ErrorCode.FORMAT_VIOLATION,
    Fault.NOT_JSON: ErrorCode.FORMAT_VIOLATION,
    Fault.NOT_A_FRAME: ErrorCode.RPC_FRAMEWORK,
    Fault.MESSAGE_TYPE: ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED,
    Fault.MESSAGE_ID: ErrorCode.RPC_FRAMEWORK,
    Fault.PAYLOAD: ErrorCode.FORMAT_VIOLATION,
    Fault.DUPLICATE_ID: ErrorCode.RPC_FRAMEWORK,
    Fault.TOO_MANY: ErrorCode.GENERIC,
}


_quoted = functools.lru_cache(maxsize=128)(json_string)
"""Of actions, of which there are a few dozen."""


class CallReceived(Struct, frozen=True):
    """The peer asks. `payload` is the text of a JSON object; answer with `Endpoint.result` or `Endpoint.error`."""

    id: str
    action: str
    payload: bytes


class CallRepeated(Struct, frozen=True):
    """The peer sent a CALL again, letter for letter: send `reply` again; None means it is still being worked on."""

    id: str
    reply: str | None


class ResultReceived(Struct, frozen=True):
    """Our CALL was answered. `payload` is JSON, not yet checked; `late` if it had already timed out."""

    id: str
    payload: bytes
    late: bool


class ErrorReceived(Struct, frozen=True):
    """Our CALL was refused, by any code a peer may use. `details` is JSON; missing parts are "" and `{}`."""

    id: str
    code: str
    description: str
    details: bytes
    late: bool


class Violation(Struct, frozen=True):
    """A frame that is none. `reply` is the CALLERROR to send, if any; worth an InvalidMessages event (A04)."""

    fault: Fault
    description: str
    reply: str | None


Event = CallReceived | CallRepeated | ResultReceived | ErrorReceived | Violation


class Busy(Exception):  # noqa: N818 - a state, not a mistake in the data
    """A CALL of ours is still in flight (FR.01)."""


class _InFlight(Struct, frozen=True):
    id: str
    deadline: float


class _Ended(Struct, frozen=True):
    """A CALL of ours that is no longer in flight but whose answer may still come."""

    until: float
    answered: bool


class _Ours(msgspec.Struct, frozen=True):
    """The CALL of ours that an answer belongs to."""

    id: str
    late: bool


class _Kept(Struct, frozen=True):
    """A reply of ours and the text it answered."""

    question: int
    reply: str
    until: float


class Endpoint:
    """One end of the line between a station and its CSMS (or a local controller).

    `max_message_bytes` and `max_depth` bound what is parsed. `call_timeout_s` (NetworkConnectionProfile.messageTimeout)
    and `spell`, which writes an error code in the words of the negotiated version, may change with each connection.
    """

    def __init__(
        self,
        *,
        max_message_bytes: int = 262_144,
        max_depth: int = 32,
        call_timeout_s: float = 30.0,
        spell: Callable[[ErrorCode], str] = lambda code: code.value,
    ) -> None:
        self.call_timeout_s = call_timeout_s
        self.spell = spell
        self._max_bytes = max_message_bytes
        self._max_depth = max_depth
        self.flying: _InFlight | None = None
        """Our CALL that waits for its answer, for looking at."""
        self._ended: dict[str, _Ended] = {}
        self._owed: dict[str, int] = {}
        self._kept: dict[str, _Kept] = {}
        self._kept_chars = 0

    # Our requests

    @property
    def in_flight(self) -> str | None:
        """The id of our CALL that waits for its answer."""
        return self.flying.id if self.flying else None

    def send_call(self, message_id: str, action: str, payload: bytes, now: float) -> str:
        """The CALL to send; `payload` is the text of a JSON object.

        A retry may use the id of the first attempt (errata 4.6). FR.01: raises Busy while a CALL is in flight.
        Raises ValueError for an id that is empty or longer than 36 characters.
        """
        if self.flying:
            raise Busy(self.flying.id)
        if not 0 < len(message_id) <= MAX_ID:
            raise ValueError(f"message id of {len(message_id)} characters")
        text = f"[2,{json_string(message_id)},{_quoted(action)},{payload.decode()}]"
        self.flying = _InFlight(message_id, now + self.call_timeout_s)
        return text

    def next_deadline(self) -> float | None:
        """When our CALL in flight times out, on the caller's clock."""
        return self.flying.deadline if self.flying else None

    def timed_out(self, now: float) -> str | None:
        """Give up our CALL if its time is over and tell its id; a late answer is still recognised for five minutes.

        Receive what has already arrived before asking: after a stall the answer may be there (design section 6).
        """
        if self.flying is None or now < self.flying.deadline:
            return None
        return self._give_up(self.flying, now)

    def disconnected(self, now: float) -> str | None:
        """The connection is gone: tell the id of our CALL that was in flight, if any, and forget what we owed.

        Replies die with their connection, so a peer that restarts its counter of ids is not answered from memory.
        """
        self._owed.clear()
        self._kept.clear()
        self._kept_chars = 0
        return self._give_up(self.flying, now) if self.flying else None

    # Our replies

    def result(self, message_id: str, payload: bytes, now: float) -> str | None:
        """The CALLRESULT to send, or None if nothing is owed for this id (its connection is gone)."""
        if message_id not in self._owed:
            return None
        return self._answer(message_id, f"[3,{json_string(message_id)},{payload.decode()}]", now)

    def error(self, message_id: str, error: RpcError, now: float) -> str | None:
        """The CALLERROR to send, its code spelt for the negotiated version, or None if nothing is owed for this id."""
        if message_id not in self._owed:
            return None
        return self._answer(message_id, self._call_error(message_id, error), now)

    def _answer(self, message_id: str, reply: str, now: float) -> str:
        question = self._owed.pop(message_id)
        if message_id in self._kept:  # and take a new place: they stay in the order of their ends
            self._forget_kept(message_id)
        if len(reply) <= _MAX_KEPT_CHARS:
            self._kept[message_id] = _Kept(question, reply, now + REPEAT_S)
            self._kept_chars += len(reply)
        while len(self._kept) > _MAX_KEPT or self._kept_chars > _MAX_KEPT_CHARS:
            self._forget_kept(next(iter(self._kept)))
        return reply

    def _forget_kept(self, message_id: str) -> None:
        if kept := self._kept.pop(message_id, None):
            self._kept_chars -= len(kept.reply)

    def _call_error(self, message_id: str, error: RpcError) -> str:
        code, description = json_string(self.spell(error.code)), json_string(error.description[:MAX_DESCRIPTION])
        details = ",".join(f"{json_string(key)}:{json_string(value)}" for key, value in error.details.items())
        return f"[4,{json_string(message_id)},{code},{description},{{{details}}}]"

    # What the peer sends

    def receive(self, text: str | bytes, now: float) -> Event:
        """What one WebSocket message means. Never raises; always exactly one event."""
        if self._ended or self._kept:
            self._expire(now)
        frame = read(text, max_bytes=self._max_bytes, max_depth=self._max_depth)
        if isinstance(frame, Broken):
            if frame.kind in {"3", "4"}:
                return _silent(frame.fault, frame.id, frame.detail)
            return self._violation(frame.fault, frame.id, frame.detail)
        kind, message_id = bytes(frame.kind), text_of(frame.id)
        if kind == b"3":
            return self._result(frame, message_id, now)
        if kind == b"4":
            return self._error(frame, message_id, now)
        usable = message_id if message_id and len(message_id) <= MAX_ID else None
        if kind == b"2" and usable:
            return self._call(frame, usable, hash(text))
        numbered = kind and kind[0] in _NUMERIC
        fault = Fault.MESSAGE_ID if kind == b"2" else Fault.MESSAGE_TYPE if numbered else Fault.NOT_A_FRAME
        return self._violation(fault, usable)

    def _call(self, frame: Frame, message_id: str, question: int) -> Event:
        if kept := self._kept.get(message_id):
            if kept.question == question:
                return CallRepeated(message_id, kept.reply)
            self._forget_kept(message_id)  # the sender uses the id for something new
        if message_id in self._owed:
            if self._owed[message_id] == question:
                return CallRepeated(message_id, None)
            return self._violation(Fault.DUPLICATE_ID, message_id)
        action, payload = text_of(frame.third), bytes(frame.fourth)
        if action is None or not payload or frame.fifth:
            return self._violation(Fault.NOT_A_FRAME, message_id, 'a CALL is [2, "id", "action", {payload}]')
        if payload == b"null":  # part 4, 4.1.5: the other notation of "no payload"
            payload = b"{}"
        if payload[0] != _OPENING_BRACE:
            return self._violation(Fault.PAYLOAD, message_id)
        if len(self._owed) >= _MAX_OWED:
            return self._violation(Fault.TOO_MANY, message_id, f"at most {_MAX_OWED}")
        self._owed[message_id] = question
        return CallReceived(message_id, action, payload)

    def _result(self, frame: Frame, message_id: str | None, now: float) -> Event:
        ours = self._take(message_id, now)
        if isinstance(ours, Fault):
            return _silent(ours, message_id)
        payload = bytes(frame.third)
        return ResultReceived(ours.id, b"{}" if payload in {b"", b"null"} else payload, ours.late)

    def _error(self, frame: Frame, message_id: str | None, now: float) -> Event:
        if self.flying and message_id in {None, "", UNREADABLE_ID}:
            # A peer that could not read our id means the one CALL we have in flight; the true answer may still come.
            ours: _Ours | Fault = _Ours(self._give_up(self.flying, now), late=False)
        else:
            ours = self._take(message_id, now)
        if isinstance(ours, Fault):
            return _silent(ours, message_id)
        code, description = text_of(frame.third) or "", text_of(frame.fourth) or ""
        return ErrorReceived(ours.id, code, description, bytes(frame.fifth) or b"{}", ours.late)

    def _take(self, message_id: str | None, now: float) -> _Ours | Fault:
        """Our CALL that an answer with this id belongs to, or why it is stray; an answer can be taken once."""
        if message_id is None:
            return Fault.UNKNOWN_ID
        ended = self._ended.get(message_id)
        if self.flying and self.flying.id == message_id:
            self.flying = None
            if ended:  # sent more than once, so there may be more than one answer
                self._ended[message_id] = _Ended(now + LATE_S, answered=True)
            return _Ours(message_id, late=False)
        if ended is None:
            return Fault.UNKNOWN_ID
        if ended.answered:
            return Fault.ANSWERED_TWICE
        self._ended[message_id] = _Ended(ended.until, answered=True)
        return _Ours(message_id, late=True)

    # Bookkeeping

    def _give_up(self, gone: _InFlight, now: float) -> str:
        self.flying = None
        self._ended.pop(gone.id, None)  # re-inserted, so that the table stays in the order of its ends
        self._ended[gone.id] = _Ended(now + LATE_S, answered=False)
        if len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return gone.id

    def _expire(self, now: float) -> None:
        if self._ended:
            for message_id in [key for key, ended in self._ended.items() if ended.until <= now]:
                del self._ended[message_id]
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].until > now:
                break
            self._forget_kept(oldest)

    def _violation(self, fault: Fault, message_id: str | None, detail: str = "") -> Violation:
        code = _CODES[fault] if message_id else ErrorCode.RPC_FRAMEWORK
        description = f"{fault.value}: {detail}" if detail else fault.value
        return Violation(fault, description, self._call_error(message_id or UNREADABLE_ID, RpcError(code, description)))


def _silent(fault: Fault, message_id: str | None, detail: str = "") -> Violation:
    """A broken or stray answer; answering an answer could go on for ever."""
    return Violation(fault, ": ".join(filter(None, [fault.value, (message_id or "")[:MAX_ID], detail])), None)
