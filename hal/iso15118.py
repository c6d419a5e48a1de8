"""What a board that speaks ISO 15118 tells of the vehicle, and is told. An ability beside `hal.api.Board`.

The exchange with the vehicle stays in the board; what needs the CSMS comes out: identity, contract, certificates.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

CERTIFICATE_S = 4.5
"""The time ISO 15118-2 leaves a station for a CertificateInstallationRes; half a second later the vehicle gives up."""


class VehicleIdentified(msgspec.Struct, frozen=True):
    """An ISO 15118 vehicle named itself: `evcc_id` is its MAC address as upper-case hex."""

    channel: int
    evcc_id: str


class ContractPresented(msgspec.Struct, frozen=True):
    """An ISO 15118 vehicle presented a contract certificate chain (PEM, leaf first) for plug and charge.

    It has proven by a signature that it holds the key of the leaf; whether the chain is worth anything, the agent finds
    out, and ends the vehicle's wait by `Iso15118Bridge.authorized`.
    """

    channel: int
    emaid: str
    certificate_pem: str


class CertificateWanted(msgspec.Struct, frozen=True):
    """An ISO 15118 vehicle asks for its contract certificate; to be answered by `Iso15118Bridge.certificate`."""

    channel: int
    schema_version: str
    exi_request: str
    """Base64."""
    update: bool = False
    patience_s: float = CERTIFICATE_S
    """How long the vehicle waits, from now on."""


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


class SeccCertificate(msgspec.Struct, frozen=True):
    """A certificate that an SECC shows. `ocsp`: the OCSP response (DER) that it staples; empty if there is none."""

    pem: str
    ocsp: bytes = b""


class SeccSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What a board that speaks ISO 15118 shows and offers to vehicles, until it is told anew."""

    chains: tuple[tuple[SeccCertificate, ...], ...] = ()
    """Leaf first, without the root; one chain for each root that is served."""
    contract: bool = False
    """Vehicles may pay by contract (plug and charge); else by external means alone."""
    certificates: bool = False
    """Vehicles may ask for contract certificates."""
    metering_receipt: bool = False
    """A vehicle that pays by contract is asked to sign what was metered."""


@runtime_checkable
class Iso15118Bridge(Protocol):
    """Ability: a board that speaks ISO 15118 with the vehicle. Its own SECC holds the session; the agent decides."""

    async def vehicle(self, channel: int) -> VehicleStatus:
        """What is known of the vehicle now. Raises NotFound, Timeout, BadReply."""
        ...

    async def equip(self, setup: SeccSetup) -> None:
        """What to show and offer from the next vehicle on, all channels alike. Raises NotFound, Timeout, BadReply."""
        ...

    async def authorized(self, channel: int, *, accepted: bool) -> None:
        """Ends the vehicle's wait after `ContractPresented`; harmless if none waits.

        Raises NotFound, Timeout, BadReply.
        """
        ...

    async def certificate(self, channel: int, *, accepted: bool, exi_response: str) -> None:
        """Answers `CertificateWanted`; `exi_response` is base64, empty where there is none.

        Raises NotFound, Timeout, BadReply, Refused (the vehicle no longer waits).
        """
        ...
