"""Private keys in a PKCS#11 token: an HSM, a smart card, a cloud's key service (A00.FR.507, A02.FR.05).

Made inside of the token, sensitive and not extractable, the name as label. The directory holds what OpenSSL's provider
reads instead of a key, a PEM file with the key's URI, and no PIN. A secret is kept encrypted by an AES key of the
token, which does not leave it either (`<name>.wrapped`).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from certs import atomic, cryptoki, keystore
from certs.cryptoki import Mechanism, Module, Pkcs11Error, Session, Token
from certs.errors import BadCertificate, KeyExists, KeyUnavailable, NoSuchKey
from certs.keystore import SECRET_BYTES, KeyKind, TlsKey
from certs.providers import PKCS11, Provider, Verdict
from certs.usable import UsableKeys

_P256 = bytes.fromhex("06082a8648ce3d030107")  # the object identifier, DER
_RSA_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}
_URI, _WRAPPED = ".uri", ".wrapped"
_WRAPPING_KEY = "ocpp-station-secrets"
_IV_BYTES = 16
_KEY_ID_BYTES = 16
_DIGEST_BYTES = 16


class Pkcs11Settings(NamedTuple):
    """Which token: its PKCS#11 module, its label, and who tells the user's PIN when it is needed."""

    module: Path
    token: str
    pin: Callable[[], str]


class _Lost(KeyUnavailable):
    """The token is not there, or fails as one does that was taken out."""


