"""Meters that sign, for the test cases that need them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hal.api import MeterReading, SignedText
from station.app import FEATURES
from station.shell.levels import sampled
from tests.bench import Bench

KEY = "3059301306072a8648ce3d020106082a8648ce3d030107"


def let_meters_sign(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the meters sign when asked to; gives what they were asked for."""
    asked: list[str] = []

    def sample(evse_id: int, purpose: str, by: float) -> None:
        del by
        asked.append(purpose)
        reading: MeterReading = bench.world.reading(evse_id)
        if purpose.endswith("+signed"):
            text = f"OCMF|{{{reading.energy_import_mwh}}}|{purpose}"
            signed = SignedText(data=text, encoding="OCMF", method="ECDSA-secp256r1-SHA256", public_key=KEY)
            reading = msgspec.structs.replace(reading, signed=signed)
        bench.hardware.tell(sampled(evse_id, reading, purpose, bench.station_boot))

    monkeypatch.setattr(bench, "_sample", sample)
    return asked


def have_signing_meters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The station has meters that sign, so the variables for it exist."""
    monkeypatch.setattr("station.app.FEATURES", FEATURES | {"signed_readings"})


def signed_values(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The signed values of one meter value."""
    return [each["signedMeterValue"] for each in value["sampledValue"] if "signedMeterValue" in each]
