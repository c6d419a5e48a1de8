"""The hardware of station.yaml as the hardware thread wants it, and simulated hardware in place of what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from hal import buses
from hal.api import Fault
from hal.registry import Registry
from station.config.mistakes import Mistake, Path, meant
from station.config.schema import Board, Connector, Evse, File, Options, Seconds, Section, Simulator
from station.shell.guards import Guard
from station.shell.wiring import BusEntry, DeviceEntry, EvseEntry, LampEntry, ReaderEntry, SensorEntry, Wiring

BUSES = (*buses.KINDS, "sim")
"""Kinds of what drivers share."""

PERIOD_S, GUARD_PERIOD_S = 60.0, 5.0

SIMULATOR = "simulator"
"""The name of the simulated world, and of the board that it shows."""


class Kind(NamedTuple):
    """A section of the file: the kind of its devices, and the keys that are ours and not the driver's."""

    kind: str
    own: tuple[str, ...] = ()


SECTIONS: Mapping[str, Kind] = {
    "boards": Kind("board"),
    "meters": Kind("meter"),
    "readers": Kind("reader", ("evses",)),
    "locks": Kind("lock"),
    "sensors": Kind(
        "sensor",
        (
            *("component", "variable", "instance", "variable_instance", "evse", "connector", "period_s"),
            *("fault", "above", "until", "derate"),
        ),
    ),
    "displays": Kind("display"),
    "lamps": Kind("lamp", ("evse",)),
}


class ReaderKeys(msgspec.Struct, frozen=True):
    """Our keys of a reader. None given: all EVSEs."""

    evses: tuple[int, ...] = ()


class LampKeys(msgspec.Struct, frozen=True):
    """Our keys of a lamp."""

    evse: int


class Derate(Section, frozen=True):
    """Between these temperatures the EVSE offers less and less."""

    from_c: float
    to_c: float


class SensorKeys(msgspec.Struct, frozen=True):
    """Our keys of a sensor."""

    component: str
    variable: str
    instance: str | None = None
    variable_instance: str | None = None
    evse: int | None = None
    connector: int | None = None
    period_s: Seconds | None = None
    fault: Fault | None = None
    """While it is true, or more than `above`, the EVSE (without `evse`: every one) gives no current."""
    above: float | None = None
    until: float | None = None
    derate: Derate | None = None

    @property
    def every_s(self) -> float:
        """How often it is read, unless it tells its changes: sooner where something hangs on it."""
        if self.period_s is not None:
            return self.period_s
        return GUARD_PERIOD_S if self.fault is not None or self.derate is not None else PERIOD_S


def completed(file: File) -> File:
    """`file` with simulated hardware written out, as if somebody had configured it device by device."""
    sim = file.simulator
    if sim is None:
        return file
    count = len(file.evses) or sim.evses
    world = {"world": SIMULATOR}
    meter = "sim-signed" if sim.signed_meters else "sim"
    given: dict[str, dict[str, Options]] = {
        "buses": {SIMULATOR: {"kind": "sim", "evses": [_spec(sim)] * max(count, sim.evses)}},
        "boards": {SIMULATOR: {"driver": "sim", **world}},
        "meters": {f"meter-{n}": {"driver": meter, "evse": n, **world} for n in range(1, count + 1)},
        "readers": {"reader": {"driver": "sim", **world}},
        "displays": {"display": {"driver": "sim", **world}},
        "sensors": dict(_sensors(sim)),
    }
    changes: dict[str, Any] = {
        name: {**devices, **getattr(file, name)}
        for name, devices in given.items()
        if name in {"buses", "sensors"} or not getattr(file, name)
    }
    if not file.evses:
        changes["evses"] = tuple(_evse(n, sim) for n in range(1, count + 1))
    return msgspec.structs.replace(file, **changes)


def _spec(sim: Simulator) -> Options:
    return {
        "connectors": sim.connectors,
        "phases": sim.phases,
        "max_a": sim.max_current_a,
        "min_a": sim.min_current_a,
        "phase_switching": sim.phase_switching,
        "lock": sim.lock,
        "energy_wh": sim.energy_wh,
    }


