"""The standardised components and variables as data, and how they are read.

People edit the YAML files beside this one; the station reads `catalogue.json`, which `python -m device_model.catalogue`
makes from them (0.5 ms instead of 40 ms at every start). Sources: part 2 "Referenced Components and Variables" with the
errata of 2025-09, part 4 chapter 8, and the appendices 1.4. Nothing here is executed: a `source` names a fact of the
layout, which `build.py` looks up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from device_model.model import AttributeType
from device_model.values import DataType

Access = Literal["RO", "RW", "WO"]
Tier = Literal["station", "evse", "connector", "reader", "display", "named"]
OPEN: Final = "*"

_FOLDER: Final = Path(__file__).parent
_JSON: Final = _FOLDER / "catalogue.json"


class VariableSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One variable of a standardised component.

    `instance` OPEN: one variable for each of `instances`, or for each name that `instances_source` gives; with neither
    it is made at run time (`DeviceModel.add`). `access` is that of Actual; `attributes` adds others. `when`: at least
    one of these features must be there; `without`: none of these. `required`: by the specification, with its functional
    block; `condition` says when else. `live`: the station changes it at run time. `source`, `max_source`,
    `values_source`: facts of the layout that give value, upper limit and list. `reboot`: acts after a reboot.
    `pattern`, `filled`: see Characteristics. `monitor`: supportsMonitoring. `secret`: never shown, stored encrypted.
    """

    name: str
    type: DataType
    instance: str = ""
    unit: str | None = None
    access: Access = "RO"
    attributes: dict[AttributeType, Access] = {}
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()
    default: str | None = None
    when: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    required: bool = False
    condition: str | None = None
    live: bool = False
    reboot: bool = False
    secret: bool = False
    monitor: bool = True
    pattern: str | None = None
    filled: bool = False
    source: str | None = None
    max_source: str | None = None
    values_source: str | None = None
    instances: tuple[str, ...] = ()
    instances_source: str | None = None


class ComponentSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One standardised component: where it sits, which of `when` it needs, and its variables in order.

    Tier "named": made only where the layout's equipment names it.
    """

    name: str
    variables: tuple[VariableSpec, ...]
    tier: Tier = "station"
    when: tuple[str, ...] = ()


class Catalogue(msgspec.Struct, frozen=True):
    """All standardised components, and the variables that mean the same on any of them."""

    components: tuple[ComponentSpec, ...]
    generic: tuple[VariableSpec, ...]

    def component(self, name: str) -> ComponentSpec | None:
        """The component of that name, found without regard to case."""
        folded = name.casefold()
        return next((one for one in self.components if one.name.casefold() == folded), None)

    def defaults(self) -> Callable[[str, str, str], str | None]:
        """Asked for (component, variable, instance): the default, whether or not a station has that variable.

        None if there is no such variable; one without a default gives the empty text. The catalogue itself, 300 kB,
        need not be kept for it.
        """
        known: dict[tuple[str, ...], str] = {}
        for component in self.components:
            folded = component.name.casefold()
            for one in component.variables:
                known.setdefault((folded, one.name.casefold(), one.instance.casefold()), one.default or "")
        return lambda *names: known.get(tuple(map(str.casefold, names)))

    def features(self) -> frozenset[str]:
        """All names that a `when` or a `without` uses."""
        variables = [one for component in self.components for one in component.variables]
        named = {name for one in variables for name in (*one.when, *one.without)}
        return frozenset(named | {name for component in self.components for name in component.when})


def load() -> Catalogue:
    """The catalogue as generated. Raises OSError or msgspec.DecodeError if the installation is damaged."""
    return msgspec.json.decode(_JSON.read_bytes(), type=Catalogue)


def compile_yaml(folder: Path = _FOLDER) -> Catalogue:
    """The catalogue as the YAML files of `folder` say. Raises ValueError naming the file and the fault."""
    import yaml  # noqa: PLC0415 - 30 ms that only the generator and its test pay

    generic: dict[str, dict[str, Any]] = {}
    components: list[ComponentSpec] = []
    documents = {path: yaml.safe_load(path.read_bytes()) for path in sorted(folder.glob("*.yaml"))}
    for document in documents.values():
        generic |= document.pop("generic", {})
    for path, document in documents.items():
        tier = "named" if path.stem == "equipment" else "station"
        for name, body in document.items():
            try:
                components.append(_component(name, {"tier": tier} | body, generic))
            except (msgspec.ValidationError, KeyError) as error:
                raise ValueError(f"{path.name}: {name}: {error}") from error
    return Catalogue(tuple(components), tuple(_variable(name, body, {}) for name, body in sorted(generic.items())))


def generate() -> bytes:
    """The text of catalogue.json, one component a line."""
    catalogue = compile_yaml()
    lines = {
        "components": b",\n".join(map(msgspec.json.encode, catalogue.components)),
        "generic": b",\n".join(map(msgspec.json.encode, catalogue.generic)),
    }
    return b"{" + b",".join(b'"%s":[\n%s\n]' % (key.encode(), text) for key, text in lines.items()) + b"}\n"


def _component(name: str, body: dict[str, Any], generic: dict[str, dict[str, Any]]) -> ComponentSpec:
    given: dict[str, Any] = dict(body.pop("variables"))
    # Part 2, 2.13.1 wants Available on whatever can be reported, and its chapter 1 wants Enabled on every controller:
    # with both on all components, reports by criteria have one answer for each.
    for always in ("Enabled", "Available"):
        if not any(key.partition("[")[0] == always for key in given):
            given = {always: {}, **given}
    variables = tuple(_variable(key, own or {}, generic) for key, own in given.items())
    return msgspec.convert({"name": name, **_listed(body), "variables": variables}, ComponentSpec)


def _variable(key: str, own: dict[str, Any], generic: dict[str, dict[str, Any]]) -> VariableSpec:
    name, _, rest = key.partition("[")
    common = {} if "type" in own else generic[name]
    body = _listed({**common, **own})
    return msgspec.convert({"name": name, "instance": rest.removesuffix("]"), **body}, VariableSpec)


def _listed(body: dict[str, Any]) -> dict[str, Any]:
    """`when: x` may be written for `when: [x]`."""
    return {
        key: [value] if key in {"when", "without"} and isinstance(value, str) else value for key, value in body.items()
    }
