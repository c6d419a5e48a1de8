"""A simulated meter that signs: OCMF texts with an ECDSA signature that verifies.

Source: Open Charge Metering Format 1.0 (SAFE e.V.): `OCMF|payload|signature`, both JSON; readings with TX = B, C, E.
The key follows from the serial number, so whoever knows it can forge: this is a simulator.
Invariant: one meter session at a time; BEGIN abandons an open one; a text has the session's first reading and its own.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from hal.api import SignedText, SignMoment

METHOD = "ECDSA-secp256r1-SHA256"
TX = {SignMoment.BEGIN: "B", SignMoment.SAMPLE: "C", SignMoment.END: "E"}


class OcmfSigner:
    """The signing part of one meter, by its serial number."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self.pages = 0
        """Texts signed so far."""
        self._begun: list[dict[str, object]] = []
        self._key: Any = None

    def sign(self, moment: SignMoment, label: str, energy_mwh: int, wall: float) -> SignedText:
        """The first reading of this meter session with a new one, signed. `wall`: seconds since 1970."""
        self.pages += 1
        shown = datetime.fromtimestamp(wall, UTC)
        reading: dict[str, object] = {
            "TM": f"{shown:%Y-%m-%dT%H:%M:%S},{shown.microsecond // 1000:03d}+0000 U",
            "TX": TX[moment],
            "RV": energy_mwh / 1_000_000,
            "RI": "01-00:01.08.00.FF",
            "RU": "kWh",
            "RT": "AC",
            "ST": "G",
        }
        told = [reading] if moment is SignMoment.BEGIN else [*self._begun, reading]
        if moment is not SignMoment.SAMPLE:
            self._begun = [reading] if moment is SignMoment.BEGIN else []
        payload = msgspec.json.encode(
            {
                "FV": "1.0",
                "GI": "ocpp-station simulator",
                "GS": self._serial,
                "PG": f"T{self.pages}",
                "MV": "ocpp-station",
                "MM": "SimSignedMeter",
                "MS": self._serial,
                "IS": bool(label),
                "IT": "LOCAL",
                "ID": label,
                "RD": told,
            }
        )
        signature = msgspec.json.encode({"SA": METHOD, "SE": "hex", "SD": self._sign(payload).hex()})
        data = f"OCMF|{payload.decode()}|{signature.decode()}"
        return SignedText(data=data, encoding="OCMF", public_key=self.public_key())  # its method stands in the data

    def public_key(self) -> str:
        """The public key: DER SubjectPublicKeyInfo as hex, as such meters print it."""
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - 16 MB, only where a meter signs
            Encoding,
            PublicFormat,
        )

        der: bytes = self._private().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return der.hex()

    def _sign(self, payload: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - as above

        signature: bytes = self._private().sign(payload, ec.ECDSA(SHA256()))
        return signature

    def _private(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above

        if self._key is None:
            secret = int.from_bytes(hashlib.sha256(self._serial.encode()).digest()) >> 1  # below the curve's order
            self._key = ec.derive_private_key(secret + 1, ec.SECP256R1())
        return self._key
