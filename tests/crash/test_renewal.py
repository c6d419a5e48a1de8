"""Power is cut at every write while a station renews its certificate: it must come back by the new one or the old one.

An image may show any of the writes that were not yet flushed, or none, or a torn one. Whatever was answered with
Accepted holds; a certificate that is to be shown has its key and its chain, and they belong together; a key was
destroyed only when nothing needs it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from certs.file_keys import FileKeys
from certs.own import OwnChains
from certs.tls import TlsSettings, client_context
from certs.trust import TrustStore
from station.block import Job, JobResult
from station.blocks.own_certificates.intake import CertificateIntake
from station.blocks.own_certificates.jobs import DestroyKeys
from station.commands.signing import KeyWork
from station.state.own_certificates import CHARGING_STATION, GIVEN, OwnCertificates
from tests.bench import Bench
from tests.crash.medium import Image, fault_of, images
from tests.crash.recorder import Recorder
from tests.crash.scenarios import MarkingBench
from tests.csms import Csms
from tests.scenarios.a_security.signing import Operator


class Destroyed(NamedTuple):
    """A mark: these keys and chains are gone. Removals are no writes of the store, and so not in the log."""

    names: tuple[str, ...]


class Promised(NamedTuple):
    """A mark: the CSMS was told Accepted; it knows this certificate now."""

    key: str


def operator(recorder: Recorder) -> Operator:
    """A station on the recorder."""
    csms = Operator(recorder.root, make=lambda _path, **given: MarkingBench(recorder, **given))
    real = csms.bench.keys.do

    def do(job: Job) -> JobResult:
        if isinstance(job, DestroyKeys):
            recorder.mark(Destroyed(job.names))
        return real(job)

    csms.bench.keys.do = do  # type: ignore[method-assign]  # to see what it does
    return csms


def renewed_twice(csms: Operator, recorder: Recorder) -> None:
    """Once with success, once with a certificate that the CSMS then does not take."""
    csms.renew()
    (first,) = csms.bench.station.own_certificates.ways()
    recorder.mark(Promised(first))
    csms.bench.advance(seconds=5)
    csms.trigger()
    csms.bench.refused.update(set(csms.held()) - {first})
    assert csms.send(csms.signed())["status"] == "Accepted"
    csms.bench.advance(minutes=1)
    assert csms.bench.station.own_certificates.ways() == (first,)
    csms.trigger()
    csms.bench.advance(minutes=5)


def comes_back(root: Path, image: Image, csms: Operator) -> None:
    """The oracle."""
    for mark in image.marks:
        if isinstance(mark, Destroyed):
            for name in mark.names:
                (root / "keys" / f"{name}.key").unlink(missing_ok=True)
                (root / "certificates" / f"{name}.pem").unlink(missing_ok=True)
    TrustStore(root / "roots").add("CSMSRootCertificate", csms.root.root_pem)
    bench = Bench(
        root,
        connected=False,
        csms=Csms(message_timeout_s=35.0),
        layout={"security_profile": 3, "organization_name": "Operator"},
        profiles=csms.bench.setup.profiles,
        given_certificate=csms.bench.setup.given_certificate,
    )
    try:
        usable(root, bench.station.own_certificates, csms.root.root_pem)
        promised = [mark.key for mark in image.marks if isinstance(mark, Promised)]
        assert set(promised) <= set(bench.station.own_certificates.ways())
        bench.csms.connect()
        bench.advance(minutes=3)
        ways = bench.station.own_certificates.ways()
        assert len(ways) == 1, "one of them has worked"
        usable(root, bench.station.own_certificates, csms.root.root_pem)
        assert bench.station.own_certificates.doomed() == ()
        signing = bench.station.own_certificates.signing(CHARGING_STATION)
        wanted = {*ways, *([signing.key] if signing is not None else [])} - {GIVEN}
        assert wanted <= set(FileKeys(root / "keys").names())
    finally:
        bench.database.close()


def usable(root: Path, own: OwnCertificates, roots_pem: str) -> None:
    """Whatever would be shown to the CSMS can be."""
    keys, chains = FileKeys(root / "keys"), OwnChains(root / "certificates")
    ways = own.ways()
    assert ways, "there is nothing to show"
    for key in ways:
        if key != GIVEN:
            client_context(TlsSettings(roots_pem, chain=chains.path(key), key=keys.tls_key(key)))


def failures(recorder: Recorder, scratch: Path, most: int) -> Iterator[str]:
    """What went wrong after which cut, one after the other."""
    csms = operator(recorder)
    start = len(recorder.log)
    renewed_twice(csms, recorder)
    csms.bench.database.close()
    for image in images(recorder.log, start=start, most=most):
        if fault := fault_of(image, scratch, lambda image: comes_back(scratch, image, csms)):
            yield f"{image.at} {image.variant}: {fault}"


@pytest.mark.req("A02.FR.10", "A02.FR.28", "A03.FR.10", "A03.FR.24")
def test_a_power_cut_at_any_write_of_a_renewal_leaves_a_certificate_that_works(recorder: Recorder, fast: Path) -> None:
    assert list(failures(recorder, fast / "image", most=150)) == []


def test_mutant_a_key_that_is_destroyed_too_early_is_caught(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A station that destroys what is about to be superseded, at once, is seen to have nothing left."""
    real = CertificateIntake.chain_checked

    def hasty(self: Any, checked: Any, now: Any) -> Any:
        before = self._own.ways()
        answer = real(self, checked, now)
        self._jobs.start(DestroyKeys(names=tuple(each for each in before if each != GIVEN)))
        return answer

    monkeypatch.setattr(CertificateIntake, "chain_checked", hasty)

    assert any(failures(recorder, fast / "image", most=150))


def test_mutant_the_chain_is_written_after_the_row_is_caught(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that says Accepted before the chain is on the medium is seen to promise what is not there."""
    late: list[tuple[str, str]] = []
    keep, do = OwnChains.keep, KeyWork.do

    def postponed(self: OwnChains, key: str, pem: str) -> None:
        late.append((key, pem))
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        self.path(key).write_text(pem)

    def first_what_was_postponed(self: KeyWork, job: Job) -> JobResult:
        if isinstance(job, DestroyKeys):
            for key, pem in late:
                keep(self._places.chains, key, pem)
            late.clear()
        return do(self, job)

    monkeypatch.setattr(OwnChains, "keep", postponed)
    monkeypatch.setattr(KeyWork, "do", first_what_was_postponed)

    assert any(failures(recorder, fast / "image", most=150))


def test_the_marks_are_seen(recorder: Recorder) -> None:
    """Else the oracle would forgive everything."""
    csms = operator(recorder)
    renewed_twice(csms, recorder)

    logged = [each for each in (getattr(operation, "value", None) for operation in recorder.log) if each is not None]
    assert [each for each in logged if isinstance(each, Promised)]
    assert [each for each in logged if isinstance(each, Destroyed)]
