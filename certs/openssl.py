"""What the `ssl` module does not offer of the OpenSSL it uses: providers, and keys that only a provider can read.

Called by ctypes, in the very libcrypto that `_ssl` is linked to. `cryptography` brings an OpenSSL of its own, which
none of this touches. Only calls that are documented and unchanged since OpenSSL 3.0; no call-backs, since a service
with MemoryDenyWriteExecute may not make any.
"""

from __future__ import annotations

import ctypes
import functools
import ssl
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_ulong, c_void_p
from pathlib import Path
from typing import Any

from certs.errors import KeyUnavailable

_PYTHON_REMEDY = "use a Python with a shared OpenSSL 3, such as Debian's"
_MODULES_DIRECTORY = 1003  # OPENSSL_INFO_MODULES_DIR
_UTF8_POINTER = 6  # OSSL_PARAM_UTF8_PTR
_LONGEST_SIGNATURE = 1024
_LONGEST_TEXT = 256


class _Param(ctypes.Structure):
    """OSSL_PARAM."""

    _fields_ = (
        ("key", c_char_p),
        ("data_type", c_uint),
        ("data", c_void_p),
        ("data_size", c_size_t),
        ("return_size", c_size_t),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    """The libcrypto of `ssl`. Raises KeyUnavailable."""
    import _ssl  # noqa: PLC0415 - the module whose symbols are asked for

    if ssl.OPENSSL_VERSION_INFO < (3,):
        raise KeyUnavailable(f"{ssl.OPENSSL_VERSION} knows no providers", _PYTHON_REMEDY)
    try:
        library = ctypes.CDLL(_ssl.__file__)
        for name, result, *arguments in _CALLS:
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (AttributeError, OSError) as error:
        raise KeyUnavailable("this Python has OpenSSL built in and can load no provider", _PYTHON_REMEDY) from error
    return library


_CALLS: tuple[tuple[Any, ...], ...] = (
    ("OPENSSL_info", c_char_p, c_int),
    ("OSSL_PROVIDER_load", c_void_p, c_void_p, c_char_p),
    ("OSSL_PROVIDER_unload", c_int, c_void_p),
    ("OSSL_PROVIDER_get_params", c_int, c_void_p, POINTER(_Param)),
    ("ERR_clear_error", None),
    ("ERR_get_error_all", c_ulong, *map(POINTER, (c_char_p, c_int, c_char_p, c_char_p, c_int))),
    ("ERR_reason_error_string", c_char_p, c_ulong),
    ("BIO_new_mem_buf", c_void_p, c_char_p, c_int),
    ("BIO_free", c_int, c_void_p),
    ("PEM_read_bio_PrivateKey", c_void_p, c_void_p, c_void_p, c_void_p, c_char_p),
    ("PEM_read_bio_X509", c_void_p, c_void_p, c_void_p, c_void_p, c_char_p),
    ("X509_get_pubkey", c_void_p, c_void_p),
    ("X509_free", None, c_void_p),
    ("EVP_PKEY_free", None, c_void_p),
    ("EVP_MD_CTX_new", c_void_p),
    ("EVP_MD_CTX_free", None, c_void_p),
    ("EVP_DigestSignInit_ex", c_int, c_void_p, c_void_p, c_char_p, c_void_p, c_char_p, c_void_p, c_void_p),
    ("EVP_DigestSign", c_int, c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t),
    ("EVP_DigestVerifyInit_ex", c_int, c_void_p, c_void_p, c_char_p, c_void_p, c_char_p, c_void_p, c_void_p),
    ("EVP_DigestVerify", c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t),
)
"""Name, result, arguments."""


class OpenSslError(Exception):
    """A call failed; the text is what OpenSSL and the provider have said of it."""


def modules_directory() -> Path:
    """Where OpenSSL looks for providers."""
    return Path((_library().OPENSSL_info(_MODULES_DIRECTORY) or b"").decode())


def load_provider(name: str) -> int:
    """A provider, by its name or the absolute path of its file. Raises OpenSslError."""
    library = _library()
    library.ERR_clear_error()
    handle: int | None = library.OSSL_PROVIDER_load(None, name.encode())
    if not handle:
        raise _said()
    library.ERR_clear_error()  # a provider may leave complaints that mean nothing
    return handle


def unload_provider(handle: int) -> None:
    """Give a provider back; keys that are in use keep it in memory."""
    _library().OSSL_PROVIDER_unload(handle)


def provider_version(handle: int) -> str:
    """What a provider says of its version; empty if it says nothing."""
    text = c_char_p()
    asked = (_Param * 2)()
    asked[0] = _Param(b"version", _UTF8_POINTER, ctypes.cast(ctypes.pointer(text), c_void_p), 0, 0)
    _library().OSSL_PROVIDER_get_params(handle, asked)
    return (text.value or b"").decode("ascii", "replace")


def sign(key_pem: bytes, password: str, data: bytes) -> bytes:
    """SHA-256 over `data`, signed by the key that a provider finds by `key_pem`. Raises OpenSslError."""
    library = _library()
    library.ERR_clear_error()
    key = _read("PEM_read_bio_PrivateKey", key_pem, password)
    context = library.EVP_MD_CTX_new()
    try:
        signature, size = ctypes.create_string_buffer(_LONGEST_SIGNATURE), c_size_t(_LONGEST_SIGNATURE)
        if library.EVP_DigestSignInit_ex(context, None, b"SHA256", None, None, key, None) != 1:
            raise _said()
        if library.EVP_DigestSign(context, signature, byref(size), data, len(data)) != 1:
            raise _said()
        return signature.raw[: size.value]
    finally:
        library.EVP_MD_CTX_free(context)
        library.EVP_PKEY_free(key)
        library.ERR_clear_error()


def verify(certificate_pem: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `sign` made this with the key of a certificate, the first in the text. Raises OpenSslError."""
    library = _library()
    library.ERR_clear_error()
    certificate = _read("PEM_read_bio_X509", certificate_pem, "")
    key, context = library.X509_get_pubkey(certificate), library.EVP_MD_CTX_new()
    try:
        if library.EVP_DigestVerifyInit_ex(context, None, b"SHA256", None, None, key, None) != 1:
            raise _said()
        return bool(library.EVP_DigestVerify(context, signature, len(signature), data, len(data)) == 1)
    finally:
        library.EVP_MD_CTX_free(context)
        library.EVP_PKEY_free(key)
        library.X509_free(certificate)
        library.ERR_clear_error()


def _read(function: str, pem: bytes, password: str) -> int:
    """What is in a PEM text. A password is handed over as it is, so that nothing asks the terminal."""
    library = _library()
    memory = library.BIO_new_mem_buf(pem, len(pem))
    try:
        found: int | None = getattr(library, function)(memory, None, None, password.encode())
    finally:
        library.BIO_free(memory)
    if not found:
        raise _said()
    return found


def _said() -> OpenSslError:
    """All that was complained of, with what the provider added to it, such as the TPM's own words."""
    library = _library()
    told: list[str] = []
    while True:
        file, line, function, data, flags = c_char_p(), c_int(), c_char_p(), c_char_p(), c_int()
        code = library.ERR_get_error_all(byref(file), byref(line), byref(function), byref(data), byref(flags))
        if not code:
            return OpenSslError("; ".join(told)[:_LONGEST_TEXT] or "no reason told")
        reason = (library.ERR_reason_error_string(code) or b"").decode("utf-8", "replace")
        told.append(": ".join(filter(None, (reason, (data.value or b"").decode("utf-8", "replace")))))
