"""The JSON Schema of station.yaml, for editors and for whoever writes such files by a program.

`python -m station.config.published` writes docs/station.schema.json from the structs of `schema.py` and the texts below
their fields. It says what types can say; `ocpp-station check` says the rest. Options of drivers are left open, because
drivers of other packages have some, too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from hal.registry import BUILT_IN
from station.config import devices, schema
from station.config.devices import BUSES, SECTIONS, ReaderKeys, SensorKeys

PATH = Path(__file__).parents[2] / "docs" / "station.schema.json"

_OURS: Mapping[str, type[msgspec.Struct]] = {"readers": ReaderKeys, "sensors": SensorKeys}


def generate() -> bytes:
    """What stands in the file."""
    made = msgspec.json.schema(schema.File)
    definitions: dict[str, Any] = made["$defs"]
    top = definitions.pop("File")
    texts = _texts(schema) | _texts(devices)
    _describe("File", top, texts)
    for section, (kind, _) in SECTIONS.items():
        top["properties"][section]["additionalProperties"] = _device(section, kind, definitions)
    top["properties"]["buses"]["additionalProperties"] = _choice("kind", BUSES) | {"type": "object"}
    for name, definition in definitions.items():
        _describe(name, definition, texts)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "station.yaml",
        "description": "The configuration of one charging station; `ocpp-station check` tells what a schema cannot.",
    }
    told = {key: value for key, value in top.items() if key not in {"title", "description"}}
    whole = {**head, **told, "$defs": dict(sorted(definitions.items()))}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def _device(section: str, kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A device: its driver, our keys, and whatever the driver takes."""
    device = _choice("driver", BUILT_IN[kind]) | {"type": "object"}
    if section in _OURS:
        made = msgspec.json.schema(_OURS[section])
        inner = made["$defs"]
        keys = inner.pop(_OURS[section].__name__)
        definitions.update(inner)
        _describe(_OURS[section].__name__, keys, _texts(devices))
        device["properties"] |= keys["properties"]
        device["required"] += keys.get("required", ())
    return device


def _choice(key: str, known: Any) -> dict[str, Any]:
    """A key that must be there. A driver may be another package's; a bus may not."""
    values: dict[str, Any] = {"enum": sorted(known)}
    open_ = {"anyOf": [values, {"type": "string"}]} if key == "driver" else values
    return {"properties": {key: open_}, "required": [key]}


def _describe(owner: str, definition: dict[str, Any], texts: Mapping[tuple[str, str], str]) -> None:
    """Give each property its text. A default that is a whole section says nothing that the section does not."""
    definition.pop("title", None)
    for key, value in definition.get("properties", {}).items():
        if (owner, key) in texts:
            value["description"] = texts[owner, key]
        if value.get("default") in ({}, [], None) or "$ref" in value:
            value.pop("default", None)


def _texts(module: Any) -> dict[tuple[str, str], str]:
    """What stands below the fields of a module's structs."""
    found = {}
    for owner in ast.parse(Path(module.__file__).read_text("utf-8")).body:
        if isinstance(owner, ast.ClassDef):
            for field, told in pairwise(owner.body):
                if isinstance(field, ast.AnnAssign) and isinstance(told, ast.Expr):
                    found[owner.name, ast.unparse(field.target)] = " ".join(ast.literal_eval(told.value).split())
    return found


if __name__ == "__main__":
    PATH.write_bytes(generate())
    sys.stdout.write(f"{PATH}\n")
