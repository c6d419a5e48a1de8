"""The device model of one station: components, their variables, and the rules for reading and setting them.

Holds values in memory; `storage.py` keeps those that must survive. Nothing here sends, stores or tells: a change is
returned as a value, so that a block can check guards before it and make a fact of it after. Part 1 chapter 4, B05, B06.
Invariant: a value of a writable attribute has passed `values.check`; a measured one is taken as it is (part 1, 4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from device_model import values
from device_model.values import Characteristics, Flaw, Refused


class AttributeType(StrEnum):
    """Which of a variable's values is meant; Actual when none is named."""

    ACTUAL = "Actual"
    TARGET = "Target"
    MIN_SET = "MinSet"
    MAX_SET = "MaxSet"


class Mutability(StrEnum):
    """Whether the CSMS may read and write an attribute."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class ComponentId(NamedTuple):
    """The name of a component: its tier is told by `evse_id` and `connector_id` (part 1, 4.1).

    An absent instance is the empty text. Compare with `key`, not with ==: names match without regard to case.
    """

    name: str
    instance: str = ""
    evse_id: int | None = None
    connector_id: int | None = None

    @property
    def key(self) -> ComponentKey:
        """What two ids of the same component have in common. EVSE 0 is the station itself (part 1, 7.1)."""
        return (self.name.casefold(), self.instance.casefold(), self.evse_id or None, self.connector_id)


class VariableId(NamedTuple):
    """The name of a variable within its component; an absent instance is the empty text."""

    name: str
    instance: str = ""

    @property
    def key(self) -> VariableKey:
        """What two ids of the same variable have in common."""
        return self.name.casefold(), self.instance.casefold()


ComponentKey = tuple[str, str, int | None, int | None]
VariableKey = tuple[str, str]


class Attribute(msgspec.Struct, gc=False):
    """One value of a variable and the rules for it (VariableAttributeType).

    `value` is None while unset. `initial` is what the catalogue or the station's file gives: a reset returns to it, and
    only what differs from it is stored. A `secret` value never shows in a repr.
    """

    type: AttributeType = AttributeType.ACTUAL
    mutability: Mutability = Mutability.READ_ONLY
    persistent: bool = False
    constant: bool = False
    secret: bool = False
    initial: str | None = None
    value: str | None = None

    @property
    def writable(self) -> bool:
        """Whether the CSMS may set it."""
        return self.mutability is not Mutability.READ_ONLY

    @property
    def readable(self) -> bool:
        """Whether the CSMS may see its value."""
        return self.mutability is not Mutability.WRITE_ONLY

    def __repr__(self) -> str:
        shown = "***" if self.secret and self.value is not None else self.value
        return f"Attribute({self.type.value}, {self.mutability.value}, {shown!r})"


class Variable(msgspec.Struct, gc=False):
    """A variable of one component, with one to four attributes, each type at most once."""

    component: ComponentId
    id: VariableId
    characteristics: Characteristics
    attributes: tuple[Attribute, ...]
    reboot_required: bool = False

    def attribute(self, type_: AttributeType = AttributeType.ACTUAL) -> Attribute | None:
        """The attribute of that type, None if the variable does not support it."""
        for one in self.attributes:
            if one.type is type_:
                return one
        return None

    @property
    def actual(self) -> str | None:
        """The value of Actual, None while unset or unsupported."""
        return found.value if (found := self.attribute()) is not None else None


class Status(StrEnum):
    """The answer to reading or setting one attribute, spelt as GetVariableStatusEnumType and its twin for setting."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    NOT_SUPPORTED_ATTRIBUTE_TYPE = "NotSupportedAttributeType"
    REBOOT_REQUIRED = "RebootRequired"


