"""Bytes <-> typed messages, apart from any version: what JSON is, how an instant and a decimal number are written.

Structure only; whether a version allows a message is asked of its speaker. Two ways lead out: `render` for the wire and
the queue (instants end in `Z` with at most three decimals, numbers carry no artefacts of binary arithmetic), `dump`
for what is told in no version's words (nothing is lost: microseconds stay). Both kinds of text are read by `load`.

Invariant: every instant in a loaded message is aware and in UTC.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from station.ocpp.base import DataType

T = TypeVar("T", bound=DataType)

_WHOLE = 1e12
# Twelve significant digits: a thousandth of a watt-hour at a gigawatt-hour, and 0.1 + 0.2 is 0.3.
NUMBER = ".12g"


def dump(message: DataType) -> bytes:
    """The message as our store keeps it: JSON with the wire's names, every instant in full precision."""
    return msgspec.json.encode(message)


def render(message: DataType) -> bytes:
    """The message as it travels: instants `2026-03-01T12:00:00Z` or with milliseconds, `0.1 + 0.2` as `0.3`."""
    return msgspec.json.encode(_changed(message, _WRITE))


def load(kind: type[T], data: bytes | msgspec.Raw) -> T:
    """A typed message of `dump`'s or `render`'s text. Unknown fields are passed over.

    Raises ValueError if the text is not JSON or does not have the structure; its text quotes no value.
    """
    try:
        message: T = _decoder(kind).decode(data)
        return _changed(message, _READ)
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def restored(kind: type[T], data: bytes) -> T:
    """A typed message of a text of ours, whose instants are in UTC as they stand. Raises ValueError like `load`."""
    try:
        message: T = _decoder(kind).decode(data)
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        raise ValueError(f"{kind.__name__}: {error}") from error
    return message


def told_offline(text: bytes) -> bytes:
    """The text of a message, none of whose fields is `offline`, with that field."""
    return text[:-1] + b',"offline":true}'


def shifted(message: T, by: timedelta) -> T:
    """The message with all its instants moved, for a clock that was found wrong after the message was made."""
    return _changed(message, _Fixes(_Shift(by)))


