"""The test tool of the cases about ISO 15118: its authorities, its emulated vehicle, and a station that has an SECC."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from tests.bench import Bench
from tests.scenarios.e_transactions.story import bay
from tests.scenarios.vehicles import MO, V2G, Pki, Responder, arrives, certificates, secc_bench

CONFIGURED = {
    "AuthCtrlr.Enabled": "true",
    "AuthCtrlr.DisableRemoteAuthorization": "false",
    "ISO15118Ctrlr.CentralContractValidationAllowed": "false",
    "ISO15118Ctrlr.ContractCertificateInstallationEnabled": "true",
    "ISO15118Ctrlr.V2GCertificateInstallationEnabled": "true",
    "ISO15118Ctrlr.PnCEnabled": "true",
    "ISO15118Ctrlr.SeccId": "SECC1",
    "ISO15118Ctrlr.CountryName": "NL",
    "ISO15118Ctrlr.OrganizationName": "OCA",
}
CENTRAL = {"ISO15118Ctrlr.CentralContractValidationAllowed": "true"}


class Tool:
    """`roots`: V2G and MO root are installed, and a V2G certificate."""

    def __init__(
        self, path: Path, pki: Pki, variables: dict[str, str], *, roots: bool = True, status: str = "Accepted"
    ) -> None:
        self.pki = pki
        start = variables.get("TxCtrlr.TxStartPoint", "")
        self._bay = "ParkingBayOccupancy" in start
        layout: dict[str, Any] = {"tx_start_points": (start,)} if self._bay else {}
        self.bench: Bench = secc_bench(path, variables=variables, layout=layout)
        pki.cpo_sub._clock = lambda: self.bench.true_utc
        self.responder = Responder((pki.v2g, pki.cpo, pki.cpo_sub))
        self.chain = ""
        self.status = status
        """What is said to GetCertificateStatus."""
        self.bench.csms.on("GetCertificateStatus", self._status)
        if roots:
            self.install(V2G, pki.v2g.root_pem)
            self.install(MO, pki.mo.root_pem)
            self.renew_v2g()

    def install(self, kind: str, pem: str) -> None:
        """CertificateInstalled."""
        request = {"certificateType": kind, "certificate": pem}
        assert self.bench.csms.call("InstallCertificate", request) == {"status": "Accepted"}

    def renew_v2g(self) -> None:
        """RenewV2GChargingStationCertificate."""
        request = {"requestedMessage": "SignV2GCertificate"}
        assert self.bench.csms.call("TriggerMessage", request) == {"status": "Accepted"}
        self.chain = self.pki.secc(self.bench.csms.received("SignCertificate")[-1]["csr"])
        signed = {"certificateChain": self.chain, "certificateType": "V2GCertificate"}
        assert self.bench.csms.call("CertificateSigned", signed) == {"status": "Accepted"}

    def _status(self, sent: dict[str, Any]) -> dict[str, Any]:
        if self.status != "Accepted":
            return {"status": self.status}
        serial = sent["ocspRequestData"]["serialNumber"]
        certificate = next(each for each in certificates(self.chain) if f"{each.serial_number:x}" == serial)
        now = self.bench.true_utc
        answer = self.responder.answer(certificate, this_update=now)
        return {"status": "Accepted", "ocspResult": base64.b64encode(answer).decode()}

    def judges(self, status: str, certificate_status: str) -> None:
        """What is said to Authorize."""
        answer = {"idTokenInfo": {"status": status}, "certificateStatus": certificate_status}
        self.bench.csms.on("Authorize", answer)

    def bay(self) -> None:
        """ParkingBayOccupied, where that matters."""
        if self._bay:
            bay(self.bench, occupied=True, evse_id=1)
            self.bench.advance(seconds=1)

    def presents(self, *, at_any_rate: bool = False) -> str:
        """EVConnectedPreSession; the vehicle presents its contract. Gives the chain."""
        chain = self.pki.contract()
        arrives(self.bench, chain, presents=at_any_rate)
        return chain

    def leaves(self) -> None:
        """EVDisconnected, ParkingBayUnoccupied."""
        self.bench.evse(1).unplug()
        if self._bay:
            bay(self.bench, occupied=False, evse_id=1)
        self.bench.advance(seconds=5)

    def authorizes(self) -> list[dict[str, Any]]:
        """The AuthorizeRequests that came."""
        return self.bench.csms.received("Authorize")
