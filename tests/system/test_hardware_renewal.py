"""A station whose keys are in a TPM has its certificate renewed: the new key is made there, and never leaves."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from certs.throwaway import Authority
from tests.agent import Agent
from tests.hardware import SoftwareTpm, needs_tpm, provider
from tests.live_csms import LiveCsms
from tests.octt.test_a_certificates import demanding, renewed, serial, station
from tests.octt.test_a_tls import booted, pki

__all__ = ["pki"]
pytestmark = [pytest.mark.system, needs_tpm]


def keys(chip: SoftwareTpm) -> str:
    """The section of the station's file."""
    return f"keys: {{store: tpm, tcti: 'swtpm:path={chip.tcti.partition('=')[2]}', provider: '{provider('tpm2')}'}}\n"


@pytest.mark.req("A02.FR.02", "A02.FR.05", "A02.FR.08", "A02.FR.10", "A03.FR.05")
def test_a_renewed_key_is_made_used_and_destroyed_in_the_tpm(tmp_path: Path, pki: Authority) -> None:
    """Twice, and after a restart: nothing in the station's directory can sign without the chip."""
    with (
        SoftwareTpm(tmp_path) as chip,
        LiveCsms(tls=demanding(pki)) as csms,
        station(tmp_path, csms, more=keys(chip)) as agent,
    ):
        booted(csms)
        for count in (2, 3):
            chain = renewed(csms, pki)
            csms.until(functools.partial(connected, csms, count), "the reconnection")
            assert csms.handshakes[-1].serial == serial(chain)
        csms.until(lambda: len(names(agent)) == 1, "the end of the first key")

        agent.kill()
        agent.start()
        csms.until(lambda: len(csms.handshakes) > 3, "the connection after a power cut of the controller")
        assert csms.handshakes[-1].serial == serial(chain)
        texts = [file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()]
        assert not [text for text in texts if b"-----BEGIN PRIVATE KEY" in text or b"-----BEGIN EC PRIVATE" in text]


def connected(csms: LiveCsms, count: int) -> bool:
    """Whether it is, for the time of this number."""
    return len(csms.handshakes) >= count and csms.connected


def names(agent: Agent) -> set[str]:
    """The keys of the station's key store."""
    return {file.name.split(".")[0] for file in (agent.folder / "state" / "keys").glob("cs-*")}
