"""Private keys that only a TPM 2.0 can use (A00.FR.507, A02.FR.05).

Made inside of the TPM. The files in the directory hold them encrypted by the TPM's own storage key: no other TPM can
load them, nor this one after it was cleared. `<name>.tss2` is a TSS2 PRIVATE KEY as tpm2-openssl reads it,
`<name>.sealed` a sealed secret in the same form. Nothing stays loaded in the TPM but the key of the TLS context.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from certs import atomic, keystore, tpm
from certs.errors import BadCertificate, KeyExists, NoSuchKey
from certs.keystore import SECRET_BYTES, KeyKind, TlsKey
from certs.providers import TPM2, Provider
from certs.tpm import TpmSettings
from certs.usable import UsableKeys

_KEY, _SEALED = ".tss2", ".sealed"
_RSA_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}


class TpmKeys(UsableKeys):
    """A `KeyStore` whose keys live in a TPM, and their wrapped forms in `directory`. Safe to use from several threads.

    Every method but `names` and `tls_key` may block for seconds and raise KeyUnavailable. `module` is the file of
    tpm2-openssl, if it is not where OpenSSL looks.
    """

    def __init__(
        self,
        directory: Path,
        settings: TpmSettings,
        module: Path | None = None,
        write: atomic.Write = atomic.write,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._write = write
        self._lock = threading.Lock()
        self.provider = Provider(TPM2, module, {"TPM2OPENSSL_TCTI": settings.tcti}, tpm.explain)

    def create(self, name: str, kind: KeyKind) -> None:
        """Make a new key pair. Raises KeyExists, and ValueError for a name that is no plain file name."""
        path = self._path(name, _KEY)
        if path.exists():
            raise KeyExists(name)
        with self._session() as connection:
            parent = self._parent(connection)
            keys = tpm.library().tsskey.TSSPrivKey
            if kind is KeyKind.EC_P256:
                made = keys.create_ecc(connection, parent=parent)
            else:
                made = keys.create_rsa(connection, _RSA_BITS[kind], parent=parent)
        atomic.keep(path, made.to_pem(), self._write)

    def names(self) -> list[str]:
        """The names of all keys, sorted."""
        return sorted(path.name.removesuffix(_KEY) for path in self._directory.glob(f"[!.]*{_KEY}"))

    def delete(self, name: str) -> None:
        """Destroy a key: without its file the TPM has nothing to load. Raises NoSuchKey."""
        self._existing(name).unlink()
        atomic.sync_directory(self._directory)

    def public_key(self, name: str) -> bytes:
        """As the file has it, without the TPM. Raises NoSuchKey."""
        return bytes(self._read(self._existing(name)).public.to_der())

    def unseal(self, name: str) -> bytes:
        """The 32 random bytes of that name, made at the first call and sealed by the TPM."""
        path = self._path(name, _SEALED)
        if not path.exists():
            self._seal(path, secrets.token_bytes(SECRET_BYTES))
        sealed = self._read(path)
        with self._session() as connection, sealed.load(connection) as handle:
            return bytes(connection.unseal(handle))

    def tls_key(self, name: str) -> TlsKey:
        """What an SSLContext needs to use this key. Raises NoSuchKey."""
        return TlsKey(self._existing(name), prepare=self.provider.prove)

    def present(self) -> str:
        """That the TPM answers, and who made it."""
        with self._session() as connection:
            return tpm.maker(connection)

    def _seal(self, path: Path, secret: bytes) -> None:
        pytss = tpm.library()
        sensitive = pytss.TPM2B_SENSITIVE_CREATE(pytss.TPMS_SENSITIVE_CREATE(data=secret))
        flags = pytss.TPMA_OBJECT
        public = pytss.TPM2B_PUBLIC(
            pytss.TPMT_PUBLIC(
                type=pytss.TPM2_ALG.KEYEDHASH,
                nameAlg=pytss.TPM2_ALG.SHA256,
                objectAttributes=flags.USERWITHAUTH | flags.FIXEDTPM | flags.FIXEDPARENT | flags.NODA,
                parameters=pytss.TPMU_PUBLIC_PARMS(
                    keyedHashDetail=pytss.TPMS_KEYEDHASH_PARMS(
                        scheme=pytss.TPMT_KEYEDHASH_SCHEME(scheme=pytss.TPM2_ALG.NULL)
                    )
                ),
            )
        )
        keys = pytss.tsskey.TSSPrivKey
        with self._session() as connection:
            parent = self._parent(connection)
            with keys._getparent(connection, None, parent) as handle:  # noqa: SLF001 - the very parent that load takes
                private, made, *_ = connection.create(handle, sensitive, public)
        atomic.keep(path, keys(private, made, parent=parent).to_pem(), self._write)

    def _parent(self, connection: Any) -> int:
        """The handle that key files name: the owner hierarchy, or the persistent parent, made if it is missing."""
        pytss = tpm.library()
        wanted = self._settings.parent
        if wanted is None:
            return int(pytss.TPM2_RH.OWNER)
        if wanted not in tpm.handles(connection, wanted, 1):
            with pytss.tsskey.TSSPrivKey._getparent(connection, None, int(pytss.TPM2_RH.OWNER)) as primary:  # noqa: SLF001 - the standard template, as tpm2-openssl has it
                connection.evict_control(pytss.ESYS_TR.OWNER, primary, wanted)
        return wanted

    @contextlib.contextmanager
    def _usable(self, name: str) -> Iterator[Any]:
        """As long as it is loaded."""
        wrapped = self._read(self._existing(name))
        adapters = tpm.library().cryptography
        with self._session() as connection, wrapped.load(connection) as handle:
            rsa = wrapped.public.publicArea.type == tpm.library().TPM2_ALG.RSA
            adapter = adapters.tpm_rsa_private_key if rsa else adapters.tpm_ecc_private_key
            yield adapter(connection, handle)

    @contextlib.contextmanager
    def _session(self) -> Iterator[Any]:
        """One at a time: a TPM without a resource manager has room for little more than one operation."""
        with self._lock, tpm.opened(self._settings) as connection:
            yield connection

    def _read(self, path: Path) -> Any:
        try:
            return tpm.library().tsskey.TSSPrivKey.from_pem(path.read_bytes())
        except (ValueError, TypeError) as error:
            raise BadCertificate(f"{path.name} holds no key of a TPM") from error

    def _path(self, name: str, suffix: str) -> Path:
        return self._directory / f"{keystore.checked(name)}{suffix}"

    def _existing(self, name: str) -> Path:
        path = self._path(name, _KEY)
        if not path.is_file():
            raise NoSuchKey(name)
        return path
