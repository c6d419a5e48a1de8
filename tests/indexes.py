"""The two indexes of OCPP 2.0.1: which requirements and test cases there are (docs/conformance/*.csv)."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

FOLDER = Path(__file__).parent.parent / "docs" / "conformance"


class Requirement(NamedTuple):
    """A functional requirement: a pointer to it, not its text."""

    id: str
    block: str
    use_case: str
    binds: str
    level: str
    condition: str
    gist: str
    errata: str


class Case(NamedTuple):
    """A test case of the certification of charging stations."""

    id: str
    name: str
    use_cases: str
    requirements: str
    profiles: str
    status: str

    @property
    def block(self) -> str:
        """The letter of the functional block, from the id."""
        return self.id.split("_")[1]


@functools.cache
def requirements() -> Mapping[str, Requirement]:
    """By id, in the order of the specification."""
    with (FOLDER / "requirements.csv").open(encoding="utf-8") as file:
        return {row["id"]: Requirement(**row) for row in csv.DictReader(file)}


@functools.cache
def cases() -> Mapping[str, Case]:
    """By id, in the order of part 6."""
    with (FOLDER / "testcases.csv").open(encoding="utf-8") as file:
        return {row["id"]: Case(**row) for row in csv.DictReader(file)}


@functools.cache
def not_applicable() -> Mapping[str, str]:
    """Id -> why this station does not have to do it. ValueError names an id that is unknown or listed twice."""
    reasons: dict[str, str] = {}
    for group in yaml.safe_load((FOLDER / "not-applicable.yaml").read_text("utf-8")):
        for each in group["ids"]:
            if each not in requirements() and each not in cases():
                raise ValueError(f"not-applicable.yaml: {each} is in neither index")
            if each in reasons:
                raise ValueError(f"not-applicable.yaml: {each} is listed twice")
            reasons[each] = group["reason"]
    return reasons
