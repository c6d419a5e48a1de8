"""Power is cut at every write while root certificates come and go: the way to the CSMS stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from certs.throwaway import Authority
from certs.trust import TrustStore, fingerprint
from station.block import Job
from station.blocks.certificates import DeleteByHash, DropReplaced, InstallRoot
from station.commands.roots import Roots, to_wire
from station.now import Wall, to_wall
from station.state.certificates import CSMS_ROOT
from station.store import files
from tests.bench import OwnChains
from tests.crash.medium import power_cuts
from tests.crash.recorder import Recorder
from tests.scenarios.m_certificates.roots import ALWAYS


class Site:
    """A store on the recorded disk, and authorities that follow each other."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        (folder / "pki").mkdir()
        self.recorder = recorder
        self.store = TrustStore(recorder.root / "roots", files)
        self.roots = Roots(self.store, OwnChains(folder / "certificates"))
        self.first = Authority.create("First", folder / "pki", None, ALWAYS)
        self.second = self.first.successor("Second", ALWAYS)
        self.third = self.second.successor("Third", ALWAYS)

    def install(self, authority: Authority, *, replace: bool) -> InstallRoot:
        """The job."""
        return InstallRoot(
            kind=CSMS_ROOT,
            pem=authority.root_pem,
            at=Wall(to_wall(self.first._chain[0].not_valid_before_utc) + 1.0),
            certain=False,
            most=50,
            replace=replace,
            places=("wss://csms/ocpp",),
        )

    def do(self, job: Job, mark: str = "") -> None:
        """Do a job; then, as far as the CSMS knows, it is done."""
        done: Any = self.roots.do(job)
        assert getattr(done, "status", "Accepted") == "Accepted", done
        self.recorder.mark(mark)


@pytest.fixture
def site(recorder: Recorder, fast: Path) -> Site:
    """The first root is there."""
    site = Site(recorder, fast)
    site.do(site.install(site.first, replace=False))
    return site


def usable(root: Path) -> tuple[set[str], set[str]]:
    """The fingerprints of the roots that are tried first, and of those that are tried then."""
    store = TrustStore(root / "roots")
    there = {each.fingerprint for each in store.held() if each.use == CSMS_ROOT and each.not_after is not None}
    assert store.bundle(CSMS_ROOT).count("BEGIN") == len(there), "a file is half"
    assert all(root.names for root in store.roots(CSMS_ROOT)), "a root cannot be named"
    return there - store.fallback(CSMS_ROOT), set(store.fallback(CSMS_ROOT))


def test_a_new_root_is_there_whole_or_not_at_all(site: Site, fast: Path) -> None:
    """M05: once the CSMS has heard Accepted, it stays; the other one always."""
    start = len(site.recorder.log)
    other = Authority.create("Other", fast / "pki", None, ALWAYS)
    site.do(site.install(other, replace=False), "installed")
    old, new = fingerprint(site.first.root_pem), fingerprint(other.root_pem)

    def either(root: Path, marks: Sequence[Any]) -> None:
        first, then = usable(root)
        assert not then
        assert first == {old, new} or (first == {old} and "installed" not in marks)

    report = power_cuts(site.recorder.log, either, fast / "image", start=start)

    assert report.images > 5
    assert report.violations == []


def test_while_one_root_replaces_another_the_proven_one_can_always_be_used(site: Site, fast: Path) -> None:
    """AdditionalRootCertificateCheck: First, then Second, then Third before Second was used; then Third has proven."""
    start = len(site.recorder.log)
    site.do(site.install(site.second, replace=True), "second")
    site.do(site.install(site.third, replace=True), "third")
    site.do(DropReplaced(), "proven")
    old = fingerprint(site.first.root_pem)
    second, third = (fingerprint(each.root_pem) for each in (site.second, site.third))

    def safe(root: Path, marks: Sequence[Any]) -> None:
        first, then = usable(root)
        assert first, "without a root that is tried first TLS is not even begun"
        assert old in first | then or (first == {third} and "third" in marks)
        if "proven" in marks:
            assert (first, then) == ({third}, set())
        elif "third" in marks:
            assert third in first
        elif "second" in marks:
            assert first & {second, third}

    report = power_cuts(site.recorder.log, safe, fast / "image", start=start)

    assert report.images > 20
    assert report.violations == []


def test_a_deleted_root_is_gone_once_the_csms_has_heard_so(site: Site, fast: Path) -> None:
    """M04: and no other one with it."""
    other = Authority.create("Other", fast / "pki", None, ALWAYS)
    site.do(site.install(other, replace=False))
    names = {root.fingerprint: root.hash_data for root in site.store.roots()}
    old, new = fingerprint(site.first.root_pem), fingerprint(other.root_pem)
    wanted = names[new]
    assert wanted is not None
    start = len(site.recorder.log)
    site.do(DeleteByHash(wanted=to_wire(wanted), in_use="", secured=True), "deleted")

    def either(root: Path, marks: Sequence[Any]) -> None:
        first, _ = usable(root)
        assert first == {old} or (first == {old, new} and "deleted" not in marks)

    report = power_cuts(site.recorder.log, either, fast / "image", start=start)

    assert report.violations == []


def test_what_the_file_names_is_taken_over_once_whenever_power_is_cut(recorder: Recorder, fast: Path) -> None:
    """The next start goes on with it."""
    site = Site(recorder, fast)
    text = site.first.root_pem + site.third.root_pem
    site.store.take_over(CSMS_ROOT, text)
    recorder.mark("taken")

    def again(root: Path, marks: Sequence[Any]) -> None:
        store = TrustStore(root / "roots")
        if "taken" not in marks:
            store.take_over(CSMS_ROOT, text)
        assert store.has_taken(text)
        assert len(store.held()) == 2

    report = power_cuts(recorder.log, again, fast / "image")

    assert report.images > 5
    assert report.violations == []


def test_a_store_that_writes_down_the_successor_too_late_is_caught(
    site: Site, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: nobody remembers who replaces whom."""
    start = len(site.recorder.log)
    monkeypatch.setattr(TrustStore, "keep", lambda _self, _register: None)
    site.do(site.install(site.second, replace=True), "second")
    new = fingerprint(site.second.root_pem)

    def first_alone(root: Path, marks: Sequence[Any]) -> None:
        assert not marks or usable(root)[0] == {new}

    assert power_cuts(site.recorder.log, first_alone, fast / "image", start=start, enough=1).violations
