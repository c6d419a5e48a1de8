"""A CSMS that has certificates signed, and what a test asks of it and of the station."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from certs.throwaway import Authority, Wish
from certs.trust import TrustStore
from station.state.network import NetworkProfile
from station.state.own_certificates import CHARGING_STATION, V2G, Given
from tests.bench import Bench
from tests.csms import EPOCH

DAY = timedelta(days=1)
YEAR = Wish(valid=(-timedelta(hours=1), 365 * DAY))
FROM, UNTIL = (EPOCH - 275 * DAY).timestamp(), (EPOCH + 90 * DAY).timestamp()
FACTORY = Given("factory", FROM, UNTIL)  # type: ignore[arg-type]  # wall times
TRIGGERS = {CHARGING_STATION: "SignChargingStationCertificate", V2G: "SignV2GCertificate"}


class Operator:
    """A CSMS's operator with an authority for stations, one for vehicles, and a station of security profile 3."""

    def __init__(
        self,
        path: Path,
        *,
        level: int = 3,
        given: Given | None = FACTORY,
        make: Callable[..., Bench] = Bench,
        **more: Any,
    ) -> None:
        self.root = Authority.create("Operator root", path, valid=(-DAY, 5000 * DAY), clock=lambda: EPOCH)
        self.v2g = Authority.create("V2G root", path, valid=(-DAY, 5000 * DAY), clock=lambda: EPOCH)
        trust = TrustStore(path / "roots")
        trust.add("CSMSRootCertificate", self.root.root_pem)
        trust.add("V2GRootCertificate", self.v2g.root_pem)
        profile = NetworkProfile(slot=0, url=f"{'ws' if level == 1 else 'wss'}://csms.example", security_profile=level)
        more.setdefault("layout", {})
        more["layout"] = {"security_profile": level, "organization_name": "Operator", **more["layout"]}
        self.bench = make(path, profiles=(profile,), given_certificate=given, **more)
        self.bench.csms.clock = lambda: self.bench.true_utc
        self.root._clock = self.v2g._clock = lambda: self.bench.true_utc

    def later(self, days: float) -> None:
        """So many days later: the station was switched off meanwhile, and has been on for a minute."""
        self.bench.crash(down_s=days * 86_400.0)
        self.bench.advance(minutes=1)

    def trigger(self, use: str = CHARGING_STATION) -> str:
        """TriggerMessage; gives the status."""
        return str(self.bench.csms.call("TriggerMessage", {"requestedMessage": TRIGGERS[use]})["status"])

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The SignCertificates that came."""
        return self.bench.csms.received("SignCertificate")

    @property
    def csr(self) -> str:
        """The last request for a signature."""
        return str(self.requests[-1]["csr"])

    def signed(self, csr: str | None = None, wish: Wish = YEAR, *, by: Authority | None = None) -> str:
        """The chain for a request, by default for the last one."""
        return (by or self.root).sign_request(csr or self.csr, wish)

    def send(self, chain: str, use: str | None = CHARGING_STATION) -> dict[str, Any]:
        """CertificateSigned; gives the answer."""
        more = {"certificateType": use} if use is not None else {}
        return self.bench.csms.call("CertificateSigned", {"certificateChain": chain, **more})

    def renew(self) -> str:
        """All of it; gives the name of the new key, after the station has connected with it or not."""
        assert self.trigger() == "Accepted"
        assert self.send(self.signed())["status"] == "Accepted"
        self.bench.settle()
        return self.bench.station.own_certificates.ways()[0]

    def events(self, type_: str) -> list[str]:
        """What security events of a type said."""
        told = self.bench.csms.received("SecurityEventNotification")
        return [str(each.get("techInfo", "")) for each in told if each["type"] == type_]

    def held(self) -> list[str]:
        """The keys that the station's key store holds."""
        return sorted(each.stem for each in (self.bench.path / "keys").glob("*.key"))

    def files(self) -> list[str]:
        """The chains that lie on its disk."""
        return sorted(each.stem for each in (self.bench.path / "certificates").glob("*.pem"))
