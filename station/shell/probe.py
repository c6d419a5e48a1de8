"""What a server offers that ended our TLS handshake without an alert.

A00.FR.316 and A00.FR.323 want to know whether its TLS is too old or its suites are forbidden, and some servers hang up
without a word. So it is asked once more with everything allowed; not a byte of data is sent, and the answer serves
only to name the reason.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from certs.tls import CIPHERS, probe_context
from station.shell.linkdown import Down, DownKind

_GOOD_VERSIONS = {"TLSv1.2", "TLSv1.3"}


async def tls_problem(sock: socket.socket, host: str, timeout_s: float) -> Down | None:
    """Ask over `sock`, which is used up; None if the reason is another one, or cannot be found."""
    handshake = asyncio.ensure_future(_handshake(sock, host))
    try:
        await asyncio.wait({handshake}, timeout=timeout_s)
        return handshake.result() if handshake.done() else None
    except (OSError, EOFError):
        return None
    finally:
        handshake.cancel()
        await asyncio.wait({handshake})


async def _handshake(sock: socket.socket, host: str) -> Down | None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock, ssl=probe_context(), server_hostname=host)
    try:
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        version, suite = tls.version(), (tls.cipher() or ("none",))[0]
    finally:
        transport.abort()
    if version not in _GOOD_VERSIONS:
        return Down(DownKind.TLS_VERSION, f"the server offers {version} at most")
    if version == "TLSv1.2" and suite not in CIPHERS:
        return Down(DownKind.TLS_CIPHER, f"the server offers {suite}, which is not allowed")
    return None
