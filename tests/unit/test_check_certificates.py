"""The certificates of a station of profile 3, as `check` and the agent find them on the disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
import pytest

from certs.file_keys import FileKeys
from certs.keystore import KeyKind, Subject
from certs.own import OwnChains
from certs.throwaway import Authority, Wish
from certs.trust import TrustStore
from station.blocks.own_certificates.expiry import LookAtCertificates
from station.commands.check import certificates, revocation_lists
from station.commands.findings import Grade
from station.commands.network import as_renewed
from station.commands.signing import KeyWork, of
from station.commands.trials import _unasked
from station.commands.upkeep import ESSENTIALS
from station.config import Config, load
from station.shell.dial import Line
from station.store.essentials import Essentials, save
from tests.responder import crl

DAY = timedelta(days=1)
FILE = """\
station: {identity: CS001, vendor: Example, model: Twin, serial: "4711"}
csms:
  url: wss://csms.example/ocpp
  security_profile: 3
  ca_file: root.pem
  certificate: station.pem
  key_file: station.key
state_directory: state
simulator: {evses: 1}
"""


class Site:
    """A station whose certificate of the factory has expired."""

    def __init__(self, folder: Path) -> None:
        self.root = Authority.create("Root", folder, valid=(-400 * DAY, 4000 * DAY))
        issued = self.root.issue("4711", Wish(valid=(-300 * DAY, -DAY), organization="Factory"))
        (folder / "root.pem").write_text(self.root.root_pem)
        (folder / "station.pem").write_text(issued.pem)
        (folder / "station.key").touch(0o600)
        (folder / "station.key").write_bytes(issued.key.read_bytes())
        (folder / "station.yaml").write_text(FILE)
        self.config: Config = load(folder / "station.yaml")

    def renewed(self, name: str = "cs-1") -> None:
        """As the agent would have left it."""
        keys = FileKeys(self.config.keys)
        keys.create(name, KeyKind.EC_P256)
        chain = self.root.sign_request(keys.csr(name, Subject("4711", "Operator")), Wish(valid=(-DAY, 300 * DAY)))
        OwnChains(self.config.chains).keep(name, chain)
        save(self.config.state / ESSENTIALS, Essentials("CS001", certificates={name: "ChargingStationCertificate"}))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def grades(site: Site) -> list[tuple[str, Grade]]:
    return [(each.what, each.grade) for each in certificates(site.config)]


def test_the_certificate_of_the_file_is_judged_until_there_is_another_one(site: Site) -> None:
    assert ("certificate", Grade.ERROR) in grades(site)
    assert not site.config.state.exists(), "whoever checks leaves nothing behind"


def test_a_renewed_certificate_is_judged_instead(site: Site) -> None:
    """And shown to the CSMS, as the agent would."""
    site.renewed()

    assert [grade for _, grade in grades(site)] == [Grade.OK] * 3
    assert as_renewed(site.config).tls.chain == site.config.chains / "cs-1.pem"


def test_one_whose_chain_is_gone_is_not_looked_for(site: Site) -> None:
    site.renewed()
    OwnChains(site.config.chains).remove("cs-1")

    assert ("certificate", Grade.ERROR) in grades(site)


def test_the_agent_looks_at_the_dates_of_all_that_counts(site: Site) -> None:
    """The factory's certificate only as long as it is the one that is shown."""
    site.renewed()
    TrustStore(site.config.roots).add("V2GRootCertificate", site.root.root_pem)
    work = KeyWork(of(site.config))

    with_it = work.look(LookAtCertificates(given=True)).found
    without = work.look(LookAtCertificates(given=False)).found

    assert sorted(each.role for each in without) == ["ChargingStationCertificate", "V2GRootCertificate"]
    assert len(with_it) == 3
    assert {each.fingerprint for each in without} < {each.fingerprint for each in with_it}


@pytest.mark.parametrize(
    "case, grade, told",
    [
        ("good", Grade.OK, "crl.pem"),
        ("old", Grade.ERROR, "has expired"),
        ("part", Grade.ERROR, "some certificates only"),
        ("rubbish", Grade.ERROR, "is no revocation list"),
        ("gone", Grade.ERROR, "cannot be read"),
    ],
)
def test_a_revocation_list_that_says_nothing_is_told(tmp_path: Path, case: str, grade: Grade, told: str) -> None:
    """Else everybody believes that whom it names is refused."""
    site = Site(tmp_path)
    content = {
        "good": crl(site.root, 1),
        "old": crl(site.root, 1, until=-timedelta(hours=1)),
        "part": crl(site.root, 1, partial=True),
        "rubbish": b"rubbish",
    }
    csms = msgspec.structs.replace(site.config.file.csms, crl_files=("crl.pem",))
    config = msgspec.structs.replace(site.config, file=msgspec.structs.replace(site.config.file, csms=csms))
    if case in content:
        (tmp_path / "crl.pem").write_bytes(content[case])

    (found,) = revocation_lists(config)

    assert found.grade is grade
    assert told in found.detail


class Connected(NamedTuple):
    """As much of a connection as is looked at."""

    tls: str | None
    path: tuple[str, ...]


@pytest.mark.parametrize(
    "tls, path, told", [("TLSv1.3", ("aa", "bb"), []), ("TLSv1.3", (), [Grade.WARNING]), (None, (), [])]
)
def test_a_python_that_keeps_the_path_to_itself_is_told(
    tmp_path: Path, tls: str | None, path: tuple[str, ...], told: list[Grade]
) -> None:
    """Neither responder nor list can be asked about who is not known."""
    line = cast("Line", Connected(tls, path))

    assert [found.grade for found in _unasked(Site(tmp_path).config, line)] == told
