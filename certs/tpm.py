"""A TPM 2.0 by tpm2-pytss: one connection at a time, and what its return codes mean to people.

Imports `tpm2_pytss`, an optional extra that needs the shared libraries of tpm2-tss, when the first connection is made.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from certs.errors import KeyUnavailable
from certs.providers import Verdict

RESOURCE_MANAGER = "device:/dev/tpmrm0"
"""The kernel's, which swaps keys in and out; a bare TPM holds three."""


class TpmSettings(NamedTuple):
    """Which TPM, and where in it.

    `tcti` is the way to it, as tpm2-tss writes that. `parent` is the persistent handle of the key that protects ours,
    made if it is not there; without it that key is derived anew at each use, which takes longer and works only while
    the owner hierarchy has no password. `owner` tells that password.
    """

    tcti: str = RESOURCE_MANAGER
    parent: int | None = None
    owner: Callable[[], str] = str


@contextlib.contextmanager
def opened(settings: TpmSettings) -> Iterator[Any]:
    """A connection: tpm2_pytss.ESAPI. Whatever the TPM refuses within becomes KeyUnavailable."""
    pytss = library()
    failure: type[Exception] = pytss.TSS2_Exception
    try:
        with pytss.ESAPI(settings.tcti) as connection:
            if owner := settings.owner():
                connection.tr_set_auth(pytss.ESYS_TR.OWNER, owner)
            yield connection
    except failure as error:
        raise meaning(int(getattr(error, "rc", 0)), str(error)).error from error


def library() -> Any:
    """The module tpm2_pytss. Raises KeyUnavailable if it or the libraries that it needs are not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cffi and of deprecated algorithms in its tables
            import tpm2_pytss  # noqa: PLC0415 - optional, heavy
            import tpm2_pytss.cryptography  # noqa: PLC0415 - the same
            import tpm2_pytss.tsskey  # noqa: PLC0415 - the same
    except ImportError as error:
        remedy = "pip install 'ocpp-station[tpm]', and Debian's libtss2-esys, -tctildr, -rc, -mu and -fapi"
        raise KeyUnavailable(f"tpm2-pytss cannot be used ({error})", remedy) from error
    return tpm2_pytss


def handles(connection: Any, first: int, most: int) -> list[int]:
    """What the TPM holds, from a handle on: 0x80000000 for loaded keys, 0x81000000 for persistent ones."""
    _, found = connection.get_capability(library().TPM2_CAP.HANDLES, first, most)
    listed = found.data.handles
    return [int(listed.handle[place]) for place in range(listed.count)]


def maker(connection: Any) -> str:
    """The four letters that stand for the TPM's manufacturer."""
    pytss = library()
    _, found = connection.get_capability(pytss.TPM2_CAP.TPM_PROPERTIES, pytss.TPM2_PT.MANUFACTURER, 1)
    return int(found.data.tpmProperties.tpmProperty[0].value).to_bytes(4, "big").decode("ascii", "replace").strip("\0 ")


_CODE = re.compile(r"(?:^|: )(\d+) ")


def explain(text: str) -> Verdict:
    """What an error of the provider means: it adds the return code, in decimal, and the TPM's own words."""
    found = _CODE.search(text)
    return meaning(int(found.group(1)) if found else 0, text)


def meaning(code: int, text: str) -> Verdict:
    """What a return code (TSS2_RC, TPM 2.0 part 2, 6.6) means. Known refusals are no reason to suspect the provider."""
    of_tpm = code >> 16 in _FROM_TPM
    number = code & 0xFFFF
    if of_tpm and number & 0x80:  # format one: parameter, handle or session number beside the error
        number &= 0xBF
    text = text[:_WORDS]
    remedy = _REMEDIES.get(number) if of_tpm else None
    if remedy is not None:
        return Verdict(KeyUnavailable(f"the TPM refuses ({code:#x}, {text})", remedy), stuck=number in _RESTARTED)
    return Verdict(KeyUnavailable(f"the TPM cannot be used ({code:#x}, {text})", _UNREACHABLE), stuck=True)


_WORDS = 100
"""Characters of the TPM's own, so that the remedy stays in sight where a message is cut."""

_FROM_TPM = (0, 11, 12)  # itself, or a resource manager in its place
_UNREACHABLE = "is it there and switched on, is `keys: {tcti: ...}` right, may the agent open it (group tss)?"
_INTEGRITY = (
    "it was cleared or replaced, or the files are another TPM's: make a new key and request a certificate for it"
)
_AUTHORISATION = "a password of the owner hierarchy is set or wrong: name owner_auth_file, and a persistent parent"
_REMEDIES = {
    0x9F: _INTEGRITY,  # TPM_RC_INTEGRITY
    0x8E: _AUTHORISATION,  # TPM_RC_AUTH_FAIL
    0xA2: _AUTHORISATION,  # TPM_RC_BAD_AUTH
    0x8B: "the parent is not where `keys: {parent: ...}` says: create a key, which makes it",  # TPM_RC_HANDLE
    0x84: "it cannot make or use keys of this kind: take another kind, such as ec-p256",  # TPM_RC_VALUE
    0xA6: "it does not know this curve: take an RSA key",  # TPM_RC_CURVE
    0x902: "too many keys are loaded in it: use device:/dev/tpmrm0, or stop what else uses it",  # TPM_RC_OBJECT_MEMORY
    0x910: "it was restarted; the key is loaded again at the next attempt",  # TPM_RC_REFERENCE_H0
    0x100: "it was not started up: the firmware does that, or tpm2_startup -c",  # TPM_RC_INITIALIZE
    0x101: "it failed its self-test and must be switched off and on, or replaced",  # TPM_RC_FAILURE
    0x120: "its owner hierarchy is disabled: enable it in the firmware",  # TPM_RC_DISABLED
    0x921: "it is locked after wrong passwords: wait, or tpm2_dictionarylockout --clear-lockout",  # TPM_RC_LOCKOUT
    0x922: "it is busy: tried again at the next attempt",  # TPM_RC_RETRY
}
_RESTARTED = (0x910, 0x100)
