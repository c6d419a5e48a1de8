"""The station's certificate as it comes back from whoever signed it: is it for the key, in order, of use for TLS?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from certs import own, path, software, x509
from certs.errors import BadCertificate, NoSuchKey
from certs.keystore import KeyStore, TlsKey
from certs.tls import TlsSettings, client_context

_DER = b"\x30"


class Holder(NamedTuple):
    """Who has the private key. `name`: for people."""

    name: str
    public_key: bytes
    tls: Callable[[], TlsKey]


def of_store(store: KeyStore, name: str) -> Holder:
    """A key of the station's own store. Raises BadCertificate if there is none yet."""
    try:
        return Holder(f"the key {name!r}", store.public_key(name), lambda: store.tls_key(name))
    except NoSuchKey as error:
        reason = f"there is no key {name!r} yet, which it could be for - leave it out: the key's request is made first"
        raise BadCertificate(reason) from error


def of_file(file: Path) -> Holder:
    """A key in a PEM file. Raises BadCertificate."""
    key = private_key(file)
    return Holder(f"the key in {file}", software.public_key(key), lambda: TlsKey(file))


def private_key(file: Path) -> software.PrivateKey:
    """Raises BadCertificate."""
    return software.load(file.read_bytes())


def read(file: Path) -> Sequence[Certificate]:
    """The certificates of a PEM file. Raises BadCertificate."""
    raw = file.read_bytes()
    try:
        return x509.load_chain(raw.decode("ascii", "replace"))
    except BadCertificate as error:
        if raw.startswith(_DER):
            raise BadCertificate(f"{error}: it is DER - openssl x509 -inform der -in {file} -out {file}.pem") from error
        raise


def check(chain: Sequence[Certificate], holder: Holder, file: Path) -> None:
    """Raise CertsError unless TLS can use it with this key; whether the CSMS takes it, the CSMS tells."""
    leaf = chain[0]
    if not own.matches(leaf, holder.public_key):
        others = [each for each in chain[1:] if own.matches(each, holder.public_key)]
        remedy = "put the station's own first" if others else "have the request of this key signed"
        raise BadCertificate(f"its first certificate ({_name(leaf)}) is not for {holder.name} - {remedy}")
    path.sound(leaf, datetime.now(UTC))
    own.check_use(leaf, client=True)
    for child, issuer in pairwise(chain):
        if not x509.issued_by(child, issuer):
            reason = f"{_name(child)} is not signed by {_name(issuer)}, which follows it"
            raise BadCertificate(f"{reason} - the station's first, then each one's issuer")
    any_root = chain[-1].public_bytes(Encoding.PEM).decode()
    client_context(TlsSettings(roots_pem=any_root, chain=file, key=holder.tls()))


def _name(certificate: Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string()