def _evse(number: int, sim: Simulator) -> Evse:
    connector = Connector(type="sType2" if sim.lock else "cType2", lock=sim.lock)
    return Evse(
        board=Board(name=SIMULATOR, channel=number),
        meter=f"meter-{number}",
        phases=sim.phases,
        max_current_a=sim.max_current_a,
        iso15118=sim.iso15118,
        connectors=(connector,) * sim.connectors,
    )


def _sensors(sim: Simulator) -> Iterator[tuple[str, Options]]:
    for sensor in sim.sensors:
        place = [str(sensor.evse or ""), str(sensor.connector or "")]
        parts = [sensor.component, sensor.instance, *place, sensor.variable, sensor.variable_instance]
        options: dict[str, Any] = {"driver": "sim", "world": SIMULATOR, "value": sensor.value, "unit": sensor.unit}
        own: dict[str, Any] = {"component": sensor.component, "instance": sensor.instance or None}
        own |= {"evse": sensor.evse, "connector": sensor.connector}
        own |= {"variable": sensor.variable, "variable_instance": sensor.variable_instance or None}
        yield ".".join(filter(None, parts)), {**options, **own}


def place_of_sensor(file: File, name: str) -> Path:
    """Where a sensor stands in the file: simulated ones are a list."""
    simulated = [made for made, _ in _sensors(file.simulator)] if file.simulator is not None else []
    return ("simulator", "sensors", simulated.index(name)) if name in simulated else ("sensors", name)


def board_of(evse: Evse) -> Board:
    """The board of an EVSE; a bare name means its first channel."""
    return evse.board if isinstance(evse.board, Board) else Board(name=evse.board)


def wiring(file: File) -> Wiring:
    """The wiring of a completed file without mistakes."""
    every = tuple(range(1, len(file.evses) + 1))
    readers = {name: msgspec.convert(_own(given, "readers"), ReaderKeys) for name, given in file.readers.items()}
    sensors = sensor_keys(file)
    return Wiring(
        devices=tuple(_devices(file)),
        evses=tuple(_wired(number, evse) for number, evse in enumerate(file.evses, 1)),
        buses=tuple(_bus(name, given) for name, given in file.buses.items()),
        readers=tuple(ReaderEntry(device=name, evse_ids=keys.evses or every) for name, keys in readers.items()),
        sensors=tuple(
            SensorEntry(
                device=name,
                component=keys.component,
                variable=keys.variable,
                instance=keys.instance,
                evse_id=keys.evse,
                connector_id=keys.connector,
                variable_instance=keys.variable_instance,
                period_s=keys.every_s,
                guard=_guard(name, keys, every),
            )
            for name, keys in sensors.items()
        ),
        displays=tuple(file.displays),
        lamps=tuple(
            LampEntry(device=name, evse_id=msgspec.convert(_own(given, "lamps"), LampKeys).evse)
            for name, given in file.lamps.items()
        ),
        main_meter=file.main_meter,
        idle_period_s=file.meter_period_s,
    )


def sensor_keys(file: File) -> dict[str, SensorKeys]:
    """Our keys of each sensor of a file whose form is right."""
    return {name: msgspec.convert(_own(given, "sensors"), SensorKeys) for name, given in file.sensors.items()}


def _guard(name: str, keys: SensorKeys, every: tuple[int, ...]) -> Guard | None:
    if keys.fault is None:
        return None
    evse_ids = every if keys.evse is None else (keys.evse,)
    return Guard(device=name, fault=keys.fault, evse_ids=evse_ids, above=keys.above, until=keys.until)


def _wired(number: int, evse: Evse) -> EvseEntry:
    board = board_of(evse)
    return EvseEntry(
        evse_id=number,
        board=board.name,
        channel=board.channel,
        connectors=len(evse.connectors),
        meter=evse.meter,
        lock=evse.lock,
    )


