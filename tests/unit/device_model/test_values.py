"""Values: what is a value of which type, and how it is spelt when stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_model import values
from device_model.values import Characteristics, DataType, Flaw, Refused

INTEGER = Characteristics(DataType.INTEGER, min_limit=0, max_limit=100)
DECIMAL = Characteristics(DataType.DECIMAL, min_limit=-1.5, max_limit=1.5)
MEMBERS = Characteristics(DataType.MEMBER_LIST, values=("Voltage", "SoC", "Frequency"))


def flaw(value: str, by: Characteristics) -> Flaw | None:
    """Why the value is refused, None if it is taken."""
    checked = values.check(value, by)
    return checked.flaw if isinstance(checked, Refused) else None


@pytest.mark.parametrize("text", ["0", "7", "100", " 42 "])
def test_an_integer_within_its_limits_is_taken_without_blanks(text: str) -> None:
    """Part 2, table 1."""
    assert values.check(text, INTEGER) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "1.0", "abc", "007", "+7", "-0", "1e2", "true", "٣", "1 2", "2026-01-01T00:00:00Z"]
)
def test_what_is_no_integer_is_badly_formatted(text: str) -> None:
    """Part 2, table 1: no leading zeros, no plus sign."""
    assert flaw(text, INTEGER) is Flaw.BAD_FORMAT


@pytest.mark.parametrize(
    "text, expected",
    [("-1", Flaw.TOO_LOW), ("101", Flaw.TOO_HIGH), ("9" * 400, Flaw.TOO_HIGH), ("-" + "9" * 400, Flaw.TOO_LOW)],
)
def test_an_integer_outside_its_limits_is_told_on_which_side(text: str, expected: Flaw) -> None:
    """Also one that no machine word holds."""
    assert flaw(text, INTEGER) is expected


def test_an_integer_without_limits_has_32_bits() -> None:
    """Part 2, table 1."""
    free = Characteristics(DataType.INTEGER)

    assert flaw("2147483647", free) is None
    assert flaw("2147483648", free) is Flaw.TOO_HIGH
    assert flaw("-2147483649", free) is Flaw.TOO_LOW


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1.5", None), ("-1.5", None), ("0", None), ("1.000001", None),
        ("1.6", Flaw.TOO_HIGH), ("-1.500001", Flaw.TOO_LOW),
        ("1.0000001", Flaw.BAD_FORMAT), ("1,5", Flaw.BAD_FORMAT), (".5", Flaw.BAD_FORMAT), ("1.", Flaw.BAD_FORMAT),
        ("NaN", Flaw.BAD_FORMAT), ("inf", Flaw.BAD_FORMAT), ("1e0", Flaw.BAD_FORMAT),
    ],
)  # fmt: skip
def test_a_decimal_has_a_point_and_at_most_six_places(text: str, expected: Flaw | None) -> None:
    """Part 2, table 1."""
    assert flaw(text, DECIMAL) is expected


@pytest.mark.parametrize("text", ["True", "FALSE", "1", "0", "yes", "", "300"])
def test_only_true_and_false_are_booleans(text: str) -> None:
    """Part 2, table 1."""
    assert flaw(text, Characteristics(DataType.BOOLEAN)) is Flaw.BAD_FORMAT


@pytest.mark.parametrize(
    "text, stored",
    [
        ("2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("2026-03-29t01:00:00z", "2026-03-29T01:00:00Z"),
        ("2026-03-29T01:00:00.25+01:00", "2026-03-29T01:00:00.25+01:00"),
        ("2026-03-29T01:00:00.123456+00:00", "2026-03-29T01:00:00.123+00:00"),
        ("2026-03-29T01:00:00", "2026-03-29T01:00:00"),
        ("", ""),
    ],
)
def test_an_instant_is_kept_with_at_most_three_decimals(text: str, stored: str) -> None:
    """Part 2, table 1; the zone is optional (appendix 3.4, DateTime); empty means unset."""
    assert values.check(text, Characteristics(DataType.DATE_TIME)) == stored


@pytest.mark.parametrize("text", ["2026-02-30T00:00:00Z", "2026-03-29", "10:00", "abc", "300", "2026-03-29T25:00:00Z"])
def test_what_is_no_instant_is_badly_formatted(text: str) -> None:
    """RFC 3339, and a day that exists."""
    assert flaw(text, Characteristics(DataType.DATE_TIME)) is Flaw.BAD_FORMAT


def test_members_are_spelt_as_in_the_list_and_keep_their_order() -> None:
    """Blanks after commas are allowed, case does not count."""
    assert values.check("frequency, SoC", MEMBERS) == "Frequency,SoC"
    assert values.check("", MEMBERS) == ""


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Voltage,Speed", Flaw.NOT_IN_LIST), ("Voltage,voltage", Flaw.DUPLICATE_MEMBER),
        ("Voltage,,SoC", Flaw.NOT_IN_LIST), (",", Flaw.NOT_IN_LIST),
    ],
)  # fmt: skip
def test_a_member_must_be_in_the_list_and_be_named_once(text: str, expected: Flaw) -> None:
    """Part 1, 4.3."""
    assert flaw(text, MEMBERS) is expected


def test_a_list_that_must_be_filled_may_not_be_empty() -> None:
    """A station without any network slot would be lost."""
    slots = Characteristics(DataType.SEQUENCE_LIST, values=("0", "1"), filled=True)

    assert flaw(" ", slots) is Flaw.EMPTY
    assert values.check("1,0", slots) == "1,0"


def test_an_option_is_exactly_one_of_the_list() -> None:
    """Also not the empty text."""
    option = Characteristics(DataType.OPTION_LIST, values=("LRU", "FIFO"))

    assert values.check("fifo", option) == "FIFO"
    assert flaw("LRU,FIFO", option) is Flaw.NOT_IN_LIST
    assert flaw("", option) is Flaw.NOT_IN_LIST


def test_a_reason_fits_into_a_status_info() -> None:
    """StatusInfoType: additionalInfo has at most 512 characters, a values list up to 1000."""
    long = Characteristics(DataType.OPTION_LIST, values=tuple(f"Option{number}" for number in range(100)))

    refused = values.check("x", long)

    assert isinstance(refused, Refused)
    assert len(refused.detail) <= 512


def test_limits_of_a_string_are_lengths() -> None:
    """Part 2, 2.2.1: a password has 16 to 64 characters; its refusal does not repeat it."""
    password = Characteristics(DataType.STRING, min_limit=16, max_limit=20)

    assert values.check("äö" * 8, password) == "äö" * 8
    assert flaw("short", password) is Flaw.TOO_SHORT
    refused = values.check("secret-and-much-too-long", password)
    assert isinstance(refused, Refused)
    assert refused.flaw is Flaw.TOO_LONG
    assert "secret" not in refused.detail


@pytest.mark.parametrize("text", ["two\nlines", "\x00", "\x1b[31m", "\x9b"])
def test_a_string_holds_no_control_characters(text: str) -> None:
    """It would go into certificate requests, logs and displays."""
    assert flaw(text, Characteristics(DataType.STRING)) is Flaw.BAD_FORMAT


def test_a_measured_value_is_not_asked_for_limits() -> None:
    """Part 1, 4.3: what was measured is reported even if it is out of range."""
    assert values.normalise("502", INTEGER) == "502"
    assert isinstance(values.normalise("fast", INTEGER), Refused)


_CHARACTERISTICS = st.one_of(
    st.builds(
        Characteristics,
        data_type=st.sampled_from([DataType.INTEGER, DataType.DECIMAL, DataType.STRING, DataType.DATE_TIME]),
        min_limit=st.none() | st.integers(-5, 5),
        max_limit=st.none() | st.integers(6, 40),
    ),
    st.builds(
        Characteristics,
        data_type=st.sampled_from(sorted(values.LISTS)),
        values=st.just(("A", "bc", "Def")),
        max_limit=st.none() | st.just(5),
    ),
)
_TEXTS = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.floats(allow_nan=False).map(str),
    st.datetimes().map(lambda at: at.isoformat()),
    st.lists(st.sampled_from(["A", "bc", "Def", "BC", " a"])).map(",".join),
)


@given(by=_CHARACTERISTICS, text=_TEXTS)
def test_checking_what_was_checked_changes_nothing(by: Characteristics, text: str) -> None:
    """What is stored can be loaded; what is taken lies within the limits."""
    taken = values.check(text, by)

    if isinstance(taken, str):
        assert values.check(taken, by) == taken
        if by.numeric:
            number = float(taken)
            assert by.min_limit is None or number >= by.min_limit
            assert by.max_limit is None or number <= by.max_limit
        elif by.data_type in values.LISTS:
            assert set(values.members(taken)) <= set(by.values)


@given(st.integers(-(2**31), 2**31 - 1))
def test_every_integer_of_32_bits_is_read_as_it_is_written(number: int) -> None:
    """Part 2, table 1."""
    assert values.integer(str(number)) == number
    assert values.check(str(number), Characteristics(DataType.INTEGER)) == str(number)
