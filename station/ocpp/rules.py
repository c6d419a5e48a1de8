"""Judging a payload by the rules of one version: required fields, types, enumerations, lengths, ranges.

The rules are a generated table: object -> wire name -> rule.

    rule    = ["!"] ["[" span "] "] kind [" " span]       `!`: the field is required; `[1..4] `: a list of so many
    kind    = text | int | num | bool | time | any | name of an object or of an enumeration
    span    = low ".." high, either may be missing        of a text it is the length

There are two ways through the table. `accepts` lets msgspec check the text, by types that are built from the rules at
an object's first use; it is fast and says only yes or no. `examine` walks the plain document and names every mistake
with its path and its RPC error code. A "no" of the first asks the second, whose word counts: it also knows what is
tolerable, such as `1.0` for an integer, which JSON schema allows. Codes: part 4, table of RPC framework errors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import UNSET, Meta, UnsetType

from station.ocpp import codec
from station.ocpp.errors import ErrorCode

OPEN = "CustomDataType"
"""The only object that may hold fields of which the table does not know."""

INT_64 = (-(2**63), 2**63 - 1)
"""Every integer fits here: the schemas set no bound, the database does."""

UNBOUNDED = (-math.inf, math.inf)

ROOT = "$"


class Field(msgspec.Struct, frozen=True):
    """One field's rule, parsed. `low` and `high` bound a number's value or a text's length, `items` a list's length."""

    required: bool
    items: tuple[int, int | None] | None
    kind: str
    low: float | None
    high: float | None


class Mistake(msgspec.Struct, frozen=True):
    """Something that the version does not allow. `text` quotes no value.

    `where` is the way from the payload to the value; `rule` is `Object.field`; `cut` is the length to which a text that
    is too long would have to be cut.
    """

    where: tuple[str | int, ...]
    code: ErrorCode
    text: str
    rule: str
    cut: int | None = None
    unknown: bool = False

    @property
    def path(self) -> str:
        """The way to the value as a JSON path: `$.meterValue[0].timestamp`."""
        return ROOT + "".join(f"[{step}]" if isinstance(step, int) else f".{step[:50]}" for step in self.where)

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Judged(msgspec.Struct, frozen=True):
    """A document as far as it is allowed (unknown fields left out, `1.0` made 1), and what is wrong with it."""

    document: Any
    mistakes: list[Mistake]


class Rules:
    """The rules of one version.

    `lengths` lifts the limit of single fields (`Get15118EVCertificateResponse.exiResponse`), as a station may announce
    by OCPPCommCtrlr.FieldLength.
    """

    def __init__(
        self,
        objects: Mapping[str, Mapping[str, str]],
        enums: Mapping[str, str],
        lengths: Mapping[str, int] | None = None,
    ) -> None:
        self._objects = objects
        self._enums = enums
        self._lengths = lengths or {}
        self._fields: dict[str, dict[str, Field]] = {}
        self._shapes: dict[str, type] = {}
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}

    def has(self, name: str) -> bool:
        """Whether this version has an object or message of that name."""
        return name in self._objects

    def accepts(self, name: str, data: bytes | msgspec.Raw) -> bool:
        """Whether the text is such an object with nothing wrong and nothing unknown in it. "No" may be overcautious."""
        decoder = self._decoders.get(name)
        if decoder is None:
            decoder = self._decoders[name] = msgspec.json.Decoder(self._shape(name))
        try:
            decoder.decode(data)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def examine(self, name: str, document: Any) -> Judged:
        """All mistakes of a plain document, in the order of the rules; in each object the unknown fields come last."""
        if not isinstance(document, dict):
            return Judged(document, [Mistake((), ErrorCode.FORMAT_VIOLATION, "not an object", name)])
        walk = _Walk(self.fields, self._members)
        return Judged(walk.object(name, document, ()), walk.mistakes)

    def fields(self, name: str) -> dict[str, Field]:
        """The fields of an object, parsed at its first use."""
        known = self._fields.get(name)
        if known is None:
            known = {field: self._parsed(f"{name}.{field}", rule) for field, rule in self._objects[name].items()}
            self._fields[name] = known
        return known

    def _parsed(self, name: str, rule: str) -> Field:
        """A rule's text as a value."""
        rest = rule.removeprefix("!")
        items: tuple[int, int | None] | None = None
        if rest.startswith("["):
            inner, _, rest = rest[1:].partition("] ")
            least, most = _span(inner)
            items = (int(least or 0), None if most is None else int(most))
        kind, _, limits = rest.partition(" ")
        low, high = _span(limits)
        return Field(rule.startswith("!"), items, kind, low, self._lengths.get(name, high))

    def _members(self, enum: str) -> frozenset[str] | None:
        """The members of an enumeration, None if that is not one."""
        return frozenset(self._enums[enum].split()) if enum in self._enums else None

    # -------------------------------------------------------------------------------------------- types from rules

    def _shape(self, name: str) -> type:
        """A struct type that msgspec decodes only from what the rules allow."""
        shape = self._shapes.get(name)
        if shape is None:
            fields = [
                (field, kind) if rule.required else (field, Union[kind, UnsetType], UNSET)  # noqa: UP007 - Literals too
                for field, rule in self.fields(name).items()
                for kind in [self._annotation(rule)]
            ]
            shape = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=name != OPEN)
            self._shapes[name] = shape
        return shape

    def _annotation(self, rule: Field) -> Any:
        """The annotation of one field's values."""
        if rule.kind in self._enums:
            single: Any = Literal[tuple(self._enums[rule.kind].split())]
        elif rule.kind in self._objects:
            single = self._shape(rule.kind)
        else:
            single = _ANNOTATIONS[rule.kind](rule)
        if rule.items is None:
            return single
        return Annotated[list[single], Meta(min_length=rule.items[0], max_length=rule.items[1])]


