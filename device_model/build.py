"""From the catalogue and the layout of one station to its device model.

The layout tells what is bolted together: EVSEs, connectors, meters, readers, and equipment that not every station has.
The features tell which parts of the agent are in; a controller whose feature is absent is not there.
Values of the station's file come last, by `configure`: they are checked by type and limits, not by mutability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from device_model import values
from device_model.catalogue import OPEN, Access, Catalogue, ComponentSpec, VariableSpec
from device_model.model import Attribute, AttributeType, ComponentId, DeviceModel, Mutability, Variable, VariableId
from device_model.values import Characteristics, Refused

MEASURANDS: Final = (
    "Current.Export", "Current.Import", "Current.Offered",
    "Energy.Active.Export.Register", "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register", "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval", "Energy.Active.Import.Interval", "Energy.Active.Net",
    "Energy.Reactive.Export.Interval", "Energy.Reactive.Import.Interval", "Energy.Reactive.Net",
    "Energy.Apparent.Net", "Energy.Apparent.Import", "Energy.Apparent.Export", "Frequency",
    "Power.Active.Export", "Power.Active.Import", "Power.Factor", "Power.Offered",
    "Power.Reactive.Export", "Power.Reactive.Import", "SoC", "Voltage",
)  # fmt: skip
"""All measurands of MeasurandEnumType, in the order in which values lists name them."""


class ConnectorLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One connector: `type` of ConnectorEnumType or cGBT, cChaoJi, OppCharge; `phases` None: those of its EVSE."""

    type: str = "sType2"
    max_current_a: float = 32.0
    phases: int | None = None
    lock: bool = False

    @property
    def fixed(self) -> bool:
        """Whether the cable (or what stands for it) belongs to the station; sockets are the types with an s."""
        return self.type[:1] != "s" and self.type not in {"Other1PhMax16A", "Other1PhOver16A", "Other3Ph"}


class EvseLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One EVSE. `phases` 0 means DC; `measurands` are those its meter gives, none without a meter.

    `signs`: its meter can sign.
    """

    max_power_w: float = 22_000.0
    phases: int = 3
    connectors: tuple[ConnectorLayout, ...] = (ConnectorLayout(),)
    measurands: tuple[str, ...] = ("Energy.Active.Import.Register",)
    phase_rotation: str | None = None
    meter_manufacturer: str = ""
    meter_model: str = ""
    signs: bool = False
    iso15118: bool = False
    iso15118_evse_id: str = ""


class Equipment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A component beside the ordinary ones, at the tier its ids name.

    A name of the catalogue's equipment brings its variables along; `variables` are more of them or take their place.
    Of a component that the station has anyway they are more; of any other, such as a vendor's own, they are all.
    """

    name: str
    instance: str = ""
    evse_id: int | None = None
    connector_id: int | None = None
    variables: tuple[VariableSpec, ...] = ()


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One charging station as built and configured. `readers` and `displays` are names, one of which may be empty."""

    vendor_name: str
    model: str
    evses: tuple[EvseLayout, ...]
    serial_number: str = ""
    firmware_version: str = ""
    identity: str = ""
    organization_name: str = ""
    supply_phases: int = 3
    phase_rotation: str = "RST"
    max_power_w: float | None = None
    readers: tuple[str, ...] = ("",)
    displays: tuple[str, ...] = ()
    equipment: tuple[Equipment, ...] = ()
    security_profile: int = 1
    network_slots: tuple[int, ...] = (0, 1, 2)
    network_slot: int = 0
    time_sources: tuple[str, ...] = ("Heartbeat", "NTP", "RealTimeClock")
    file_transfer_protocols: tuple[str, ...] = ()
    id_token_types: tuple[str, ...] = (
        "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization",
    )  # fmt: skip
    message_formats: tuple[str, ...] = ("ASCII", "UTF8")
    tx_start_points: tuple[str, ...] = ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
    tx_stop_points: tuple[str, ...] = ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
    custom_vendors: tuple[str, ...] = ()
    field_lengths: Mapping[str, int] = {}
    evse_reset: bool = True
    phase_switching: bool = False
    fuse_a: float | None = None
    """What all EVSEs together may draw per phase."""
    supply_voltage_v: float = 230.0
    """Between phase and neutral, as set for the area."""
    secc_id: str = ""
    country_name: str = ""

    @property
    def measurands(self) -> tuple[str, ...]:
        """What at least one of the meters gives, in the order of the specification."""
        able = {measurand for evse in self.evses for measurand in evse.measurands}
        return tuple(one for one in MEASURANDS if one in able)


class _Place(msgspec.Struct, frozen=True):
    """Where a component is being made; what sources may look at."""

    layout: Layout
    evse: EvseLayout | None = None
    connector: ConnectorLayout | None = None


def _phases(at: _Place) -> int:
    if at.evse is None:
        return at.layout.supply_phases
    own = at.connector.phases if at.connector is not None else None
    return at.evse.phases if own is None else own


def _phase_rotation(at: _Place) -> str:
    if at.evse is None:
        return at.layout.phase_rotation
    if at.evse.phase_rotation is not None:
        return at.evse.phase_rotation
    return {0: "", 1: "Rxx", 2: "RSx"}.get(_phases(at), "RST")


def _power_w(at: _Place) -> float:
    if at.evse is not None:
        return at.evse.max_power_w
    given = at.layout.max_power_w
    return given if given is not None else sum(evse.max_power_w for evse in at.layout.evses)


_TEXTS: Final[Mapping[str, Callable[[_Place], str]]] = {
    "vendor_name": lambda at: at.layout.vendor_name,
    "model": lambda at: at.layout.model,
    "serial_number": lambda at: at.layout.serial_number,
    "firmware_version": lambda at: at.layout.firmware_version,
    "identity": lambda at: at.layout.identity,
    "organization_name": lambda at: at.layout.organization_name or at.layout.vendor_name,
    "security_profile": lambda at: str(at.layout.security_profile),
    "network_slot": lambda at: str(at.layout.network_slot),
    "file_transfer_protocols": lambda at: ",".join(at.layout.file_transfer_protocols),
    "id_token_types": lambda at: ",".join(at.layout.id_token_types),
    "message_formats": lambda at: ",".join(at.layout.message_formats),
    "phases": lambda at: str(_phases(at)),
    "phase_rotation": _phase_rotation,
    "power_type": lambda at: "AC" if at.layout.supply_phases else "DC",
    "phase_switching": lambda at: _truth(at.layout.phase_switching),
    "evse_reset": lambda at: _truth(at.layout.evse_reset),
    "connector_type": lambda at: at.connector.type if at.connector else "",
    "meter_manufacturer": lambda at: at.evse.meter_manufacturer if at.evse else "",
    "meter_model": lambda at: at.evse.meter_model if at.evse else "",
    "iso15118_evse_id": lambda at: at.evse.iso15118_evse_id if at.evse else "",
    "secc_id": lambda at: at.layout.secc_id,
    "country_name": lambda at: at.layout.country_name,
}
_LISTS: Final[Mapping[str, Callable[[_Place], tuple[str, ...]]]] = {
    "network_slots": lambda at: tuple(map(str, at.layout.network_slots)),
    "time_sources": lambda at: at.layout.time_sources,
    "measurands": lambda at: at.layout.measurands,
    "tx_start_points": lambda at: at.layout.tx_start_points,
    "tx_stop_points": lambda at: at.layout.tx_stop_points,
    "custom_vendors": lambda at: at.layout.custom_vendors,
    "field_lengths": lambda at: tuple(at.layout.field_lengths),
    "phase_names": lambda at: ("L1", "L2", "L3")[: _phases(at)],
}
_NUMBERS: Final[Mapping[str, Callable[[_Place], float]]] = {"power_w": _power_w}

_MUTABILITY: Final[Mapping[Access, Mutability]] = {
    "RO": Mutability.READ_ONLY,
    "RW": Mutability.READ_WRITE,
    "WO": Mutability.WRITE_ONLY,
}


class InitialValue(msgspec.Struct, frozen=True, gc=False):
    """One entry of `variables:` in the station's file."""

    component: ComponentId
    variable: VariableId
    value: str
    attribute: AttributeType = AttributeType.ACTUAL


class Mistake(msgspec.Struct, frozen=True, gc=False):
    """What is wrong with the entry at `position` of the values given to `configure`; never holds the value."""

    position: int
    reason: str


