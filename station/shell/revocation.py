"""Asks whether a certificate was revoked: a server's before the first word that is said to it, a signer's of firmware.

The responder's name comes out of a certificate that is verified but may have been stolen, and what it answers comes
over plain HTTP: it gets one small request within a bounded time, its answer is read up to a limit and believed only if
the right authority signed it. Answers are remembered as long as they count, at most a day.
Invariant: a certificate that is known to be revoked never gets a connection, whatever the policy.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from certs.tls import names_responder
from station.shell.linkdown import Down, DownKind, one_line
from station.shell.names import Resolver
from station.shell.network import Revocation

log = logging.getLogger(__name__)

LONGEST_ANSWER = 65_536
"""Bytes, with its headers: an answer with a responder's certificates has some 3 kB."""
LONGEST_CRL = 20_000_000
ADDRESS_S = 5.0
REMEMBERED_S = 86_400.0
MOST_REMEMBERED = 32
MOST_QUESTIONS = 6

Ask = Callable[[str, bytes, Resolver], Awaitable[bytes]]
"""Sends a request to a URL; gives the answer. Raises OSError, Down, ValueError."""


UNTOLD = "this Python does not tell the path that a server's certificate led by"


class IsRevoked(Down):
    """A certificate is known to be revoked."""

    def __init__(self, reason: str) -> None:
        super().__init__(DownKind.TLS_CERTIFICATE, reason)


class _Answer(NamedTuple):
    """What a responder said, and until when that counts by our clock."""

    revoked: str | None
    until: datetime


class Revoked:
    """What is known of certificates, for whoever asks. `ask` stands for the network; tests replace it."""

    def __init__(self, resolver: Resolver, ask: Ask | None = None, clock: Callable[[], float] = time.time) -> None:
        self._resolver = resolver
        self._ask = ask or post
        self._clock = clock
        self._known: dict[bytes, _Answer] = {}

    async def __call__(self, chain: list[bytes], how: Revocation) -> None:
        """Judge a verified chain (DER, leaf first), empty if it is not known.

        Raises IsRevoked; Down(TLS_CERTIFICATE) where the policy wants an answer and there is none.
        """
        if not chain and (how.crls or how.policy != "off"):
            self._silent(how, UNTOLD)
        if how.crls:
            await self._look_up(chain, how)
        if how.policy != "off" and any(map(names_responder, chain[:-1])):
            await self._inquire(chain, how)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    # --- CRLs

    async def _look_up(self, chain: list[bytes], how: Revocation) -> None:
        for reason in await asyncio.to_thread(_listed, chain, how, self._now()):
            raise IsRevoked(f"{reason} (CRL)")

    # --- OCSP

    async def _inquire(self, chain: list[bytes], how: Revocation) -> None:
        try:
            questions = await asyncio.to_thread(_questions, chain)
        except Exception as error:  # noqa: BLE001 - the library's have no base in common
            self._silent(how, f"its certificates cannot be asked about: {error}")
            return
        asking = {asyncio.ensure_future(self._answer(question)) for question in questions}
        if not asking:
            return
        try:
            done, late = await asyncio.wait(asking, timeout=how.within_s)
        finally:
            for each in asking:
                each.cancel()
        for question in questions:  # what was revoked stays so when its answer has ended and nobody gives another one
            known = self._known.get(question.id)
            if known is not None and known.revoked is not None:
                raise IsRevoked(f"{known.revoked} (OCSP)")
        problems = [one_line(str(problem)) for each in done if (problem := each.exception()) is not None]
        if late:
            problems.append(f"no answer within {how.within_s:g} s")
        if problems:
            self._silent(how, problems[0])

    def _silent(self, how: Revocation, why: str) -> None:
        """Nobody said that it is good."""
        log.warning("revocation.unknown", extra={"reason": why, "policy": how.policy})
        if how.policy == "hard":
            raise Down(DownKind.TLS_CERTIFICATE, f"whether it was revoked is not known: {why}")

    async def _answer(self, question: Any) -> _Answer:
        """To a `certs.ocsp.Question`. Raises what `ask` and `judged` raise."""
        now = self._now()
        known = self._known.get(question.id)
        if known is not None and now < known.until:
            return known
        said = await self._ask(question.url, question.request, self._resolver)
        verdict = await asyncio.to_thread(_judged, question, said, self._now())
        answer = _Answer(verdict.revoked, min(verdict.until, now + timedelta(seconds=REMEMBERED_S)))
        self._known.pop(question.id, None)
        self._known[question.id] = answer
        while len(self._known) > MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        return answer


# --- what takes the library along: in a thread, since its import alone stops a small controller for a second


def _questions(chain: Sequence[bytes]) -> list[Any]:
    from certs import ocsp  # noqa: PLC0415 - heavy, needed where a certificate names a responder

    return list(ocsp.questions(chain)[:MOST_QUESTIONS])


def _judged(question: Any, said: bytes, at: datetime) -> Any:
    from certs import ocsp  # noqa: PLC0415 - heavy, needed where a certificate names a responder

    return ocsp.judged(question, said, at)


def _listed(chain: Sequence[bytes], how: Revocation, at: datetime) -> list[str]:
    from certs import ocsp  # noqa: PLC0415 - heavy, needed where there are CRLs

    return list(ocsp.revoked_by(chain, _contents(how.crls), at))


def _contents(files: Sequence[Path]) -> Iterator[bytes]:
    for file in files:
        try:
            with file.open("rb") as opened:
                data = opened.read(LONGEST_CRL + 1)
        except OSError as error:
            log.warning("revocation.crl", extra={"file": str(file), "reason": error.strerror})
            continue
        if len(data) > LONGEST_CRL:
            log.warning("revocation.crl", extra={"file": str(file), "reason": f"longer than {LONGEST_CRL} bytes"})
            continue
        yield data


# --- the wire


async def post(url: str, request: bytes, resolver: Resolver) -> bytes:
    """Ask a responder by HTTP/1.0 (RFC 6960, appendix A): the answer ends with the connection.

    Raises OSError, Down(DNS), and ValueError for what is no answer.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    addresses = await resolver.resolve(host, port, ADDRESS_S)
    sock = socket.socket(addresses[0].family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(sock, addresses[0].endpoint)
        reader, writer = await asyncio.open_connection(sock=sock, limit=LONGEST_ANSWER)
    except BaseException:
        sock.close()
        raise
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"POST {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nContent-Type: application/ocsp-request\r\n"
        writer.write(f"{head}Content-Length: {len(request)}\r\n\r\n".encode("ascii") + request)
        return _body(await _read(reader))
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """All that comes. Raises ValueError if that is too much."""
    said = bytearray()
    while part := await reader.read(8192):
        said += part
        if len(said) > LONGEST_ANSWER:
            raise ValueError(f"the responder's answer is longer than {LONGEST_ANSWER} bytes")
    return bytes(said)


def _body(said: bytes) -> bytes:
    """What an HTTP answer holds. Raises ValueError."""
    head, blank, body = said.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3})\b", head)
    if status is None or not blank:
        raise ValueError("the responder does not speak HTTP")
    if status[1] != b"200":
        raise ValueError(f"the responder answered HTTP {status[1].decode('ascii')}")
    return body
