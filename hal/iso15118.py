"""What a board that speaks ISO 15118 tells of the vehicle, and is told. An ability beside `hal.api.Board`.

The exchange with the vehicle stays in the board; what needs the CSMS comes out: identity, contract, certificates.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec


class VehicleIdentified(msgspec.Struct, frozen=True):
    """An ISO 15118 vehicle named itself: `evcc_id` is its MAC address as upper-case hex."""

    channel: int
    evcc_id: str


class ContractPresented(msgspec.Struct, frozen=True):
    """An ISO 15118 vehicle presented a contract certificate chain (PEM, leaf first) for plug and charge."""

    channel: int
    emaid: str
    certificate_pem: str


class CertificateWanted(msgspec.Struct, frozen=True):
    """An ISO 15118 vehicle asks for its contract certificate; to be answered by `VehicleLink.certificate`."""

    channel: int
    schema_version: str
    exi_request: str
    """Base64."""
    update: bool = False


class VehicleNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What an ISO 15118 vehicle wants of this charge."""

    channel: int
    energy_wh: int
    min_a: float
    max_a: float
    max_v: float = 400.0
    phases: int = 3
    departs_in_s: float | None = None


class SessionStopped(msgspec.Struct, frozen=True):
    """The vehicle ended the charging session itself (SessionStop with Terminate), before it is unplugged."""

    channel: int


VehicleEvent = SessionStopped | VehicleIdentified | ContractPresented | CertificateWanted | VehicleNeeds


class VehicleStatus(msgspec.Struct, frozen=True):
    """What the vehicle tells over ISO 15118 while it charges."""

    soc_percent: float | None = None
    evcc_id: str | None = None


@runtime_checkable
class VehicleLink(Protocol):
    """Ability: a board that speaks ISO 15118 with the vehicle."""

    async def vehicle(self, channel: int) -> VehicleStatus:
        """What is known of the vehicle now. Raises NotFound, Timeout, BadReply."""
        ...

    async def authorized(self, channel: int, *, accepted: bool) -> None:
        """Ends the vehicle's wait after `ContractPresented`. Raises NotFound, Timeout, BadReply."""
        ...

    async def certificate(self, channel: int, *, accepted: bool, exi_response: str) -> None:
        """Answers `CertificateWanted`; `exi_response` is base64.

        Raises NotFound, Timeout, BadReply, Refused (the vehicle no longer waits).
        """
        ...
