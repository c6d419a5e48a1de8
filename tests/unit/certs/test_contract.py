"""Contract certificates of vehicles: what is read from a chain, and that nothing in it can do more than be refused."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from certs.contract import judged, same_emaid
from certs.errors import BadCertificate
from certs.ocsp import judged_by_name
from certs.throwaway import Authority, Mobility
from tests.csms import EPOCH
from tests.scenarios.vehicles import EMAID, LIFE, Pki, Responder, certificates


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates are slow to make, and never changed."""
    return Pki(tmp_path_factory.mktemp("pki"))


def test_a_good_chain_names_its_contract_and_each_certificate(pki: Pki) -> None:
    found = judged(pki.contract(), EMAID, [pki.mo.root_pem], EPOCH)

    assert (found.emaid, found.flaw, found.rootless) == (EMAID, "", False)
    assert [each.url for each in found.named] == ["http://ocsp.example/sub", "http://ocsp.example/mo"]


def test_the_order_of_the_authorities_and_strangers_between_them_do_not_matter(pki: Pki) -> None:
    leaf, sub = (pem + "-----END CERTIFICATE-----\n" for pem in pki.contract().split("-----END CERTIFICATE-----\n")[:2])

    found = judged(leaf + pki.cpo.own_pem + pki.mo.root_pem + sub, EMAID, [pki.mo.root_pem], EPOCH)

    assert found.flaw == ""
    assert found.pem == leaf + sub


@pytest.mark.parametrize(
    "root, flaw, rootless",
    [("mo", "", False), ("v2g", "no root", True), (None, "no root", True)],
)
def test_a_root_that_is_missing_is_told_apart(pki: Pki, root: str | None, flaw: str, *, rootless: bool) -> None:
    roots = [getattr(pki, root).root_pem] if root else []

    found = judged(pki.contract(), EMAID, roots, EPOCH)

    assert flaw in found.flaw
    assert found.rootless is rootless


def test_a_self_signed_contract_is_no_matter_for_anybody_else(pki: Pki, tmp_path: Path) -> None:
    own = Authority.create(EMAID, tmp_path, None, LIFE, clock=lambda: EPOCH).root_pem

    found = judged(own, EMAID, [pki.mo.root_pem], EPOCH)

    assert found.flaw
    assert not found.rootless


def test_a_certificate_that_names_no_responder_is_not_asked_about(pki: Pki) -> None:
    found = judged(pki.contract(extensions=()), EMAID, [pki.mo.root_pem], EPOCH)

    assert [each.url for each in found.named] == ["http://ocsp.example/mo"]


def test_what_is_said_of_a_wrong_name_tells_no_name(pki: Pki) -> None:
    with pytest.raises(BadCertificate) as caught:
        judged(pki.contract(), "DE-8AA-C99999999-9", [pki.mo.root_pem], EPOCH)

    assert "8AA" not in str(caught.value)


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("DE-8AA-C12345678-X", "DE8AAC12345678X", True),
        ("DE-8AA-C12345678-X", "de*8aa*c12345678", True),
        ("DE8AAC12345678X", "DE8AAC12345678Y", False),
        ("DE8AAC12345678", "DE8AAC1234567", False),
        ("", "", False),
        ("-", "*", False),
    ],
)
def test_emaids_are_compared_without_what_may_be_left_out(one: str, other: str, *, same: bool) -> None:
    assert same_emaid(one, other) is same
    assert same_emaid(other, one) is same


def test_the_simulators_contracts_are_good() -> None:
    operator = Mobility()
    chain = operator.contract("DE8AAC12345678")
    at = certificates(chain)[0].not_valid_before_utc + timedelta(minutes=1)

    assert judged(chain, "DE8AAC12345678", [operator.root_pem], at).flaw == ""


class Fuzz:
    """What is bent: made once."""

    chain = ""
    root = ""
    answer = b""
    leaf: x509.Certificate
    sub: x509.Certificate


@pytest.fixture(scope="module")
def fuzz(pki: Pki) -> Fuzz:
    """A chain, and what a responder says of its leaf."""
    made = Fuzz()
    made.chain, made.root = pki.contract(), pki.mo.root_pem
    made.leaf, made.sub = certificates(made.chain)
    made.answer = Responder((pki.mo_sub,)).answer(made.leaf)
    return made


@given(position=st.integers(0, 2000), text=st.text(max_size=4), cut=st.integers(0, 3))
def test_a_bent_chain_is_at_most_refused(fuzz: Fuzz, position: int, text: str, cut: int) -> None:
    at = position % len(fuzz.chain)
    bent = fuzz.chain[:at] + text + fuzz.chain[at + cut :]

    with contextlib.suppress(BadCertificate):
        judged(bent, EMAID, [fuzz.root], EPOCH)


@given(position=st.integers(0, 2000), data=st.binary(max_size=4), cut=st.integers(0, 3))
def test_a_bent_answer_of_a_responder_is_at_most_refused(fuzz: Fuzz, position: int, data: bytes, cut: int) -> None:
    at = position % len(fuzz.answer)
    bent = fuzz.answer[:at] + data + fuzz.answer[at + cut :]

    with contextlib.suppress(BadCertificate):
        judged_by_name(fuzz.leaf, fuzz.sub, bent, EPOCH)


def test_an_answer_counts_by_whichever_hash_it_names_the_certificate(pki: Pki, fuzz: Fuzz) -> None:
    for algorithm in (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):  # noqa: S303 - it only names
        answer = Responder((pki.mo_sub,)).answer(fuzz.leaf, algorithm=algorithm)
        assert judged_by_name(fuzz.leaf, fuzz.sub, answer, EPOCH).revoked is None
    other = certificates(pki.contract("DE-8AA-C00000000-1"))[0]
    with pytest.raises(BadCertificate):
        judged_by_name(fuzz.leaf, fuzz.sub, Responder((pki.mo_sub,)).answer(other), EPOCH)
