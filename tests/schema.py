"""The official JSON schemas, as a judge that shares no code with the station.

The schemas come from the `ocpp` package (development dependency). A test that wants to know whether a payload is valid
OCPP 2.0.1 asks here, never `station.ocpp`, so that a mistake in our rules cannot hide itself. Every frame of every test
passes here: the judge is a compiled one, which takes a hundredth of the time of one in plain Python.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from jsonschema_rs import Draft6Validator, ValidationError

Version = Literal["v201", "v21"]

# What the `ocpp` package has differently from the schemas that the OCA published: (message, field) -> corrections.
CORRECTIONS: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "Get15118EVCertificateResponse": {"exiResponse": {"maxLength": 5600}},
}


def folder(version: Version = "v201") -> Path:
    """Where the official schemas of that version lie."""
    spec = importlib.util.find_spec("ocpp")
    assert spec is not None, "the development dependency `ocpp` is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent / version / "schemas"


@functools.cache
def load(message: str, version: Version = "v201") -> dict[str, Any]:
    """The official schema of one message, such as `BootNotificationRequest`."""
    schema: dict[str, Any] = json.loads((folder(version) / f"{message}.json").read_text("utf-8-sig"))
    if version == "v201":
        for field, change in CORRECTIONS.get(message, {}).items():
            schema["properties"][field].update(change)
    return schema


@functools.cache
def messages(version: Version = "v201") -> tuple[str, ...]:
    """All message names of a version, sorted: `AuthorizeRequest`, `AuthorizeResponse`, ..."""
    return tuple(sorted(path.stem for path in folder(version).glob("*.json")))


@functools.cache
def validator(message: str) -> Draft6Validator:
    """A cached validator of one message; dates are not judged, the schema leaves their format to RFC 3339."""
    return Draft6Validator(load(message), validate_formats=False)


def validate(action: str, direction: Literal["Request", "Response"], payload: Mapping[str, Any]) -> None:
    """Assert that the payload is a valid message of OCPP 2.0.1; AssertionError names the path of the first mistakes.

    `payload` is what `json.loads` gives of the wire's text, not one of our structs.
    """
    message = f"{action}{direction}"
    mistakes = [f"{_path(error)}: {error.message}" for error in validator(message).iter_errors(payload)]
    assert not mistakes, f"{message} is not valid OCPP 2.0.1: " + "; ".join(mistakes[:5])


def _path(error: ValidationError) -> str:
    """Such as `$.chargingStation.model` or `$.meterValue[0]`."""
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in error.instance_path)
