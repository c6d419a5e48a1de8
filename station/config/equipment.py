"""Which components of the device model the hardware of station.yaml fills: sensors, boards, meters, readers.

What a sensor measures needs a place: the station's own component, one of the catalogue's equipment, which is made
because the sensor names it, or a vendor's own, which `components:` describes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from device_model import catalogue
from device_model.build import Equipment, Layout, build
from device_model.catalogue import Catalogue, VariableSpec
from device_model.model import AttributeType, ComponentId, ComponentKey, DeviceModel, Variable, VariableId
from device_model.values import DataType
from station.blocks.smart_charging.derating import Curve
from station.blocks.smart_charging.external import Fed, Signal
from station.config.devices import SensorKeys, place_of_sensor, sensor_keys
from station.config.mistakes import Mistake, Path, meant
from station.config.schema import File, OwnVariable, worded
from station.setup import FEATURES
from station.state.equipment import Part

BOARD = "Controller"
"""A board is one more controller, told apart by its name."""

OF_BOARDS = ("Active", "Problem", "Manufacturer", "Model", "SerialNumber", "FirmwareVersion")

OURS = frozenset({"availabilitystate", "available", "enabled"})
"""Variables that the agent itself decides."""

OF_METERS = frozenset({"power", "accurrent", "acvoltage", "energyimportregister", "energyexportregister"})
SHOWN_BY_BOARDS = frozenset({("powercontactor", "active"), ("cppwmcontroller", "state")})
"""Variables that follow what boards and meters show."""


def parts(file: File) -> dict[str, Part]:
    """By the device's name, the component that shows it and, for a sensor, the variable that it feeds."""
    found = {name: Part(ComponentId(BOARD, name)) for name in file.boards}
    for number, evse in enumerate(file.evses, 1):
        if evse.meter is not None:
            found[evse.meter] = Part(ComponentId("FiscalMetering", "", number))
    for component, names in {"TokenReader": file.readers, "Display": file.displays}.items():
        found |= {name: Part(ComponentId(component, name if len(names) > 1 else "")) for name in names}
    return found | {name: _fed(keys) for name, keys in sensor_keys(file).items()}


def _fed(keys: SensorKeys) -> Part:
    component = ComponentId(keys.component, keys.instance or "", keys.evse, keys.connector)
    return Part(component, VariableId(keys.variable, keys.variable_instance or ""))


def _fed_by(keys: SensorKeys) -> Fed:
    return Fed(keys.component, keys.variable, keys.instance, keys.evse, keys.connector, keys.variable_instance)


def curves(file: File) -> Iterator[Curve]:
    """The thermometers by which EVSEs offer less."""
    every = tuple(range(1, len(file.evses) + 1))
    for name, keys in sensor_keys(file).items():
        if keys.derate is not None:
            yield Curve(
                device=name,
                fed=_fed_by(keys),
                evse_ids=every if keys.evse is None else (keys.evse,),
                from_c=keys.derate.from_c,
                to_c=keys.derate.to_c,
            )


def signals(file: File) -> Iterator[Signal]:
    """The sensors by which other systems limit the station."""
    keys = sensor_keys(file)
    for each in file.supply.signals:
        yield Signal(
            fed=_fed_by(keys[each.sensor]),
            source=each.source,
            evse_id=each.evse or 0,
            value=worded(each.value),
            amperes=each.max_current_a,
        )


def deaf(file: File) -> Iterator[Mistake]:
    """Signals that no sensor gives, or that would be one limit twice."""
    heard: dict[tuple[str, int | None], int] = {}
    for place, each in enumerate(file.supply.signals):
        path: Path = ("supply", "signals", place)
        if each.sensor not in file.sensors:
            yield Mistake((*path, "sensor"), f"no sensor {each.sensor!r}", meant(each.sensor, set(file.sensors)))
        if each.evse is not None and each.evse > len(file.evses):
            yield Mistake((*path, "evse"), f"no EVSE {each.evse}", f"there are {len(file.evses)}")
        if heard.setdefault((each.source, each.evse), place) != place:
            reason = f"another signal of {each.source} limits the same"
            yield Mistake(path, reason, "one for each source and EVSE; take another source")
    sensors = [each.sensor for each in file.supply.signals]
    for place, name in enumerate(sensors):
        if sensors.index(name) != place:
            yield Mistake(("supply", "signals", place, "sensor"), f"{name!r} gives another signal already", "one each")


