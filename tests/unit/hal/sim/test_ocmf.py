"""The simulated signatures verify, and a meter session holds what it should."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hal.api import SignedText, SignMoment
from hal.sim.ocmf import METHOD, OcmfSigner

BEGAN = 1_795_000_000.25


def verify(signed: SignedText, payload: str) -> None:
    """Raises InvalidSignature unless the payload is what was signed."""
    key = load_der_public_key(bytes.fromhex(signed.public_key))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = msgspec.json.decode(signed.data.split("|")[2])
    assert signature["SA"] == METHOD
    key.verify(bytes.fromhex(signature["SD"]), payload.encode(), ec.ECDSA(SHA256()))


def test_the_signature_holds_for_this_text_only() -> None:
    """One digit more in the register, and it does not."""
    signed = OcmfSigner("meter-1").sign(SignMoment.BEGIN, "04AABBCC", 12_345_678, BEGAN)
    head, payload, _ = signed.data.split("|")

    assert (head, signed.encoding) == ("OCMF", "OCMF")
    verify(signed, payload)
    with pytest.raises(InvalidSignature):
        verify(signed, payload.replace("12.345678", "12.345679"))


def test_the_end_has_both_readings_and_a_new_begin_forgets_an_abandoned_session() -> None:
    """A power loss leaves an open session behind; it must not stick (field.md 21)."""
    signer = OcmfSigner("meter-1")
    signer.sign(SignMoment.BEGIN, "04AABBCC", 1_000_000, BEGAN)
    signer.sign(SignMoment.BEGIN, "04DDEEFF", 2_000_000, BEGAN + 60)
    signed = signer.sign(SignMoment.END, "04DDEEFF", 3_500_000, BEGAN + 120)

    payload = msgspec.json.decode(signed.data.split("|")[1])

    assert [(r["TX"], r["RV"], r["TM"]) for r in payload["RD"]] == [
        ("B", 2.0, "2026-11-18T11:07:40,250+0000 U"),
        ("E", 3.5, "2026-11-18T11:08:40,250+0000 U"),
    ]
    assert (payload["PG"], payload["ID"], payload["MS"]) == ("T3", "04DDEEFF", "meter-1")


def test_a_meter_keeps_its_key() -> None:
    """Two starts of the simulator, one public key; two meters, two."""
    keys = [OcmfSigner(serial).public_key() for serial in ("meter-1", "meter-1", "meter-2")]
    assert keys[0] == keys[1] != keys[2]
