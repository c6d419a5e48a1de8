"""Inventories and custom reports of a device model, page by page (B07, B08).

Pure: picks and orders, renders nothing. The set of variables is fixed when a report is asked for; their values are read
when a page is made, so that a report that takes minutes to deliver does not tell what is long past.
Invariant: no entry holds more than four attributes, and a variable appears once in a report.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from device_model.model import Attribute, DeviceModel, Variable, VariableKey


class Base(StrEnum):
    """The reports that need no filter (ReportBaseEnumType)."""

    CONFIGURATION = "ConfigurationInventory"
    FULL = "FullInventory"
    SUMMARY = "SummaryInventory"


class Criterion(StrEnum):
    """Which components are wanted (ComponentCriterionEnumType); the value names the variable that tells."""

    ACTIVE = "Active"
    AVAILABLE = "Available"
    ENABLED = "Enabled"
    PROBLEM = "Problem"


class Filter(msgspec.Struct, frozen=True, gc=False):
    """One element of componentVariable; what is left out (None, or an empty instance) stands for all there are."""

    component: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    variable: str | None = None
    variable_instance: str | None = None


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One variable in a report, with those of its attributes that belong into it."""

    variable: Variable
    attributes: tuple[Attribute, ...]


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """What fits into one message of a report; `last` is false while more follows (`tbc`)."""

    entries: tuple[T, ...]
    last: bool


_TIERS = frozenset({"chargingstation", "evse", "connector"})
_ABNORMAL = frozenset({"problem", "tripped", "overload", "fallback"})


def reported_value(attribute: Attribute) -> str | None:
    """The value as a report shows it: empty while unset, none at all if it is write-only (B07.FR.03, B08.FR.03)."""
    return (attribute.value or "") if attribute.readable else None


def base_report(model: DeviceModel, base: Base) -> Iterator[Entry]:
    """The entries of a base report (B07.FR.07, B07.FR.08, B07.FR.09)."""
    return _BASES[base](tuple(model))


def custom_report(
    model: DeviceModel, criteria: Collection[Criterion] = (), filters: Sequence[Filter] = ()
) -> Iterator[Entry]:
    """The entries of a custom report (B08); of everything if neither criteria nor filters are given.

    Criteria are combined by OR, a component that lacks the variable meets all but Problem (B08.FR.07-10, B08.FR.13).
    Filters limit what is reported of the components that meet the criteria (B08.FR.05). Criteria alone report each such
    component by the variable that meets the criterion, as TC_B_16_CS wants; one that lacks it, by its Available.
    """
    if filters:
        return map(_whole, tuple(_filtered(model, criteria, filters)))
    if criteria:
        return map(_whole, tuple(_telling(model, criteria)))
    return map(_whole, tuple(model))


def pages(entries: Iterable[T], max_items: int, max_bytes: int, size_of: Callable[[T], int]) -> Iterator[Page[T]]:
    """The entries in pages of at most `max_items` and `max_bytes` (as `size_of` counts), made one by one.

    An entry above `max_bytes` has a page of its own. No entries, no page.
    """
    taken: list[T] = []
    room = max_bytes
    for entry in entries:
        size = size_of(entry)
        if taken and (len(taken) >= max_items or size > room):
            yield Page(tuple(taken), last=False)
            taken, room = [], max_bytes
        taken.append(entry)
        room -= size
    if taken:
        yield Page(tuple(taken), last=True)


def means(one: Filter, variable: Variable) -> bool:
    """Whether a filter means this variable (B08.FR.20-25, N02.FR.16-21)."""
    name, instance, evse_id, connector_id = variable.component.key
    stands = one.component.casefold() == name and _stands_at(one, instance, evse_id, connector_id)
    return stands and _names(one, *variable.id.key)


def _whole(variable: Variable) -> Entry:
    return Entry(variable, variable.attributes)  # B07.FR.11: all attribute types, also unset ones


def _full(variables: tuple[Variable, ...]) -> Iterator[Entry]:
    return map(_whole, variables)


def _configuration(variables: tuple[Variable, ...]) -> Iterator[Entry]:
    for variable in variables:
        writable = tuple(one for one in variable.attributes if one.writable)
        if writable:
            yield Entry(variable, writable)


def _summary(variables: tuple[Variable, ...]) -> Iterator[Entry]:
    for variable in variables:
        name = variable.id.name.casefold()
        if name == "availabilitystate":
            if variable.component.name.casefold() in _TIERS:
                yield _whole(variable)
        elif name in _ABNORMAL and variable.actual == "true":
            yield _whole(variable)


_BASES: Mapping[Base, Callable[[tuple[Variable, ...]], Iterator[Entry]]] = {
    Base.CONFIGURATION: _configuration,
    Base.FULL: _full,
    Base.SUMMARY: _summary,
}


def _filtered(model: DeviceModel, criteria: Collection[Criterion], filters: Sequence[Filter]) -> Iterator[Variable]:
    wanted: dict[str, list[Filter]] = {}
    for one in filters:
        wanted.setdefault(one.component.casefold(), []).append(one)
    for id_, bucket in model.components():
        near = [one for one in wanted.get(id_.name.casefold(), ()) if _stands_at(one, *id_.key[1:])]
        if not near or (criteria and not any(_meets(bucket, criterion) for criterion in criteria)):
            continue
        for (name, instance), variable in bucket.items():
            if any(_names(one, name, instance) for one in near):
                yield variable


def _stands_at(one: Filter, instance: str, evse_id: int | None, connector_id: int | None) -> bool:
    """Whether a component of the right name is meant (B08.FR.22-25)."""
    return (
        (not one.instance or one.instance.casefold() == instance)
        and (not one.evse_id or one.evse_id == evse_id)
        and (one.connector_id is None or one.connector_id == connector_id)
    )


def _names(one: Filter, name: str, instance: str) -> bool:
    """Whether a variable of the right component is meant (B08.FR.20, B08.FR.21)."""
    if one.variable is None:
        return True
    return one.variable.casefold() == name and (
        not one.variable_instance or one.variable_instance.casefold() == instance
    )


def _meets(bucket: Mapping[VariableKey, Variable], criterion: Criterion) -> bool:
    asked = _asked(bucket, criterion)
    if not asked:
        return criterion is not Criterion.PROBLEM
    return any(variable.actual == "true" for variable in asked)


def _asked(bucket: Mapping[VariableKey, Variable], criterion: Criterion) -> list[Variable]:
    """The variables, one or one for each instance, that tell whether a component meets the criterion."""
    name = criterion.value.casefold()
    plain = bucket.get((name, ""))
    return [plain] if plain is not None else [one for key, one in bucket.items() if key[0] == name]


def _telling(model: DeviceModel, criteria: Collection[Criterion]) -> Iterator[Variable]:
    for _, bucket in model.components():
        told: list[Variable] = []
        for criterion in criteria:
            if _meets(bucket, criterion):
                asked = _asked(bucket, criterion) or _asked(bucket, Criterion.AVAILABLE)
                told += [one for one in asked if one.actual == "true" and one not in told]
        yield from told
