"""Register maps as data: a YAML file per device -> checked structs. No expressions, no code.

`templates/meter/NAME.yaml` is the source of a built-in map. Beside it stands NAME.json, generated (`python -m
hal.template`) and read at run time, because importing a YAML parser costs more than reading every map; a test compares
the two. A map of the operator's own is named by its path and read as YAML. `templates/meter.schema.json` tells editors
what may stand in one.

A device whose registers stand at places of its own choice (SunSpec) is described relative to one of its models; the
driver finds out where that is, once, and `placed` gives the map as it is there.

Invariant: a template that loads can be read: every register fits into a block, and every mistake was reported by its
path.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

import msgspec

from hal.errors import BadOptions
from hal.yamlfile import from_yaml

FOLDER = Path(__file__).parent / "templates"
SCHEMA = FOLDER / "meter.schema.json"

Quantity = Literal[
    "energy_import_wh",
    "energy_import_l1_wh",
    "energy_import_l2_wh",
    "energy_import_l3_wh",
    "energy_export_wh",
    "energy_reactive_import_varh",
    "power_w",
    "power_l1_w",
    "power_l2_w",
    "power_l3_w",
    "voltage_l1_v",
    "voltage_l2_v",
    "voltage_l3_v",
    "current_l1_a",
    "current_l2_a",
    "current_l3_a",
    "current_neutral_a",
    "frequency_hz",
    "reactive_import_var",
    "power_factor",
    "temperature_c",
]
"""What a register can hold, with its unit. Power is signed: positive flows into the vehicle."""

RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]

FORMAT: Mapping[str, str] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
_LAST_ADDRESS = 0xFFFF
MAX_EXPONENT = 10  # of SunSpec's scale factors


class Register(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a quantity stands, and what its number means: number times `scale` is the quantity in its unit."""

    address: Annotated[int, msgspec.Meta(ge=0, le=_LAST_ADDRESS)]
    """On the wire, counted from 0: documented number 30073 is 0x0048."""
    type: RegisterType
    table: Literal["input", "holding"] = "input"
    scale: float = 1.0
    word_order: Literal["big", "little"] | None = None
    """Which 16-bit word comes first; the device's, if not said."""
    absent: int | None = None
    """The number (before scaling) by which the device says: no value."""
    exponent_at: Annotated[int, msgspec.Meta(ge=0, le=_LAST_ADDRESS)] | None = None
    """Where, in the same table, a signed register stands that is a power of ten to multiply by (SunSpec: `_SF`)."""

    @property
    def size(self) -> int:
        """How many 16-bit registers it takes."""
        return struct.calcsize(">" + FORMAT[self.type]) // 2


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a device says who it is, and in which form."""

    address: Annotated[int, msgspec.Meta(ge=0, le=_LAST_ADDRESS)]
    size: Annotated[int, msgspec.Meta(ge=1, le=40)]
    """Registers."""
    form: Literal["text", "decimal", "hundredths", "hex", "dotted", "nibbles"]
    """ASCII, a number, a number / 100, its hex digits, bytes as 1.19, or 4 + 4 + 8 bits as 1.2.7."""
    table: Literal["input", "holding"] = "input"


class Marks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a device says about itself."""

    vendor: Mark | None = None
    model: Mark | None = None
    serial: Mark | None = None
    firmware: Mark | None = None


class SunSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The registers stand in a SunSpec model: addresses count from its first register, which holds its number."""

    models: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]
    """The map is that of any of these; the first one found is read. Identity is counted from the common model (1)."""
    bases: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] = (40000, 50000, 0)
    """Where `SunS` may stand, most likely first."""


_T = TypeVar("_T", Register, Mark)


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the device is reached as it leaves the factory, and how it wants to be asked."""

    kind: Literal["modbus-rtu", "modbus-tcp"] = "modbus-rtu"
    """What the maker sells it with; behind a gateway the other one does as well."""
    address: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    baud: Annotated[int, msgspec.Meta(ge=300, le=4_000_000)] = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1
    word_order: Literal["big", "little"] = "big"
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 1.0
    gap_s: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.0
    """Least pause between two requests."""
    max_registers: Annotated[int, msgspec.Meta(ge=4, le=125)] = 125
    """In one request."""
    max_gap: Annotated[int, msgspec.Meta(ge=0, le=121)] = 0
    """Registers that nobody asked for and that may be read along, so that two requests become one."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the device cannot exceed: a reading beyond is damaged."""

    max_power_w: Annotated[float, msgspec.Meta(gt=0.0)] = 100_000.0
    resolution_wh: Annotated[float, msgspec.Meta(gt=0.0)] = 100.0
    """The energy register may step by so much at once."""


class MeterTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A meter's register map."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9.-]*$")]
    vendor: str
    model: str
    source: str
    """The manual, its revision and page, or who else says so."""
    bus: Line
    registers: dict[Quantity, Register]
    limits: Limits = Limits()
    identity: Marks = Marks()
    sunspec: SunSpec | None = None


class Block(NamedTuple):
    """A run of registers to read in one request."""

    table: Literal["input", "holding"]
    address: int
    size: int


# ------------------------------------------------------------------------------------------------------- loading


def load(owner: str, template: str) -> MeterTemplate:
    """The built-in map called `template`, or the one in the file of that path (with a slash, or ending in .yaml).

    Raises BadOptions in the name of `owner`, with the path of the first mistake.
    """
    if "/" in template or template.endswith((".yaml", ".yml")):
        path = Path(template)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadOptions(owner, ".template", f"cannot read {path}: {error}") from None
        return parse(f"{owner}: template {path}", text)
    path = FOLDER / "meter" / f"{template}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=MeterTemplate)
    except FileNotFoundError:
        raise BadOptions(owner, ".template", f"no template {template!r} (there are: {', '.join(names())})") from None


def names() -> list[str]:
    """The built-in meter templates."""
    return sorted(path.stem for path in (FOLDER / "meter").glob("*.json"))


def parse(owner: str, text: str) -> MeterTemplate:
    """A register map from YAML. Raises BadOptions: line of a syntax error or a key written twice, path of any other."""
    template = from_yaml(owner, text, MeterTemplate)
    _check(owner, template)
    return template


def _check(owner: str, template: MeterTemplate) -> None:
    """What the types cannot say."""
    if "energy_import_wh" not in template.registers:
        raise BadOptions(owner, ".registers", "no energy_import_wh: a meter counts energy")
    for quantity, register in template.registers.items():
        where = f".registers.{quantity}"
        if register.address + register.size - 1 > _LAST_ADDRESS:
            raise BadOptions(owner, f"{where}.address", f"{register.type} does not fit at {register.address:#06x}")
        if not register.scale:
            raise BadOptions(owner, f"{where}.scale", "a scale of 0 makes every value 0")
        if register.absent is not None and register.type.startswith("float"):
            raise BadOptions(owner, f"{where}.absent", "is for integers; a float that is not a number is absent anyway")
        if register.exponent_at is not None and register.type.startswith("float"):
            raise BadOptions(owner, f"{where}.exponent_at", "is for integers")


# ------------------------------------------------------------------------------------------------------- reading


def plan(registers: Iterable[Register], max_registers: int, max_gap: int) -> tuple[Block, ...]:
    """The fewest requests that read all `registers`: none longer than `max_registers`, no hole above `max_gap`."""
    wanted: list[Block] = []
    for register in registers:
        wanted.append(Block(register.table, register.address, register.size))
        if register.exponent_at is not None:
            wanted.append(Block(register.table, register.exponent_at, 1))
    blocks: list[Block] = []
    for table, address, size in sorted(wanted):
        if blocks and blocks[-1].table == table:
            _, first, covered = blocks[-1]
            end = max(first + covered, address + size)
            if address - (first + covered) <= max_gap and end - first <= max_registers:
                blocks[-1] = Block(table, first, end - first)
                continue
        blocks.append(Block(table, address, size))
    return tuple(blocks)


