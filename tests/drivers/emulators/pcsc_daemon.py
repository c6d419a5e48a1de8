"""pcscd as libpcsclite sees it: a UNIX socket that speaks protocol 4.4 (PC/SC Lite 1.9), with readers and a card.

Written from PC/SC Lite's `winscard_msg.h` and `eventhandler.h`, without code of the driver. The real library connects
to it, by the environment variable PCSCLITE_CSOCK_NAME that it reads once in a process.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from pathlib import Path

MAJOR, MINOR = 4, 4
OK, CANCELLED, NO_CARD = 0, 0x80100002, 0x8010000C
ABSENT, CARD_PRESENT = 0x02, 0x34  # present, powered, negotiable
ATR = bytes.fromhex("3b8f8001804f0ca000000306030001000000006a")
SLOTS = 16


class PcscDaemon:
    """The daemon. `readers`: names; the first one has the card."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.readers = ["ACS ACR122U PICC Interface 00 00"]
        self.uid: bytes | None = None
        self.status = bytes.fromhex("9000")
        self.asked: list[bytes] = []
        self.client = (0, 0)
        self.vanishes = False
        """The card is gone before it can be asked."""
        self._kept: list[str] = []
        self._counter = 0
        self._lock = threading.RLock()
        self._waiting: list[_Client] = []
        self.clients: set[socket.socket] = set()
        self._server: socketserver.ThreadingUnixStreamServer | None = None

    # --- what a person does

    def start(self) -> None:
        """Systemctl start pcscd."""
        self.path.unlink(missing_ok=True)
        daemon = self

        class Handler(_Client):
            def setup(self) -> None:
                self.daemon = daemon
                super().setup()

        self._server = socketserver.ThreadingUnixStreamServer(str(self.path), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Systemctl stop pcscd."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        for client in list(self.clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        server.server_close()
        self.path.unlink(missing_ok=True)

    def present(self, uid: str) -> None:
        """A card is laid upon the reader."""
        with self._lock:
            self.uid = bytes.fromhex(uid)
            self._changed()

    def remove(self) -> None:
        """It is taken away."""
        with self._lock:
            self.uid = None
            self._changed()

    def unplug(self) -> None:
        """The reader is pulled out of its socket."""
        with self._lock:
            self.readers, self._kept = [], self.readers
            self._changed()

    def plug(self) -> None:
        """It is back."""
        with self._lock:
            self.readers = self._kept
            self._changed()

    # --- what the library is told

    def _changed(self) -> None:
        self._counter += 1
        waiting, self._waiting = self._waiting, []
        for client in waiting:
            client.tell(struct.pack("=II", 0, OK))

    def states(self) -> bytes:
        """READER_STATE of every slot."""
        return b"".join(self._state(slot) for slot in range(SLOTS))

    def _state(self, slot: int) -> bytes:
        if slot >= len(self.readers):
            return bytes(184)
        there = slot == 0 and self.uid is not None
        atr = ATR if there or "SAM" in self.readers[slot] else b""
        name = self.readers[slot].encode().ljust(128, b"\0")
        counter = self._counter if slot == 0 else 0
        state = CARD_PRESENT if atr else ABSENT
        return name + struct.pack("=IIi33s3xII", counter, state, 0, atr, len(atr), 2 if atr else 0)

    def answer(self, client: _Client, command: int, body: bytes) -> None:
        """One message, by its number in `pcsc_msg_commands`."""
        commands: dict[int, Callable[[_Client, bytes], None]] = {
            0x01: self._establish,
            0x02: self._release,
            0x04: self._connect,
            0x06: self._disconnect,
            0x09: self._transmit,
            0x0D: self._cancel,
            0x11: self._version,
            0x12: self._states_wanted,
            0x13: self._wait,
            0x14: self._stop_waiting,
        }
        with self._lock:
            commands[command](client, body)

    def _version(self, client: _Client, body: bytes) -> None:
        self.client = struct.unpack_from("=ii", body)
        client.tell(struct.pack("=iiI", MAJOR, MINOR, OK))

    def _establish(self, client: _Client, body: bytes) -> None:
        client.tell(struct.pack("=III", struct.unpack_from("=I", body)[0], 77, OK))

    def _release(self, client: _Client, body: bytes) -> None:
        client.tell(struct.pack("=II", struct.unpack_from("=I", body)[0], OK))

    def _states_wanted(self, client: _Client, body: bytes) -> None:
        del body
        client.tell(self.states())

    def _wait(self, client: _Client, body: bytes) -> None:
        self._waiting.append(client)
        self._states_wanted(client, body)

    def _stop_waiting(self, client: _Client, body: bytes) -> None:
        """Answered only while it waits: who has been told of a change reads that for the answer."""
        del body
        if client in self._waiting:
            self._waiting.remove(client)
            client.tell(struct.pack("=II", 0, OK))

    def _cancel(self, client: _Client, body: bytes) -> None:
        """It comes on a connection of its own."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.tell(struct.pack("=II", 0, CANCELLED))
        client.tell(struct.pack("=iI", struct.unpack_from("=i", body)[0], OK))

    def _disconnect(self, client: _Client, body: bytes) -> None:
        client.tell(struct.pack("=iII", *struct.unpack_from("=iI", body), OK))

    def _connect(self, client: _Client, body: bytes) -> None:
        context, name, mode, protocols = struct.unpack_from("=I128sII", body)
        there = name.rstrip(b"\0").decode() in self.readers[:1] and self.uid is not None and not self.vanishes
        result = OK if there else NO_CARD
        client.tell(struct.pack("=I128sIIiII", context, name, mode, protocols, 99, 2, result))

    def _transmit(self, client: _Client, body: bytes) -> None:
        card, protocol, pci, length, receive, receive_pci, room, _ = struct.unpack_from("=iIIIIIII", body)
        self.asked.append(client.rest(length))
        answer = (self.uid or b"") + self.status if self.status == b"\x90\x00" else self.status
        head = (card, protocol, pci, length, receive or protocol, receive_pci or pci, min(len(answer), room), OK)
        client.tell(struct.pack("=iIIIIIII", *head))
        client.tell(answer)


class _Client(socketserver.BaseRequestHandler):
    """One connection of the library."""

    daemon: PcscDaemon

    def setup(self) -> None:
        self.daemon.clients.add(self.request)

    def handle(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                size, command = struct.unpack("=II", self.rest(8))
                self.daemon.answer(self, command, self.rest(size))

    def finish(self) -> None:
        self.daemon.clients.discard(self.request)

    def rest(self, size: int) -> bytes:
        """So many bytes. Raises EOFError at the end."""
        data = b""
        while len(data) < size:
            part = self.request.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def tell(self, data: bytes) -> None:
        """To the library."""
        with contextlib.suppress(OSError):
            self.request.sendall(data)
