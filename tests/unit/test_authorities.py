"""Which authorities a station of a given configuration trusts: those installed, and those of its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from certs.throwaway import Authority
from certs.trust import Register, TrustStore, certificates, fingerprint
from station.commands import network, pki, roots
from station.commands.findings import Grade
from station.config import Config, load
from station.state.certificates import CSMS_ROOT
from station.store import files
from tests.bench import Bench

FILE = """\
station: {identity: CS001, vendor: Example, model: Twin}
csms:
  url: wss://csms.example/ocpp
  security_profile: 2
  password_file: password
  ca_file: root.pem
state_directory: state
control_socket: null
simulator: {evses: 1}
"""


class Site:
    """A folder with a configuration that names one authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "password").write_text("a password of 16 and more", "ascii")
        (folder / "password").chmod(0o600)
        (folder / "state").mkdir()
        self.named = Authority.create("Named", folder).root_pem
        self.other = Authority.create("Other", folder).root_pem
        self.name(self.named)
        (folder / "station.yaml").write_text(FILE, "ascii")

    def name(self, pem: str) -> None:
        """The operator puts this into `ca_file`."""
        (self.folder / "root.pem").write_text(pem, "ascii")

    @property
    def config(self) -> Config:
        """As the agent reads it."""
        return load(self.folder / "station.yaml", cached=False)

    @property
    def store(self) -> TrustStore:
        """What is installed."""
        return TrustStore(self.config.roots)

    def trusted(self) -> set[str]:
        """The fingerprints of the roots by which the station connects."""
        return set(map(fingerprint, certificates(network.credentials(self.config).tls.roots_pem)))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Never started."""
    return Site(tmp_path)


def test_what_the_file_names_is_trusted_before_and_after_the_first_start(site: Site) -> None:
    """Once taken over it is listed."""
    before = site.trusted()

    installed = roots.of(site.config).installed()

    assert before == site.trusted() == {fingerprint(site.named)}
    assert [(each.kind, each.fingerprint) for each in installed] == [(CSMS_ROOT, fingerprint(site.named))]


def test_what_the_csms_deleted_stays_away_though_the_file_names_it(site: Site) -> None:
    """What the CSMS says later is stronger than the file, until that is changed: the way back by hand."""
    roots.of(site.config)
    site.store.add(CSMS_ROOT, site.other)
    site.store.remove(next(each for each in site.store.held() if each.fingerprint == fingerprint(site.named)))

    roots.of(site.config)

    assert site.trusted() == {fingerprint(site.other)}
    site.name(f"# once more\n{site.named}")
    roots.of(site.config)
    assert site.trusted() == {fingerprint(site.other), fingerprint(site.named)}


def test_a_factory_reset_leaves_what_the_file_names(site: Site) -> None:
    """Whoever gets the station next does not trust whom the last one trusted."""
    roots.of(site.config)
    site.store.add(CSMS_ROOT, site.other)
    site.store.add("V2GRootCertificate", site.other)

    roots.of(site.config, fresh=True)

    assert site.trusted() == {fingerprint(site.named)}
    assert len(site.store.held()) == 1


def test_a_disk_that_takes_no_writes_cuts_no_station_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file names is trusted all the same."""

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "replace", full)

    assert roots.of(site.config).installed() == ()

    assert site.trusted() == {fingerprint(site.named)}


def test_a_root_that_was_replaced_is_kept_apart(site: Site) -> None:
    """It is tried where it may still vouch."""
    roots.of(site.config)
    old, new = fingerprint(site.named), fingerprint(site.other)
    site.store.add(CSMS_ROOT, site.other)
    known = site.store.register()
    site.store.keep(Register(file=known.file, successor=new, fallback=(old,), places=("wss://csms.example/ocpp",)))

    found = network.credentials(site.config)

    assert site.trusted() == {new}
    assert found.replaced is not None
    assert set(map(fingerprint, certificates(found.replaced.pem))) == {old}
    assert found.replaced.urls == ("wss://csms.example/ocpp",)


@pytest.mark.req("M05.FR.16")
@pytest.mark.parametrize(
    "places, allowed",
    [
        (("ws://csms.example/ocpp", "wss://before/ocpp"), ("ws://csms.example/ocpp", "wss://before/ocpp")),
        (("wss://before/ocpp",), ("ws://csms.example/ocpp",)),
    ],
)
def test_a_replaced_root_is_for_the_csms_that_the_station_knew(
    site: Site, bench: Bench, places: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    """If no profile leads there any more, for any: a station that is locked out is worse."""
    roots.of(site.config)
    site.store.add(CSMS_ROOT, site.other)
    register = Register(successor=fingerprint(site.other), fallback=(fingerprint(site.named),), places=places)
    site.store.keep(register)

    (found,) = network.link_setup(site.config, bench.station).credentials

    assert found.replaced is not None
    assert found.replaced.urls == allowed


def test_check_tells_each_root_with_its_end(site: Site) -> None:
    """Installed or named; and that there is none."""
    roots.of(site.config)
    site.store.add(CSMS_ROOT, site.other)
    told = list(pki.roots(site.config))
    assert {each.grade for each in told} == {Grade.WARNING}, "they expire within 30 days"
    assert sorted(each.detail.partition(",")[0] for each in told) == ["Named", "Other"]

    for each in site.store.held():
        site.store.remove(each)

    (nothing,) = pki.roots(site.config)
    assert nothing.grade is Grade.ERROR
