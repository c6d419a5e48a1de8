"""What a station on the bench gets instead of a device model that is built anew for each: it must be no other one."""

from __future__ import annotations

from typing import Any

import pytest

from device_model import catalogue
from device_model.build import build
from device_model.model import ComponentId, DeviceModel, VariableId
from station.setup import FEATURES
from tests.bench import setup
from tests.models import built

HEARTBEAT = ComponentId("OCPPCommCtrlr"), VariableId("HeartbeatInterval")


def both(**given: Any) -> tuple[DeviceModel, DeviceModel]:
    """As the agent builds it, and as the bench does."""
    layout = setup(**given).layout
    return build(catalogue.load(), layout, FEATURES), built(catalogue.load(), layout, FEATURES)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"evses": 3, "lock": True},
        {"signing": True},
        {"layout": {"field_lengths": {"Get15118EVCertificateResponse.exiResponse": 7500}}},
    ],
)
def test_it_is_what_the_agent_builds(given: dict[str, Any]) -> None:
    for _ in range(2):
        real, ours = both(**given)

        assert list(ours) == list(real)
        assert dict(ours.components()) == dict(real.components())
        assert ours.text("SampledDataCtrlr", "TxUpdatedInterval") == real.text("SampledDataCtrlr", "TxUpdatedInterval")


def test_what_one_station_sets_no_other_one_sees() -> None:
    _, ours = both()
    ours.set_by_csms(*HEARTBEAT, "17")
    ours.remove(ComponentId("SmartChargingCtrlr"))

    real, next_one = both()
    assert list(next_one) == list(real)
    assert next_one.get(*HEARTBEAT).value != "17"
