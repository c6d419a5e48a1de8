"""Between the names of the specification's messages and those of the device model."""

from __future__ import annotations

from device_model.model import ComponentId, VariableId
from station.ocpp.types import ComponentType, EVSEType, VariableType


def component_id(named: ComponentType) -> ComponentId:
    """The component that a message names."""
    evse = named.evse
    return ComponentId(named.name, named.instance or "", evse.id if evse else None, evse.connector_id if evse else None)


def variable_id(named: VariableType) -> VariableId:
    """The variable that a message names."""
    return VariableId(named.name, named.instance or "")


def component_type(id_: ComponentId) -> ComponentType:
    """How a message names the component."""
    evse = EVSEType(id=id_.evse_id, connector_id=id_.connector_id) if id_.evse_id else None
    return ComponentType(name=id_.name, instance=id_.instance or None, evse=evse)


def variable_type(id_: VariableId) -> VariableType:
    """How a message names the variable."""
    return VariableType(name=id_.name, instance=id_.instance or None)
