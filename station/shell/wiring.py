"""Which hardware a station has and what it belongs to, as plain values. Made from the configuration by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from station.shell.guards import Guard


class BusEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that several drivers share: a wire, or a simulated world."""

    name: str
    kind: str
    options: Mapping[str, Any] = {}


class DeviceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One driver. `kind` and `driver` as in `hal.registry`; names are unique in a station."""

    name: str
    kind: str
    driver: str
    options: Mapping[str, Any] = {}


class EvseEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The hardware of one EVSE, by the names of devices. `lock`: only a lock that is a device of its own."""

    evse_id: int
    board: str
    channel: int = 1
    connectors: int = 1
    meter: str | None = None
    lock: str | None = None


class ReaderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A reader, and the EVSEs it serves."""

    device: str
    evse_ids: tuple[int, ...]


class LampEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A lamp, and the EVSE that it stands for."""

    device: str
    evse_id: int


class SensorEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor, and the variable of the device model that it feeds."""

    device: str
    component: str
    variable: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    variable_instance: str | None = None
    period_s: float = 60.0
    """How often a sensor that does not tell its changes is read."""
    guard: Guard | None = None
    """The fault that it means."""


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """All hardware of one station."""

    devices: tuple[DeviceEntry, ...]
    evses: tuple[EvseEntry, ...]
    buses: tuple[BusEntry, ...] = ()
    readers: tuple[ReaderEntry, ...] = ()
    sensors: tuple[SensorEntry, ...] = ()
    displays: tuple[str, ...] = ()
    lamps: tuple[LampEntry, ...] = ()
    main_meter: str | None = None
    idle_period_s: float = 60.0
    """How often a meter is read that nobody asks."""
