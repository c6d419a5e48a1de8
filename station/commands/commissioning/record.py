"""What was installed and found, as a text for the installer's folder: never a secret, with a hash over all of it.

The hash shows that nothing was changed to whoever has noted it elsewhere: it is told at the end of the dialogue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256

from certs.errors import BadCertificate
from certs.x509 import load_chain
from station.commands.findings import Finding, Grade
from station.config import Config
from station.shell.logs import hidden, one_line
from station.version import VERSION

_SEAL = "seal: sha256 "


def made(config: Config, path: Path, findings: Iterable[Finding], at: str) -> str:
    """The record."""
    body = "".join(f"{one_line(hidden(line))}\n" for line in _lines(config, path, findings, at))
    return f"{body}{_SEAL}{_hash(body)}\n"


def seal_of(text: str) -> str:
    """What it ends with."""
    return text.rstrip("\n").rpartition(_SEAL)[2]


def whole(text: str) -> bool:
    """Whether it is as it was made."""
    body, marker, seal = text.rpartition(_SEAL)
    return bool(marker) and seal == f"{_hash(body)}\n"


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _lines(config: Config, path: Path, findings: Iterable[Finding], at: str) -> Iterator[str]:
    station, csms = config.file.station, config.file.csms
    yield "Record of commissioning"
    yield f"time: {at}"
    yield f"station: {station.identity}, {station.vendor} {station.model}, serial {station.serial or '-'}"
    yield f"agent: ocpp-station {VERSION}, firmware {config.layout.firmware_version}"
    yield f"configuration: {path}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    yield f"csms: {csms.url}, security profile {csms.security_profile}"
    for what, name in (("root", csms.ca_file), ("certificate", csms.certificate)):
        if name is not None:
            yield from (f"{what}: {each}" for each in _certificates(config.locate(name)))
    yield ""
    for grade, what, detail, remedy in findings:
        yield f"{grade.name.lower():<8}{what:<22} {detail}" + (f" -> {remedy}" if remedy else "")
    worst = max((each.grade for each in findings), default=Grade.OK)
    yield f"result: {worst.name.lower()}"


def _certificates(path: Path) -> Iterator[str]:
    try:
        chain = load_chain(path.read_text("ascii", "replace"))
    except (OSError, BadCertificate) as error:
        yield str(error)
        return
    for each in chain:
        ends = each.not_valid_after_utc.date().isoformat()
        yield f"{each.subject.rfc4514_string()}, until {ends}, sha256 {each.fingerprint(SHA256()).hex()}"
