"""Providers of OpenSSL that reach keys outside of this process: TLS signs with them, the private key stays where it is.

    provider = Provider(TPM2, module=None, environment={"TPM2OPENSSL_TCTI": tcti}, explain=...)
    provider.prove(chain, key)    then load_cert_chain, which does not tell why it fails

Loaded into the process as it is, without a configuration file. OpenSSL keeps providers and their environment once a
process, so all stores of a process that use one kind share its TPM or module.
"""

from __future__ import annotations

import gc
import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from certs import openssl
from certs.errors import BadTlsSettings, KeyUnavailable
from certs.keystore import TlsKey
from certs.openssl import OpenSslError


class ProviderKind(NamedTuple):
    """One that is known to work, from a version on."""

    name: str
    package: str
    """Debian's, with the version from which on it can be used."""
    oldest: tuple[int, int]


TPM2 = ProviderKind("tpm2", "tpm2-openssl 1.3 or newer", (1, 3))
"""Before 1.2 TLS asks OpenSSL's own code to sign, which has no private key; before 1.3 threads break it."""

PKCS11 = ProviderKind("pkcs11", "pkcs11-provider 1.0 or newer", (3, 0))
"""It tells the version of the OpenSSL that it was built for instead of its own."""


class Verdict(NamedTuple):
    """What an error of a provider means: what to tell, and whether the provider itself may be beyond repair."""

    error: KeyUnavailable
    stuck: bool


class Provider:
    """One provider of this process. Safe to use from several threads; blocks while its TPM or token works.

    `module` is its file; None: where OpenSSL keeps its providers. `explain` knows what its errors mean.
    """

    def __init__(
        self,
        kind: ProviderKind,
        module: Path | None,
        environment: Mapping[str, str],
        explain: Callable[[str], Verdict],
    ) -> None:
        self._kind = kind
        self._module = module
        self._environment = environment
        self._explain = explain
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._default: int | None = None
        self._cures = 0

    @property
    def file(self) -> Path:
        """The file that is loaded. Raises KeyUnavailable."""
        return self._module or openssl.modules_directory() / f"{self._kind.name}.so"

    @property
    def loaded(self) -> bool:
        """Whether it is in use."""
        return self._handle is not None

    def version(self) -> str:
        """Load the provider and ask for its version. Raises KeyUnavailable."""
        with self._lock:
            return openssl.provider_version(self._ready())

    def prove(self, chain: Path, key: TlsKey) -> None:
        """Sign something, check it by the certificate: TPM or token, provider, key and password are right.

        A provider that has lost its TPM in the middle of a command never recovers. So if there is reason to suspect
        that, it is replaced by a fresh instance, which must do it. Raises KeyUnavailable, BadTlsSettings and OSError.
        """
        with self._lock:
            challenge, pem = secrets.token_bytes(32), key.file.read_bytes()
            try:
                self._ready()
                signature = openssl.sign(pem, key.password(), challenge)
            except OpenSslError as error:
                verdict = self._explain(str(error))
                if not verdict.stuck:
                    raise verdict.error from error
                self._discard()
                signature = self._once_more(pem, key.password(), challenge)
            if not _verified(chain, signature, challenge):
                raise BadTlsSettings("the station's certificate belongs to another key: request a new one")

    def unload(self) -> None:
        """Give the provider back: for the end of a process, before the modules that it uses are torn down."""
        with self._lock:
            self._discard()

    def _once_more(self, pem: bytes, password: str, challenge: bytes) -> bytes:
        try:
            self._ready()
            return openssl.sign(pem, password, challenge)
        except OpenSslError as error:
            raise self._explain(str(error)).error from error

    def _ready(self) -> int:
        if self._handle is None:
            file = self.file
            if not file.is_file():
                raise KeyUnavailable(f"OpenSSL's provider {self._kind.name!r} is missing ({file})", self._remedy)
            os.environ.update(self._environment)
            if self._default is None:  # no longer implied once another one is loaded
                self._default = openssl.load_provider("default")
            handle = self._load(file)
            version = openssl.provider_version(handle)
            if _numbers(version) < self._kind.oldest:
                openssl.unload_provider(handle)
                raise KeyUnavailable(f"{file} is version {version or 'unknown'}, which cannot be used", self._remedy)
            self._handle = handle
        return self._handle

    def _load(self, file: Path) -> int:
        """By another spelling of its name after each cure: OpenSSL would else give back the instance that is stuck."""
        try:
            return openssl.load_provider(f"{file.parent}/{'./' * self._cures}{file.name}")
        except OpenSslError as error:
            raise self._explain(str(error)).error from error

    def _discard(self) -> None:
        """Part with this instance; contexts that still use it keep their slot in the TPM, so they must be gone."""
        gc.collect()  # after a failed handshake they stay in cycles
        if self._handle is not None:
            openssl.unload_provider(self._handle)
            self._handle = None
            self._cures += 1

    @property
    def _remedy(self) -> str:
        return f"install {self._kind.package}, or name its file by `keys: {{provider: ...}}`"


def _verified(chain: Path, signature: bytes, challenge: bytes) -> bool:
    """Raises BadTlsSettings for a file without a certificate; OSError."""
    try:
        return openssl.verify(chain.read_bytes(), signature, challenge)
    except OpenSslError as error:
        raise BadTlsSettings(f"{chain} holds no certificate that can be read ({error}): install it again") from error


def _numbers(version: str) -> tuple[int, ...]:
    """Of a version as providers write it; none for what is no version."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()
