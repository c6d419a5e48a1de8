"""A small station for the tests of the device model: two EVSEs, one AC with a lock, one DC."""

from __future__ import annotations

import pytest

from device_model import catalogue
from device_model.build import ConnectorLayout, Equipment, EvseLayout, Layout, build
from device_model.catalogue import Catalogue
from device_model.model import DeviceModel

ENERGY = "Energy.Active.Import.Register"


@pytest.fixture(scope="session")
def standard() -> Catalogue:
    """The catalogue as shipped."""
    return catalogue.load()


@pytest.fixture(scope="session")
def features(standard: Catalogue) -> frozenset[str]:
    """All that an agent can have, without rarities and without a time zone (which excludes a time offset)."""
    return standard.features() - {"extended", "time_zone", "ac", "dc", "lock", "meter", "export"}


@pytest.fixture(scope="session")
def layout() -> Layout:
    """A socket with a lock and 22 kW, a CCS cable with 50 kW, a fan with set points."""
    return Layout(
        vendor_name="Ohm & Sons",
        model="Two",
        serial_number="0001",
        firmware_version="1.2.3",
        evses=(
            EvseLayout(measurands=("Voltage", ENERGY, "Power.Active.Import"), connectors=(ConnectorLayout(lock=True),)),
            EvseLayout(max_power_w=50_000, phases=0, connectors=(ConnectorLayout(type="cCCS2"),), iso15118=True),
        ),
        equipment=(Equipment("AirCoolingSystem", evse_id=2), Equipment("AirCoolingSystem", "Rear", evse_id=2)),
    )


@pytest.fixture
def model(standard: Catalogue, layout: Layout, features: frozenset[str]) -> DeviceModel:
    """That station, all values at their defaults."""
    return build(standard, layout, features)
