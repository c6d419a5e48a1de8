"""Values of variables: text on the wire, checked by the characteristics of the variable.

All values travel as text (part 2, SetVariableData.attributeValue). This module says whether a text is a value of a data
type, whether it lies within the characteristics, and how it is spelt when stored. Primitive types: part 2, table 1.
Invariant: `check` of what `check` returned returns the same text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec


class DataType(StrEnum):
    """How the text of a value is to be read (DataEnumType)."""

    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    SEQUENCE_LIST = "SequenceList"
    MEMBER_LIST = "MemberList"


NUMERIC: Final = frozenset({DataType.DECIMAL, DataType.INTEGER})
LISTS: Final = frozenset({DataType.OPTION_LIST, DataType.SEQUENCE_LIST, DataType.MEMBER_LIST})


class Flaw(StrEnum):
    """What is wrong with a value. The first five are faults of form (B05.FR.07), the others of range (B05.FR.08)."""

    BAD_FORMAT = "bad format"
    NOT_IN_LIST = "not in the list of values"
    DUPLICATE_MEMBER = "a member twice"
    EMPTY = "must not be empty"
    TOO_LONG = "too long"
    TOO_SHORT = "too short"
    TOO_LOW = "below the lower limit"
    TOO_HIGH = "above the upper limit"
    BELOW_MIN_SET = "below MinSet"
    ABOVE_MAX_SET = "above MaxSet"


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A value that cannot be taken: the flaw, and a sentence for a log or statusInfo without the value itself."""

    flaw: Flaw
    detail: str


