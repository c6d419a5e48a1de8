"""Between the names of the specification's messages and those of the device model."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from device_model.model import AttributeType, ComponentId, VariableId
from device_model.report import Filter
from station.ocpp.types import ComponentType, ComponentVariableType, EVSEType, VariableType


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


def filter_of(asked: ComponentVariableType) -> Filter:
    """What an element of a report's request asks for."""
    component, variable = asked.component, asked.variable
    return Filter(
        component=component.name,
        instance=component.instance,
        evse_id=component.evse.id if component.evse else None,
        connector_id=component.evse.connector_id if component.evse else None,
        variable=variable.name if variable else None,
        variable_instance=variable.instance if variable else None,
    )


class Named(NamedTuple):
    """One attribute, as a person names it."""

    component: ComponentId
    variable: VariableId
    attribute: AttributeType


_NAMED: Final = (
    r"(?P<component>[^@.\[\]/]+)(\[(?P<instance>[^\]]+)\])?(@(?P<evse>\d{1,4})(\.(?P<connector>\d{1,4}))?)?"
    r"\.(?P<variable>[^@.\[\]/]+)(\[(?P<its>[^\]]+)\])?(/(?P<attribute>Actual|Target|MinSet|MaxSet))?"
)


def named(text: str) -> Named:
    """`Component[instance]@evse.connector.Variable[instance]/MaxSet`; only the two names must be there.

    Raises ValueError for what is no such name.
    """
    found = re.fullmatch(_NAMED, text)
    if found is None:
        raise ValueError(f"{text!r} is no variable: write Component@EVSE.Variable[instance]")
    evse, connector = found["evse"], found["connector"]
    component = ComponentId(
        found["component"], found["instance"] or "", int(evse) if evse else None, int(connector) if connector else None
    )
    return Named(
        component, VariableId(found["variable"], found["its"] or ""), AttributeType(found["attribute"] or "Actual")
    )
