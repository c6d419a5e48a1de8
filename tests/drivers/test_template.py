"""Register maps: what is wrong with one is said by its place; what is shipped is what was generated."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import yaml

from hal import template
from hal.decoding import Decoder
from hal.errors import BadOptions
from hal.template import FOLDER, SCHEMA, Block, Quantity, Register, generated, load, names, parse, plan

GOOD = """
name: acme-1
vendor: Acme
model: One
source: manual 3, page 4
bus: {kind: modbus-rtu, baud: 19200, word_order: little}
registers:
  energy_import_wh: {address: 0x0500, type: int64}
"""


def test_generated_files_are_up_to_date() -> None:
    """`python -m hal.template` writes them; a stale one would read other registers than the source says."""
    for path, content in generated().items():
        assert path.read_bytes() == content, f"{path.name} is stale: run python -m hal.template"
    assert sorted(path.stem for path in (FOLDER / "meter").glob("*.yaml")) == names()


NINE = ",".join(["*a{}"] * 9)
BOMB = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [{NINE.replace('{}', str(n - 1))}]" for n in range(1, 9))])


@pytest.mark.parametrize(
    "text",
    [BOMB, "a: &a [*a]", "a: &a {b: *a}", "[" * 500, "{a: " * 500, "[1]: 2", "a: 2001-13-45", "a: !!int b", "\x1b: 1"],
    ids=["bomb", "cycle", "cycle-map", "deep", "deep-map", "list-key", "date", "int", "escape"],
)
def test_a_hostile_map_is_refused_at_once(text: str) -> None:
    """Aliases of aliases make a gigabyte of a line; what holds itself never ends."""
    with pytest.raises(BadOptions) as caught:
        parse("meter", text)

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("source", sorted((FOLDER / "meter").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_map_satisfies_the_schema_that_editors_use(source: Path) -> None:
    """The schema and the structs say the same."""
    jsonschema_rs.validate(json.loads(SCHEMA.read_text()), yaml.safe_load(source.read_text()))


def test_the_schema_tells_editors_what_each_field_is() -> None:
    """The words that stand in the code."""
    defined = json.loads(SCHEMA.read_text())["$defs"]
    assert "counted from 0" in defined["Register"]["properties"]["address"]["description"]
    assert "Least pause" in defined["Line"]["properties"]["gap_s"]["description"]


@pytest.mark.parametrize(
    "change, place, reason",
    [
        (("0x0500", "70000"), ".registers.energy_import_wh.address", "<= 65535"),
        (("0x0500", "0xFFFE"), ".registers.energy_import_wh.address", "int64 does not fit at 0xfffe"),
        (("int64", "int48"), ".registers.energy_import_wh.type", "int48"),
        (("energy_import_wh", "energy_import_kwh"), ".registers", "unknown here"),
        (("energy_import_wh", "power_w"), ".registers", "no energy_import_wh"),
        (("type: int64", "type: int64, scale: 0"), ".registers.energy_import_wh.scale", "makes every value 0"),
        (("type: int64", "type: float32, absent: 1"), ".registers.energy_import_wh.absent", "is for integers"),
        (("type: int64", "type: int64, scale: v * 2"), ".registers.energy_import_wh.scale", "Expected `float`"),
        (("baud", "bauds"), ".bus", "unknown field `bauds`"),
        (("vendor: Acme", "vendor: Acme\nvendor: Bcme"), ".vendor", "written twice (line 4)"),
        (("{address", "{address: 1, address"), ".address", "written twice (line 8)"),
        (("bus: {", "bus: {{"), "", "line 6"),
    ],
)
def test_a_mistake_in_a_map_is_told_with_its_place(change: tuple[str, str], place: str, reason: str) -> None:
    """Data only: an expression is a mistake like any other."""
    with pytest.raises(BadOptions) as caught:
        parse("meter 'main'", GOOD.replace(*change))
    assert caught.value.path == place
    assert reason in caught.value.reason


def test_a_map_of_the_operator_is_named_by_its_path(tmp_path: Path) -> None:
    """A path is read as YAML; a name that is not built in lists those that are."""
    (tmp_path / "acme.yaml").write_text(GOOD)
    assert load("meter 'main'", str(tmp_path / "acme.yaml")).bus.baud == 19200
    with pytest.raises(BadOptions, match="cannot read"):
        load("meter 'main'", str(tmp_path / "other.yaml"))
    with pytest.raises(BadOptions, match=r"there are: .*eastron-sdm630"):
        load("meter 'main'", "eastron-sdm63")


def test_registers_are_read_in_as_few_requests_as_the_device_allows() -> None:
    """A gap is bridged, a limit kept, and another table is another request."""
    registers = [Register(address=at, type="float32") for at in (0, 2, 8, 30)]
    registers.append(Register(address=2, type="uint16", table="holding"))
    assert plan(registers, 125, 4) == (
        Block("holding", 2, 1),
        Block("input", 0, 10),
        Block("input", 30, 2),
    )
    assert len(plan(registers, 125, 0)) == 4
    assert plan(registers, 4, 100)[1:] == (Block("input", 0, 4), Block("input", 8, 2), Block("input", 30, 2))


@pytest.mark.parametrize(
    "register, words, order, expected",
    [
        (Register(address=0, type="float32", scale=1000), (0x462D, 0xA926), "big", 11114287.109375),
        (Register(address=0, type="float32"), (0x7FC0, 0x0000), "big", None),
        (Register(address=0, type="int32", scale=0.1), (0xFFFE, 0xFFFF), "little", pytest.approx(-0.2)),
        (Register(address=0, type="int64"), (0x4240, 0x000F, 0, 0), "little", 1_000_000),
        (Register(address=0, type="uint32", word_order="big"), (1, 0), "little", 65536),
        (Register(address=0, type="uint32", absent=0xFFFFFFFF), (0xFFFF, 0xFFFF), "big", None),
        (Register(address=0, type="int16"), (0x8000,), "big", -32768),
        (Register(address=0, type="float64", scale=1000), (0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF), "big", None),
    ],
)
def test_numbers_are_decoded_by_type_word_order_and_scale(
    register: Register, words: tuple[int, ...], order: str, expected: float | None
) -> None:
    """Also what a device says when it has no value; and whatever stands beside it, in whatever order."""
    size = register.size
    others = [
        Register(address=size, type="uint32", word_order="big"),
        Register(address=size + 2, type="uint32", word_order="little"),
    ]
    registers = dict(zip(("voltage_l1_v", "voltage_l2_v", "voltage_l3_v"), (register, *others), strict=True))

    values = _decoded({"energy_import_wh": others[0], **registers}, order, {0: (*words, 1, 2, 3, 4)})

    assert values.pop("voltage_l1_v", None) == expected
    assert values == {"energy_import_wh": 0x10002, "voltage_l2_v": 0x10002, "voltage_l3_v": 0x40003}


@pytest.mark.parametrize(
    "exponent, expected", [(0, 500), (2, 50_000), (0xFFFE, 5), (10, 5e12), (11, None), (0x8000, None), (0xFFF5, None)]
)
def test_an_exponent_may_stand_in_another_block(exponent: int, expected: float | None) -> None:
    """SunSpec's; a number whose exponent is not implemented, or beyond any, is none."""
    energy = Register(address=0, type="uint16", exponent_at=100)

    values = _decoded({"energy_import_wh": energy}, "big", {0: (500,), 100: (exponent,)})

    assert values.get("energy_import_wh") == expected


def _decoded(registers: dict[str, Register], order: str, words: dict[int, tuple[int, ...]]) -> dict[Quantity, float]:
    """What a map with these registers makes of these words, by the address of their block."""
    line = {"word_order": order}
    data = {"name": "x", "vendor": "X", "model": "X", "source": "-", "bus": line, "registers": registers}
    made = msgspec.convert(msgspec.to_builtins(data), template.MeterTemplate)
    blocks = plan(made.registers.values(), 125, 0)
    return Decoder(made, blocks).values([words[block.address] for block in blocks])


def test_built_in_maps_load_without_a_yaml_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML costs more than all maps together."""
    monkeypatch.setattr(template, "parse", None)
    assert load("meter 'main'", "eastron-sdm630").vendor == "Eastron"
