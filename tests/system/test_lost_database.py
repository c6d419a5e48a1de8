"""A station whose database is gone still finds its CSMS, by the certificate that was renewed last."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from certs.throwaway import Authority
from tests.agent import PATIENCE_S, Agent
from tests.live_csms import LiveCsms
from tests.octt.test_a_certificates import demanding, renewed, serial, station
from tests.octt.test_a_tls import booted, events, pki

__all__ = ["pki"]
pytestmark = pytest.mark.system


def remembered(agent: Agent, text: str) -> None:
    """Wait until it stands in the file beside the database."""
    file, end = agent.folder / "state" / "essentials.json", time.monotonic() + 2 * PATIENCE_S
    while not file.exists() or text not in file.read_text("ascii"):
        assert time.monotonic() < end, "it was never kept"
        time.sleep(0.1)


@pytest.mark.req("A02.FR.08", "A03.FR.08")
def test_it_connects_by_its_renewed_certificate_and_tells_that_its_log_is_gone(tmp_path: Path, pki: Authority) -> None:
    with LiveCsms(tls=demanding(pki)) as csms, station(tmp_path, csms) as agent:
        booted(csms)
        chain = renewed(csms, pki)
        csms.until(lambda: len(csms.handshakes) > 1, "the reconnection")
        agent.stop()
        agent.start()
        remembered(agent, "cs-")
        agent.stop()
        before = len(csms.handshakes)
        for file in (tmp_path / "state").glob("station.*db*"):
            file.unlink()

        agent.start()

        csms.until(lambda: len(csms.handshakes) > before, "the connection")
        assert csms.handshakes[-1].serial == serial(chain)
        csms.until(lambda: "SecurityLogWasCleared" in events(csms), "the event")
