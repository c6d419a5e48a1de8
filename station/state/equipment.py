"""Which component of the device model shows which device. Filled from the configuration, never changed."""

from __future__ import annotations

import msgspec

from device_model.model import ComponentId, VariableId


class Part(msgspec.Struct, frozen=True):
    """The component that shows a device, and the variable that it feeds, if it is a sensor."""

    component: ComponentId
    variable: VariableId | None = None
