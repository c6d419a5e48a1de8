"""A CSMS that answers anything, judges nothing and counts bytes: it must cost little beside the station."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Payload = dict[str, Any]


class Listener:
    """One station at a time. `on_boot` is called the moment the first BootNotification arrives."""

    def __init__(self, on_boot: Callable[[], None] = lambda: None) -> None:
        self.counts: Counter[str] = Counter()
        self.transactions: dict[int, str] = {}
        self.heard = time.monotonic()
        self.charging: set[int] = set()
        self._on_boot = on_boot
        self._wire: ServerConnection | None = None
        self._open: dict[str, asyncio.Future[list[Any]]] = {}
        self._news = asyncio.Event()
        self._number = 0

    async def serve(self, port: int, *, deflate: bool) -> Server:
        """Listen on a port of loopback, 0: on a free one; the server to close."""
        return await serve(
            self._converse,
            "127.0.0.1",
            port,
            subprotocols=[Subprotocol("ocpp2.0.1")],
            compression="deflate" if deflate else None,
            ping_interval=None,
        )

    async def call(self, action: str, payload: Payload) -> Payload:
        """The station's answer. RuntimeError if it is a CALLERROR."""
        self._number += 1
        message_id = str(self._number)
        answer = self._open[message_id] = asyncio.get_running_loop().create_future()
        await self._connected().send(json.dumps([2, message_id, action, payload], separators=(",", ":")))
        frame = await asyncio.wait_for(answer, 30)
        if frame[0] != 3:  # noqa: PLR2004 - CALLRESULT
            raise RuntimeError(f"{action}: {frame[2:4]}")
        result: Payload = frame[2]
        return result

    async def until(self, condition: Callable[[], object], timeout_s: float = 30) -> None:
        """Wait until something is true; asked again after every message. TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def quiet(self, seconds: float, limit_s: float = 60) -> None:
        """Wait until the station has said nothing for that long."""
        end = time.monotonic() + limit_s
        while (waited := time.monotonic() - self.heard) < seconds and time.monotonic() < end:  # noqa: ASYNC110 - silence
            await asyncio.sleep(seconds - waited + 0.01)

    def bytes_received(self) -> int:
        """TCP payload from the station on this connection, as the kernel counts it (`tcpi_bytes_received`)."""
        if self._wire is None:
            return 0
        info = self._wire.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        received: int = struct.unpack_from("=Q", info, 128)[0]
        return received

    def _connected(self) -> ServerConnection:
        if self._wire is None:
            raise RuntimeError("no station is connected")
        return self._wire

    async def _converse(self, wire: ServerConnection) -> None:
        self._wire = wire
        with contextlib.suppress(ConnectionClosed):
            async for text in wire:
                frame = json.loads(text)
                if frame[0] == 2:  # noqa: PLR2004 - CALL
                    await self._answer(wire, *frame[1:4])
                elif future := self._open.pop(frame[1], None):
                    future.set_result(frame)
                self.heard = time.monotonic()
                self._news.set()
        if self._wire is wire:
            self._wire = None

    async def _answer(self, wire: ServerConnection, message_id: str, action: str, payload: Payload) -> None:
        if action == "BootNotification" and not self.counts[action]:
            self._on_boot()
        if action == "TransactionEvent":
            self._follow(payload)
        if action == "NotifyReport":
            self.counts["reported"] += len(payload.get("reportData", ()))
        self.counts[action] += 1
        await wire.send(json.dumps([3, message_id, friendly(action, payload)], separators=(",", ":")))

    def _follow(self, event: Payload) -> None:
        """Which EVSE has which transaction, and whether energy flows."""
        kind, info = event["eventType"], event["transactionInfo"]
        self.counts[f"TransactionEvent/{kind}"] += 1
        if evse := event.get("evse"):
            self.transactions[evse["id"]] = info["transactionId"]
        for evse_id in [each for each, key in self.transactions.items() if key == info["transactionId"]]:
            if info.get("chargingState") == "Charging":
                self.charging.add(evse_id)
            if kind == "Ended":
                self.charging.discard(evse_id)
                del self.transactions[evse_id]


def friendly(action: str, payload: Payload) -> Payload:
    """The answer that lets the station go on."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    match action:
        case "BootNotification":
            return {"currentTime": now, "interval": 3600, "status": "Accepted"}
        case "Heartbeat":
            return {"currentTime": now}
        case "Authorize":
            return {"idTokenInfo": {"status": "Accepted"}}
        case "TransactionEvent" if "idToken" in payload:
            return {"idTokenInfo": {"status": "Accepted"}}
        case "DataTransfer" | "SignCertificate":
            return {"status": "Accepted"}
        case _:
            return {}
