"""What was installed and found, as a text for the installer's folder: never a secret; sealed, signed by the station.

The seal is a hash, which shows that nothing was changed to whoever has noted it elsewhere: it is told at the end of the
dialogue. The signature, where the station has a key, shows it to whoever trusts the station's certificate. A record
names the seal of the one before.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SHA256

from certs import software
from certs.errors import BadCertificate, CertsError
from certs.x509 import load_chain, public_key
from station.commands.commissioning import chains
from station.commands.findings import Finding, Grade
from station.commands.keystore import key_store
from station.config import Config
from station.shell.logs import hidden, one_line
from station.version import VERSION

_SEAL = "seal: sha256 "
_SIGNER = re.compile(r"^signer: (.+), public key ([A-Za-z0-9+/=]+)$", re.MULTILINE)
_SIGNATURE = "signature: "
_AFTER = re.compile(rf"{_SEAL}[0-9a-f]{{64}}\n?")
"""What may follow a signature: nobody has signed it, and the seal is anybody's to make."""


class Made(NamedTuple):
    """When, by whom, and what was found. `before`: the seal of the record that stood there, if any."""

    at: str
    by: str
    findings: tuple[Finding, ...]
    before: str = ""


def made(config: Config, path: Path, told: Made) -> str:
    """The record."""
    body = "".join(f"{one_line(hidden(line))}\n" for line in _lines(config, path, told))
    body += _signed(config, body)
    return f"{body}{_SEAL}{_hash(body)}\n"


def seal_of(text: str) -> str:
    """What it ends with; empty if it has none."""
    return text.rstrip("\n").rpartition(_SEAL)[2] if _SEAL in text else ""


def whole(text: str) -> bool:
    """Whether it is as it was made."""
    body, marker, seal = text.rpartition(_SEAL)
    return bool(marker) and seal == f"{_hash(body)}\n"


def signer(text: str, certificate: Path | None) -> str:
    """Who signed a record, for people; empty: nobody. Raises BadCertificate if it is not so, or another one did."""
    body, marker, rest = text.rpartition(f"\n{_SIGNATURE}")
    found = _SIGNER.findall(f"{body}\n") if marker else []
    if not found:
        if certificate is not None:
            raise BadCertificate("nobody has signed it")
        return ""
    name, key = found[-1]
    told, _, after = rest.partition("\n")
    if not _AFTER.fullmatch(after):
        raise BadCertificate("there is more in it than was signed")
    try:
        der, signature = base64.b64decode(key, validate=True), base64.b64decode(told, validate=True)
    except ValueError as error:
        raise BadCertificate("its signature cannot be read") from error
    software.verify(der, f"{body}\n".encode(), signature)
    if certificate is not None and public_key(chains.read(certificate)[0]) != der:
        raise BadCertificate(f"it was signed by another key than that of {certificate}")
    return f"{name}, public key sha256 {hashlib.sha256(der).hexdigest()}"


def _signed(config: Config, body: str) -> str:
    """Who signs, and the signature over all before; why nobody does, where it should be."""
    csms = config.file.csms
    try:
        if csms.key is not None:
            store = key_store(config)
            head = _signer(csms.key, store.public_key(csms.key))
            return head + _signature(store.sign(csms.key, (body + head).encode()))
        if csms.key_file is not None:
            key = chains.private_key(config.locate(csms.key_file))
            head = _signer(csms.key_file, software.public_key(key))
            return head + _signature(software.sign(key, (body + head).encode()))
    except (CertsError, OSError, ValueError) as error:
        return f"signer: nobody, {one_line(str(error))}\n"
    return "signer: nobody, the station has no key\n"


def _signer(name: str, key: bytes) -> str:
    return f"signer: {one_line(name)}, public key {base64.b64encode(key).decode()}\n"


def _signature(signature: bytes) -> str:
    return f"{_SIGNATURE}{base64.b64encode(signature).decode()}\n"


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _lines(config: Config, path: Path, told: Made) -> Iterator[str]:
    station, csms = config.file.station, config.file.csms
    yield "Record of commissioning"
    yield f"time: {told.at}"
    yield f"by: {told.by}"
    yield f"station: {station.identity}, {station.vendor} {station.model}, serial {station.serial or '-'}"
    yield f"agent: ocpp-station {VERSION}, firmware {config.layout.firmware_version}"
    yield f"configuration: {path.absolute()}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    yield f"csms: {csms.url}, security profile {csms.security_profile}"
    if csms.security_profile > 1:
        yield f"keys: kept in {config.file.keys.store}" + (f", the station's is {csms.key}" if csms.key else "")
    for what, name in (("root", csms.ca_file), ("certificate", csms.certificate)):
        if name is not None:
            yield from (f"{what}: {each}" for each in _certificates(config.locate(name)))
    if told.before:
        yield f"the record before: sha256 {told.before}"
    yield ""
    for grade, what, detail, remedy in told.findings:
        yield f"{grade.name.lower():<8}{what:<22} {detail}" + (f" -> {remedy}" if remedy else "")
    worst = max((each.grade for each in told.findings), default=Grade.OK)
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
