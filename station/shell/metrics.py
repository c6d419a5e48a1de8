"""Figures for a monitoring system of the machine's own: OpenMetrics text over HTTP, on loopback only, nothing else.

Whoever asks gets all figures; how he asks is bounded in length, in time and in number. No request changes anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hal.errors import NotFound

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LONGEST_HEAD = 8192
MOST_CLIENTS = 4
PATIENCE_S = 5.0


class MetricsServer:
    """Serves what `figures` tells on one port."""

    def __init__(self, host: str, port: int, figures: Callable[[], Awaitable[str]]) -> None:
        self._host = host
        self._port = port
        self._figures = figures
        self._clients = 0

    async def run(self) -> None:
        """Serve until cancelled. Raises NotFound if the port cannot be had; a station charges without it."""
        try:
            server = await asyncio.start_server(self._accept, self._host, self._port, limit=LONGEST_HEAD)
        except OSError as error:
            raise NotFound("metrics", error.strerror or str(error)) from error
        async with server:
            await server.serve_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= MOST_CLIENTS:
            writer.close()
            return
        self._clients += 1
        try:
            await asyncio.wait_for(self._serve(reader, writer), PATIENCE_S)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._clients -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].partition(b"?")[0]
        if target != b"/metrics":
            writer.write(_response("404 Not Found", "text/plain", "/metrics is all there is\n", body=method != b"HEAD"))
        elif method not in {b"GET", b"HEAD"}:
            writer.write(_response("405 Method Not Allowed", "text/plain", "GET it\n"))
        else:
            try:
                text = await self._figures()
            except Exception:
                log.exception("metrics.bug")
                writer.write(_response("500 Internal Server Error", "text/plain", "the agent's log tells more\n"))
            else:
                writer.write(_response("200 OK", CONTENT_TYPE, text, body=method == b"GET"))
        await writer.drain()


def _response(status: str, kind: str, text: str, *, body: bool = True) -> bytes:
    content = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii") + (content if body else b"")
