"""What an UpdateFirmwareRequest wants, and why it is refused before anything else is looked at. Pure."""

from __future__ import annotations

from collections.abc import Collection

from station.location import BadLocation, located
from station.now import to_wall
from station.ocpp.messages import UpdateFirmwareRequest
from station.ocpp.types import FirmwareType
from station.refusal import Refusal
from station.state.firmware_updates import FirmwareUpdate

RETRIES = 3
INTERVAL_S = 60
"""Unless the CSMS says how often and when (L01: left to the station)."""

UNSIGNED = Refusal("MissingParam", "signingCertificate and signature: only signed firmware is installed here")


def refusal(firmware: FirmwareType, protocols: Collection[str], *, unsigned: bool) -> Refusal | None:
    """Half a signature is none, also where firmware without one is taken (`unsigned`)."""
    given = bool(firmware.signing_certificate), bool(firmware.signature)
    if given != (True, True) and (any(given) or not unsigned):
        return UNSIGNED
    if firmware.location.partition(":")[0].upper() not in protocols:
        return Refusal("UnsupportedParam", "location: no such file transfer protocol")
    try:
        located(firmware.location)
    except BadLocation as bad:
        return Refusal("InvalidURL", str(bad))
    return None


def wanted(request: UpdateFirmwareRequest, file: str) -> FirmwareUpdate:
    """The update at its beginning. `file`: its name, no other update's."""
    firmware, interval_s = request.firmware, request.retry_interval
    at = firmware.install_date_time
    return FirmwareUpdate(
        request_id=request.request_id,
        file=file,
        retrieve=to_wall(firmware.retrieve_date_time),
        install=to_wall(at) if at is not None else None,
        retries=max(request.retries if request.retries is not None else RETRIES, 0),
        interval_s=max(interval_s if interval_s is not None else INTERVAL_S, 0),
        certificate=firmware.signing_certificate or "",
        signature=firmware.signature or "",
        location=firmware.location,
    )
