"""What has come of a file, and what of it is believed after a power cut; the installer and its exit codes."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from certs.throwaway import Authority, Wish
from certs.trust import TrustStore
from station.blocks.firmware.jobs import (
    ConfirmFirmware,
    InstallFirmware,
    JudgeSigner,
    Outcome,
    SignerJudged,
    VerifyFirmware,
)
from station.commands import firmware
from station.commands.firmware import Fetched, FirmwareFiles
from station.config import load
from station.now import Mono, Wall
from station.state.firmware_updates import FirmwareUpdate
from tests.bundles import Place, bundle
from tests.fileservers import Answer, HttpServer
from tests.responder import Responder, named
from tests.scenarios.l_firmware.updates import CODE_SIGNING, IMAGE, Manufacturer

CONFIG = """\
station: {{identity: CS001, vendor: Example, model: Twin, serial: "4711"}}
csms: {{url: "ws://csms.example/ocpp", security_profile: 1, password_file: password, revocation: "{revocation}"}}
state_directory: state
simulator: {{evses: 1}}
firmware: {{command: {command}, patience_s: {patience}}}
"""


def test_what_was_closed_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with Fetched.resumed(path, 100).open('"1"') as file:
        file.write(b"first")

    again = Fetched.resumed(path, 100)
    assert (again.part, again.validator) == (5, '"1"')
    with again.open('"1"') as file:
        file.write(b" second")

    assert path.read_bytes() == b"first second"
    assert Fetched.resumed(path, 100).part == 12


def test_another_version_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with Fetched.resumed(path, 100).open('"1"') as file:
        file.write(b"first")

    with Fetched.resumed(path, 100).open('"2"') as file:
        file.write(b"2nd")

    assert path.read_bytes() == b"2nd"


def test_what_was_not_surely_written_is_cut_off_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's length may have reached the disk before its content."""
    monkeypatch.setattr(firmware, "SYNC_BYTES", 10)
    path = tmp_path / "image"
    file = Fetched.resumed(path, 100).open('"1"')
    file.write(b"0123456789")
    file.write(b"abc")
    file.flush()
    assert path.stat().st_size == 13

    after = Fetched.resumed(path, 100)

    assert (after.part, path.read_bytes()) == (10, b"0123456789")
    file.close()


def test_a_part_without_its_note_is_worth_nothing(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"of some other day")

    assert Fetched.resumed(path, 100).part == 0


def configured(folder: Path, command: str, patience_s: float = 20.0, revocation: str = "soft") -> FirmwareFiles:
    """The jobs of a station with this installer."""
    password = folder / "password"
    password.write_text("a password of 16 and more", "utf-8")
    password.chmod(0o600)
    (folder / "station.yaml").write_text(
        CONFIG.format(command=command, patience=patience_s, revocation=revocation), "utf-8"
    )
    return FirmwareFiles(load(folder / "station.yaml"), nobody)


async def nobody() -> frozenset[int]:
    """All hardware answers."""
    return frozenset()


def files(folder: Path, program: str, patience_s: float = 20.0) -> FirmwareFiles:
    """An installer that is this program."""
    return configured(folder, f'["{sys.executable}", "-c", "{program}"]', patience_s)


class Signing:
    """A maker of firmware whose certificate names a responder; what becomes of a request that shows it."""

    def __init__(self, folder: Path, asking: HttpServer) -> None:
        folder.mkdir()
        self.root = Authority.create("Maker root", folder)
        self.responder = Responder(self.root)
        self.issued = self.root.issue("Signer", Wish(extensions=(CODE_SIGNING, named(asking.url("/status")))))
        asking.script = lambda seen: Answer(200, {}, self.responder.answer(seen.body, self.issued.certificate))

    def judged(self, work: FirmwareFiles, state: Path) -> SignerJudged:
        """By a station that has the maker's root."""
        TrustStore(state / "roots").add("ManufacturerRootCertificate", self.root.root_pem)
        update = FirmwareUpdate(
            request_id=1, file="image", retrieve=Wall(0.0), install=None, retries=0, interval_s=0,
            certificate=self.issued.pem, signature="", location="",
        )  # fmt: skip
        return asyncio.run(work.judge(JudgeSigner(update=update, at=Wall(time.time()), by=Mono(0.0))))


@pytest.mark.parametrize("policy", ["soft", "hard"])
@pytest.mark.req("L01.FR.21")
def test_a_signer_who_was_revoked_is_refused(tmp_path: Path, policy: str) -> None:
    """Whom his certificate names is asked before the answer; a good one is accepted."""
    with HttpServer() as asking:
        maker = Signing(tmp_path / "maker", asking)
        work = configured(tmp_path, "[/bin/true]", revocation=policy)

        assert maker.judged(work, tmp_path / "state") == SignerJudged(
            update=maker.judged(work, tmp_path / "state").update, by=Mono(0.0)
        )
        maker.responder.revoked = {maker.issued.certificate.serial_number}
        refused = maker.judged(configured(tmp_path, "[/bin/true]", revocation=policy), tmp_path / "state")

    assert refused.revoked
    assert "keyCompromise (OCSP)" in refused.reason


@pytest.mark.parametrize("policy, accepted", [("off", True), ("soft", True), ("hard", False)])
def test_a_responder_that_says_nothing_of_a_signer(tmp_path: Path, policy: str, *, accepted: bool) -> None:
    """As with a CSMS: silence is consent, unless the operator wants an answer."""
    with HttpServer() as asking:
        maker = Signing(tmp_path / "maker", asking)
        asking.script = lambda seen: Answer(503)
        done = maker.judged(configured(tmp_path, "[/bin/true]", revocation=policy), tmp_path / "state")

    assert (done.reason == "") is accepted
    assert not done.revoked
    assert len(asking.seen) == (policy != "off")


