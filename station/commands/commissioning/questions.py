"""What an installer is asked. An answer is judged at once, by the types that will read it from station.yaml. Pure."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from certs.errors import BadCertificate
from certs.x509 import load_chain
from station.config import checks, shape
from station.config.schema import Csms, Identity
from station.shell.linkdown import Down
from station.shell.network import NetworkProfile, connection_url

Answers = Mapping[str, Any]


def _always(answers: Answers) -> bool:
    del answers
    return True


def _from_profile(least: int, most: int) -> Callable[[Answers], bool]:
    return lambda answers: least <= answers["security_profile"] <= most


class Question(NamedTuple):
    """`key` is its name for flags and files; `needed` tells by the answers before whether it is asked."""

    key: str
    section: str
    text: str
    needed: Callable[[Answers], bool] = _always
    secret: bool = False
    optional: bool = False


QUESTIONS = (
    Question("identity", "station", "Identity, as the CSMS knows the station"),
    Question("vendor", "station", "Vendor"),
    Question("model", "station", "Model"),
    Question("serial", "station", "Serial number", optional=True),
    Question("security_profile", "csms", "Security profile: 1 password, 2 password and TLS, 3 TLS with a certificate"),
    Question("url", "csms", "URL of the CSMS, without the identity"),
    Question("password", "csms", "Password (16 characters or more)", _from_profile(1, 2), secret=True),
    Question("ca_file", "csms", "PEM file of who certifies the CSMS", _from_profile(2, 3)),
    Question("certificate", "csms", "PEM file of the station's certificate and its intermediates", _from_profile(3, 3)),
    Question("key_file", "csms", "PEM file of its private key", _from_profile(3, 3)),
)
KEYS = {question.key: question for question in QUESTIONS}
_STRUCTS: Mapping[str, type[msgspec.Struct]] = {"station": Identity, "csms": Csms}


class BadAnswer(ValueError):  # noqa: N818 - reads as what it says
    """An answer that cannot be; the text says why."""


def judged(key: str, given: Any, before: Answers, folder: Path) -> Any:
    """The answer as station.yaml has it. Relative paths begin at `folder`. Raises BadAnswer."""
    question = KEYS[key]
    if question.secret:
        if flaw := checks.password_flaw(str(given)):
            raise BadAnswer(flaw)
        return str(given)
    kind = typing.get_type_hints(_STRUCTS[question.section], include_extras=True)[key]
    number = isinstance(given, str) and key == "security_profile" and given.strip().isdecimal()
    try:
        value = msgspec.convert(int(given) if number else given, kind)
    except msgspec.ValidationError as error:
        raise BadAnswer(shape.plain(str(error))) from error
    if value is None:
        raise BadAnswer("expected an answer")
    if key == "url":
        _address(value, before["security_profile"])
    elif key in {"ca_file", "certificate", "key_file"}:
        _file(key, folder / value)
    return value


def _address(url: str, profile: int) -> None:
    try:
        connection_url(NetworkProfile(slot=0, url=url, security_profile=profile), "CS")
    except Down as down:
        raise BadAnswer(down.why.detail) from down


def _file(key: str, path: Path) -> None:
    for mistake in checks.readable((key,), path, secret=key == "key_file"):
        raise BadAnswer(f"{mistake.reason} - {mistake.remedy}" if mistake.remedy else mistake.reason)
    if key == "key_file":
        return
    try:
        load_chain(path.read_text("ascii", "replace"))
    except BadCertificate as error:
        raise BadAnswer(f"{path}: {error}") from error
