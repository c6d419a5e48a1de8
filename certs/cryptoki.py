"""PKCS#11 2.40 by ctypes, as much of it as keys for TLS need.

Not one of the Python libraries for PKCS#11: the module is initialised, and the user logged in, once a process, and
OpenSSL's provider uses the same module in the same process. They insist on being the first and log out when they are
done, which would take the key from under an open connection. Here whatever the other has done is accepted.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
from collections.abc import Iterator, Mapping
from ctypes import POINTER, byref, c_byte, c_char, c_char_p, c_ubyte, c_ulong, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

OK = 0
ALREADY_INITIALISED, ALREADY_LOGGED_IN = 0x191, 0x100

DATA, PUBLIC_KEY, PRIVATE_KEY, SECRET_KEY = 0, 2, 3, 4  # CKO_
RSA, EC, AES = 0x00, 0x03, 0x1F  # CKK_

CLASS, TOKEN, PRIVATE, LABEL, VALUE = 0x00, 0x01, 0x02, 0x03, 0x11  # CKA_
KEY_TYPE, ID, SENSITIVE, ENCRYPT, DECRYPT, SIGN, VERIFY = 0x100, 0x102, 0x103, 0x104, 0x105, 0x108, 0x10A
MODULUS, MODULUS_BITS, PUBLIC_EXPONENT = 0x120, 0x121, 0x122
VALUE_LEN, EXTRACTABLE, EC_PARAMS, EC_POINT = 0x161, 0x162, 0x180, 0x181

RSA_KEY_PAIR_GEN, RSA_PKCS, RSA_PKCS_PSS = 0x00, 0x01, 0x0D  # CKM_
EC_KEY_PAIR_GEN, ECDSA, AES_KEY_GEN, AES_CBC_PAD = 0x1040, 0x1041, 0x1080, 0x1085

LOGIN_REQUIRED, INITIALISED, FINAL_TRY, LOCKED = 0x4, 0x400, 0x20000, 0x40000  # CKF_ of a token

_OS_LOCKING = 0x2
_RW_SERIAL_SESSION = 0x2 | 0x4
_USER = 1
_NOTHING = c_ulong(-1).value
_MANY = 64
_LONGEST = 4096

Attributes = Mapping[int, "bool | int | bytes"]


class Pkcs11Error(Exception):
    """A function returned something else than CKR_OK."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function}: {_WORDS.get(code, 'error')} ({code:#x})")
        self.code = code


