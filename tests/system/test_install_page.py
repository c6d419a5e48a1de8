"""docs/install.md typed line by line on a machine that boots; and the Yocto recipe names what the agent depends on."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import PASSWORD
from tests.live_csms import LiveCsms
from tests.system import packages
from tests.system.machine import UNIT, Machine, needs_machine
from tests.system.packages import ROOT
from tests.system.test_machine import STATION

pytestmark = pytest.mark.system

BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / "install.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def machine(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that is on, with the package where root looks for it."""
    made = Machine(tmp_path / "machine")
    try:
        made.boot()
        package = packages.package(tmp_path_factory)
        shutil.copy(package, made.root / "root" / package.name)
        yield made
    finally:
        made.end()


@needs_machine
def test_who_types_what_the_page_shows_has_a_station(machine: Machine) -> None:
    """Each block works as it stands, in its order; between two of them the file is adapted, as the page says."""
    install, copy, check, service, well, upgrade, remove, purge = BLOCKS

    with LiveCsms(password=PASSWORD) as csms:
        typed(machine, install)
        typed(machine, copy)
        machine.put("/etc/ocpp-station/station.yaml", STATION.format(url=csms.url), 0o640)
        machine.put("/etc/ocpp-station/password", PASSWORD, 0o600)
        typed(machine, check)
        typed(machine, service)
        csms.wait_for("BootNotification")
        machine.until(lambda: machine.tried("ocpp-station", "status", "--health").returncode == 0, "health")
        assert "accepted  Accepted" in typed(machine, well)
        typed(machine, upgrade)
        assert machine.show("ActiveState") == "active"
        typed(machine, remove)
        assert (machine.root / "etc/ocpp-station/station.yaml").exists()
        typed(machine, purge)
        assert not (machine.root / "etc/ocpp-station").exists()
        assert machine.tried("systemctl", "is-active", UNIT).returncode != 0


def typed(machine: Machine, block: str) -> str:
    """What a block says, typed by root at home; the first command that fails ends it."""
    return machine.shell(f"cd /root\n{block}")


def test_the_recipe_names_a_package_for_each_dependency() -> None:
    """A new one in pyproject.toml must come into the image, too."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    recipe = (ROOT / "packaging" / "yocto" / "ocpp-station_git.bb").read_text("utf-8")
    extras = [each for extra in project["optional-dependencies"].values() for each in extra]

    wanted = {re.split(r"[<>=]", each)[0] for each in (*project["dependencies"], *extras)}

    assert {f"python3-{name.removeprefix('python-')}" for name in wanted} <= set(re.findall(r"python3-[\w-]+", recipe))
