"""Readings that meters have signed: which of them are told signed, and how (J01.FR.21, J02.FR.21).

A meter's text is evidence and passed on untouched, whatever its format (OCMF, EDL40, one of a vendor). Sources: part 2,
SignedMeterValueType; the OCA's application note "Signed Meter Values in OCPP", 4.2 and 4.3.
Invariant: a text that does not fit into OCPP costs its signature, never the event that would have carried it.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re

from hal.api import SignedText
from station.ocpp.types import SignedMeterValueType
from station.state.variables import Variables

log = logging.getLogger(__name__)

DATA_LENGTH = 2500
"""Characters of signedMeterData and of publicKey, in base64 (SignedMeterValueType)."""
NAME_LENGTH = 50
"""Characters of signingMethod and encodingMethod."""

SWITCHES = {
    ("SampledDataCtrlr", "TxStartedMeasurands"): "SignStartedReadings",
    ("SampledDataCtrlr", "TxUpdatedMeasurands"): "SignUpdatedReadings",
    ("AlignedDataCtrlr", "Measurands"): "SignUpdatedReadings",
}
"""What besides SignReadings switches the signatures of a list of measurands in events before the last (note, 4.3)."""


def signs(variables: Variables, component: str, measurands: str) -> bool:
    """Whether the values that a variable lists are told signed in transaction events."""
    switch = SWITCHES.get((component, measurands))
    return variables.boolean(component, "SignReadings") and (switch is None or variables.boolean(component, switch))


def signed_value(signed: SignedText, *, public_key: bool) -> SignedMeterValueType | None:
    """The meter's text in OCPP's wrapping; None, with a warning, for one that is too long for it.

    The public key is a required field, and empty where it is not to be told.
    """
    data, key = _base64(signed.data), _base64(printed_key(signed.public_key)) if public_key else ""
    if len(data) > DATA_LENGTH or max(len(signed.method), len(signed.encoding)) > NAME_LENGTH:
        log.warning("meter.signature_too_long", extra={"encoding": signed.encoding[:NAME_LENGTH], "length": len(data)})
        return None
    if len(key) > DATA_LENGTH:
        log.warning("meter.public_key_too_long", extra={"length": len(key)})
        key = ""
    return SignedMeterValueType(
        signed_meter_data=data, signing_method=signed.method, encoding_method=signed.encoding, public_key=key
    )


def printed_key(text: str) -> str:
    """A public key as printed on a meter, with what it is in front: `oca:base16:asn1:3059...` (note, 3.2.2).

    A key that already says so, or of which nothing is known, stays as it is.
    """
    if text.startswith("oca:"):
        return text
    bare = re.sub(r"[\s:.-]", "", text).removeprefix("0x")
    for encoding, decode in (("base16", bytes.fromhex), ("base64", _from_base64)):
        try:
            structure = decode(bare if encoding == "base16" else text)
        except (ValueError, binascii.Error):
            continue
        if structure[:1] == ASN1_SEQUENCE:
            return f"oca:{encoding}:asn1:{text}"
    return text


ASN1_SEQUENCE = b"\x30"
"""How a SubjectPublicKeyInfo begins."""


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
