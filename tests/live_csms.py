"""The scripted CSMS behind a real WebSocket on loopback, for tests of whole processes.

    with LiveCsms(password="...", tls=server_context(pki)) as live:
        start_the_station(live.url)
        live.wait_for("BootNotification")
        live.script.on("Authorize", {...})
        live.call("GetVariables", {...})

One station at a time; a new connection takes the place of the old one. Everything it receives is judged as in
`tests/csms.py`; a broken rule fails the next wait, or the end of the `with`.
"""

from __future__ import annotations

import base64
import http
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from certs.throwaway import Authority, Issued, Wish
from tests.csms import Call, Csms, Frame
from tests.wire_order import Payload

PATIENCE_S = 60.0


class Handshake(NamedTuple):
    """What a station showed when it connected."""

    path: str
    offered: str
    authorization: str
    tls: str
    client: str
    """The common name of its certificate, if it showed one."""

    at: datetime
    serial: str = ""
    """Its certificate's serial number, hexadecimal."""


def server_context(issued: Issued, client_root: str = "") -> ssl.SSLContext:
    """TLS as a CSMS has it; with `client_root` (PEM) it demands a certificate of the station (profile 3)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.chain, issued.key)
    if client_root:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_root)
    return context


def server(pki: Authority, *, client_root: str = "") -> ssl.SSLContext:
    """A server's context with a new certificate for localhost."""
    return server_context(pki.issue("localhost", Wish(names=("localhost", "127.0.0.1"))), client_root)


class LiveCsms:
    """A CSMS on a port of loopback, in threads of its own.

    `password`: demanded by Basic authentication, else 401. `offers` are the versions it speaks, in its order.
    """

    def __init__(
        self,
        *,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        offers: Sequence[str] = ("ocpp2.0.1",),
        compression: str | None = None,
        port: int = 0,
    ) -> None:
        self.script = Csms(lambda: datetime.now(UTC))
        self.script.attach(pump=self._flush, link=self._dropped)
        self.password = password
        self.refuse_with: http.HTTPStatus | None = None
        """While set, every connection is refused with this status."""
        self.handshakes: list[Handshake] = []
        self._changed = threading.Condition(threading.RLock())
        self._station: ServerConnection | None = None
        self._broken: AssertionError | None = None
        self._server = serve(
            self._serve,
            "127.0.0.1",
            port,
            ssl=tls,
            subprotocols=[Subprotocol(each) for each in offers],
            process_request=self._admit,
            compression=compression,
            ping_interval=None,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="csms")
        self._scheme = "wss" if tls else "ws"
        self.port: int = self._server.socket.getsockname()[1]

    @property
    def url(self) -> str:
        """The endpoint, without the station's identity."""
        return f"{self._scheme}://localhost:{self.port}/ocpp"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()
        self._server.shutdown()
        self._thread.join(PATIENCE_S)
        if kind is None:
            self._raise_broken()

    # --- what tests do ------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any], what: str = "the condition", timeout_s: float = PATIENCE_S) -> None:
        """Wait until `condition()` is true; it is asked again after every frame. AssertionError after `timeout_s`."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                self._raise_broken()
                left = end - time.monotonic()
                assert left > 0, f"waited {timeout_s} s for {what}; received: {self.script.actions()}"
                self._changed.wait(min(left, 0.5))
            self._raise_broken()

    def wait_for(self, name: str, count: int = 1, timeout_s: float = PATIENCE_S) -> list[Payload]:
        """Wait until `count` CALLs named as in `Csms.actions` came (`TransactionEvent/Ended`); their payloads."""
        self.until(lambda: self.script.actions().count(name) >= count, f"{count} x {name}", timeout_s)
        with self._changed:
            action, _, kind = name.partition("/")
            found: list[Frame] = self.script.frames(action)
            return [each.content for each in found if not kind or each.content["eventType"] == kind]

    def call(self, action: str, payload: Mapping[str, Any] | None = None, timeout_s: float = PATIENCE_S) -> Payload:
        """Send a CALL and wait for its CALLRESULT."""
        call = self.send(action, payload)
        self.until(lambda: call.done, f"an answer to {action}", timeout_s)
        assert call.error is None, f"{action} was answered with CALLERROR {call.error}"
        return call.answer or {}

    def send(self, action: str, payload: Mapping[str, Any] | None = None, *, valid: bool = True) -> Call:
        """Send a CALL; its answer comes later."""
        with self._changed:
            return self.script.send(action, payload, valid=valid)

    def send_text(self, text: str, message_id: str = "-1") -> None:
        """Send any text, also one that is no frame; answers under `message_id` are none to a CALL of ours."""
        with self._changed:
            self.script.send_text(text, message_id)

    def disconnect(self) -> None:
        """Close the connection, if there is one; the station may connect again unless `refuse_with` is set."""
        with self._changed:
            station = self._station
        if station:
            station.close()
            self.until(lambda: self._station is not station, "the connection's end")

    def forgive(self) -> None:
        """Forget the broken rule, where a test breaks one on purpose."""
        self._broken = None

    @property
    def connected(self) -> bool:
        """Whether a station is connected."""
        return self._station is not None

    # --- the WebSocket's side -----------------------------------------------------------------------------------------

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        transport = connection.socket
        tls, client, serial = "", "", ""
        if isinstance(transport, ssl.SSLSocket):
            tls = transport.version() or ""
            shown: Any = transport.getpeercert() or {}
            client = dict(field for names in shown.get("subject", ()) for field in names).get("commonName", "")
            serial = shown.get("serialNumber", "")
        authorization = request.headers.get("Authorization", "")
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        with self._changed:
            now = datetime.now(UTC)
            self.handshakes.append(Handshake(request.path, offered, authorization, tls, client, now, serial))
            self._changed.notify_all()
        if self.refuse_with:
            return connection.respond(self.refuse_with, "refused by the test\n")
        identity = request.path.rsplit("/", 1)[-1]
        expected = "Basic " + base64.b64encode(f"{identity}:{self.password}".encode()).decode()
        if self.password is not None and authorization != expected:
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong password\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        with self._changed:
            self._station = connection
            self.script.connect()
            self._changed.notify_all()
        try:
            for text in connection:
                self._received(connection, text)
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                if self._station is connection:
                    self._station = None
                    self.script.disconnect()
                self._changed.notify_all()

    def _received(self, connection: ServerConnection, text: str | bytes) -> None:
        with self._changed:
            try:
                assert isinstance(text, str), "a binary message"
                for reply in self.script.feed(text):
                    connection.send(reply)
            except AssertionError as broken:
                self._broken = self._broken or broken
            self._changed.notify_all()

    def _flush(self) -> None:
        for text in self.script.outgoing():
            if self._station:
                self._station.send(text)

    def _dropped(self, up: bool) -> None:  # noqa: FBT001 - a callback: whether the link is up
        if not up and self._station:
            self._station.close()

    def _raise_broken(self) -> None:
        if self._broken:
            raise self._broken