def placed(template: MeterTemplate, at: int, common_at: int) -> MeterTemplate:
    """A map of SunSpec models as it stands in a device whose model begins `at`, and the common one at `common_at`."""
    return msgspec.structs.replace(
        template,
        registers={quantity: _moved(register, at) for quantity, register in template.registers.items()},
        identity=Marks(**{key: mark and _moved(mark, common_at) for key, mark in _named(template.identity).items()}),
    )


def text(mark: Mark, words: Sequence[int]) -> str:
    """What a device says about itself."""
    packed = _packed(words, "big")
    whole = int.from_bytes(packed, "big")
    match mark.form:
        case "text":
            told = packed.split(b"\0")[0].decode("ascii", "replace").strip()
            return told if told.isprintable() else ""
        case "decimal":
            return str(whole)
        case "hundredths":
            return f"{whole // 100}.{whole % 100:02d}"
        case "hex":
            return packed.hex().lstrip("0") or "0"
        case "dotted":
            return ".".join(str(byte) for byte in packed)
        case "nibbles":
            return f"{packed[0] >> 4}.{packed[0] & 0xF}.{packed[1]}"


def _packed(words: Sequence[int], word_order: Literal["big", "little"]) -> bytes:
    return struct.pack(f">{len(words)}H", *(words if word_order == "big" else words[::-1]))


def _moved(at: _T, offset: int) -> _T:
    changes = {"address": at.address + offset}
    if isinstance(at, Register) and at.exponent_at is not None:
        changes["exponent_at"] = at.exponent_at + offset
    return msgspec.structs.replace(at, **changes)


def _named(marks: Marks) -> dict[str, Mark | None]:
    return {field: getattr(marks, field) for field in marks.__struct_fields__}


# ------------------------------------------------------------------------------------------------------ generated


def generated() -> dict[Path, bytes]:
    """The files that are made from the YAML sources and from the types, with what must stand in them."""
    files = {SCHEMA: _pretty(_schema())}
    for source in sorted((FOLDER / "meter").glob("*.yaml")):
        template = parse(str(source.name), source.read_text(encoding="utf-8"))
        if template.name != source.stem:
            raise BadOptions(source.name, ".name", f"is {template.name!r}, but the file is called {source.stem!r}")
        files[source.with_suffix(".json")] = _pretty(_short(msgspec.to_builtins(template)))
    return files


def _schema() -> dict[str, Any]:
    schema = msgspec.json.schema(MeterTemplate)
    registers = schema["$defs"]["MeterTemplate"]["properties"]["registers"]
    registers["propertyNames"] = {"enum": list(get_args(Quantity))}
    registers["required"] = ["energy_import_wh"]
    for (owner, field), told in _docstrings().items():
        schema["$defs"][owner]["properties"][field]["description"] = told
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Register map of a meter", **schema}


def _docstrings() -> dict[tuple[str, str], str]:
    """What stands below the fields of the structs, for whoever edits a map: (struct, field) -> text."""
    import ast  # noqa: PLC0415 - to generate, never at run time

    found = {}
    for owner in ast.parse(Path(__file__).read_text(encoding="utf-8")).body:
        if isinstance(owner, ast.ClassDef) and any(isinstance(base, ast.Attribute) for base in owner.bases):
            for field, told in pairwise(owner.body):
                if isinstance(field, ast.AnnAssign) and isinstance(told, ast.Expr):
                    found[owner.name, ast.unparse(field.target)] = " ".join(ast.literal_eval(told.value).split())
    return found


def _short(data: Any) -> Any:
    """Without what is not there: a null is read as fast as nothing, but not by people."""
    if isinstance(data, dict):
        return {key: _short(value) for key, value in data.items() if value is not None}
    return data


def _pretty(data: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n"


if __name__ == "__main__":
    for path, content in generated().items():
        path.write_bytes(content)
        sys.stdout.write(f"{path}\n")
