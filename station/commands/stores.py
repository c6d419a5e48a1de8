"""The key store as `ocpp-station check` sees it: is the TPM or token there, and what leads to it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from certs.errors import CertsError, KeyUnavailable
from certs.providers import Provider
from station.commands.findings import Finding, Grade
from station.commands.keystore import key_store
from station.config import Config


@runtime_checkable
class Apart(Protocol):
    """What key stores outside of the agent can tell beside the rest."""

    provider: Provider

    def present(self) -> str:
        """Who answers. Raises KeyUnavailable."""
        ...


def store(config: Config) -> Iterator[Finding]:
    """Rows for a TPM or a token; files need none. Nothing is changed in it."""
    kept = key_store(config)
    if isinstance(kept, Apart):
        kind = {"tpm": "tpm", "pkcs11": "token"}[config.file.keys.store]
        yield from _asked(kind, kept.present, "answers: {}")
        yield from _asked("key provider", kept.provider.version, f"{config.file.keys.store}, version {{}}")
        yield from _asked("keys", lambda: ", ".join(kept.names()) or "none yet", "{}")


def _asked(what: str, ask: Callable[[], str], told: str) -> Iterator[Finding]:
    try:
        yield Finding(Grade.OK, what, told.format(ask()))
    except KeyUnavailable as error:
        yield Finding(Grade.ERROR, what, error.reason, error.remedy)
    except (CertsError, OSError) as error:
        yield Finding(Grade.ERROR, what, str(error), "see docs/keys.md")