class _Initialise(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS."""

    _fields_ = (("mutexes", c_void_p * 4), ("flags", c_ulong), ("reserved", c_void_p))


class _TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO."""

    _fields_ = (
        ("label", c_char * 32),
        ("manufacturer", c_char * 32),
        ("model", c_char * 16),
        ("serial", c_char * 16),
        ("flags", c_ulong),
        ("counts", c_ulong * 10),
        ("versions", c_byte * 4),
        ("time", c_char * 16),
    )


class _Attribute(ctypes.Structure):
    """CK_ATTRIBUTE."""

    _fields_ = (("type", c_ulong), ("value", c_void_p), ("size", c_ulong))


class _Mechanism(ctypes.Structure):
    """CK_MECHANISM."""

    _fields_ = (("type", c_ulong), ("parameter", c_void_p), ("size", c_ulong))


class Mechanism(NamedTuple):
    """How to sign, encrypt or make a key."""

    type: int
    parameter: bytes = b""


class Token(NamedTuple):
    """A token that is present: its slot and its flags."""

    slot: int
    flags: int


class Module:
    """A PKCS#11 module, initialised. Raises OSError if it cannot be loaded, and Pkcs11Error."""

    def __init__(self, file: Path) -> None:
        library = ctypes.CDLL(str(file))
        found = c_void_p()
        try:
            code = library.C_GetFunctionList(byref(found))
        except AttributeError as error:
            raise OSError(f"{file} is no PKCS#11 module") from error
        _check("C_GetFunctionList", code)
        self._table = ctypes.cast(found, POINTER(c_void_p))  # the version, then a pointer for each function
        self._functions: dict[str, Any] = {}
        self._initialise()
        atexit.register(self.finish)  # before libraries are torn down in any order: SoftHSM would crash

    def finish(self) -> None:
        """End the module for everybody in this process; the next `find` begins anew. No session survives."""
        with contextlib.suppress(Pkcs11Error):  # it may not have begun
            self.call("C_Finalize", None)

    def _initialise(self) -> None:
        arguments = _Initialise(flags=_OS_LOCKING)
        self.call("C_Initialize", byref(arguments), accept=ALREADY_INITIALISED)

    def call(self, name: str, *arguments: Any, accept: int = OK) -> None:
        """Call a function by its place in the table. Raises Pkcs11Error."""
        function = self._functions.get(name)
        if function is None:
            place, *kinds = _FUNCTIONS[name]
            function = ctypes.CFUNCTYPE(c_ulong, *kinds)(self._table[1 + place])
            self._functions[name] = function
        _check(name, function(*arguments), accept)

    def find(self, label: str) -> Token | None:
        """The token of that name."""
        self._initialise()  # OpenSSL's provider ends the module when it is unloaded
        slots, count = (c_ulong * _MANY)(), c_ulong(_MANY)
        self.call("C_GetSlotList", 1, slots, byref(count))
        for slot in slots[: count.value]:
            info = _TokenInfo()
            with contextlib.suppress(Pkcs11Error):  # one that is just being taken out
                self.call("C_GetTokenInfo", slot, byref(info))
            if info.flags & INITIALISED and bytes(info)[:32].decode("utf-8", "replace").rstrip() == label:
                return Token(slot, info.flags)
        return None

    @contextlib.contextmanager
    def session(self, token: Token, pin: str) -> Iterator[Session]:
        """A session whose user is logged in, as the whole process then is, until its last session ends."""
        handle = c_ulong()
        self.call("C_OpenSession", token.slot, _RW_SERIAL_SESSION, None, None, byref(handle))
        try:
            if token.flags & LOGIN_REQUIRED:
                secret = pin.encode()
                self.call("C_Login", handle, _USER, secret, len(secret), accept=ALREADY_LOGGED_IN)
            yield Session(self, handle)
        finally:
            with contextlib.suppress(Pkcs11Error):
                self.call("C_CloseSession", handle)


class Session:
    """What can be done with a token once it knows the user. All methods raise Pkcs11Error."""

    def __init__(self, module: Module, handle: c_ulong) -> None:
        self._call = module.call
        self._handle = handle

    def find(self, wanted: Attributes) -> list[int]:
        """The objects that have these attributes."""
        template, size = _template(wanted)
        self._call("C_FindObjectsInit", self._handle, template, size)
        try:
            objects, count = (c_ulong * _MANY)(), c_ulong()
            found: list[int] = []
            while True:
                self._call("C_FindObjects", self._handle, objects, _MANY, byref(count))
                if not count.value:
                    return found
                found += objects[: count.value]
        finally:
            self._call("C_FindObjectsFinal", self._handle)

    def get(self, thing: int, attribute: int) -> bytes:
        """An attribute of an object."""
        buffer = ctypes.create_string_buffer(_LONGEST)
        asked = (_Attribute * 1)(_Attribute(attribute, ctypes.addressof(buffer), _LONGEST))
        self._call("C_GetAttributeValue", self._handle, thing, asked, 1)
        size = int(asked[0].size)
        return b"" if size == _NOTHING else buffer.raw[:size]

    def generate(self, how: Mechanism, attributes: Attributes) -> int:
        """A new secret key."""
        template, size = _template(attributes)
        made = c_ulong()
        self._call("C_GenerateKey", self._handle, byref(_mechanism(how)), template, size, byref(made))
        return made.value

    def generate_pair(self, how: Mechanism, public: Attributes, private: Attributes) -> None:
        """A new key pair."""
        one, other = _template(public), _template(private)
        made, secret = c_ulong(), c_ulong()
        self._call("C_GenerateKeyPair", self._handle, byref(_mechanism(how)), *one, *other, byref(made), byref(secret))

    def destroy(self, thing: int) -> None:
        """Delete an object from the token."""
        self._call("C_DestroyObject", self._handle, thing)

    def sign(self, how: Mechanism, key: int, data: bytes) -> bytes:
        """A signature."""
        return self._process("C_Sign", how, key, data)

    def encrypt(self, how: Mechanism, key: int, data: bytes) -> bytes:
        """`data`, encrypted by a key of the token."""
        return self._process("C_Encrypt", how, key, data)

    def decrypt(self, how: Mechanism, key: int, data: bytes) -> bytes:
        """The reverse."""
        return self._process("C_Decrypt", how, key, data)

    def _process(self, function: str, how: Mechanism, key: int, data: bytes) -> bytes:
        self._call(f"{function}Init", self._handle, byref(_mechanism(how)), key)
        result, size = ctypes.create_string_buffer(_LONGEST), c_ulong(_LONGEST)
        self._call(function, self._handle, data, len(data), result, byref(size))
        return result.raw[: size.value]


def numbers(*values: int) -> bytes:
    """The parameter of a mechanism that is a structure of CK_ULONGs."""
    return bytes((c_ulong * len(values))(*values))


def _check(function: str, code: int, accept: int = OK) -> None:
    if code not in {OK, accept}:
        raise Pkcs11Error(function, code)


def _mechanism(how: Mechanism) -> Any:
    made = _Mechanism(how.type, None, len(how.parameter))
    if how.parameter:
        made.keep = ctypes.create_string_buffer(how.parameter, len(how.parameter))
        made.parameter = ctypes.addressof(made.keep)
    return made


def _template(attributes: Attributes) -> tuple[Any, int]:
    entries = (_Attribute * len(attributes))()
    entries.keep = []  # type: ignore[attr-defined]  # the values live as long as the array that points to them
    for entry, (attribute, value) in zip(entries, attributes.items(), strict=True):
        raw = bytes([value]) if isinstance(value, bool) else numbers(value) if isinstance(value, int) else value
        buffer = ctypes.create_string_buffer(raw, len(raw))
        entries.keep.append(buffer)  # type: ignore[attr-defined]  # see above
        entry.type, entry.value, entry.size = attribute, ctypes.addressof(buffer), len(raw)
    return entries, len(entries)


_SESSION, _THING, _SIZE, _OUT = c_ulong, c_ulong, c_ulong, POINTER(c_ulong)
_CRYPT = (_SESSION, c_char_p, _SIZE, POINTER(c_char), _OUT)
_FUNCTIONS: Mapping[str, tuple[Any, ...]] = {
    "C_Initialize": (0, c_void_p),
    "C_Finalize": (1, c_void_p),
    "C_GetSlotList": (4, c_ubyte, _OUT, _OUT),
    "C_GetTokenInfo": (6, c_ulong, POINTER(_TokenInfo)),
    "C_OpenSession": (12, c_ulong, c_ulong, c_void_p, c_void_p, _OUT),
    "C_CloseSession": (13, _SESSION),
    "C_Login": (18, _SESSION, c_ulong, c_char_p, _SIZE),
    "C_DestroyObject": (22, _SESSION, _THING),
    "C_GetAttributeValue": (24, _SESSION, _THING, POINTER(_Attribute), _SIZE),
    "C_FindObjectsInit": (26, _SESSION, POINTER(_Attribute), _SIZE),
    "C_FindObjects": (27, _SESSION, _OUT, _SIZE, _OUT),
    "C_FindObjectsFinal": (28, _SESSION),
    "C_EncryptInit": (29, _SESSION, POINTER(_Mechanism), _THING),
    "C_Encrypt": (30, *_CRYPT),
    "C_DecryptInit": (33, _SESSION, POINTER(_Mechanism), _THING),
    "C_Decrypt": (34, *_CRYPT),
    "C_SignInit": (42, _SESSION, POINTER(_Mechanism), _THING),
    "C_Sign": (43, *_CRYPT),
    "C_GenerateKey": (58, _SESSION, POINTER(_Mechanism), POINTER(_Attribute), _SIZE, _OUT),
    "C_GenerateKeyPair": (
        *(59, _SESSION, POINTER(_Mechanism)),
        *(POINTER(_Attribute), _SIZE, POINTER(_Attribute), _SIZE, _OUT, _OUT),
    ),
}
"""Place in CK_FUNCTION_LIST, arguments."""

_WORDS = {
    0x02: "host memory",
    0x05: "general error",
    0x06: "function failed",
    0x20: "data invalid",
    0x30: "device error",
    0x31: "device memory full",
    0x32: "device removed",
    0x40: "encrypted data invalid",
    0x60: "key handle invalid",
    0x62: "key size out of range",
    0x70: "mechanism not offered",
    0xA0: "wrong PIN",
    0xA1: "PIN invalid",
    0xA2: "length of PIN out of range",
    0xA4: "PIN locked",
    0xB3: "session handle invalid",
    0xE0: "token not present",
    0xE1: "token not recognised",
    0xE2: "token write-protected",
    0x102: "user PIN not initialised",
    0x190: "module not initialised",
}
