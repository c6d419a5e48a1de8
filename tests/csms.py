"""A scripted CSMS for tests: synchronous, without I/O, in whatever time the test keeps.

It takes the text frames of one station and answers them by script; each frame is judged by the official JSON schema
(`tests/schema.py`) and by the rules of order (`tests/wire_order.py`), so every test is also a test of conformance. It
shares no code with the station. The bench couples it with an engine, `tests/live_csms.py` with a real WebSocket.

    feed(text)      a frame of the station arrived; gives the frames to send back
    outgoing()      frames the CSMS wants to send by itself: its CALLs, and answers it had held
    attach(...)     the transport's ends: `pump` lets the station work until it is quiet, `link` hears of connect and
                    disconnect
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar, overload

import msgspec

from tests import schema
from tests.wire_order import ERROR_CODES, Order, Payload, check_values

EPOCH = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


RESULTS = {3: "CALLRESULT", 4: "CALLERROR"}


class Error(NamedTuple):
    """A CALLERROR, given or received."""

    code: str
    description: str = ""
    details: Payload = {}  # noqa: RUF012 - never changed


class Frame(NamedTuple):
    """One frame in the log. `content` is the payload, or an `Error`."""

    at: datetime
    by: str
    kind: str
    message_id: str
    action: str
    content: Any
    repeated: bool = False


class Call:
    """A CALL of the CSMS, and its answer once it has come."""

    def __init__(self, action: str, payload: Payload, message_id: str) -> None:
        self.action = action
        self.payload = payload
        self.message_id = message_id
        self.answer: Payload | None = None
        self.error: Error | None = None

    @property
    def done(self) -> bool:
        """Whether a CALLRESULT or CALLERROR has come."""
        return self.answer is not None or self.error is not None


Answer = Payload | Error | None
"""What the script says: a payload, a CALLERROR, or nothing at all (None)."""

Script = Callable[[Payload], Answer]
Given = Answer | Script | list[Answer]

T = TypeVar("T", bound=msgspec.Struct)


class Csms:
    """One CSMS listening to one station.

    `clock` gives the CSMS's wall time (currentTime, the log) and counts the timeout of messages.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: EPOCH, *, message_timeout_s: float = 30.0) -> None:
        self.clock = clock
        self.seconds: Callable[[], float] = lambda: self.clock().timestamp()
        """What timeouts are judged by; a bench whose CSMS's clock jumps has a better one."""
        self.order = Order(message_timeout_s)
        self.log: list[Frame] = []
        self.connected = False
        self.valid_answers = True
        """Whether answers of the script must be valid themselves; a test of a broken CSMS turns it off."""
        self._script: dict[str, Script] = {}
        self._out: deque[str] = deque()
        self._calls: dict[str, Call] = {}
        self._held: deque[tuple[str, str, Payload]] | None = None
        self._raw_ids: set[str] = set()
        self._counter = 0
        self._pump: Callable[[], object] = lambda: None
        self._link: Callable[[bool], object] = lambda _up: None

    # --- the transport's side -----------------------------------------------------------------------------------------

    def attach(self, *, pump: Callable[[], object], link: Callable[[bool], object] = lambda _up: None) -> None:
        """Couple with a transport: `pump()` carries frames until both are quiet, without passing time."""
        self._pump, self._link = pump, link

    def feed(self, text: str) -> list[str]:
        """A frame arrived. AssertionError if it breaks a schema or a rule; else the frames to send back at once."""
        frame = json.loads(text)
        assert isinstance(frame, list), f"not an array: {text[:100]}"
        kind, message_id = frame[0], frame[1]
        assert isinstance(message_id, str), f"the message id is not a string: {text[:100]}"
        if kind == 2:
            assert len(frame) == 4, f"a CALL has 4 elements: {text[:100]}"
            return self._called(message_id, frame[2], frame[3])
        call = self._calls.pop(message_id, None)
        if call is None and message_id in self._raw_ids:
            self._note("station", RESULTS[kind], message_id, "", frame[2] if kind == 3 else Error(*frame[2:]))
            return []
        assert call is not None, f"an answer to nothing: {text[:100]}"
        if kind == 3:
            assert len(frame) == 3, f"a CALLRESULT has 3 elements: {text[:100]}"
            self._answered(call, frame[2])
        else:
            assert kind == 4, f"unknown message type: {text[:100]}"
            self._refused(call, Error(*frame[2:]))
        return []

    def outgoing(self) -> list[str]:
        """The frames that wait to be sent; they count as sent."""
        frames = list(self._out)
        self._out.clear()
        return frames

    def _called(self, message_id: str, action: str, payload: Payload) -> list[str]:
        schema.validate(action, "Request", payload)
        check_values(action, payload)
        repeated = self.order.call(message_id, action, payload, self.seconds())
        self._note("station", "CALL", message_id, action, payload, repeated=repeated)
        if self._held is not None:
            self._held.append((message_id, action, payload))
            return []
        return self._reply(message_id, action, payload)

    def _reply(self, message_id: str, action: str, payload: Payload) -> list[str]:
        script = self._script.get(action)
        answer = script(payload) if script else {}
        if answer is None:
            return []
        if isinstance(answer, Error):
            self.order.answered(message_id, action, None)
            self._note("csms", "CALLERROR", message_id, action, answer)
            return [json.dumps([4, message_id, answer.code, answer.description, answer.details])]
        answer = {**self._defaults(action, payload, scripted=script is not None), **answer}
        if self.valid_answers:
            schema.validate(action, "Response", answer)
        self.order.answered(message_id, action, answer)
        self._note("csms", "CALLRESULT", message_id, action, answer)
        return [json.dumps([3, message_id, answer])]

    def _defaults(self, action: str, payload: Payload, *, scripted: bool) -> Payload:
        """The friendliest valid answer; of a scripted one only what is tedious to write: the time."""
        now = self.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        match action:
            case "BootNotification":
                return {"currentTime": now, "interval": 300, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now}
            case _ if scripted:
                return {}
            case "Authorize":
                return {"idTokenInfo": {"status": "Accepted"}}
            case "TransactionEvent":
                return {"idTokenInfo": {"status": "Accepted"}} if "idToken" in payload else {}
            case "DataTransfer" | "SignCertificate" | "NotifyEVChargingNeeds" | "NotifyEVChargingSchedule":
                return {"status": "Accepted"}
            case "Get15118EVCertificate":
                return {"status": "Accepted", "exiResponse": "AA=="}
            case "GetCertificateStatus":
                return {"status": "Failed"}
            case _:
                return {}

    def _answered(self, call: Call, payload: Payload) -> None:
        schema.validate(call.action, "Response", payload)
        check_values(call.action, payload)
        call.answer = payload
        self._note("station", "CALLRESULT", call.message_id, call.action, payload)
        self.order.asked(call.action, call.payload, payload)

    def _refused(self, call: Call, error: Error) -> None:
        assert error.code in ERROR_CODES, f"{error.code} is no error code of OCPP 2.0.1"
        assert len(error.description) <= 255, "errorDescription is longer than 255"
        assert isinstance(error.details, dict), "errorDetails is not an object"
        call.error = error
        self._note("station", "CALLERROR", call.message_id, call.action, error)

    def _note(  # noqa: PLR0913 - a row of the log
        self, by: str, kind: str, message_id: str, action: str, content: Payload | Error, *, repeated: bool = False
    ) -> None:
        self.log.append(Frame(self.clock(), by, kind, message_id, action, content, repeated))

    # --- the script ---------------------------------------------------------------------------------------------------

    def on(self, action: str, given: Given) -> None:
        """From now on answer `action` with a payload, an `Error`, nothing (None), or what a function says.

        A list is used up one by one, its last element stays. What BootNotification and Heartbeat lack of time, interval
        (300 s) and status is filled in.
        """
        if callable(given):
            self._script[action] = given
        elif isinstance(given, list):
            queue = deque(given)
            self._script[action] = lambda _payload: queue.popleft() if len(queue) > 1 else queue[0]
        else:
            self._script[action] = lambda _payload: given

    def error(self, action: str, code: str = "InternalError", description: str = "") -> None:
        """From now on answer `action` with a CALLERROR."""
        self.on(action, Error(code, description))

    def silent(self, action: str) -> None:
        """From now on never answer `action`."""
        self.on(action, None)

    def default(self, action: str) -> None:
        """Back to the friendly answer."""
        self._script.pop(action, None)

    def hold(self) -> None:
        """Keep CALLs unanswered until `release`; a connection that is lost takes them along."""
        self._held = deque()

    def release(self, *, once: bool = False) -> None:
        """Answer what was held, in order, and go on answering; or hold what comes next, if `once`."""
        held, self._held = self._held or deque(), deque() if once else None
        for message_id, action, payload in held:
            self._out.extend(self._reply(message_id, action, payload))
        self._pump()

    def connect(self) -> None:
        """Let the station connect (again)."""
        self.connected = True
        self._link(True)  # noqa: FBT003 - a callback: the link is up
        self._pump()

    def disconnect(self) -> None:
        """Cut the connection: frames on the way, open CALLs and held answers are lost."""
        self.connected = False
        self._out.clear()
        self._calls.clear()
        if self._held is not None:
            self._held.clear()
        self.order.link_lost()
        self._link(False)  # noqa: FBT003 - a callback: the link is down
        self._pump()

    # --- CALLs of the CSMS --------------------------------------------------------------------------------------------

    def send(self, action: str, payload: Mapping[str, Any] | None = None, *, valid: bool = True) -> Call:
        """Send a CALL and let the station work; the answer may come later. `valid=False`: it is broken on purpose."""
        content = dict(payload or {})
        if valid:
            schema.validate(action, "Request", content)
        self._counter += 1
        call = Call(action, content, f"csms-{self._counter}")
        self._calls[call.message_id] = call
        self._note("csms", "CALL", call.message_id, action, content)
        self._transmit(json.dumps([2, call.message_id, action, content]))
        return call

    def send_text(self, text: str, message_id: str = "-1") -> list[Frame]:
        """Send any text, also one that is no frame; gives the answers that came to it, under `message_id`, at once."""
        self._raw_ids.add(message_id)
        before = len(self.log)
        self._transmit(text)
        return [frame for frame in self.log[before:] if frame.by == "station" and frame.message_id == message_id]

    def _transmit(self, text: str) -> None:
        assert self.connected, "the station is not connected"
        self._out.append(text)
        self._pump()

    def call(self, action: str, payload: Mapping[str, Any] | None = None) -> Payload:
        """Send a CALL and give the payload of its CALLRESULT, which must come without time passing."""
        call = self.send(action, payload)
        assert call.error is None, f"{action} was answered with CALLERROR {call.error}"
        assert call.answer is not None, f"{action} was not answered"
        return call.answer

    def refused(self, action: str, payload: Mapping[str, Any] | None = None, *, valid: bool = True) -> Error:
        """Send a CALL that must be answered with a CALLERROR, and give it."""
        call = self.send(action, payload, valid=valid)
        assert call.answer is None, f"{action} was answered with {call.answer}, not with a CALLERROR"
        assert call.error is not None, f"{action} was not answered"
        return call.error

    # --- what came ----------------------------------------------------------------------------------------------------

    @overload
    def received(self, kind: str) -> list[Payload]: ...
    @overload
    def received(self, kind: type[T]) -> list[T]: ...
    def received(self, kind: str | type[T]) -> list[Payload] | list[T]:
        """The station's CALLs of one action, in order, repetitions left out.

        By the action's name: payloads as `json.loads` gives them. By a type (`TransactionEventRequest`): decoded.
        """
        return self._convert(kind, [frame for frame in self._sent(kind) if not frame.repeated])

    @overload
    def transmissions(self, kind: str) -> list[Payload]: ...
    @overload
    def transmissions(self, kind: type[T]) -> list[T]: ...
    def transmissions(self, kind: str | type[T]) -> list[Payload] | list[T]:
        """As `received`, with every repetition."""
        return self._convert(kind, self._sent(kind))

    def frames(self, action: str) -> list[Frame]:
        """The station's CALLs of one action with the time of their arrival and their message ids, repetitions too."""
        return self._sent(action)

    def actions(self) -> list[str]:
        """The names of the station's CALLs, in order, repetitions too; one has its kind: `TransactionEvent/Started`."""
        calls = [frame for frame in self.log if frame.by == "station" and frame.kind == "CALL"]
        return [f"{f.action}/{f.content['eventType']}" if f.action == "TransactionEvent" else f.action for f in calls]

    def forget(self) -> None:
        """Empty the log: what follows is what the test is about. The rules of order remember all the same."""
        self.log.clear()

    def _sent(self, kind: str | type[msgspec.Struct]) -> list[Frame]:
        action = kind if isinstance(kind, str) else kind.__name__.removesuffix("Request")
        return [f for f in self.log if f.by == "station" and f.kind == "CALL" and f.action == action]

    @staticmethod
    def _convert(kind: str | type[T], frames: list[Frame]) -> list[Payload] | list[T]:
        if isinstance(kind, str):
            return [frame.content for frame in frames]
        return [msgspec.convert(frame.content, kind) for frame in frames]


def later(seconds: float, since: datetime = EPOCH) -> datetime:
    """A moment of the test's time."""
    return since + timedelta(seconds=seconds)
