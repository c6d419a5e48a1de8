"""The OCA's test cases of block P (data transfer), Core profile (part 6, 2.17)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.variables import asked, get_all, set_all

CUSTOM: dict[str, Any] = {"vendorId": "org.openchargealliance.octt", "anything": {"may": ["be", 1, None]}}


@pytest.mark.octt("TC_P_01_CS")
@pytest.mark.req("P01.FR.05")
def test_tc_p_01_cs(bench: Bench) -> None:
    """A vendor that the station does not know."""
    request = {"vendorId": "org.openchargealliance.octt", "messageId": "unused"}

    assert bench.csms.call("DataTransfer", request)["status"] in {"UnknownVendorId", "UnknownMessageId", "Rejected"}


@pytest.mark.octt("TC_P_03_CS")
def test_tc_p_03_cs(bench: Bench) -> None:
    """CustomData in requests is borne, at any level, and the request done."""
    threshold = "OCPPCommCtrlr.OfflineThreshold"
    element = asked(threshold, attributeValue="200", attributeType="Actual", customData=CUSTOM)
    element["component"]["customData"] = element["variable"]["customData"] = CUSTOM

    (done,) = set_all(bench, element)
    (read,) = get_all(bench, asked(threshold, attributeType="Actual", customData=CUSTOM))

    assert done["attributeStatus"] == "Accepted"
    assert (read["attributeStatus"], read["attributeType"], read["attributeValue"]) == ("Accepted", "Actual", "200")
