"""The OCA's test cases of block M about the certificates of vehicles and of the SECC (part 6, 2.14 with its errata)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hal.sim.ev import EvSpec
from hal.sim.world import Contract
from tests.octt.vehicle import CONFIGURED, Tool
from tests.scenarios.vehicles import EMAID, Pki, hashes_of

VERSION = "urn:iso:15118:2:2013:MsgDef"


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """With V2G and MO root installed, and a V2G certificate."""
    return Tool(tmp_path, Pki(tmp_path / "pki"), CONFIGURED)


def statuses(tool: Tool) -> list[dict[str, Any]]:
    """What GetCertificateStatus asked about."""
    return [each["ocspRequestData"] for each in tool.bench.csms.received("GetCertificateStatus")]


@pytest.mark.octt("TC_M_24_CS")
@pytest.mark.req("M06.FR.06", "M06.FR.07")
def test_tc_m_24_cs(tool: Tool) -> None:
    """Leaf, sub 1 and sub 2."""
    tool.bench.advance(seconds=5)

    assert statuses(tool) == hashes_of(tool.chain, tool.pki.v2g.root_pem)
    assert tool.bench.world.secc is not None
    assert all(each.ocsp for each in tool.bench.world.secc.chains[0])


@pytest.mark.octt("TC_M_25_CS")
def test_tc_m_25_cs(tmp_path: Path) -> None:
    """The station lives with it, and asks again."""
    tool = Tool(tmp_path, Pki(tmp_path / "pki"), CONFIGURED, status="Failed")
    tool.bench.advance(seconds=5)
    assert len(statuses(tool)) == 3

    tool.bench.advance(minutes=2)

    assert len(statuses(tool)) == 6
    assert tool.bench.world.secc is not None
    assert not any(each.ocsp for each in tool.bench.world.secc.chains[0])


def asks(tool: Tool, answer: dict[str, Any], *, update: bool) -> None:
    """EVConnectedPreSession; the vehicle asks for its certificate, and presents what it gets."""
    bench = tool.bench
    bench.csms.valid_answers = False  # the tool leaves out exiResponse with Failed
    bench.csms.on("Get15118EVCertificate", answer)
    chain = tool.pki.contract()

    def given(accepted: bool, exi_response: str) -> None:  # noqa: FBT001 - a callback: what the vehicle was told
        if accepted:
            assert exi_response == answer["exiResponse"]
            bench.world.present(1, Contract(EMAID, chain))

    bench.world.plug_in(1, 1, EvSpec(evcc_id="0A1B2C3D4E5F"), charge=False)
    bench.settle()
    bench.world.want_certificate(1, VERSION, "gJgB", update=update, answered=given)
    bench.settle()


@pytest.mark.parametrize(
    "update",
    [
        pytest.param(False, marks=[pytest.mark.octt("TC_M_26_CS"), pytest.mark.req("M01.FR.01")]),
        pytest.param(True, marks=[pytest.mark.octt("TC_M_28_CS"), pytest.mark.req("M02.FR.01")]),
    ],
)
def test_a_vehicle_gets_its_certificate_and_is_authorized_by_it(tool: Tool, *, update: bool) -> None:
    """TC_M_26, TC_M_28."""
    asks(tool, {"status": "Accepted", "exiResponse": "gJgCAAAA"}, update=update)

    (request,) = tool.bench.csms.received("Get15118EVCertificate")
    assert request["action"] == ("Update" if update else "Install")
    (authorize,) = tool.authorizes()
    assert authorize["idToken"] == {"idToken": EMAID, "type": "eMAID"}


@pytest.mark.parametrize(
    "update",
    [
        pytest.param(False, marks=[pytest.mark.octt("TC_M_27_CS"), pytest.mark.req("M01.FR.01")]),
        pytest.param(True, marks=[pytest.mark.octt("TC_M_29_CS"), pytest.mark.req("M02.FR.01")]),
    ],
)
def test_a_vehicle_that_gets_none_is_not_authorized(tool: Tool, *, update: bool) -> None:
    """TC_M_27, TC_M_29."""
    asks(tool, {"status": "Failed"}, update=update)
    tool.bench.advance(minutes=1)

    (request,) = tool.bench.csms.received("Get15118EVCertificate")
    assert request["action"] == ("Update" if update else "Install")
    assert tool.bench.world.certificates[1] == (False, "")
    assert tool.authorizes() == []