def senseless(file: File) -> Iterator[Mistake]:
    """What sensors cannot mean."""
    for name, keys in sensor_keys(file).items():
        path = place_of_sensor(file, name)
        if keys.fault is None and keys.above is not None:
            yield Mistake((*path, "above"), "a limit of no fault", "add `fault:`, or a monitor under `monitors:`")
        if keys.until is not None and (keys.above is None or keys.until >= keys.above):
            yield Mistake((*path, "until"), "does not lie below `above`", "a fault is over when it is less than that")
        if keys.derate is not None and keys.derate.from_c >= keys.derate.to_c:
            yield Mistake((*path, "derate", "to_c"), "does not lie above `from_c`", "less current from, none at")


def equipment(file: File) -> tuple[Equipment, ...]:
    """What the layout has beside EVSEs and connectors: boards, what `components:` says, what sensors need."""
    known = catalogue.load()
    made: dict[ComponentKey, Equipment] = {ComponentId(BOARD, name).key: _board(known, name) for name in file.boards}
    for own in file.components:
        id_ = ComponentId(own.name, own.instance, own.evse, own.connector)
        variables = tuple(_spec(known, one) for one in own.variables)
        made[id_.key] = Equipment(own.name, own.instance, own.evse, own.connector, variables)
    for part in map(_fed, sensor_keys(file).values()):
        id_, spec = part.component, known.component(part.component.name)
        if id_.key not in made:
            if spec is None:
                continue  # refused by `mistakes`
            made[id_.key] = Equipment(spec.name, *id_[1:])
        own_names = {one.name.casefold() for one in (*made[id_.key].variables, *(spec.variables if spec else ()))}
        generic = _generic(known, part.variable.name) if part.variable else None
        if generic is not None and generic.name.casefold() not in own_names:
            more = (*made[id_.key].variables, generic)
            made[id_.key] = msgspec.structs.replace(made[id_.key], variables=more)
    return tuple(made.values())


def _board(known: Catalogue, name: str) -> Equipment:
    found = [one for one in known.generic if one.name in OF_BOARDS]
    return Equipment(BOARD, name, variables=tuple(msgspec.structs.replace(one, live=True) for one in found))


def _generic(known: Catalogue, name: str) -> VariableSpec | None:
    return next((one for one in known.generic if one.name.casefold() == name.casefold()), None)


def _spec(known: Catalogue, own: OwnVariable) -> VariableSpec:
    """A variable of `components:`; a generic name brings its type and unit along."""
    generic = _generic(known, own.name)
    base = generic
    if base is None or own.type is not None:
        base = VariableSpec(own.name, DataType(own.type or "string"))
    changes = {"unit": own.unit, "min": own.min, "max": own.max, "default": own.text, "values": own.values or None}
    given = {key: value for key, value in changes.items() if value is not None}
    access = own.access or base.access
    live = access == "RO" and own.value is None
    return msgspec.structs.replace(base, name=own.name, instance=own.instance, access=access, live=live, **given)


# --- what is wrong


def mistakes(file: File, layout: Layout, units: Mapping[str, str]) -> Iterator[Mistake]:
    """Sensors that can feed no variable. `units`: what each sensor measures in."""
    known = catalogue.load()
    try:
        model = build(known, layout, FEATURES)
        bare = build(known, msgspec.structs.replace(layout, equipment=()), FEATURES)
    except (ValueError, IndexError):
        return  # told by `checks.variables`
    judge = _Judge(file, known, model, bare)
    fed: dict[int, str] = {}
    for name, keys in sensor_keys(file).items():
        part = _fed(keys)
        found = list(judge.wrong(name, part))
        variable = model.find(part.component, part.variable) if part.variable else None
        if not found and isinstance(variable, Variable):
            found = list(_unit(variable, place_of_sensor(file, name), units.get(name, "")))
            first = fed.setdefault(id(variable), name)
            if first != name:
                reason = f"{first!r} feeds the same variable"
                found.append(Mistake(place_of_sensor(file, name), reason, "one sensor for each variable"))
        yield from found


