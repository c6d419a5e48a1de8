"""Valid documents of every message, and every way to spoil one, made from the official schemas alone.

`document` builds a valid payload, `walk` names every place in it with the schema that rules there, and `spoiled` gives
for each constraint at each place one document that breaks it, with the RPC error code that this deserves. Nothing here
knows the station's own rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from station.ocpp.errors import ErrorCode
from tests import schema

Path = tuple[str | int, ...]
Schema = dict[str, Any]
Size = Literal["least", "most"]

OPEN = "CustomDataType"

SAMPLES: Mapping[str, tuple[Any, Any]] = {  # what stands in a document of the least and of the most size
    "integer": (-7, 4096),
    "number": (-1, 231.25),
    "boolean": (False, True),
}
INSTANTS = ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.125Z")
ANYTHING: Any = {"note": ["ä", 1, None, {"deep": True}]}

WRONG_TYPE: Mapping[str, list[Any]] = {
    "string": [12, True, None, ["text"], {"text": "text"}],
    "integer": ["12", True, None, 1.5, [1]],
    "number": ["1.5", True, None, [1.5]],
    "boolean": ["true", 1, None, []],
    "array": ["text", None, {"0": {}}],
    "object": ["text", 12, None, []],
}


class Place(NamedTuple):
    """A value's place in a document, and what the schema says about it. `owner` is the object that has the field."""

    path: Path
    owner: str
    field: str
    spec: Schema
    required: bool


class Spoiled(NamedTuple):
    """A document with exactly one mistake, and the code it must be refused with."""

    label: str
    document: Any
    code: ErrorCode


class Schemas(NamedTuple):
    """One message's schema: the object itself and the definitions that it refers to."""

    message: str
    root: Schema

    def named(self, spec: Schema) -> tuple[str, Schema]:
        """(name, schema) of what a property refers to; of a basic type the property itself."""
        name = str(spec.get("$ref", "")).rpartition("/")[2]
        return (name, self.root["definitions"][name]) if name else ("", spec)


def schemas(message: str, version: schema.Version = "v201") -> Schemas:
    """The official schema of a message."""
    return Schemas(message, schema.load(message, version))


def document(message: str, size: Size, *, turn: int = 0) -> Any:
    """A valid payload: of the least size with the required fields alone, of the most with all of them, full length.

    `turn` chooses among the members of the enumerations.
    """
    given = schemas(message)
    return _object(given, message, given.root, size, turn)


def _object(given: Schemas, name: str, spec: Schema, size: Size, turn: int) -> Any:
    required = spec.get("required", ())
    fields = spec.get("properties", {})
    made = {field: _value(given, fields[field], size, turn) for field in fields if size == "most" or field in required}
    return {**made, "extra": ANYTHING} if name == OPEN and size == "most" else made


def _value(given: Schemas, spec: Schema, size: Size, turn: int) -> Any:
    name, spec = given.named(spec)
    most = size == "most"
    if "enum" in spec:
        return spec["enum"][turn % len(spec["enum"])]
    kind = spec.get("type")
    if kind == "object":
        return _object(given, name, spec, size, turn)
    if kind == "array":
        count = min(spec.get("maxItems", 2), 2) if most else spec.get("minItems", 0)
        return [_value(given, spec["items"], size, turn + index) for index in range(count)]
    if kind == "string":
        if spec.get("format") == "date-time":
            return INSTANTS[most]
        return "€" * spec.get("maxLength", 40) if most else ""
    if kind is None:
        return ANYTHING
    low, high = spec.get("minimum"), spec.get("maximum")
    if most:
        return SAMPLES[kind][1] if high is None else high
    return SAMPLES[kind][0] if low is None else low


def walk(given: Schemas, document: Any) -> Iterator[Place]:
    """Every place of a document, lists and their items both."""
    yield from _walk(given, given.message, given.root, document, ())


def _walk(given: Schemas, owner: str, spec: Schema, document: Any, path: Path) -> Iterator[Place]:
    for field, inner in spec.get("properties", {}).items():
        if field in document:
            required = field in spec.get("required", ())
            yield from _at(given, Place((*path, field), owner, field, inner, required), document[field])


def _at(given: Schemas, place: Place, value: Any) -> Iterator[Place]:
    name, spec = given.named(place.spec)
    yield place._replace(spec=spec)
    if spec.get("type") == "object":
        yield from _walk(given, name, spec, value, place.path)
    if spec.get("type") == "array" and value:
        item = Place((*place.path, 0), place.owner, place.field, spec["items"], required=False)
        yield from _at(given, item, value[0])


def at(document: Any, path: Path) -> Any:
    """The value at a place."""
    for step in path:
        document = document[step]
    return document


def changed(document: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """The document with the value at a place replaced; the original stays as it is."""
    if not path:
        return change(document)
    step, *rest = path
    copy: Any = list(document) if isinstance(document, list) else dict(document)
    copy[step] = changed(document[step], tuple(rest), change)
    return copy


def spoiled(message: str) -> Iterator[Spoiled]:
    """One document for each constraint at each place of a full document, each with exactly one mistake."""
    given = schemas(message)
    full = document(message, "most")
    for place in walk(given, full):
        for label, code, change in _ways(place):
            if label == "required":
                broken = changed(full, place.path[:-1], _without(place.field))
            else:
                broken = changed(full, place.path, change)
            yield Spoiled(f"{'.'.join(map(str, place.path))}: {label}", broken, code)


Way = tuple[str, ErrorCode, Callable[[Any], Any]]


def _ways(place: Place) -> Iterator[Way]:
    """The constraints of one place, and what breaks each."""
    spec = place.spec
    if place.required:
        yield "required", ErrorCode.OCCURRENCE_CONSTRAINT, lambda value: value
    for wrong in WRONG_TYPE[spec["type"]] if "type" in spec else ():
        yield f"type {wrong!r}", ErrorCode.TYPE_CONSTRAINT, to(wrong)
    if "enum" in spec:
        yield "enum", ErrorCode.PROPERTY_CONSTRAINT, to("NoSuchMember")
        yield "enum case", ErrorCode.PROPERTY_CONSTRAINT, lambda value: value.swapcase()
    if "maxLength" in spec:
        yield "maxLength", ErrorCode.PROPERTY_CONSTRAINT, lambda value: value + "x"
    if spec.get("format") == "date-time":
        yield "date-time", ErrorCode.PROPERTY_CONSTRAINT, to("yesterday")
    if "minItems" in spec:
        yield "minItems", ErrorCode.OCCURRENCE_CONSTRAINT, lambda value: value[: spec["minItems"] - 1]
    if "maxItems" in spec:
        yield "maxItems", ErrorCode.OCCURRENCE_CONSTRAINT, lambda value: [value[0]] * (spec["maxItems"] + 1)
    if "minimum" in spec:
        yield "minimum", ErrorCode.PROPERTY_CONSTRAINT, to(int(spec["minimum"]) - 1)
    if "maximum" in spec:
        yield "maximum", ErrorCode.PROPERTY_CONSTRAINT, to(int(spec["maximum"]) + 1)


def to(value: Any) -> Callable[[Any], Any]:
    """A change to this value."""
    return lambda _: value


def _without(field: str) -> Callable[[Any], Any]:
    """A change that takes a field away."""
    return lambda value: {name: inner for name, inner in value.items() if name != field}
