"""Which SSH servers are known, by the keys they showed. The first one is believed, and then no other.

Nobody at a charger compares fingerprints, so a server is trusted at first sight, as OpenSSH offers to; what protects
against a stranger in between is that it has to be there at the first time. Where that is not enough, `known_hosts` of
station.yaml names the servers, and this file is not used.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from station.store import files

MOST = 100
"""The oldest go first."""


class HostKeys:
    """A small file: server -> fingerprint of its key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def accepts(self, server: str, fingerprint: str) -> bool:
        """Whether it is the key that this server has always had; a new server is remembered. Raises OSError."""
        known = self._read()
        if server in known:
            return known[server] == fingerprint
        known[server] = fingerprint
        kept = dict(list(known.items())[-MOST:])
        files.make_directory(self._path.parent)
        files.replace(self._path, msgspec.json.encode(kept))
        return True

    def _read(self) -> dict[str, str]:
        """What is known. A file that cannot be read is not overlooked: it would let in anybody."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise OSError(f"{self._path} is damaged: remove it to know no server") from error