def build(catalogue: Catalogue, layout: Layout, features: frozenset[str] = frozenset()) -> DeviceModel:
    """The model of the station: what its layout has and its features can, all values at their defaults.

    Raises ValueError for equipment given twice, IndexError for one at an EVSE or connector that is not there.
    """
    maker = _Maker(layout, features)
    model = DeviceModel(default=catalogue.defaults())
    for spec in catalogue.components:
        for id_, at in _places(spec, layout):
            for variable in maker.component(spec, id_, at):
                model.add(variable)
    for part in layout.equipment:
        for variable in maker.equipment(part, catalogue, model):
            model.add(variable)
    return model


def configure(model: DeviceModel, given: Iterable[InitialValue]) -> list[Mistake]:
    """Give variables the initial values of the station's file; what cannot be taken is returned, the rest is done."""
    mistakes = []
    for position, one in enumerate(given):
        found = model.find(one.component, one.variable)
        holder = found.attribute(one.attribute) if isinstance(found, Variable) else None
        if not isinstance(found, Variable) or holder is None:
            unknown = "NotSupportedAttributeType" if isinstance(found, Variable) else found.value
            mistakes.append(Mistake(position, unknown))
            continue
        checked = values.check(one.value, found.characteristics)
        if isinstance(checked, Refused):
            mistakes.append(Mistake(position, checked.detail))
        else:
            holder.initial = holder.value = checked
    return mistakes


def add_instance(model: DeviceModel, catalogue: Catalogue, component: ComponentId, variable: VariableId) -> Variable:
    """The named instance of an open variable, such as ConnectedEV.ProtocolSupportedByEV["1"]; made if it is not there.

    Raises LookupError if the catalogue has no such open variable.
    """
    found = model.find(component, variable)
    if isinstance(found, Variable):
        return found
    spec = catalogue.component(component.name)
    for one in spec.variables if spec is not None else ():
        if one.instance == OPEN and one.name.casefold() == variable.name.casefold():
            made = _plain(one, component, {})
            made.id = VariableId(one.name, variable.instance)
            model.add(made)
            return made
    raise LookupError(f"{component.name}.{variable.name} takes no instances")


def _places(spec: ComponentSpec, layout: Layout) -> Iterator[tuple[ComponentId, _Place]]:
    """Where a component of the catalogue stands in this station."""
    name = spec.name
    if spec.tier == "station":
        yield ComponentId(name), _Place(layout)
    elif spec.tier in {"reader", "display"}:
        for instance in layout.readers if spec.tier == "reader" else layout.displays:
            yield ComponentId(name, instance), _Place(layout)
    elif spec.tier in {"evse", "connector"}:
        for evse_id, evse in enumerate(layout.evses, 1):
            if spec.tier == "evse":
                yield ComponentId(name, "", evse_id), _Place(layout, evse)
                continue
            for connector_id, connector in enumerate(evse.connectors, 1):
                yield ComponentId(name, "", evse_id, connector_id), _Place(layout, evse, connector)