def _span(text: str) -> tuple[float | None, float | None]:
    """The two ends of `1..4`, `0..`, `..36` or of an empty text."""
    low, _, high = text.partition("..")
    return (float(low) if low else None, float(high) if high else None)


_ANNOTATIONS: Mapping[str, Callable[[Field], Any]] = {
    "text": lambda rule: Annotated[str, Meta(max_length=None if rule.high is None else int(rule.high))],
    "int": lambda rule: Annotated[
        int,
        Meta(
            ge=INT_64[0] if rule.low is None else int(rule.low), le=INT_64[1] if rule.high is None else int(rule.high)
        ),
    ],
    "num": lambda rule: Annotated[float, Meta(ge=rule.low, le=rule.high)],
    "bool": lambda _: bool,
    "time": lambda _: datetime,
    "any": lambda _: Any,
}


class _Walk:
    """One walk over a plain document; collects the mistakes and gives back the cleaned document."""

    def __init__(
        self, fields: Callable[[str], dict[str, Field]], members: Callable[[str], frozenset[str] | None]
    ) -> None:
        self._fields = fields
        self._members = members
        self.mistakes: list[Mistake] = []

    def object(self, name: str, document: dict[str, Any], where: tuple[str | int, ...]) -> dict[str, Any]:
        """An object's allowed fields."""
        fields = self._fields(name)
        cleaned: dict[str, Any] = dict(document) if name == OPEN else {}
        for field, rule in fields.items():
            if field in document:
                cleaned[field] = self._value(f"{name}.{field}", rule, document[field], (*where, field))
            elif rule.required:
                self._wrong((*where, field), ErrorCode.OCCURRENCE_CONSTRAINT, "required", f"{name}.{field}")
        if name != OPEN:
            for field in document.keys() - fields.keys():
                mistake = Mistake((*where, field), ErrorCode.PROTOCOL_ERROR, "unknown field", name, unknown=True)
                self.mistakes.append(mistake)
        return cleaned

    def _value(self, name: str, rule: Field, value: Any, where: tuple[str | int, ...]) -> Any:
        """A field's value, one or a list."""
        if rule.items is None:
            return self._single(name, rule, value, where)
        if not isinstance(value, list):
            self._wrong(where, ErrorCode.TYPE_CONSTRAINT, "not a list", name)
            return value
        least, most = rule.items
        if len(value) < least:
            self._wrong(where, ErrorCode.OCCURRENCE_CONSTRAINT, f"fewer than {least} items", name)
        if most is not None and len(value) > most:
            self._wrong(where, ErrorCode.OCCURRENCE_CONSTRAINT, f"more than {most} items", name)
        return [self._single(name, rule, item, (*where, index)) for index, item in enumerate(value)]

    def _single(self, name: str, rule: Field, value: Any, where: tuple[str | int, ...]) -> Any:
        """One value: of a basic type, of an enumeration, or an object."""
        if check := _CHECKS.get(rule.kind):
            code, text, cut = check(rule, value)
        elif (members := self._members(rule.kind)) is not None:
            code, text, cut = _enum(members, value)
        elif isinstance(value, dict):
            return self.object(rule.kind, value, where)
        else:
            code, text, cut = ErrorCode.TYPE_CONSTRAINT, "not an object", None
        if code is not None:
            self._wrong(where, code, text, name, cut)
        return int(value) if rule.kind == "int" and code is None else value

    def _wrong(
        self, where: tuple[str | int, ...], code: ErrorCode, text: str, rule: str, cut: int | None = None
    ) -> None:
        self.mistakes.append(Mistake(where, code, text, rule, cut))


Verdict = tuple[ErrorCode | None, str, int | None]

FINE: Verdict = (None, "", None)


def _type_mistake(text: str) -> Verdict:
    return ErrorCode.TYPE_CONSTRAINT, text, None


def _property_mistake(text: str, cut: int | None = None) -> Verdict:
    return ErrorCode.PROPERTY_CONSTRAINT, text, cut


def _enum(members: frozenset[str], value: Any) -> Verdict:
    if not isinstance(value, str):
        return _type_mistake("not a text")
    return FINE if value in members else _property_mistake("not one of the values allowed")


def _text(rule: Field, value: Any) -> Verdict:
    if not isinstance(value, str):
        return _type_mistake("not a text")
    if rule.high is not None and len(value) > rule.high:
        return _property_mistake(f"longer than {rule.high:g} characters", int(rule.high))
    return FINE


def _number(rule: Field, value: Any, *, whole: bool) -> Verdict:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _type_mistake("not an integer" if whole else "not a number")
    if whole and isinstance(value, float) and not value.is_integer():
        return _type_mistake("not an integer")
    bounds = INT_64 if whole else UNBOUNDED
    low = bounds[0] if rule.low is None else rule.low
    high = bounds[1] if rule.high is None else rule.high
    if not low <= value <= high:
        return _property_mistake("out of range")
    return FINE


def _bool(_: Field, value: Any) -> Verdict:
    return FINE if isinstance(value, bool) else _type_mistake("neither true nor false")


def _time(_: Field, value: Any) -> Verdict:
    if not isinstance(value, str):
        return _type_mistake("not a text")
    try:
        codec.instant(value)
    except ValueError as error:
        return _property_mistake(str(error))
    return FINE


_CHECKS: Mapping[str, Callable[[Field, Any], Verdict]] = {
    "text": _text,
    "int": functools.partial(_number, whole=True),
    "num": functools.partial(_number, whole=False),
    "bool": _bool,
    "time": _time,
    "any": lambda _rule, _value: FINE,
}