def _bus(name: str, given: Options) -> BusEntry:
    return BusEntry(name=name, kind=given["kind"], options={key: v for key, v in given.items() if key != "kind"})


def _devices(file: File) -> Iterator[DeviceEntry]:
    for section, (kind, own) in SECTIONS.items():
        for name, given in getattr(file, section).items():
            yield DeviceEntry(name=name, kind=kind, driver=given["driver"], options=_options(given, own))


def _options(given: Options, own: tuple[str, ...]) -> Options:
    """What is the driver's: simulated readers have `evses` of their own, by the same numbers."""
    keeps_evses = given["driver"] == "sim" and "evses" in own
    return {
        key: value for key, value in given.items() if key != "driver" and (key not in own or (keeps_evses and value))
    }


def _own(given: Options, section: str) -> Options:
    return {key: value for key, value in given.items() if key in SECTIONS[section].own}


def form(file: File) -> list[Mistake]:
    """What must be right before `wiring` can be made: drivers named, our keys well-formed, names used once."""
    found = []
    for name, given in file.buses.items():
        if given.get("kind") not in BUSES:
            found.append(_unnamed(("buses", name), "kind", given, BUSES))
    registry = Registry()
    for section, (kind, _) in SECTIONS.items():
        for name, given in getattr(file, section).items():
            if not isinstance(given.get("driver"), str):
                drivers = [entry.name for entry in registry.all() if entry.kind == kind]
                found.append(_unnamed((section, name), "driver", given, drivers))
    found += _ill_formed(file)
    found += _used_twice(file)
    return found


def _unnamed(path: tuple[str, str], key: str, given: Options, known: Any) -> Mistake:
    every = ", ".join(sorted(known))
    if key not in given:
        return Mistake(path, f"{key!r} is missing", f"add `{key}:` and one of: {every}")
    remedy = meant(str(given[key]), known)
    return Mistake((*path, key), f"no {key} is called {given[key]!r}", f"{remedy} (of: {every})")


def _ill_formed(file: File) -> Iterator[Mistake]:
    kinds: Mapping[str, type[msgspec.Struct]] = {"readers": ReaderKeys, "sensors": SensorKeys, "lamps": LampKeys}
    for section, kind in kinds.items():
        for name, given in getattr(file, section).items():
            try:
                keys: Any = msgspec.convert(_own(given, section), kind)
            except msgspec.ValidationError as error:
                from station.config.shape import plain  # noqa: PLC0415 - for mistaken files only

                reason, _, at = str(error).partition(" - at `$.")
                steps = [step for step in at.rstrip("`").replace("[", ".[").split(".") if step]
                place = tuple(int(step[1:-1]) if step.startswith("[") else step for step in steps)
                yield Mistake((section, name, *place), plain(reason.replace("Object", "the entry is")))
                continue
            numbers = keys.evses if isinstance(keys, ReaderKeys) else [keys.evse] if keys.evse is not None else []
            for number in numbers:
                if not 1 <= number <= len(file.evses):
                    where = "evses" if isinstance(keys, ReaderKeys) else "evse"
                    yield Mistake((section, name, where), f"no EVSE {number}", f"there are {len(file.evses)}")


def _used_twice(file: File) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for section in SECTIONS:
        for name in getattr(file, section):
            if name in seen:
                reason = f"{name!r} is also the name of one of the {seen[name]}"
                yield Mistake((section, name), reason, "give each device a name of its own")
            seen[name] = section


def references(file: File) -> Iterator[Mistake]:
    """Names in `evses` that no device has."""
    for place, evse in enumerate(file.evses):
        wanted = {"board": (board_of(evse).name, file.boards), "meter": (evse.meter, file.meters)}
        wanted["lock"] = (evse.lock, file.locks)
        for key, (name, known) in wanted.items():
            if name is not None and name not in known:
                yield Mistake(("evses", place, key), f"no {key} is called {name!r}", meant(name, known))
    if file.main_meter is not None and file.main_meter not in file.meters:
        yield Mistake(("main_meter",), f"no meter is called {file.main_meter!r}", meant(file.main_meter, file.meters))