@pytest.mark.req("L01.FR.29")
@pytest.mark.parametrize(
    "code, outcome", [(0, "active"), (10, "restart"), (11, "again"), (12, "unverified"), (1, "failed"), (77, "failed")]
)
def test_the_exit_code_says_how_it_ended(tmp_path: Path, code: int, outcome: Outcome) -> None:
    installer = files(tmp_path, f"import sys; print('one'); print('the last line'); sys.exit({code})")

    done = asyncio.run(installer.install(InstallFirmware(file="image")))

    assert (done.outcome, done.reason) == (outcome, "the last line")


@pytest.mark.parametrize("swapped", [False, True])
def test_what_was_changed_since_it_was_checked_is_not_installed(tmp_path: Path, *, swapped: bool) -> None:
    """Days may lie in between, and a power cut: the file is checked again, for every installer."""
    maker, trace = Manufacturer(tmp_path), tmp_path / "trace"
    installer = files(tmp_path, f"open({str(trace)!r}, 'w')")
    image = tmp_path / "state" / "firmware" / "image"
    image.parent.mkdir(parents=True)
    image.write_bytes(IMAGE)
    told = {"file": "image", "certificate": maker.certificate, "signature": maker.sign()}
    assert asyncio.run(installer.verify(VerifyFirmware(**told))).reason == ""
    if swapped:
        image.write_bytes(IMAGE.swapcase())

    done = asyncio.run(installer.install(InstallFirmware(**told)))

    assert done.outcome == ("unverified" if swapped else "active")
    assert trace.exists() is not swapped


@pytest.mark.parametrize("takes_file", [True, False])
def test_only_who_checks_a_file_himself_may_have_kept_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, takes_file: bool
) -> None:
    """RAUC makes a bundle root's own; after a power cut only RAUC can read it again."""
    trace = tmp_path / "trace"
    installer = files(tmp_path, f"open({str(trace)!r}, 'w')")
    monkeypatch.setattr(type(installer._installer), "takes_file", takes_file)

    def denied(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(firmware, "signed", denied)

    done = asyncio.run(installer.install(InstallFirmware(file="image", certificate="c", signature="s")))

    assert done.outcome == ("active" if takes_file else "failed")
    assert trace.exists() is takes_file


@pytest.mark.parametrize("missing", ["certificate", "signature"])
def test_half_a_signature_is_none(tmp_path: Path, missing: str) -> None:
    """Neither is passed over because the other is not there: nothing is found genuine, and nothing is installed."""
    maker, trace = Manufacturer(tmp_path), tmp_path / "trace"
    installer = files(tmp_path, f"open({str(trace)!r}, 'w')")
    image = tmp_path / "state" / "firmware" / "image"
    image.parent.mkdir(parents=True)
    image.write_bytes(IMAGE)
    told = {"file": "image", "certificate": maker.certificate, "signature": maker.sign(), missing: ""}

    assert asyncio.run(installer.verify(VerifyFirmware(**told))).reason
    assert asyncio.run(installer.install(InstallFirmware(**told))).outcome == "unverified"
    assert not trace.exists()


def test_the_installer_is_told_what_was_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It compares that with what it reads: between the check and its reading there is a moment, too."""
    maker, place = Manufacturer(tmp_path), Place(tmp_path / "place")
    genuine, other = bundle(tmp_path / "genuine"), bundle(tmp_path / "other", "9.1.0")
    work = files(tmp_path, "pass")
    monkeypatch.setattr(work, "_installer", place.installer())
    image = tmp_path / "state" / "firmware" / "image"
    image.parent.mkdir(parents=True)
    image.write_bytes(genuine.read_bytes())
    checked = firmware.signed

    def then_swapped(job: InstallFirmware, path: Path) -> bytes:
        digest = checked(job, path)
        path.write_bytes(other.read_bytes())
        return digest

    monkeypatch.setattr(firmware, "signed", then_swapped)
    signature = maker.sign(genuine.read_bytes())
    done = asyncio.run(work.install(InstallFirmware(file="image", certificate=maker.certificate, signature=signature)))

    assert (done.outcome, done.reason) == ("unverified", "it was changed since its signature was checked")
    assert place.pointers() == {}


def test_an_installer_that_never_ends_is_killed(tmp_path: Path) -> None:
    installer = files(tmp_path, "import time; time.sleep(600)", patience_s=0.5)

    done = asyncio.run(installer.install(InstallFirmware(file="image")))

    assert (done.outcome, done.reason) == ("failed", "not done within 0.5 s")


def test_confirm_is_given_the_file_and_answers_by_its_exit_code(tmp_path: Path) -> None:
    installer = files(tmp_path, "import sys; sys.exit(' '.join(sys.argv[1:]))")

    done = asyncio.run(installer.confirm(ConfirmFirmware(file="image")))

    assert done.reason == f"confirm {tmp_path / 'state' / 'firmware' / 'image'}"


def test_an_installer_that_is_not_there_has_failed(tmp_path: Path) -> None:
    installer = configured(tmp_path, "[/nowhere/installer]")

    done = asyncio.run(installer.install(InstallFirmware(file="image")))

    assert (done.outcome, done.reason) == ("failed", "/nowhere/installer: No such file or directory")
