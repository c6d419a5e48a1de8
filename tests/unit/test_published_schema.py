"""The JSON Schema of station.yaml and the examples: an editor that follows it accepts what the agent accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from certs.throwaway import Authority
from station.commands.check import findings
from station.commands.findings import Grade
from station.config import ConfigError, load
from station.config.published import PATH
from tests.unit.test_cli import GOOD

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
SCHEMA: dict[str, Any] = json.loads(PATH.read_text("utf-8"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the secrets and certificates that the examples name."""
    root = Authority.create("Root", tmp_path)
    issued = root.issue("00000002")
    (tmp_path / "csms-root.pem").write_text(root.root_pem)
    (tmp_path / "station.pem").write_text(issued.pem)
    for name, content in (("password", b"a secret of sixteen"), ("station.key", issued.key.read_bytes())):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_by_check_and_by_the_schema(site: Path, example: Path) -> None:
    text = example.read_text("utf-8")
    (site / "station.yaml").write_text(text.replace("/etc/ocpp-station/", ""), "utf-8")

    first = next(findings(site / "station.yaml"))

    assert (first.grade, first.what) == (Grade.OK, "file"), first
    jsonschema_rs.validate(SCHEMA, yaml.safe_load(text))


def test_there_is_an_example_for_each_kind_of_station() -> None:
    """And each tells an editor where the schema is."""
    assert [path.stem for path in EXAMPLES] == ["dc-charger", "home-wallbox", "laptop", "twin-post"]
    for path in EXAMPLES:
        told = path.read_text("utf-8").splitlines()[0]
        assert (path.parent / told.removeprefix("# yaml-language-server: $schema=")).resolve() == PATH


def test_the_example_of_all_keys_follows_the_schema() -> None:
    text = (ROOT / "systemd" / "station.yaml.example").read_text("utf-8")

    jsonschema_rs.validate(SCHEMA, yaml.safe_load(text))


@pytest.mark.parametrize(
    "change",
    [
        {"stations": {}},
        {"csms": {"url": "ws://127.0.0.1:9/ocpp", "security_profile": 4}},
        {"csms": {"security_profile": 1}},
        {"queue_mb": 7},
        {"meters": {"left": {"template": "eastron-sdm630"}}},
        {"buses": {"rs485": {"kind": "rs485"}}},
        {"sensors": {"door": {"driver": "gpio", "component": "AccessBarrier"}}},
        {"readers": {"front": {"driver": "pn532", "evses": 1}}},
        {"log_level": "loud"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_schema_refuses_the_agent_refuses(tmp_path: Path, change: dict[str, Any]) -> None:
    good = yaml.safe_load(GOOD)
    jsonschema_rs.validate(SCHEMA, good)

    wrong = {**good, **change}
    (tmp_path / "station.yaml").write_text(yaml.safe_dump(wrong))

    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(SCHEMA, wrong)
    with pytest.raises(ConfigError, match=next(iter(change))):
        load(tmp_path / "station.yaml")


def test_an_editor_is_told_what_a_key_means() -> None:
    """What stands below a field in the structs: of a section's, of a part's, and of our keys of a device."""
    definitions = SCHEMA["$defs"]

    assert SCHEMA["properties"]["main_meter"]["description"] == "That of the whole station, told as EVSE 0."
    assert definitions["Supply"]["properties"]["ramp_a_per_s"]["description"].startswith("How fast the offered current")
    sensor = SCHEMA["properties"]["sensors"]["additionalProperties"]["properties"]
    assert "the EVSE" in sensor["fault"]["description"]
