"""What an installer is asked, in order. What is wrong with an answer is told by `judging`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Answers = Mapping[str, Any]

NONE = "-"
"""Instead of a key's name: the key is in a PEM file. Instead of a certificate: it is not signed yet."""


def _always(answers: Answers) -> bool:
    del answers
    return True


def _from_profile(least: int, most: int) -> Callable[[Answers], bool]:
    return lambda answers: least <= answers["security_profile"] <= most


def _token(answers: Answers) -> bool:
    return answers.get("store") == "pkcs11"


def _key_in_file(answers: Answers) -> bool:
    return bool(answers["security_profile"] == _OWN_CERTIFICATE and not answers.get("key"))


def _no_key(answers: Answers) -> bool:
    return not answers.get("key")


_OWN_CERTIFICATE = 3


class Question(NamedTuple):
    """`key` is its name for flags and files, and in its section of station.yaml (none: it is for the record alone).

    `needed` tells by the answers before whether it is asked, `must` whether there has to be an answer; `proposal` is
    what Enter takes where no file says anything.
    """

    key: str
    section: str
    text: str
    needed: Callable[[Answers], bool] = _always
    secret: bool = False
    must: Callable[[Answers], bool] = _always
    proposal: str = ""


def _never(answers: Answers) -> bool:
    del answers
    return False


QUESTIONS = (
    Question("identity", "station", "Identity, as the CSMS knows the station"),
    Question("vendor", "station", "Vendor"),
    Question("model", "station", "Model"),
    Question("serial", "station", "Serial number", must=_never),
    Question("security_profile", "csms", "Security profile: 1 password, 2 password and TLS, 3 TLS with a certificate"),
    Question("url", "csms", "URL of the CSMS, without the identity"),
    Question("password", "csms", "Password (16 characters or more)", _from_profile(1, 2), secret=True),
    Question("ca_file", "csms", "PEM file of who certifies the CSMS", _from_profile(2, 3)),
    Question(
        "store",
        "keys",
        "Where private keys are made and kept: file, tpm, pkcs11",
        _from_profile(2, 3),
        must=_never,
        proposal="file",
    ),
    Question("module", "keys", "File of the PKCS#11 module", _token),
    Question("token", "keys", "Label of the token", _token),
    Question("pin_file", "keys", "File that holds its PIN and nothing else", _token),
    Question(
        "key",
        "csms",
        f"Name of the station's key there, made if it is not there yet ({NONE}: a PEM file instead)",
        _from_profile(3, 3),
        must=_never,
        proposal="station-1",
    ),
    Question("key_file", "csms", "PEM file of the station's private key", _key_in_file),
    Question(
        "certificate",
        "csms",
        f"PEM file of the station's certificate and its intermediates ({NONE}: not signed yet)",
        _from_profile(3, 3),
        must=_no_key,
    ),
    Question("installer", "", "Who sets the station up, for the record", must=_never),
)
KEYS = {question.key: question for question in QUESTIONS}