class Got(msgspec.Struct, frozen=True, gc=False):
    """What GetVariables answers for one element; `value` is None unless accepted (B06.FR.06-09)."""

    status: Status
    value: str | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why an attribute cannot be set: the flaw of the value, none if names are wrong or it is read-only (B05.FR.09)."""

    status: Status
    flaw: Flaw | None = None
    detail: str = ""


class Settable(msgspec.Struct, frozen=True, gc=False):
    """A set that has passed all checks of the model, not yet done; guards of blocks may look at it."""

    variable: Variable
    attribute: Attribute
    value: str

    def __repr__(self) -> str:
        shown = "***" if self.attribute.secret else repr(self.value)
        return f"Settable({describe(self.variable)}, {self.attribute.type.value}, {shown})"


class Change(msgspec.Struct, frozen=True, gc=False):
    """An attribute took another value (or was set to the one it had: then `old` equals `new`)."""

    variable: Variable
    attribute: Attribute
    old: str | None
    new: str | None

    @property
    def status(self) -> Status:
        """What SetVariables answers (B05.FR.10; B10.FR.01 for those that act after a reboot)."""
        changed = self.variable.reboot_required and self.old != self.new
        return Status.REBOOT_REQUIRED if changed else Status.ACCEPTED

    def __repr__(self) -> str:
        new = "***" if self.attribute.secret else repr(self.new)
        return f"Change({describe(self.variable)}, {self.attribute.type.value}, {new})"


class UnknownVariableError(LookupError):
    """A part of the agent asked for a variable that neither the model nor the catalogue has: a bug of the asker."""


_Bucket = dict[VariableKey, Variable]
Default = Callable[[str, str, str], str | None]


def _no_default(component: str, variable: str, instance: str) -> None:
    del component, variable, instance


class DeviceModel:
    """All components and variables of one station.

    `default(component, variable, instance)` answers typed questions about variables that this station does not have, so
    that a block need not know which features were built; it gives None for what the catalogue does not know.
    """

    def __init__(self, variables: Iterable[Variable] = (), default: Default = _no_default) -> None:
        self._components: dict[ComponentKey, _Bucket] = {}
        self._ids: dict[ComponentKey, ComponentId] = {}
        self._exact: dict[tuple[ComponentId, VariableId], Variable] = {}
        """By the names as they are spelt here, which is how nearly everybody spells them."""
        self._fallback = lru_cache(maxsize=256)(default)
        self._asked: dict[tuple[str | ComponentId, str, str], Attribute | None] = {}
        """What typed questions were asked about, and where its value is; None for what the station lacks."""
        self.settings = 0
        """Grows whenever anything but a measured value (`measure`) may have changed."""
        for variable in variables:
            self.add(variable)

    # -- looking up

    def __iter__(self) -> Iterator[Variable]:
        """All variables, component by component, in the order they were added."""
        for bucket in self._components.values():
            yield from bucket.values()

    def __len__(self) -> int:
        return sum(map(len, self._components.values()))

    def components(self) -> Iterator[tuple[ComponentId, Mapping[VariableKey, Variable]]]:
        """Each component with its variables, in the order they were added."""
        for key, bucket in self._components.items():
            yield self._ids[key], bucket

    def has(self, component: ComponentId) -> bool:
        """Whether the component is there."""
        return component.key in self._components

    def add(self, variable: Variable) -> None:
        """Add a variable and, if need be, its component. Raises ValueError if it is there already."""
        component, id_ = variable.component, variable.id
        key, id_key = component.key, id_.key
        bucket = self._components.setdefault(key, {})
        if id_key in bucket:
            raise ValueError(f"{describe(variable)} is there twice")
        self._ids.setdefault(key, component)
        bucket[id_key] = variable
        self._exact[component, id_] = variable
        self._asked.clear()
        self.settings += 1

    def remove(self, component: ComponentId) -> None:
        """Remove a component with all its variables; nothing happens if it is not there."""
        self._components.pop(component.key, None)
        self._ids.pop(component.key, None)
        self._exact = {(each.component, each.id): each for each in self}
        self._asked.clear()
        self.settings += 1

    def find(self, component: ComponentId, variable: VariableId) -> Variable | Status:
        """The variable, or which of the two names is unknown.

        An instance left out means the one without an instance, and no other (B06.FR.14, B06.FR.15).
        """
        exact = self._exact.get((component, variable))
        if exact is not None:
            return exact
        bucket = self._components.get(component.key)
        if bucket is None:
            return Status.UNKNOWN_COMPONENT
        return bucket.get(variable.key) or Status.UNKNOWN_VARIABLE

    # -- as the CSMS sees it

    def get(self, component: ComponentId, variable: VariableId, attribute: AttributeType = AttributeType.ACTUAL) -> Got:
        """What GetVariables answers for one attribute (B06.FR.06-10, B06.FR.13: unset is the empty text)."""
        found = self._exact.get((component, variable)) or self.find(component, variable)
        if isinstance(found, Status):
            return Got(found)
        for holder in found.attributes:
            if holder.type is attribute:
                if holder.mutability is Mutability.WRITE_ONLY:
                    return Got(Status.REJECTED)
                return Got(Status.ACCEPTED, holder.value or "")
        return Got(Status.NOT_SUPPORTED_ATTRIBUTE_TYPE)

    def check_set(
        self, component: ComponentId, variable: VariableId, value: str, attribute: AttributeType = AttributeType.ACTUAL
    ) -> Settable | Refusal:
        """Whether the CSMS may set that value; nothing is changed.

        In the order of B05.FR.04 to B05.FR.09: names, attribute, form, range, mutability.
        """
        found = self.find(component, variable)
        if isinstance(found, Status):
            return Refusal(found)
        holder = found.attribute(attribute)
        if holder is None:
            return Refusal(Status.NOT_SUPPORTED_ATTRIBUTE_TYPE)
        checked = values.check(value, found.characteristics)
        if isinstance(checked, str):
            checked = _within_set_points(found, holder, checked) or checked
        if isinstance(checked, Refused):
            return Refusal(Status.REJECTED, checked.flaw, checked.detail)
        if not holder.writable:
            return Refusal(Status.REJECTED, None, "read-only")
        return Settable(found, holder, checked)

    def apply(self, settable: Settable) -> Change:
        """Do what `check_set` allowed."""
        self.settings += 1
        return _set(settable.variable, settable.attribute, settable.value)

    def set_by_csms(
        self, component: ComponentId, variable: VariableId, value: str, attribute: AttributeType = AttributeType.ACTUAL
    ) -> Change | Refusal:
        """`check_set` and `apply` in one, for variables that no guard watches."""
        checked = self.check_set(component, variable, value, attribute)
        return self.apply(checked) if isinstance(checked, Settable) else checked

    # -- as the station sees it

    def set_by_station(
        self, component: ComponentId, variable: VariableId, value: str, attribute: AttributeType = AttributeType.ACTUAL
    ) -> Change | None:
        """Set what the station measured or decided; None if the value was the same.

        Mutability and limits are not asked (part 1, 4.3: a measured value is reported even out of range), only the
        form; the empty text means "cannot be read". Raises UnknownVariableError, or ValueError for a text that is no
        value of the data type.
        """
        found = self.find(component, variable)
        holder = found.attribute(attribute) if isinstance(found, Variable) else None
        if isinstance(found, Status) or holder is None:
            raise UnknownVariableError(f"{component} {variable} {attribute.value}: {found}")
        self.settings += 1
        return measured(found, holder, value)

    def measure(self, component: ComponentId, variable: VariableId, value: str) -> Change | None:
        """`set_by_station` for a live value, some of which only few stations have; None also where it is unknown."""
        found = self.find(component, variable)
        holder = found.attribute() if isinstance(found, Variable) else None
        if isinstance(found, Status) or holder is None:
            return None
        return measured(found, holder, value)

    def restore(self, stored: Iterable[tuple[Variable, Attribute, str]] = ()) -> None:
        """All persistent attributes back to their initial values, then those of `stored`: the way of every boot."""
        self.settings += 1
        for variable in self:
            for holder in variable.attributes:
                if holder.persistent:
                    holder.value = holder.initial
        for _, holder, value in stored:
            holder.value = value

    # -- typed questions of blocks

    def text(self, component: str | ComponentId, variable: str, instance: str = "") -> str:
        """The value of Actual; the catalogue's default where it is unset or the station lacks the variable.

        Raises UnknownVariableError if the catalogue does not know it either.
        """
        asked = (component, variable, instance)
        found = self._asked[asked] if asked in self._asked else self._ask(component, variable, instance)
        if found is not None and found.value is not None:
            return found.value
        name = component if isinstance(component, str) else component.name
        default = self._fallback(name, variable, instance)
        if default is None:
            if found is not None:
                return ""
            raise UnknownVariableError(f"{name}.{variable}[{instance}]")
        return default

    def integer(self, component: str | ComponentId, variable: str, instance: str = "") -> int:
        """The integer value, by the rules of `text`; 0 if unset without a default."""
        return values.integer(self.text(component, variable, instance)) or 0

    def decimal(self, component: str | ComponentId, variable: str, instance: str = "") -> float:
        """The decimal value, by the rules of `text`; 0 if unset without a default."""
        return values.decimal(self.text(component, variable, instance)) or 0.0

    def boolean(self, component: str | ComponentId, variable: str, instance: str = "") -> bool:
        """The boolean value, by the rules of `text`; false if unset without a default."""
        return self.text(component, variable, instance) == "true"

    def members(self, component: str | ComponentId, variable: str, instance: str = "") -> tuple[str, ...]:
        """The members of a list in their order, by the rules of `text`."""
        return values.members(self.text(component, variable, instance))

    def _ask(self, component: str | ComponentId, variable: str, instance: str) -> Attribute | None:
        id_ = ComponentId(component) if isinstance(component, str) else component
        found = self.find(id_, VariableId(variable, instance))
        answer = found.attribute() if isinstance(found, Variable) else None
        self._asked[component, variable, instance] = answer
        return answer


def describe(variable: Variable) -> str:
    """The full name of a variable for people: Component[instance]@evse.connector.Variable[instance]."""
    component, id_ = variable.component, variable.id
    tier = "" if component.evse_id is None else f"@{component.evse_id}"
    tier += "" if component.connector_id is None else f".{component.connector_id}"
    instance = f"[{component.instance}]" if component.instance else ""
    return f"{component.name}{instance}{tier}.{id_.name}" + (f"[{id_.instance}]" if id_.instance else "")


def measured(variable: Variable, holder: Attribute, value: str) -> Change | None:
    """Take a value for what the caller has found; None if it was the same.

    Raises ValueError for a text that is no value of the data type.
    """
    if value == holder.value:
        return None
    taken = values.normalise(value, variable.characteristics) if value else ""
    if isinstance(taken, Refused):
        raise ValueError(f"{describe(variable)}: {taken.detail}")  # noqa: TRY004 - the text is wrong, not its type
    return _set(variable, holder, taken) if taken != holder.value else None


def _set(variable: Variable, holder: Attribute, value: str | None) -> Change:
    old, holder.value = holder.value, value
    return Change(variable, holder, old, value)


def _within_set_points(variable: Variable, holder: Attribute, value: str) -> Refused | None:
    """Target lies between MinSet and MaxSet, and MinSet not above MaxSet (part 1, 4.3)."""
    number = values.decimal(value) if variable.characteristics.numeric else None
    if number is None or holder.type is AttributeType.ACTUAL:
        return None
    low = _number(variable, AttributeType.MIN_SET) if holder.type is not AttributeType.MIN_SET else None
    high = _number(variable, AttributeType.MAX_SET) if holder.type is not AttributeType.MAX_SET else None
    if low is not None and number < low:
        return Refused(Flaw.BELOW_MIN_SET, f"below MinSet {low:g}")
    if high is not None and number > high:
        return Refused(Flaw.ABOVE_MAX_SET, f"above MaxSet {high:g}")
    return None


def _number(variable: Variable, type_: AttributeType) -> float | None:
    holder = variable.attribute(type_)
    return values.decimal(holder.value) if holder is not None and holder.value else None
