"""What is generated and committed is what its source says now."""

from __future__ import annotations

from pathlib import Path

from device_model import catalogue
from hal import template
from station.config import published
from station.ocpp import generate


def test_the_vocabulary_and_its_rules_come_from_the_official_schemas() -> None:
    """`python -m station.ocpp.generate` renews them."""
    assert generate.main(["--check"]) == 0


def test_the_catalogue_that_is_loaded_is_the_one_that_people_edit() -> None:
    """`python -m device_model.catalogue` renews it."""
    assert Path(str(catalogue.__file__)).with_name("catalogue.json").read_bytes() == catalogue.generate()


def test_the_register_maps_that_are_loaded_are_the_ones_that_people_edit() -> None:
    """`python -m hal.template` renews them."""
    assert [path.name for path, content in template.generated().items() if path.read_bytes() != content] == []


def test_the_schema_of_station_yaml_comes_from_the_structs_that_read_it() -> None:
    """`python -m station.config.published` renews it."""
    assert published.PATH.read_bytes() == published.generate()
