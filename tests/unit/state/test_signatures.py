"""How a meter's key is told (application note on signed meter values, 3.2.2)."""

from __future__ import annotations

import pytest

from hal.api import SignedText
from station.state.signatures import printed_key, signed_value

HEX = "3056301006072A8648CE3D020106052B8104000A034200"
BASE64 = "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgA="


@pytest.mark.parametrize(
    "printed, told",
    [
        (HEX, f"oca:base16:asn1:{HEX}"),
        (HEX.lower(), f"oca:base16:asn1:{HEX.lower()}"),
        (f"0x{HEX}", f"oca:base16:asn1:0x{HEX}"),
        ("30 56 30:10-06", "oca:base16:asn1:30 56 30:10-06"),
        (BASE64, f"oca:base64:asn1:{BASE64}"),
        (f"oca:base16:asn1:{HEX}", f"oca:base16:asn1:{HEX}"),
        ("04460a02ba27", "04460a02ba27"),
        ("a key of nobody knows what", "a key of nobody knows what"),
        ("", ""),
    ],
)
def test_a_key_says_what_it_is_before_what_is_printed(printed: str, told: str) -> None:
    """Hex or base64 of an ASN.1 structure; of anything else nothing is claimed."""
    assert printed_key(printed) == told


def test_a_key_that_ocpp_has_no_room_for_leaves_its_signature() -> None:
    """The CSMS may know the key already."""
    signed = signed_value(SignedText(data="OCMF|{}|{}", encoding="OCMF", public_key="30" * 1250), public_key=True)

    assert signed is not None
    assert signed.public_key == ""
