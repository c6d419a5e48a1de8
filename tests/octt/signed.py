"""What meters have signed, as a CSMS sees it: the texts in an event, and whether their signatures hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hal.sim.ocmf import OcmfSigner

KEYS = {number: f"oca:base16:asn1:{OcmfSigner(f'meter-{number}').public_key()}" for number in (1, 2)}
"""The public keys of the bench's meters by EVSE, as they are told."""


def signed_values(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The signed values of one meter value."""
    return [each["signedMeterValue"] for each in value["sampledValue"] if "signedMeterValue" in each]


def signatures(event: Mapping[str, Any]) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Of each signed value of an event: context, the Wh told beside it, and what was signed."""
    for meter_value in event.get("meterValue", ()):
        for sampled in meter_value["sampledValue"]:
            if "signedMeterValue" in sampled:
                yield sampled.get("context", "Sample.Periodic"), sampled["value"], verified(sampled["signedMeterValue"])


def verified(signed: Mapping[str, Any], evse_id: int = 1) -> dict[str, Any]:
    """The payload of an OCMF text. Raises InvalidSignature unless the meter of this EVSE signed exactly that."""
    head, payload, signature = base64.b64decode(signed["signedMeterData"]).decode().split("|")
    assert (head, signed["encodingMethod"]) == ("OCMF", "OCMF")
    public = load_der_public_key(bytes.fromhex(KEYS[evse_id].rpartition(":")[2]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(bytes.fromhex(json.loads(signature)["SD"]), payload.encode(), ec.ECDSA(SHA256()))
    content: dict[str, Any] = json.loads(payload)
    return content
