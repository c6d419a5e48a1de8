"""A TPM and an HSM in software (swtpm, SoftHSM), for tests of keys that never leave them.

What is missing skips a test, and says so at the end of the run. Whoever loads OpenSSL's providers runs
`own_process.in_own_process`.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from certs import openssl, tpm
from certs.cryptoki import Module
from certs.errors import KeyUnavailable
from certs.keystore import KeyStore
from certs.pkcs11_keys import Pkcs11Keys, Pkcs11Settings
from certs.tpm import TpmSettings
from certs.tpm_keys import TpmKeys

ROOT = Path(__file__).parent.parent
FETCHED = ROOT / ".cache/build/ossl-modules"
"""By .ci/providers, on Debian 12."""

PERSISTENT = 0x81000001
PIN = "a PIN of the token"
TOKEN = "station's keys"
PATIENCE_S = 30.0
_SOFT_HSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")


def provider(name: str) -> Path | None:
    """The file of a provider that can be used."""
    with contextlib.suppress(KeyUnavailable):
        for directory in (FETCHED, openssl.modules_directory()):
            if (directory / f"{name}.so").is_file():
                return directory / f"{name}.so"
    return None


def soft_hsm() -> Path | None:
    """SoftHSM's PKCS#11 module."""
    return next((Path(file) for file in _SOFT_HSM if Path(file).is_file()), None)


@functools.cache
def missing_for_tpm() -> str:
    """What keeps the tests with a TPM from running; empty: nothing."""
    if shutil.which("swtpm") is None:
        return "swtpm is not installed"
    try:
        tpm.library()
    except KeyUnavailable as error:
        return error.reason
    return "" if provider("tpm2") else "no tpm2-openssl of version 1.3 or newer"


@functools.cache
def missing_for_hsm() -> str:
    """What keeps the tests with an HSM from running."""
    if soft_hsm() is None or shutil.which("softhsm2-util") is None:
        return "softhsm2 is not installed"
    return "" if provider("pkcs11") else "no pkcs11-provider"


needs_tpm = pytest.mark.skipif(bool(missing_for_tpm()), reason=f"keys in a TPM NOT TESTED: {missing_for_tpm()}")
needs_hsm = pytest.mark.skipif(bool(missing_for_hsm()), reason=f"keys in an HSM NOT TESTED: {missing_for_hsm()}")


