"""DBC messages: our codec says what cantools says, and the parsed form is never stale."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import cantools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal import dbc
from hal.dbc import Message, generated, load, parsed_path
from hal.drivers import can_map
from hal.errors import BadOptions
from hal.template import FOLDER

REFERENCE = FOLDER / "board" / "reference-board.dbc"

MIXED = """VERSION ""
BU_: A B
BO_ 100 Intel: 8 A
 SG_ Low : 0|5@1+ (1,0) [0|31] "" B
 SG_ Across : 5|13@1- (0.5,-10) [0|0] "" B
 SG_ High : 40|24@1- (1,0) [0|0] "" B
BO_ 2566844672 Motorola: 6 A
 SG_ First : 7|4@0+ (1,0) [0|15] "" B
 SG_ Middle : 3|17@0- (0.25,3) [0|0] "" B
 SG_ Last : 33|10@0+ (1,0) [0|1023] "" B
"""
SPOILT = {
    "multiplexed": MIXED.replace("SG_ Low :", "SG_ Low M :").replace("SG_ High :", "SG_ High m1 :"),
    "floating point": MIXED.replace("40|24@1-", "32|32@1-") + "SIG_VALTYPE_ 100 High : 1;\n",
    "at most": MIXED.replace("BO_ 100 Intel: 8 ", "BO_ 100 Intel: 9 "),
    "not a DBC": "certainly not",
}


@functools.cache
def both(text: str) -> tuple[Any, tuple[Message, ...]]:
    """The file as cantools and as we read it."""
    return cantools.database.load_string(text, "dbc"), dbc.parse("test", text.encode()).messages


@pytest.mark.parametrize("text", [REFERENCE.read_text(), MIXED], ids=["reference board", "mixed byte orders"])
@given(data=st.data())
def test_every_frame_means_what_cantools_says(text: str, data: st.DataObject) -> None:
    """Both byte orders, signs, scales, signals across bytes; decoded and encoded again."""
    theirs, ours = both(text)
    message = data.draw(st.sampled_from(ours))
    frame = data.draw(st.binary(min_size=message.size, max_size=message.size))

    values = message.decode(frame)

    judge = theirs.get_message_by_name(message.name)
    assert values == pytest.approx(judge.decode(frame, decode_choices=False))
    assert message.encode(values) == judge.encode(values, strict=False)
    assert (message.id, message.extended) == (judge.frame_id, judge.is_extended_frame)


def test_values_that_do_not_fit_are_refused() -> None:
    """A limit of 200 A must not become 97.6 A by losing its highest bit."""
    command = load("test", REFERENCE).messages["Ch1_Command"]
    for wrong in (102.4, -0.1):
        with pytest.raises(ValueError, match="Limit cannot hold"):
            command.encode({"Limit": wrong})
    assert command.decode(command.encode({"Limit": 102.3}))["Limit"] == pytest.approx(102.3)
    with pytest.raises(ValueError, match="7 bytes instead of 8"):
        command.decode(bytes(7))


def test_the_parsed_form_of_the_reference_board_is_up_to_date() -> None:
    """`python -m hal.dbc` and `python -m hal.drivers.can_map` write what is read at run time."""
    assert parsed_path(REFERENCE).read_bytes() == generated(REFERENCE), "run python -m hal.dbc on it"
    for path, content in can_map.generated().items():
        assert path.read_bytes() == content, f"{path.name} is stale: run python -m hal.drivers.can_map"


def test_an_up_to_date_parsed_form_needs_no_cantools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a changed DBC is read again, whatever stands beside it."""
    path = tmp_path / "board.dbc"
    path.write_text(MIXED)
    parsed_path(path).write_bytes(generated(path))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "cantools.database.can", None)
        assert set(load("test", path).messages) == {"Intel", "Motorola"}

    path.write_text(MIXED.replace("Intel", "Changed"))
    assert set(load("test", path).messages) == {"Changed", "Motorola"}
    parsed_path(path).write_text("{not json")
    assert set(load("test", path).messages) == {"Changed", "Motorola"}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_what_cannot_be_read_is_told(tmp_path: Path, spoilt: str) -> None:
    """Before any frame is sent."""
    path = tmp_path / "board.dbc"
    path.write_text(SPOILT[spoilt])
    with pytest.raises(BadOptions, match=spoilt):
        load("board 'left'", path)
    with pytest.raises(BadOptions, match="cannot read"):
        load("board 'left'", tmp_path / "missing.dbc")