class _Maker:
    """Makes variables; shares the characteristics of those that look alike."""

    def __init__(self, layout: Layout, features: frozenset[str]) -> None:
        self._layout = layout
        self._features = features | ({"custom_implementations"} if layout.custom_vendors else set())
        self._shared: dict[int, Characteristics] = {}
        self._fixed_cables = all(connector.fixed for evse in layout.evses for connector in evse.connectors)

    def component(self, spec: ComponentSpec, id_: ComponentId, at: _Place) -> Iterator[Variable]:
        """The variables of one component; none if its feature is absent."""
        able = self._able(at)
        if spec.when and able.isdisjoint(spec.when):
            return
        for one in spec.variables:
            if (one.when and able.isdisjoint(one.when)) or not able.isdisjoint(one.without):
                continue
            yield from self._variable(one, id_, at)

    def equipment(self, part: Equipment, catalogue: Catalogue, model: DeviceModel) -> Iterator[Variable]:
        """The variables of a component that the layout names: standardised, the vendor's own, or more of one there."""
        evse = self._layout.evses[part.evse_id - 1] if part.evse_id else None
        connector = evse.connectors[part.connector_id - 1] if evse and part.connector_id else None
        id_ = ComponentId(part.name, part.instance, part.evse_id, part.connector_id)
        at = _Place(self._layout, evse, connector)
        spec, named = catalogue.component(part.name), {one.name for one in part.variables}
        if spec is not None and spec.tier == "named":
            bare = msgspec.structs.replace(spec, variables=tuple(v for v in spec.variables if v.name not in named))
            yield from self.component(bare, id_, at)
        elif not model.has(id_):
            always = [one for one in catalogue.generic if one.name in {"Available", "Enabled"}]
            yield from (_plain(one, id_, self._shared) for one in always if one.name not in named)
        for one in part.variables:
            yield from self._variable(one, id_, at)

    def _able(self, at: _Place) -> frozenset[str]:
        """The features of the agent and what the place has; the station can sign where one of its meters can."""
        if at.evse is None:
            evses = self._layout.evses
            able = self._features if any(evse.iso15118 for evse in evses) else self._features - {"iso15118"}
            return able | {"signed_readings"} if any(evse.signs for evse in evses) else able
        able = self._features | {"ac" if at.evse.phases else "dc"}
        if at.evse.measurands:
            able |= {"meter"}
        if at.evse.signs:
            able |= {"signed_readings"}
        if any("Export" in one for one in at.evse.measurands):
            able |= {"export"}
        if not at.evse.iso15118:
            able -= {"iso15118"}
        if at.connector is not None and at.connector.lock:
            able |= {"lock"}
        return able

    def _variable(self, spec: VariableSpec, id_: ComponentId, at: _Place) -> Iterator[Variable]:
        characteristics = self._characteristics(spec, at)
        instances: tuple[str, ...] = (spec.instance,)
        if spec.instance == OPEN:
            instances = _LISTS[spec.instances_source](at) if spec.instances_source else spec.instances
        for instance in instances:
            yield Variable(
                component=id_,
                id=VariableId(spec.name, instance),
                characteristics=characteristics,
                attributes=self._attributes(spec, at, characteristics, instance),
                reboot_required=spec.reboot,
            )

    def _attributes(
        self, spec: VariableSpec, at: _Place, characteristics: Characteristics, instance: str
    ) -> tuple[Attribute, ...]:
        value = _TEXTS[spec.source](at) if spec.source else spec.default
        access = spec.access
        if spec.instances_source == "field_lengths":
            value = str(at.layout.field_lengths[instance])
        elif spec.name == "UnlockOnEVSideDisconnect" and self._fixed_cables:
            access, value = "RO", "false"  # part 2, 2.1.12
        elif spec.values_source and value:
            value = ",".join(one for one in values.members(value) if one in characteristics.values)
        actual = _attribute(spec, AttributeType.ACTUAL, access, value)
        if not spec.attributes:
            return (actual,)
        return (actual, *(_attribute(spec, type_, its) for type_, its in spec.attributes.items()))

    def _characteristics(self, spec: VariableSpec, at: _Place) -> Characteristics:
        if spec.max_source is None and spec.values_source is None:
            return _characteristics(spec, self._shared)
        listed = _LISTS[spec.values_source](at) if spec.values_source else spec.values
        limit = _NUMBERS[spec.max_source](at) if spec.max_source else spec.max
        if spec.values_source == "measurands":
            limit = len(",".join(listed))  # part 2, 2.7: the longest list there can be
        return msgspec.structs.replace(_characteristics(spec, self._shared), values=listed, max_limit=limit)


def _characteristics(spec: VariableSpec, shared: dict[int, Characteristics]) -> Characteristics:
    """The characteristics of all variables made from one spec; ids of specs are safe, the catalogue outlives them."""
    made = shared.get(id(spec))
    if made is None:
        made = shared[id(spec)] = Characteristics(
            data_type=spec.type,
            unit=spec.unit,
            min_limit=spec.min,
            max_limit=spec.max,
            values=spec.values,
            supports_monitoring=spec.monitor,
            pattern=spec.pattern,
            filled=spec.filled,
        )
    return made


def _plain(spec: VariableSpec, id_: ComponentId, shared: dict[int, Characteristics]) -> Variable:
    attribute = _attribute(spec, AttributeType.ACTUAL, spec.access, spec.default)
    return Variable(id_, VariableId(spec.name, spec.instance), _characteristics(spec, shared), (attribute,))


def _attribute(spec: VariableSpec, type_: AttributeType, access: Access, value: str | None = None) -> Attribute:
    """An attribute at its default; whatever can be written is persistent (part 2, chapter 2)."""
    mutability = _MUTABILITY[access]
    fixed = access == "RO" and not spec.live and type_ is AttributeType.ACTUAL
    return Attribute(type_, mutability, access != "RO", fixed, spec.secret, value, value)


def _truth(value: bool) -> str:  # noqa: FBT001 - spells a boolean
    return "true" if value else "false"
