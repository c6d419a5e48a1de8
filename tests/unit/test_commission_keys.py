"""`ocpp-station commission` with a key of the station's own: made, its request written, its certificate put in."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.throwaway import Authority, Wish
from station.cli import main
from station.config import load
from tests import hardware
from tests.hardware import PIN, TOKEN, SoftwareTpm, needs_hsm, needs_tpm

ROOT = Path(__file__).parents[2]
TSS2 = {"TSS2_LOG": "all+none"}
"""The TPM's libraries say nothing by themselves."""
BASE = """\
# The hardware, by its manufacturer.
station: {identity: EXAMPLE, vendor: Example, model: Wallbox, organization: Operator}
csms: {url: "wss://example.invalid/ocpp", security_profile: 2, password_file: elsewhere, system_roots: true}
state_directory: state
control_socket: control.sock
simulator: {evses: 1}
"""
ANSWERS: Mapping[str, Any] = {
    "identity": "CS-1",
    "vendor": "Example",
    "model": "Wallbox",
    "serial": "0042",
    "security_profile": 3,
    "url": "wss://127.0.0.1:9/ocpp",
    "key": "station-1",
    "installer": "Anna",
}


class Done(NamedTuple):
    """How the command ended."""

    code: int
    out: str
    error: str


class Bench:
    """A folder with a description of the hardware, an authority that signs, and the command in a process of its own."""

    def __init__(self, folder: Path, keys: str = "", environment: Mapping[str, str] = {}) -> None:
        self.folder = folder
        self.stick = folder / "stick"
        self.stick.mkdir()
        self.station = folder / "station"
        self.station.mkdir()
        self.file = self.station / "station.yaml"
        self.pki = Authority.create("Root", folder).subordinate("Operator's CA")
        self._environment = environment
        (folder / "base.yaml").write_text(BASE + keys, "utf-8")

    def run(self, *arguments: str, typed: str = "", base: bool = False) -> Done:
        """The command; `typed` is what somebody says. A chip's libraries get a process of their own."""
        given = ["--base", str(self.folder / "base.yaml")] if base else []
        words = ["commission", "--config", str(self.file), *given, *arguments]
        done = self._apart(words) if self._environment else self._here(words, typed)
        assert "Traceback" not in done.error
        return done

    def _here(self, words: list[str], typed: str) -> Done:
        out, error = io.StringIO(), io.StringIO()
        stdin, sys.stdin = sys.stdin, io.StringIO(typed)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                code = main(words)
        finally:
            sys.stdin = stdin
        return Done(code, out.getvalue(), error.getvalue())

    def _apart(self, words: list[str]) -> Done:
        command, environment = [sys.executable, "-m", "station", *words], {**os.environ, **self._environment}
        done = subprocess.run(  # noqa: S603 - ours
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def answers(self, **changes: Any) -> str:
        """A file of answers on the stick; None leaves one out."""
        path = self.stick / "ocpp-station.yaml"
        found = {key: value for key, value in {**ANSWERS, **changes}.items() if value is not None}
        path.write_text(yaml.safe_dump(found), "utf-8")
        return str(path)

    def begin(self, **changes: Any) -> Done:
        """The first half."""
        return self.run("--answers", self.answers(**changes), "--yes", base=True)

    @property
    def request(self) -> Path:
        """Where the key's request is."""
        return self.station / "station-1.csr"

    def sign(self, name: str = "signed.pem", wish: Wish = Wish()) -> Path:  # noqa: B008 - immutable
        """As the operator's authority does; the chain comes on the stick."""
        path = self.stick / name
        path.write_text(self.pki.sign_request(self.request.read_text("ascii"), wish), "ascii")
        return path

    def files(self) -> dict[str, bytes]:
        """Everything that the station has, keys too."""
        return {
            str(each.relative_to(self.station)): each.read_bytes() for each in self.station.rglob("*") if each.is_file()
        }


@contextlib.contextmanager
def bench_with(store: str, folder: Path) -> Iterator[Bench]:
    """A station whose hardware has this place for keys."""
    if store == "file":
        yield Bench(folder)
        return
    with hardware.opened(store, folder) as (_, chip):
        if isinstance(chip, SoftwareTpm):
            section = f"keys: {{store: tpm, tcti: '{chip.tcti}', provider: {hardware.provider('tpm2')}}}\n"
            yield Bench(folder, section, TSS2)
            return
        bench = Bench(folder, f"keys: {{store: pkcs11, provider: {hardware.provider('pkcs11')}}}\n", chip.environment)
        (bench.station / "pin").write_text(f"{PIN}\n", "utf-8")
        (bench.station / "pin").chmod(0o600)
        yield bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """With keys in files."""
    return Bench(tmp_path)


@pytest.mark.parametrize(
    "store", ["file", pytest.param("tpm", marks=needs_tpm), pytest.param("pkcs11", marks=needs_hsm)]
)
def test_a_key_is_made_its_request_signed_and_the_certificate_put_in(store: str, tmp_path: Path) -> None:
    """In the place that was chosen. Until the certificate is there no station.yaml is, and what was said is kept."""
    with bench_with(store, tmp_path) as bench:
        token = {"module": str(hardware.soft_hsm()), "token": TOKEN, "pin_file": "pin"} if store == "pkcs11" else {}
        begun = bench.begin(store=store, **token)
        assert begun.code == 3, begun.error
        assert not bench.file.exists()
        assert f"have {bench.request} signed" in begun.out
        request = x509.load_pem_x509_csr(bench.request.read_bytes())
        assert request.subject.rfc4514_string() == "CN=0042,O=Operator"

        done = bench.run("--set", f"certificate={bench.sign()}", "--set", "installer=Anna", "--yes")

        assert done.code == 1, done.error  # nobody is at port 9
        assert "ok      private key            belongs to the certificate" in done.out
        assert "error   csms connection" in done.out
        config = load(bench.file)
        assert (config.file.csms.key, config.file.keys.store) == ("station-1", store)
        assert (bench.station / "signed.pem").read_bytes() == (bench.stick / "signed.pem").read_bytes()
        assert not bench.file.with_name("station.yaml.draft").exists()
        assert PIN not in begun.out + done.out + done.error + (bench.station / "commissioning.txt").read_text("utf-8")


def test_the_same_by_hand_with_wrong_answers_between(bench: Bench) -> None:
    """Each is told with its reason, and asked for again. Enter goes on from the draft."""
    first = bench.run(typed="CS-1\n\n\n0042\n3\nwss://127.0.0.1:9/ocpp\nusb\n\n\n-\nAnna\ny\n", base=True)
    assert first.code == 3, first.error
    assert "invalid enum value 'usb'" in first.out
    assert first.out.count("Where private keys are made") == 2
    (bench.stick / "other.pem").write_text(bench.pki.issue("0042").pem, "ascii")
    signed, other = bench.sign(), bench.stick / "other.pem"

    enter = "\n" * 8
    done = bench.run(typed=f"{enter}{other}\n{bench.stick}/none.pem\n{signed}\nAnna\ny\n")

    assert done.code == 1, done.error
    assert "goes on from" in done.out
    assert "is not for the key 'station-1' - have the request of this key signed" in done.out
    assert "none.pem: No such file or directory" in done.out
    assert f"{signed} is copied to {bench.station / 'signed.pem'}" in done.out
    assert load(bench.file).file.csms.certificate == "signed.pem"


def test_a_key_that_is_there_is_used_and_its_request_stays(bench: Bench) -> None:
    """Whoever runs it twice has one key, and the request that may be on its way."""
    assert bench.begin().code == 3
    key, request = (bench.station / "state/keys/station-1.key").read_bytes(), bench.request.read_bytes()
    assert bench.request.stat().st_mode & 0o777 == 0o644

    again = bench.begin()

    assert again.code == 3
    assert "key station-1: there already" in again.out
    assert (bench.station / "state/keys/station-1.key").read_bytes() == key
    assert (bench.station / "state/keys/station-1.key").stat().st_mode & 0o777 == 0o600
    assert bench.request.read_bytes() == request


def test_a_request_of_another_name_does_not_wipe_out_the_first(bench: Bench) -> None:
    """It stays as .before."""
    bench.begin()
    first = bench.request.read_bytes()

    bench.begin(serial="0043")

    assert (bench.station / "station-1.csr.before").read_bytes() == first
    request = x509.load_pem_x509_csr(bench.request.read_bytes())
    assert request.subject.rfc4514_string() == "CN=0043,O=Operator"


def unlike(bench: Bench, what: str) -> Path:
    """A certificate that nobody can use."""
    if what == "expired":
        return bench.sign(wish=Wish(valid=(timedelta(days=-3), timedelta(days=-1))))
    path = bench.sign()
    leaf, above = x509.load_pem_x509_certificates(path.read_bytes())
    if what == "der":
        path.write_bytes(leaf.public_bytes(Encoding.DER))
    elif what == "upside down":
        path.write_bytes(above.public_bytes(Encoding.PEM) + leaf.public_bytes(Encoding.PEM))
    elif what == "gap":
        stranger = Authority.create("Stranger", bench.folder).own_pem
        path.write_bytes(leaf.public_bytes(Encoding.PEM) + stranger.encode())
    elif what == "server":
        usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
        extension = x509.Extension(usage.oid, critical=False, value=usage)
        return bench.sign(wish=Wish(extensions=[extension]))
    else:
        path.write_text("nothing", "ascii")
    return path


@pytest.mark.parametrize(
    "what, told",
    [
        ("expired", "expired on"),
        ("der", "it is DER - openssl x509 -inform der"),
        ("upside down", "is not for the key 'station-1' - put the station's own first"),
        ("gap", "0042 is not signed by Stranger, which follows it"),
        ("server", "its extended key usage lacks clientAuth"),
        ("nothing", "not a chain of certificates that can be read"),
    ],
)
def test_a_certificate_that_is_of_no_use_is_told_and_nothing_changed(bench: Bench, what: str, told: str) -> None:
    """The draft is there for the next one."""
    bench.begin()
    path = unlike(bench, what)
    before = bench.files()

    done = bench.run("--set", f"certificate={path}", "--yes")

    assert done.code == 2
    assert told in done.error
    assert done.error.count("\n") == 1
    assert bench.files() == before


def test_a_certificate_before_its_key_is_refused(bench: Bench) -> None:
    """Nobody can have signed it."""
    (bench.stick / "other.pem").write_text(bench.pki.issue("0042").pem, "ascii")

    done = bench.begin(certificate="other.pem")

    assert (done.code, bench.files()) == (2, {})
    assert "there is no key 'station-1' yet" in done.error


def test_key_and_certificate_of_the_manufacturers_come_on_the_stick(bench: Bench) -> None:
    """By their names beside the file of answers. The key is the station's alone, whatever the stick lets see."""
    issued = bench.pki.issue("0042")
    for name, path in {"own.pem": issued.chain, "own.key": issued.key}.items():
        (bench.stick / name).write_bytes(path.read_bytes())
        (bench.stick / name).chmod(0o755)  # as FAT has it
    bench.answers(key=None, key_file="own.key", certificate="own.pem")

    done = bench.run("--answers", str(bench.stick), "--yes", base=True)

    assert done.code == 1, done.error
    assert (bench.station / "own.key").stat().st_mode & 0o777 == 0o600
    assert "ok      private key            belongs to the certificate" in done.out


def test_a_key_of_another_certificate_is_refused(bench: Bench) -> None:
    """Before anything is written."""
    one, other = bench.pki.issue("0042"), bench.pki.issue("0043")

    done = bench.begin(key=None, key_file=str(one.key), certificate=str(other.chain))

    assert (done.code, bench.files()) == (2, {})
    assert "(0043) is not for the key in " in done.error


def test_what_lies_beside_the_file_by_the_same_name_is_kept(bench: Bench) -> None:
    """A second root.pem does not wipe out the first: it gets another name, by which the file names it."""
    (bench.station / "root.pem").write_text(bench.pki.root_pem, "ascii")
    (bench.stick / "root.pem").write_text(Authority.create("Next", bench.folder).root_pem, "ascii")
    base = (bench.folder / "base.yaml").read_text("utf-8").replace(", system_roots: true", "")
    (bench.folder / "base.yaml").write_text(base, "utf-8")

    assert bench.begin(ca_file="root.pem").code == 3

    draft = yaml.safe_load((bench.station / "station.yaml.draft").read_text("utf-8"))
    assert draft["csms"]["ca_file"] == "root-2.pem"
    assert (bench.station / "root-2.pem").read_bytes() == (bench.stick / "root.pem").read_bytes()
    assert (bench.station / "root.pem").read_text("ascii") == bench.pki.root_pem


def test_a_certificate_of_the_same_name_takes_its_place_and_the_one_of_before_is_kept(bench: Bench) -> None:
    """By turns, so that station.yaml names the new one with one rename; the old one is `.before`."""
    told = []
    for number in range(3):
        issued = bench.pki.issue("0042")
        for name, path in {"own.pem": issued.chain, "own.key": issued.key}.items():
            (bench.stick / name).write_bytes(path.read_bytes())
        bench.answers(key=None, key_file="own.key", certificate="own.pem", serial=str(number))
        assert bench.run("--answers", str(bench.stick), "--yes", base=True).code == 1
        csms = yaml.safe_load(bench.file.read_text("utf-8"))["csms"]
        told.append((csms["key_file"], csms["certificate"]))
        assert (bench.station / csms["key_file"]).read_bytes() == issued.key.read_bytes()
        assert (bench.station / csms["key_file"]).stat().st_mode & 0o777 == 0o600

    assert told == [("own.key", "own.pem"), ("own-2.key", "own-2.pem"), ("own.key", "own.pem")]
    assert {name for name in bench.files() if name.startswith("own")} == {
        *("own.key", "own.pem", "own.key.before", "own.pem.before")
    }
    assert (bench.station / "own.key.before").stat().st_mode & 0o777 == 0o600


def test_another_store_takes_nothing_of_the_one_before_along(tmp_path: Path) -> None:
    """What no store minds stays."""
    bench = Bench(tmp_path, "keys: {store: pkcs11, module: x.so, token: t, pin_file: pin, kind: rsa-2048}\n")

    assert bench.begin(store="file").code == 3

    draft = yaml.safe_load((bench.station / "station.yaml.draft").read_text("utf-8"))
    assert draft["keys"] == {"store": "file", "kind": "rsa-2048"}


def test_no_copy_wipes_out_what_belongs_to_the_station(bench: Bench) -> None:
    """A PEM file may have any name on the stick."""
    issued = bench.pki.issue("0042")
    (bench.stick / "password").write_bytes(issued.chain.read_bytes())

    done = bench.begin(key=None, key_file=str(issued.key), certificate="password")

    assert (done.code, bench.files()) == (2, {})
    assert "where password is another file - rename it" in done.error


def test_a_key_that_was_made_before_something_failed_is_told(bench: Bench) -> None:
    """It is used the next time."""
    bench.request.mkdir()

    done = bench.begin()

    assert done.code == 75
    assert "nothing was changed, but the key station-1 is there now" in done.error
    bench.request.rmdir()
    assert "there already" in bench.begin().out


@pytest.mark.parametrize("wrong, code", [("main_meter: grid\n", 78), ("", 2)])
def test_a_key_is_told_whatever_is_wrong_with_the_rest(tmp_path: Path, wrong: str, code: int) -> None:
    """Hardware that is described wrongly, a step for a meter that is not there."""
    bench = Bench(tmp_path, wrong)

    done = bench.begin(displays={"no such": 1.0})

    assert done.code == code
    assert "the key station-1 is there now" in done.error


@pytest.mark.parametrize(
    "keys, told",
    [
        ("keys: {store: usb}\n", "keys: invalid enum value 'usb'"),
        ("keys: [1\n", "base.yaml:"),
        ("main_meter: grid\n", "no meter is called 'grid'"),
    ],
)
def test_a_base_that_is_wrong_is_told(tmp_path: Path, keys: str, told: str) -> None:
    """With exit code 78, and no traceback."""
    bench = Bench(tmp_path, keys)

    done = bench.begin()

    assert done.code == 78
    assert told in done.error


@pytest.mark.parametrize("keys", ["tpm", "pkcs11"])
def test_a_chip_that_is_away_is_told_before_anything_is_written(tmp_path: Path, keys: str) -> None:
    """With what to do about it."""
    bench = Bench(tmp_path, "keys: {store: tpm, tcti: 'device:/dev/none'}\n" if keys == "tpm" else "", TSS2)
    (bench.stick / "pin").write_text("1234\n", "utf-8")
    (bench.stick / "pin").chmod(0o600)
    (bench.stick / "module.so").write_bytes(b"none")
    token = {"module": str(bench.stick / "module.so"), "token": "x", "pin_file": str(bench.stick / "pin")}

    done = bench.begin(store=keys, **(token if keys == "pkcs11" else {}))

    assert (done.code, bench.files()) == (2, {})
    assert " - " in done.error
    assert done.error.startswith(f"ocpp-station: {'store' if keys == 'tpm' else 'pin_file'}: ")