class Pkcs11Keys(UsableKeys):
    """A `KeyStore` whose keys live in a token. Safe to use from several threads.

    Every method but `tls_key` of a key made here may block and raise KeyUnavailable. A PIN that was refused is not
    tried again until another one is told: a token locks itself after a few. `provider_file` is that of
    pkcs11-provider, if it is not where OpenSSL looks.
    """

    def __init__(
        self,
        directory: Path,
        settings: Pkcs11Settings,
        provider_file: Path | None = None,
        write: atomic.Write = atomic.write,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._write = write
        self._lock = threading.Lock()
        self._module: Module | None = None
        self._refused = ""
        environment = {"PKCS11_PROVIDER_MODULE": str(settings.module)}
        self.provider = Provider(PKCS11, provider_file, environment, _explain)

    def create(self, name: str, kind: KeyKind) -> None:
        """Make a new key pair. Raises KeyExists, and ValueError for a name that is no plain file name."""
        path = self._path(name, _URI)
        mark: dict[int, bool | int | bytes] = {cryptoki.TOKEN: True, cryptoki.LABEL: name.encode()}
        mark[cryptoki.ID] = secrets.token_bytes(_KEY_ID_BYTES)  # the same in both halves, or the provider sees no pair
        public = {**mark, cryptoki.VERIFY: True}
        private = {**mark, cryptoki.PRIVATE: True, cryptoki.SENSITIVE: True, cryptoki.EXTRACTABLE: False}
        private[cryptoki.SIGN] = True
        if kind is KeyKind.EC_P256:
            how, public = Mechanism(cryptoki.EC_KEY_PAIR_GEN), {**public, cryptoki.EC_PARAMS: _P256}
        else:
            how = Mechanism(cryptoki.RSA_KEY_PAIR_GEN)
            public |= {cryptoki.MODULUS_BITS: _RSA_BITS[kind], cryptoki.PUBLIC_EXPONENT: b"\x01\x00\x01"}
        with self._session() as session:
            if _find(session, cryptoki.PRIVATE_KEY, name) is not None:
                raise KeyExists(name)
            session.generate_pair(how, public, private)
        atomic.keep(path, self._reference(name), self._write)

    def names(self) -> list[str]:
        """The names of all keys in the token that this store could have made, sorted."""
        with self._session() as session:
            found = session.find({cryptoki.CLASS: cryptoki.PRIVATE_KEY, cryptoki.TOKEN: True})
            labels = {session.get(key, cryptoki.LABEL).decode("utf-8", "replace") for key in found}
        return sorted(filter(keystore.is_name, labels))

    def delete(self, name: str) -> None:
        """Destroy a key, both halves. Raises NoSuchKey."""
        path = self._path(name, _URI)
        with self._session() as session:
            private = _existing(session, cryptoki.PRIVATE_KEY, name)
            public = _find(session, cryptoki.PUBLIC_KEY, name)
            session.destroy(private)
            if public is not None:
                session.destroy(public)
        path.unlink(missing_ok=True)
        atomic.sync_directory(self._directory)

    def unseal(self, name: str) -> bytes:
        """The 32 random bytes of that name, made at the first call and encrypted by the token.

        Raises BadCertificate if the file is damaged or the token is not the one that made it.
        """
        path = self._path(name, _WRAPPED)
        if not path.exists():
            atomic.keep(path, self._wrap(secrets.token_bytes(SECRET_BYTES)), self._write)
        wrapped = path.read_bytes()
        with self._session() as session:
            key = _find(session, cryptoki.SECRET_KEY, _WRAPPING_KEY)
            if key is None:
                remedy = "use the token that made it, or remove the file and tell the passwords anew"
                raise KeyUnavailable(f"the key that {path.name} needs is not in the token", remedy)
            how = Mechanism(cryptoki.AES_CBC_PAD, wrapped[:_IV_BYTES])
            with contextlib.suppress(Pkcs11Error):  # of bad padding there are many: the digest is what counts
                opened = session.decrypt(how, key, wrapped[_IV_BYTES:])
                if len(opened) == SECRET_BYTES + _DIGEST_BYTES and opened[SECRET_BYTES:] == _digest(opened):
                    return opened[:SECRET_BYTES]
        raise BadCertificate(f"{path.name} is damaged, or another token's: restore it from a copy")

    def tls_key(self, name: str) -> TlsKey:
        """What an SSLContext needs to use this key, which may have been made by other means. Raises NoSuchKey."""
        path = self._path(name, _URI)
        if not path.is_file():
            with self._session() as session:
                _existing(session, cryptoki.PRIVATE_KEY, name)
            atomic.keep(path, self._reference(name), self._write)
        return TlsKey(path, self._settings.pin, self._prepare)

    def present(self) -> str:
        """That the token is there and takes the PIN, and how it is called."""
        with self._session():
            return self._settings.token

    def _prepare(self, chain: Path, key: TlsKey) -> None:
        """First by our own means, which say what is wrong with module, token, PIN or key; the provider does not."""
        name = key.file.name.removesuffix(_URI)
        try:
            self._seek(name)
        except _Lost:  # this is called before a context is made, so that nobody else uses the token
            self.provider.unload()
            with self._lock:
                self._begin_anew()
            self._seek(name)
        self.provider.prove(chain, key)

    def _seek(self, name: str) -> None:
        with self._session() as session:
            if _find(session, cryptoki.PRIVATE_KEY, name) is None:
                remedy = "use the token that has it, or make a new key and request a certificate for it"
                raise KeyUnavailable(f"the key {name!r} is not in the token", remedy)

    def _wrap(self, secret: bytes) -> bytes:
        wanted: dict[int, bool | int | bytes] = {
            cryptoki.LABEL: _WRAPPING_KEY.encode(),
            cryptoki.VALUE_LEN: 32,
            cryptoki.EXTRACTABLE: False,
        }
        wanted |= dict.fromkeys((cryptoki.TOKEN, cryptoki.PRIVATE, cryptoki.SENSITIVE), True)
        wanted |= dict.fromkeys((cryptoki.ENCRYPT, cryptoki.DECRYPT), True)
        iv = secrets.token_bytes(_IV_BYTES)
        with self._session() as session:
            key = _find(session, cryptoki.SECRET_KEY, _WRAPPING_KEY)
            if key is None:
                key = session.generate(Mechanism(cryptoki.AES_KEY_GEN), wanted)
            how = Mechanism(cryptoki.AES_CBC_PAD, iv)
            return iv + session.encrypt(how, key, secret + _digest(secret))

    @contextlib.contextmanager
    def _usable(self, name: str) -> Iterator[Any]:
        """While a session is open."""
        from certs import token_keys  # noqa: PLC0415 - heavy, used rarely

        keystore.checked(name)
        with self._session() as session:
            private = _existing(session, cryptoki.PRIVATE_KEY, name)
            public = _existing(session, cryptoki.PUBLIC_KEY, name)
            yield token_keys.adapted(session, private, public)

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        """The user's session with the token, one at a time. Whatever is refused within becomes KeyUnavailable."""
        settings = self._settings
        with self._lock:
            try:
                if self._module is None:
                    self._module = Module(settings.module)
                token = self._token(self._module)
                with self._module.session(token, self._pin(token.flags)) as session:
                    yield session
            except _Lost:
                self._begin_anew()
                raise
            except OSError as error:
                raise KeyUnavailable(f"{settings.module} cannot be loaded ({error})", _MODULE_REMEDY) from error
            except Pkcs11Error as error:
                told = self._told(error)
                if isinstance(told, _Lost):
                    self._begin_anew()
                raise told from error

    def _begin_anew(self) -> None:
        """Many a module sees a token that returned only then. Not while OpenSSL's provider may be at work in it."""
        if self._module is not None and not self.provider.loaded:
            self._module.finish()

    def _token(self, module: Module) -> Token:
        found = module.find(self._settings.token)
        if found is None:
            remedy = "plug it in, initialise it, or correct `keys: {token: ...}`"
            raise _Lost(f"no token is called {self._settings.token!r}", remedy)
        return found

    def _pin(self, flags: int) -> str:
        pin = self._settings.pin()
        if pin and pin == self._refused:
            raise KeyUnavailable("the token has refused this PIN, which is not tried again", _PIN_REMEDY)
        if flags & cryptoki.FINAL_TRY:
            remedy = "log in by hand with the right PIN, such as by pkcs11-tool --login"
            raise KeyUnavailable("one more wrong PIN locks the token", remedy)
        return pin

    def _told(self, error: Pkcs11Error) -> KeyUnavailable:
        if error.code in _PIN_REFUSED:
            self._refused = self._settings.pin()
        remedy = _REMEDIES.get(error.code)
        if remedy is None:
            return _Lost(f"the token fails ({error})", _PLUG_REMEDY)
        return KeyUnavailable(f"the token refuses ({error})", remedy)

    def _reference(self, name: str) -> bytes:
        """What pkcs11-provider reads in place of a key: the URI (RFC 7512) in a form of its own."""
        uri = f"pkcs11:token={quote(self._settings.token, safe='')};object={quote(name, safe='')};type=private"
        content = _der(0x1A, b"PKCS#11 Provider URI v1.0") + _der(0x0C, uri.encode())
        text = base64.encodebytes(_der(0x30, content)).decode()
        return f"-----BEGIN PKCS#11 PROVIDER URI-----\n{text}-----END PKCS#11 PROVIDER URI-----\n".encode()

    def _path(self, name: str, suffix: str) -> Path:
        return self._directory / f"{keystore.checked(name)}{suffix}"


def _find(session: Session, kind: int, name: str) -> int | None:
    # of the token: OpenSSL's provider works with copies of its own
    found = session.find({cryptoki.CLASS: kind, cryptoki.TOKEN: True, cryptoki.LABEL: name.encode()})
    return found[0] if found else None


def _existing(session: Session, kind: int, name: str) -> int:
    found = _find(session, kind, name)
    if found is None:
        raise NoSuchKey(name)
    return found


def _digest(opened: bytes) -> bytes:
    """What shows that a secret was decrypted by the right key."""
    return hashlib.sha256(opened[:SECRET_BYTES]).digest()[:_DIGEST_BYTES]


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")  # noqa: PLR2004 - DER's short form
    return bytes([tag]) + length + content


def _explain(text: str) -> Verdict:
    """What an error of the provider means; the session that came before has found nothing wrong."""
    return Verdict(KeyUnavailable(f"OpenSSL's provider cannot use the key ({text})", _PLUG_REMEDY), stuck=True)


_PIN_REFUSED = {0xA0, 0xA1, 0xA2}
_PIN_REMEDY = "put the right PIN into the file that `keys: {pin_file: ...}` names"
_MODULE_REMEDY = "install it, or correct `keys: {module: ...}`"
_PLUG_REMEDY = "is the token plugged in, and does its own tool see it?"
_REMEDIES = {
    **dict.fromkeys(_PIN_REFUSED, _PIN_REMEDY),
    0xA4: "the PIN is locked: the security officer has to set a new one",
    0x102: "the token has no user PIN yet: set one, such as by pkcs11-tool --init-pin",
    0x70: "it does not offer what is needed: take another kind of key",
    0x62: "it makes no keys of this size: take another kind of key",
    0xE2: "it is write-protected: keys can only be made by other means",
    0x31: "it is full: delete keys that are not used any more",
}