def convert(kind: type[T], document: Any) -> T:
    """A typed message of a plain document, as `plain` gives it. Raises ValueError like `load`."""
    try:
        return _changed(msgspec.convert(document, kind), _READ)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def plain(data: bytes | msgspec.Raw) -> Any:
    """The text's plain document: dicts, lists and scalars. Raises ValueError if it is not JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def instant(text: str) -> datetime:
    """A dateTime of the wire; without a zone it is UTC. Raises ValueError if it is none, or before year 1 in UTC."""
    try:
        return _in_utc(msgspec.convert(text, datetime))
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError("not a dateTime (RFC 3339)") from error


def instant_text(value: datetime) -> str:
    """An instant as it is written on the wire: UTC, `Z`, milliseconds only if there are any."""
    return _utc_text(value if value.tzinfo is UTC else _in_utc(value))


@functools.lru_cache(maxsize=16)
def _utc_text(moment: datetime) -> str:
    """Of an instant in UTC. What is read at one moment is told of several EVSEs, and twice in each event."""
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds")  # noqa: PLR2004 - one
    return text.removesuffix("+00:00") + "Z"


def number(value: float) -> float:
    """A number as it is written on the wire: 12 significant digits, whole numbers as integers, integers as they are."""
    if type(value) is int:
        return value
    if -_WHOLE < value < _WHOLE and value.is_integer():
        return int(value)
    short = float(format(value, NUMBER))
    if short.is_integer():
        return int(short)
    return value if short == value else short  # the same object says that nothing changed


def _in_utc(value: datetime) -> datetime:
    """The same instant in UTC. Raises OverflowError at the ends of the calendar."""
    if value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@functools.cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """One decoder a type, built at its first message."""
    return msgspec.json.Decoder(kind)


# ------------------------------------------------------------------------------------- what a message needs changed

Fix = Callable[[Any], Any]


class _Fixes(msgspec.Struct, frozen=True):
    """What is done to every instant and to every number of a message. None: they are left as they are."""

    instant: Fix
    number: Fix | None = None


_WRITE = _Fixes(instant_text, number)
_READ = _Fixes(_in_utc)


class _Shift(msgspec.Struct, frozen=True):
    """A clock's error taken back; equal shifts are one entry of the cache below."""

    by: timedelta

    def __call__(self, value: datetime) -> datetime:
        """The instant as it is told now: its milliseconds moved, whether it comes from memory or from the store."""
        return value.replace(microsecond=value.microsecond // 1000 * 1000) + self.by


class _Spot(msgspec.Struct, frozen=True):
    """A field that holds instants or numbers: itself (`kind` is that type) or in a structure (`kind` is its class)."""

    name: str
    kind: type
    many: bool


def _changed(value: T, fixes: _Fixes) -> T:
    """The struct with the fixes applied to all its instants and numbers; the same struct if none of them changed."""
    change = _change(type(value), fixes)
    changed: T = change(value) if change is not None else value
    return changed


@functools.lru_cache(maxsize=1024)
def _change(kind: type[DataType], fixes: _Fixes) -> Fix | None:
    """How a struct of this class is changed, worked out once; None if it has nothing to fix."""
    steps = [(spot.name, fix) for spot in _spots(kind) if (fix := _step(spot, fixes)) is not None]
    if not steps:
        return None

    def change(value: DataType) -> DataType:
        changes = {}
        for name, fix in steps:
            old = getattr(value, name)
            if old is not None and (new := fix(old)) is not old:
                changes[name] = new
        return msgspec.structs.replace(value, **changes) if changes else value

    return change


def _change_each(name: str, fix: Fix) -> Fix:
    """How structs with one number each are changed: sampled values have theirs, and are what there is most of."""

    def change(values: Sequence[DataType]) -> Sequence[DataType]:
        fixed: list[DataType] | None = None
        for index, value in enumerate(values):
            old = getattr(value, name)
            if old is None or type(old) is int or (new := fix(old)) is old:
                continue
            fixed = fixed or list(values)
            fixed[index] = msgspec.structs.replace(value, **{name: new})
        return values if fixed is None else fixed

    return change


def _step(spot: _Spot, fixes: _Fixes) -> Fix | None:
    """How the value of one field is changed."""
    if spot.kind is datetime:
        one: Fix | None = fixes.instant
    elif spot.kind is float:
        one = fixes.number
    else:
        inner = _spots(spot.kind)
        if spot.many and fixes.number is not None and len(inner) == 1 and inner[0].kind is float and not inner[0].many:
            return _change_each(inner[0].name, fixes.number)
        one = _change(spot.kind, fixes)
    return functools.partial(_each, one) if one is not None and spot.many else one


def _each(fix: Fix, values: Sequence[Any]) -> Sequence[Any]:
    """The fixed values, or the same sequence if none of them changed."""
    fixed = list(map(fix, values))
    return values if all(map(operator.is_, fixed, values)) else fixed


@functools.cache
def _spots(kind: type[DataType]) -> tuple[_Spot, ...]:
    """The fields of a type that have instants or numbers in them. The types are a tree, so this ends."""
    return tuple(spot for field in msgspec.structs.fields(kind) if (spot := _spot(field.name, field.type)))


def _spot(name: str, annotation: Any, *, many: bool = False) -> _Spot | None:
    """The spot that a field of this annotation is; None if nothing in it is ever changed."""
    if annotation in {datetime, float}:
        return _Spot(name, annotation, many)
    if isinstance(annotation, type) and issubclass(annotation, DataType):
        return _Spot(name, annotation, many) if _spots(annotation) else None
    many = many or get_origin(annotation) is Sequence
    return next((spot for inner in get_args(annotation) if (spot := _spot(name, inner, many=many))), None)