class Characteristics(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a variable's values look like (VariableCharacteristicsType).

    `min_limit`, `max_limit`: bounds of a number; for strings and lists the shortest and longest text, in characters.
    `values`: the values list. Own additions that are never reported: `pattern`, a regular expression for the whole text
    of a string; `filled`, the text must not be empty.
    """

    data_type: DataType
    unit: str | None = None
    min_limit: float | None = None
    max_limit: float | None = None
    values: tuple[str, ...] = ()
    supports_monitoring: bool = True
    pattern: str | None = None
    filled: bool = False

    @property
    def values_list(self) -> str | None:
        """The values as reported: comma-separated, None for a type without a list."""
        return ",".join(self.values) if self.values else None

    @property
    def numeric(self) -> bool:
        """Whether values are numbers, so that limits bound them and thresholds make sense."""
        return self.data_type in NUMERIC


_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,9}")  # part 2, table 1: no leading zeros, no plus sign
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")  # part 2, table 1: at most six decimal places
_DATE_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INT32: Final = 2**31
_SHOWN: Final = 450


def integer(text: str) -> int | None:
    """The integer in `text`, None if it is none. Not limited to 32 bits; `check` does that."""
    return int(text) if _INTEGER.fullmatch(text) else None


def decimal(text: str) -> float | None:
    """The decimal in `text` (point as separator, no exponent), None if it is none."""
    return float(text) if _DECIMAL.fullmatch(text) else None


def boolean(text: str) -> bool | None:
    """The boolean in `text` ("true", "false"), None if it is none."""
    return True if text == "true" else False if text == "false" else None


@functools.lru_cache(maxsize=256)
def members(text: str) -> tuple[str, ...]:
    """The members of a comma-separated list, blanks around them removed; the empty text has none."""
    return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


def date_time(text: str) -> datetime | None:
    """The instant in `text` (RFC 3339, zone optional: then naive), None if it is none."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def check(value: str, by: Characteristics) -> str | Refused:
    """`value` as it is to be stored, or why it cannot be taken.

    Form and list first, then limits: the order of B05.FR.07 and B05.FR.08.
    """
    if by.filled and not value.strip():
        return Refused(Flaw.EMPTY, "the value must not be empty")
    return _CHECKS[by.data_type](value, by)


def normalise(value: str, by: Characteristics) -> str | Refused:
    """`value` as it is to be stored without asking limits: for measured values, which are reported as they are."""
    unlimited = msgspec.structs.replace(by, min_limit=None, max_limit=None, filled=False)
    return _CHECKS[by.data_type](value, unlimited)


def _check_integer(value: str, by: Characteristics) -> str | Refused:
    text = value.strip()
    number = integer(text)
    if number is None:
        if re.fullmatch(r"-?[1-9][0-9]{10,}", text):  # a number, but beyond 32 bits
            return _outside(text.startswith("-"), by)
        return Refused(Flaw.BAD_FORMAT, "not an integer")
    if not -_INT32 <= number < _INT32:
        return _outside(number < 0, by)
    return _within(number, by) or text


def _check_decimal(value: str, by: Characteristics) -> str | Refused:
    text = value.strip()
    number = decimal(text)
    if number is None:
        return Refused(Flaw.BAD_FORMAT, "not a decimal of at most six places")
    return _within(number, by) or text


def _check_boolean(value: str, by: Characteristics) -> str | Refused:
    del by
    text = value.strip()
    return text if boolean(text) is not None else Refused(Flaw.BAD_FORMAT, "neither true nor false")


def _check_date_time(value: str, by: Characteristics) -> str | Refused:
    del by
    text = value.strip().upper()
    if text and date_time(text) is None:
        return Refused(Flaw.BAD_FORMAT, "not a date and time as in RFC 3339")
    # Part 2, table 1 allows three places; many servers write six, which loses nothing here.
    return re.sub(r"(\.\d{3})\d+", r"\1", text)


def _check_string(value: str, by: Characteristics) -> str | Refused:
    if _CONTROL.search(value):  # it would end in certificates, logs and displays
        return Refused(Flaw.BAD_FORMAT, "holds control characters")
    if by.pattern is not None and value and re.fullmatch(by.pattern, value) is None:
        return Refused(Flaw.BAD_FORMAT, f"does not match {by.pattern}")
    return _length(value, by) or value


def _check_option(value: str, by: Characteristics) -> str | Refused:
    text = value.strip()
    spelt = _spelling(text, by)
    return spelt if spelt is not None else _not_listed("not", by)


def _check_members(value: str, by: Characteristics) -> str | Refused:
    taken: list[str] = []
    for part in members(value):
        spelt = _spelling(part, by)
        if spelt is None:
            return _not_listed("a member is not", by)
        if spelt in taken:
            return Refused(Flaw.DUPLICATE_MEMBER, f"{spelt} is given twice")
        taken.append(spelt)
    text = ",".join(taken)
    return _length(text, by) or text


def _not_listed(what: str, by: Characteristics) -> Refused:
    """The reason with as much of the list as a statusInfo holds (additionalInfo: 512 characters)."""
    listed = by.values_list or ""
    return Refused(Flaw.NOT_IN_LIST, f"{what} one of {listed if len(listed) <= _SHOWN else listed[:_SHOWN] + '...'}")


def _spelling(part: str, by: Characteristics) -> str | None:
    """The list's spelling of `part`, found without regard to case; None if it is not in the list."""
    if part in by.values:
        return part
    folded = part.casefold()
    return next((one for one in by.values if one.casefold() == folded), None)


def _within(number: float, by: Characteristics) -> Refused | None:
    if by.min_limit is not None and number < by.min_limit:
        return Refused(Flaw.TOO_LOW, f"below {by.min_limit:g}")
    if by.max_limit is not None and number > by.max_limit:
        return Refused(Flaw.TOO_HIGH, f"above {by.max_limit:g}")
    return None


def _outside(low: bool, by: Characteristics) -> Refused:  # noqa: FBT001 - the sign of the number, two callers
    limit = by.min_limit if low else by.max_limit
    flaw = Flaw.TOO_LOW if low else Flaw.TOO_HIGH
    return Refused(flaw, f"beyond {limit:g}" if limit is not None else "beyond 32 bits")


def _length(text: str, by: Characteristics) -> Refused | None:
    if by.max_limit is not None and len(text) > by.max_limit:
        return Refused(Flaw.TOO_LONG, f"longer than {by.max_limit:g} characters")
    if by.min_limit is not None and len(text) < by.min_limit:
        return Refused(Flaw.TOO_SHORT, f"shorter than {by.min_limit:g} characters")
    return None


_CHECKS: Final[Mapping[DataType, Callable[[str, Characteristics], str | Refused]]] = {
    DataType.STRING: _check_string,
    DataType.DECIMAL: _check_decimal,
    DataType.INTEGER: _check_integer,
    DataType.DATE_TIME: _check_date_time,
    DataType.BOOLEAN: _check_boolean,
    DataType.OPTION_LIST: _check_option,
    DataType.SEQUENCE_LIST: _check_members,
    DataType.MEMBER_LIST: _check_members,
}
