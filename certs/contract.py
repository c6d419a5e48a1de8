"""The contract certificate of a vehicle (ISO 15118, plug and charge): whom it names, and whether that can be believed.

Nothing here does I/O. A chain is one of three: it names nobody who could be asked about (BadCertificate); it is good;
or it is not, with the reason, and whether only the root is missing, which somebody else may have (C07.FR.06).
Imports `cryptography`: import this module where it is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.errors import BadCertificate
from certs.keystore import HashData
from certs.ocsp import responder
from certs.path import MOST, follow
from certs.x509 import hash_data, issuer_among, load_chain, readable

SEPARATORS = str.maketrans("", "", "-* ")
"""An eMAID is the same with and without them (ISO 15118-2, annex H)."""
WITHOUT_CHECK = 14
"""Characters of an eMAID without its check digit, which may be left out."""


class Named(NamedTuple):
    """A certificate as a responder is asked about it, and where that is."""

    hash_data: HashData
    url: str


class Contract(NamedTuple):
    """A chain that names somebody. `emaid` as the certificate writes it; `pem`: leaf first, without the root.

    `flaw`: why it is not to be believed, "" if it is; `rootless`: because no root of it is installed.
    """

    emaid: str
    pem: str
    named: tuple[Named, ...]
    flaw: str = ""
    rootless: bool = False


def judged(pem: str, emaid: str, roots: Iterable[str], at: datetime) -> Contract:
    """Look at what a vehicle presents: its chain, leaf first, and the eMAID that it claims.

    Raises BadCertificate if there is nothing that anybody could be asked about: no chain, or one of somebody else.
    """
    try:
        return _judged(pem, emaid, list(readable(roots)), at)
    except BadCertificate:
        raise
    except Exception as error:  # the library's have no base in common, and come when a field is asked for
        raise BadCertificate("it cannot be read") from error


def _judged(pem: str, emaid: str, roots: Sequence[x509.Certificate], at: datetime) -> Contract:
    chain = load_chain(pem)
    if len(chain) > MOST:
        raise BadCertificate(f"a chain of {len(chain)} certificates, 1 to {MOST} are taken")
    name = _common_name(chain[0])
    if not same_emaid(name, emaid):
        raise BadCertificate("it names another contract than the vehicle does")  # neither is for a log
    ladder, brought = _ladder(chain)
    root = issuer_among(ladder[-1], roots)
    top = root or brought
    known = ladder if top is None else [*ladder, top]
    named = tuple(
        Named(hash_data(each, issuer), url)
        for each, issuer in itertools.pairwise(known)
        if (url := responder(each)) is not None
    )
    return Contract(
        emaid=name,
        pem="".join(each.public_bytes(Encoding.PEM).decode() for each in ladder),
        named=named,
        flaw=_flaw(ladder, roots, at),
        rootless=root is None and ladder[-1].subject != ladder[-1].issuer,
    )


def _common_name(leaf: x509.Certificate) -> str:
    names = [str(each.value) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not names[0].isascii() or not names[0].isprintable():
        raise BadCertificate("it names nobody, or several")
    return names[0]


def same_emaid(one: str, other: str) -> bool:
    """Whether both mean the same contract: separators and the check digit may be left out."""
    bare = [each.translate(SEPARATORS).casefold() for each in (one, other)]
    if not all(bare):
        return False
    if {len(each) for each in bare} == {WITHOUT_CHECK, WITHOUT_CHECK + 1}:
        bare = [each[:WITHOUT_CHECK] for each in bare]
    return bare[0] == bare[1]


def _ladder(chain: Sequence[x509.Certificate]) -> tuple[list[x509.Certificate], x509.Certificate | None]:
    """From the leaf upwards, each signed by the next; what does not belong is left out, and a root stands apart."""
    steps, pool = [chain[0]], list(chain[1:])
    while steps[-1].subject != steps[-1].issuer:
        above = issuer_among(steps[-1], pool)
        if above is None:
            return steps, None
        pool.remove(above)
        steps.append(above)
    return (steps[:-1], steps[-1]) if len(steps) > 1 else (steps, None)


def _flaw(ladder: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime) -> str:
    try:
        follow(ladder, roots, at)
        _check_leaf(ladder[0])
    except BadCertificate as error:
        return str(error)
    return ""


def _check_leaf(leaf: x509.Certificate) -> None:
    """Raise BadCertificate unless it is one that signs for a driver."""
    for extension in leaf.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise BadCertificate("it is the certificate of an authority")
            case x509.KeyUsage(digital_signature=False):
                raise BadCertificate("its key usage does not let it sign for a driver")
