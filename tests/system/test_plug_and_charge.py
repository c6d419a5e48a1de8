"""A real agent, and simulated vehicles that speak ISO 15118: from the hardware's thread to the CSMS and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system

EMAID = "DE8AAC12345678"
REQUEST = {"schema_version": "urn:iso:15118:2:2013:MsgDef", "exi_request": "gJgB", "patience_s": 30}


class Site(Agent):
    """Its simulated board has an SECC."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        file = folder / "station.yaml"
        text = file.read_text("utf-8")
        file.write_text(text.replace("simulator: {evses: 2}", "simulator: {evses: 2, iso15118: true}"), "utf-8")

    def arrives(self, evse: int = 1) -> dict[str, Any]:
        """A vehicle with a contract."""
        return self.command("plug_in", evse=evse, protocol="iso15118-2", payment="contract", contract={"emaid": EMAID})


@pytest.fixture
def live() -> Iterator[LiveCsms]:
    """A CSMS."""
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.mark.req("C07.FR.01", "C07.FR.02")
def test_a_vehicle_charges_by_its_contract_once_its_root_is_installed(tmp_path: Path, live: LiveCsms) -> None:
    with Site(tmp_path, live.url) as agent:
        live.wait_for("BootNotification")
        root = agent.arrives()["mo_root"]
        agent.until_logged("contract.refused")
        agent.command("unplug", evse=1)
        install = {"certificateType": "MORootCertificate", "certificate": root}
        assert live.call("InstallCertificate", install) == {"status": "Accepted"}

        agent.arrives()

        (authorize,) = live.wait_for("Authorize")
        assert authorize["idToken"] == {"idToken": EMAID, "type": "eMAID"}
        assert len(authorize["iso15118CertificateHashData"]) == 2
        live.until(lambda: any(_charges(each.content) for each in live.script.frames("TransactionEvent")), "energy")


def _charges(event: dict[str, Any]) -> bool:
    return bool(event["transactionInfo"].get("chargingState") == "Charging")


@pytest.mark.req("M01.FR.01", "M02.FR.01")
def test_a_vehicle_that_asks_for_a_certificate_gets_the_answer_of_the_csms(tmp_path: Path, live: LiveCsms) -> None:
    live.script.on("Get15118EVCertificate", {"status": "Accepted", "exiResponse": "gJgC"})
    with Site(tmp_path, live.url) as agent:
        live.wait_for("StatusNotification")
        agent.command("plug_in", evse=1, protocol="iso15118-2", charge=False)

        answer = agent.command("ev_certificate_request", evse=1, action="Install", **REQUEST)

        assert answer == {"ok": True, "status": "Accepted", "exi_response": "gJgC"}
        agent.command("network", up=False)
        began = time.monotonic()
        assert agent.command("ev_certificate_request", evse=1, action="Update", **REQUEST)["status"] == "Failed"
        assert time.monotonic() - began < 20  # at once, and not when the vehicle gives up
