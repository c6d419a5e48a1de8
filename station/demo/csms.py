"""The demo's own CSMS: a WebSocket server on loopback that accepts its one station and prices what it charges.

Small on purpose: it answers what a station says, remembers every frame for the checks at the end, and can ask. It
shares no code with the agent, so that the demo shows two parties and not one talking to itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http
import json
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Payload = dict[str, Any]

ANSWER_S = 20.0
HEARTBEAT_S = 10

PRICE_PER_KWH = 0.49
PRICE_OF_SESSION = 0.35
CURRENCY = "EUR"


class Said(NamedTuple):
    """One message of the conversation. `by`: station or csms; `kind`: CALL, CALLRESULT or CALLERROR."""

    at: float
    by: str
    kind: str
    action: str
    content: Any


class Bill(NamedTuple):
    """What a transaction costs so far."""

    transaction_id: str
    energy_wh: float
    total: float


class DemoCsms:
    """One station at a time. `heard` is called with every message, `connected` with how the station came in."""

    def __init__(
        self,
        *,
        password: str | None,
        tls: ssl.SSLContext | None,
        heard: Callable[[Said], None],
        connected: Callable[[str], None],
    ) -> None:
        self.said: list[Said] = []
        self._password = password
        self._tls = tls
        self._heard = heard
        self._connected = connected
        self._wire: ServerConnection | None = None
        self._open: dict[str, tuple[str, asyncio.Future[Payload | None]]] = {}
        self._begin_wh: dict[str, float] = {}
        self.bills: dict[str, Bill] = {}
        self._number = 0
        self.news = asyncio.Event()

    async def serve(self) -> Server:
        """Listen on a free port of loopback; the server to close."""
        return await serve(
            self._converse,
            "127.0.0.1",
            0,
            ssl=self._tls,
            subprotocols=[Subprotocol("ocpp2.0.1")],
            process_request=self._admit,
            compression="deflate",
        )

    # --- asking

    async def call(self, action: str, payload: Payload) -> Payload | None:
        """Ask the station; None if it refuses with a CALLERROR or does not answer."""
        if self._wire is None:
            return None
        self._number += 1
        message_id = f"csms-{self._number}"
        answer: asyncio.Future[Payload | None] = asyncio.get_running_loop().create_future()
        self._open[message_id] = (action, answer)
        self._note("csms", "CALL", action, payload)
        await self._wire.send(json.dumps([2, message_id, action, payload]))
        await asyncio.wait({answer}, timeout=ANSWER_S)
        return answer.result() if answer.done() else None

    async def until(self, condition: Callable[[], Any], timeout_s: float) -> bool:
        """Wait until something is true, asked after every message; False if it takes too long."""
        end = time.monotonic() + timeout_s
        while not condition():
            self.news.clear()
            waiting = asyncio.ensure_future(self.news.wait())
            await asyncio.wait({waiting}, timeout=max(0.0, end - time.monotonic()))
            waiting.cancel()
            if time.monotonic() >= end:
                return bool(condition())
        return True

    def events(self, kind: str | None = None) -> list[Payload]:
        """The TransactionEvents so far."""
        sent = [said.content for said in self.said if (said.by, said.kind) == ("station", "CALL")]
        return [each for each in sent if "eventType" in each and kind in (None, each["eventType"])]

    # --- the connection

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        identity = request.path.rsplit("/", 1)[-1]
        expected = "Basic " + base64.b64encode(f"{identity}:{self._password}".encode()).decode()
        if self._password is not None and request.headers.get("Authorization") != expected:
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong password\n")
        return None

    async def _converse(self, wire: ServerConnection) -> None:
        self._wire = wire
        self._connected(_shown(wire))
        with contextlib.suppress(ConnectionClosed):
            async for text in wire:
                await self._received(wire, json.loads(text))
        self._wire = None
        self.news.set()

    async def _received(self, wire: ServerConnection, frame: list[Any]) -> None:
        match frame:
            case [2, message_id, action, payload]:
                self._note("station", "CALL", action, payload)
                answer = self._answer(action, payload)
                self._note("csms", "CALLRESULT", action, answer)
                await wire.send(json.dumps([3, message_id, answer]))
            case [3, message_id, payload] if message_id in self._open:
                self._settle(message_id, "CALLRESULT", payload, payload)
            case [4, message_id, code, description, *_] if message_id in self._open:
                self._settle(message_id, "CALLERROR", {"code": code, "description": description}, None)
            case _:
                self._note("station", "CALLERROR", "?", {"code": "not a frame", "description": str(frame)[:100]})

    def _settle(self, message_id: str, kind: str, content: Payload, answer: Payload | None) -> None:
        action, waiting = self._open.pop(message_id)
        self._note("station", kind, action, content)
        if not waiting.done():
            waiting.set_result(answer)

    def _note(self, by: str, kind: str, action: str, content: Any) -> None:
        said = Said(time.monotonic(), by, kind, action, content)
        self.said.append(said)
        self._heard(said)
        self.news.set()

    # --- answering

    def _answer(self, action: str, payload: Payload) -> Payload:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        match action:
            case "BootNotification":
                return {"currentTime": now, "interval": HEARTBEAT_S, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return {"idTokenInfo": {"status": "Accepted"}}
            case "TransactionEvent":
                return self._priced(payload)
            case "DataTransfer" | "SignCertificate":
                return {"status": "Accepted"}
            case _:
                return {}

    def _priced(self, event: Payload) -> Payload:
        """I02, I03: the cost so far with each Updated, the total with the Ended."""
        key = event["transactionInfo"]["transactionId"]
        answer: Payload = {"idTokenInfo": {"status": "Accepted"}} if "idToken" in event else {}
        register = energy_wh(event)
        if register is not None:
            begin = self._begin_wh.setdefault(key, register)
            charged = register - begin
            total = round(PRICE_OF_SESSION + charged / 1000 * PRICE_PER_KWH, 2)
            self.bills[key] = Bill(key, charged, total)
            if event["eventType"] != "Started":
                answer["totalCost"] = total
        return answer


def energy_wh(event: Payload) -> float | None:
    """The last energy register that a TransactionEvent tells, in Wh."""
    return value(event, "Energy.Active.Import.Register", last=True)


def value(event: Payload, measurand: str, *, last: bool = False) -> float | None:
    """A value without a phase of a TransactionEvent: the first one, or the last."""
    found = None
    for reading in event.get("meterValue", ()):
        for sampled in reading["sampledValue"]:
            if sampled.get("measurand", "Energy.Active.Import.Register") == measurand and "phase" not in sampled:
                unit = sampled.get("unitOfMeasure", {})
                kilo = 1000.0 if unit.get("unit", "Wh").startswith("k") else 1.0
                figure = float(sampled["value"]) * kilo * 10.0 ** float(unit.get("multiplier", 0))
                if found is None or last:
                    found = figure
    return found


def _shown(wire: ServerConnection) -> str:
    """How the station came in: TLS version and certificate, or in the clear."""
    tls = wire.transport.get_extra_info("ssl_object")
    if tls is None:
        return "without TLS, by password"
    certificate = tls.getpeercert() or {}
    names = dict(field for part in certificate.get("subject", ()) for field in part)
    by = f"certificate of {names['commonName']}" if "commonName" in names else "password"
    return f"{tls.version()} {tls.cipher()[0]}, by {by}"