def misplaced(file: File) -> Iterator[Mistake]:
    """EVSEs and connectors that are not there."""
    places: list[tuple[Path, int | None, int | None]] = [
        (("components", n), each.evse, each.connector) for n, each in enumerate(file.components)
    ]
    places += [(place_of_sensor(file, name), keys.evse, keys.connector) for name, keys in sensor_keys(file).items()]
    for path, evse, connector in places:
        if evse is not None and not 1 <= evse <= len(file.evses):
            yield Mistake((*path, "evse"), f"no EVSE {evse}", f"there are {len(file.evses)}")
        elif connector is not None and evse is None:
            yield Mistake((*path, "connector"), "a connector of no EVSE", "add `evse:`")
        elif connector is not None and evse is not None:
            count = len(file.evses[evse - 1].connectors)
            if not 1 <= connector <= count:
                yield Mistake((*path, "connector"), f"EVSE {evse} has no connector {connector}", f"it has {count}")


class _Judge(NamedTuple):
    """What a sensor is compared with: `bare` is the model without what the file adds."""

    file: File
    known: Catalogue
    model: DeviceModel
    bare: DeviceModel

    def wrong(self, name: str, part: Part) -> Iterator[Mistake]:
        """Why a sensor cannot feed what it names."""
        component, named = part.component, part.variable or VariableId("")
        path = place_of_sensor(self.file, name)
        spec = self.known.component(component.name)
        described = {ComponentId(one.name, one.instance, one.evse, one.connector).key for one in self.file.components}
        if not (self.bare.has(component) or component.key in described or (spec and spec.tier == "named")):
            yield self._no_component(path, component)
            return
        found = self.model.find(component, named)
        if not isinstance(found, Variable):
            there = next((bucket for id_, bucket in self.model.components() if id_.key == component.key), {})
            remedy = meant(named.name, {one.id.name for one in there.values()})
            yield Mistake((*path, "variable"), f"{component.name} has no variable {_shown(named)!r}", remedy)
            return
        holder = found.attribute(AttributeType.ACTUAL)
        ours = component.name.casefold().endswith("ctrlr") or found.id.name.casefold() in OURS
        if ours or self._shown(component, found.id.name):
            reason = f"{component.name}.{_shown(found.id)} is told by the agent itself"
            yield Mistake((*path, "variable"), reason, "name another variable, or leave the sensor out")
        elif holder is None or holder.writable or holder.constant or holder.secret:
            reason = f"{component.name}.{_shown(found.id)} is not measured"
            yield Mistake((*path, "variable"), reason, "a sensor feeds a live variable that can only be read")

    def _shown(self, component: ComponentId, variable: str) -> bool:
        """Whether a board or a meter tells it."""
        name, its = component.name.casefold(), variable.casefold()
        if name == "evse" and component.evse_id:
            return its in OF_METERS and self.file.evses[component.evse_id - 1].meter is not None
        if name in {"chargingstation", "electricalfeed"}:
            return its in OF_METERS and self.file.main_meter is not None
        return (name, its) in SHOWN_BY_BOARDS or (name == "fiscalmetering" and its in OF_METERS)

    def _no_component(self, path: Path, component: ComponentId) -> Mistake:
        import difflib  # noqa: PLC0415 - for the mistaken only

        names = [spec.name for spec in self.known.components] + [one.name for one in self.file.components]
        if component.name.casefold() in {each.casefold() for each in names}:
            reason = f"this station has no {component.name} there"
            return Mistake((*path, "component"), reason, "are instance, evse and connector right?")
        close = difflib.get_close_matches(component.name, names, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "a vendor's own is described by `components:`"
        return Mistake((*path, "component"), f"no component is called {component.name!r}", remedy)


def _shown(variable: VariableId) -> str:
    return f"{variable.name}[{variable.instance}]" if variable.instance else variable.name


def _unit(variable: Variable, path: Path, unit: str) -> Iterator[Mistake]:
    """A sensor that measures in something else; one that names no unit is believed."""
    wanted = variable.characteristics.unit
    if variable.characteristics.numeric and unit and wanted and unit.casefold() != wanted.casefold():
        reason = f"the sensor measures {unit}, {variable.component.name}.{_shown(variable.id)} is in {wanted}"
        yield Mistake(path, reason, "correct unit and scale, or the variable")
    elif unit and variable.characteristics.data_type is DataType.BOOLEAN:
        reason = f"the sensor measures {unit}, {variable.component.name}.{_shown(variable.id)} is true or false"
        yield Mistake(path, reason, "correct the unit or the variable")
