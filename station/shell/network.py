"""What the link needs to know: network profiles, credentials, options. Values only; nothing here does anything.

Secrets appear in no `repr`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from msgspec import Struct

from certs.keystore import TlsKey
from certs.tls import TlsSettings
from station.shell.linkdown import Down, DownKind

MAX_IDENTITY = 48
"""Characters of a station's identity (part 4, 3.1.1)."""

_SCHEMES = {1: "ws", 2: "wss", 3: "wss"}


class NetworkProfile(Struct, frozen=True):
    """A NetworkConnectionProfile, as far as connecting is concerned.

    `url` is the CSMS's endpoint without the identity; `subprotocols` are in order of preference (part 4, 3.1.2).
    """

    slot: int
    url: str
    security_profile: int
    subprotocols: tuple[str, ...] = ("ocpp2.0.1",)
    message_timeout_s: float = 30.0


class Replaced(Struct, frozen=True):
    """CSMS roots that others have replaced, and the CSMSs (URLs) that they may still vouch for (M05.FR.12)."""

    pem: str
    urls: tuple[str, ...]


class Revocation(Struct, frozen=True):
    """How it is found out whether a CSMS's certificate was revoked; one that was is always refused.

    `policy`: off asks nobody, soft takes silence for consent, hard wants an answer where a responder is named.
    """

    policy: Literal["off", "soft", "hard"] = "soft"
    crls: tuple[Path, ...] = ()
    within_s: float = 10.0
    """For all answers together."""


class Credentials(Struct, frozen=True):
    """Who the station is, and how it proves it and checks the CSMS.

    `user_name` is the identity unless a CSMS wants another one. `password` is for profiles 1 and 2, `tls` for 2 and 3.
    """

    identity: str
    password: str = ""
    tls: TlsSettings = TlsSettings()
    user_name: str | None = None
    replaced: Replaced | None = None
    revocation: Revocation = Revocation()

    def __repr__(self) -> str:
        return f"Credentials(identity={self.identity!r}, password={'***' if self.password else None})"


class OwnCertificate(Struct, frozen=True):
    """A certificate of the station for security profile 3: its name, its chain, its key."""

    name: str
    chain: Path
    key: TlsKey


class LinkOptions(Struct, frozen=True):
    """How a connection is kept, whatever the profile."""

    ping_interval_s: float = 30.0
    """WebSocketPingInterval; 0 sends none. Well below the idle times of 60 s that load balancers use (field.md 3)."""
    pong_timeout_s: float = 20.0
    connect_timeout_s: float = 30.0
    """For name, TCP, TLS and HTTP together."""
    close_timeout_s: float = 5.0
    user_timeout_s: float = 30.0
    """How long sent data may stay unacknowledged before the kernel gives the connection up (TCP_USER_TIMEOUT)."""
    compression: bool = True
    max_message_bytes: int = 1_048_576
    max_unsent: int = 64
    """Messages that wait for the socket; more than that, and the CSMS has stopped reading."""


def connection_url(profile: NetworkProfile, identity: str) -> str:
    """The endpoint URL, "/", and the identity percent-encoded (part 4, 3.1.1). Raises Down(CONFIG)."""
    if not 0 < len(identity) <= MAX_IDENTITY or ":" in identity:
        raise Down(DownKind.CONFIG, f"the identity must have 1 to {MAX_IDENTITY} characters and no colon")
    if not (profile.url.isascii() and profile.url.isprintable()) or " " in profile.url:
        raise Down(DownKind.CONFIG, "the CSMS URL must be ASCII without spaces: percent-encode them, or xn-- a name")
    try:
        parts = urlsplit(profile.url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise Down(DownKind.CONFIG, f"the CSMS URL is wrong: {error}") from error
    wanted = _SCHEMES.get(profile.security_profile)
    if wanted is None:
        raise Down(DownKind.CONFIG, f"there is no security profile {profile.security_profile}")
    if parts.scheme != wanted or not host or port == 0:
        raise Down(
            DownKind.CONFIG, f"security profile {profile.security_profile} needs a URL like {wanted}://host/path"
        )
    if parts.username is not None or parts.fragment:
        raise Down(DownKind.CONFIG, "the CSMS URL must hold neither user name, password nor a '#'")
    path = f"{parts.path.rstrip('/')}/{quote(identity, safe='')}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