class SoftwareTpm:
    """A TPM with a state that survives its power cuts. No resource manager: three keys are all it holds."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "tpm"
        self._state.mkdir()
        self._socket = folder / "tpm.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def tcti(self) -> str:
        """The way to it."""
        return f"swtpm:path={self._socket}"

    def __enter__(self) -> Self:
        self.power_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.power_off()

    def power_on(self) -> None:
        """As the station's firmware does: switched on and started up."""
        self._process = subprocess.Popen(  # noqa: S603 - our own paths
            [
                *("swtpm", "socket", "--tpm2", "--flags", "not-need-init,startup-clear"),
                *("--tpmstate", f"dir={self._state}"),
                *("--server", f"type=unixio,path={self._socket}"),
                *("--ctrl", f"type=unixio,path={self._socket}.ctrl"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE_S
        while not self._serves():
            assert self._process.poll() is None, "swtpm does not start"
            assert time.monotonic() < end, "swtpm does not serve"
            time.sleep(0.01)

    def _serves(self) -> bool:
        if not Path(f"{self._socket}.ctrl").exists():
            return False
        try:
            self.loaded()
        except KeyUnavailable:
            return False
        return True

    def power_off(self) -> None:
        """Cut its power, as a broken wire does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(PATIENCE_S)
            self._process = None
            for name in (self._socket, Path(f"{self._socket}.ctrl")):
                name.unlink(missing_ok=True)

    def power_cycle(self) -> None:
        """Off and on: what was loaded is gone."""
        self.power_off()
        self.power_on()

    def loaded(self) -> int:
        """How many keys are loaded in it now."""
        with tpm.opened(TpmSettings(self.tcti)) as connection:
            return len(tpm.handles(connection, 0x80000000, 16))

    def clear(self) -> None:
        """What makes all its keys worthless."""
        with tpm.opened(TpmSettings(self.tcti)) as connection:
            connection.clear(tpm.library().ESYS_TR.LOCKOUT)

    def take_ownership(self, password: str) -> None:
        """Set the password of the owner's hierarchy."""
        with tpm.opened(TpmSettings(self.tcti)) as connection:
            connection.hierarchy_change_auth(tpm.library().ESYS_TR.OWNER, password)

    def keys(self, folder: Path, parent: int | None = None, owner: str = "") -> TpmKeys:
        """A key store in it."""
        return TpmKeys(folder, TpmSettings(self.tcti, parent, lambda: owner), provider("tpm2"))


class SlowBus:
    """A bus between the station and a TPM that passes commands on late, or not at all while `open` is not set.

    In a process of its own: whoever gives a key up waits for the TPM with Python's one lock held.
    """

    def __init__(self, chip: SoftwareTpm, folder: Path) -> None:
        processes = multiprocessing.get_context("spawn")
        self._delay_s = processes.Value("d", 0.0)
        self.open = processes.Event()
        self.open.set()
        self._path = folder / "slow.sock"
        ready = processes.Event()
        ends = (str(self._path), chip.tcti.partition("=")[2])
        processes.Process(target=_bus, args=(*ends, self._delay_s, self.open, ready), daemon=True).start()
        assert ready.wait(PATIENCE_S), "the bus does not serve"

    def delay(self, seconds: float) -> None:
        """How late each command is passed on."""
        self._delay_s.value = seconds

    def keys(self, folder: Path) -> TpmKeys:
        """A key store in the TPM behind it."""
        return TpmKeys(folder, TpmSettings(f"swtpm:path={self._path}"), provider("tpm2"))


def _bus(here: str, there: str, delay_s: Synchronized[float], opened: Event, ready: Event) -> None:
    """The process of a SlowBus; it ends with the test's."""

    def carry(source: socket.socket, sink: socket.socket, slow: bool) -> None:  # noqa: FBT001 - this way, not that
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if slow:
                    time.sleep(delay_s.value)
                    opened.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(listening: socket.socket, end: str) -> None:
        while True:
            near, _ = listening.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(f"{there}{end}")
            for way in ((near, far, not end), (far, near, False)):
                threading.Thread(target=carry, args=way, daemon=True).start()

    for end in ("", ".ctrl"):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(f"{here}{end}")
        listening.listen()
        threading.Thread(target=serve, args=(listening, end), daemon=True).start()
    ready.set()
    test = multiprocessing.parent_process()
    assert test is not None
    test.join()


class SoftHsm:
    """A token of SoftHSM's, which can be taken out and put back. One at a time: a process knows one place of tokens."""

    def __init__(self, folder: Path) -> None:
        self._tokens, self._away = folder / "tokens", folder / "taken out"
        self._tokens.mkdir()
        self._conf = folder / "softhsm2.conf"
        self._conf.write_text(f"directories.tokendir = {self._tokens}\nobjectstore.backend = file\n", "utf-8")

    def __enter__(self) -> Self:
        os.environ["SOFTHSM2_CONF"] = str(self._conf)
        self._initialise()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        Module(self.module).finish()

    @property
    def environment(self) -> dict[str, str]:
        """For an agent that shall use it."""
        return {"SOFTHSM2_CONF": str(self._conf)}

    @property
    def module(self) -> Path:
        """The PKCS#11 module."""
        found = soft_hsm()
        assert found is not None
        return found

    def _initialise(self) -> None:
        subprocess.run(  # noqa: S603 - our own paths
            [
                *("softhsm2-util", "--init-token", "--free", "--label", TOKEN),
                *("--pin", PIN, "--so-pin", "the officer's"),
            ],
            check=True,
            capture_output=True,
        )

    def take_out(self) -> None:
        """The token is gone, and with it every session; SoftHSM would go on with what it has in memory."""
        self._tokens.rename(self._away)
        Module(self.module).finish()

    def put_back(self) -> None:
        """It is there again."""
        self._away.rename(self._tokens)

    def keys(self, folder: Path, pin: Callable[[], str] = lambda: PIN) -> Pkcs11Keys:
        """A key store in it."""
        return Pkcs11Keys(folder, Pkcs11Settings(self.module, TOKEN, pin), provider("pkcs11"))


STORES = (
    pytest.param("tpm", marks=needs_tpm),
    pytest.param("tpm-persistent", marks=needs_tpm),
    pytest.param("pkcs11", marks=needs_hsm),
)


@contextlib.contextmanager
def opened(kind: str, folder: Path) -> Iterator[tuple[KeyStore, SoftwareTpm | SoftHsm]]:
    """A store of one of the kinds above, and what it is in."""
    if kind == "pkcs11":
        with SoftHsm(folder) as hsm:
            yield hsm.keys(folder / "keys"), hsm
        return
    with SoftwareTpm(folder) as chip:
        yield chip.keys(folder / "keys", PERSISTENT if kind == "tpm-persistent" else None), chip
