"""No password and no private key stands where somebody else could read it (A01.FR.10, A01.FR.12, A02.FR.05)."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from certs.throwaway import Authority
from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms, server_context
from tests.octt.test_a_certificates import renewed
from tests.octt.test_a_tls import SECRETS, booted, good, pki, put

__all__ = ["pki"]
pytestmark = pytest.mark.system

NEW = "another-password-0815"


@pytest.mark.req("A01.FR.10", "A01.FR.12", "A02.FR.05", "A03.FR.05")
def test_nothing_secret_is_in_argv_environment_log_database_or_open_files(tmp_path: Path, pki: Authority) -> None:
    """With passwords changed and a certificate renewed, and after a restart by which all of it is read again."""
    with (
        LiveCsms(tls=server_context(good(pki))) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECRETS[2], more="log_level: debug\n") as agent,
    ):
        booted(csms)
        assert put(csms, "SecurityCtrlr", BasicAuthPassword=NEW) == {"Accepted"}
        csms.until(lambda: len(csms.handshakes) > 1 and csms.connected, "the connection with the new password")
        renewed(csms, pki)
        agent.kill()
        agent.start()
        csms.until(lambda: len(csms.handshakes) > 2, "the connection after the restart")
        assert csms.handshakes[-1].authorization == "Basic " + base64.b64encode(f"CS001:{NEW}".encode()).decode()
        told = str(agent.command("status"))

        assert agent.process is not None
        process = Path(f"/proc/{agent.process.pid}")
        shown = process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()
        agent.stop()

    state = tmp_path / "state"
    (key,) = (state / "keys").glob("*.key")
    secrets = [PASSWORD.encode(), NEW.encode(), key.read_bytes().splitlines()[1]]
    places = {"argv and environment": shown, "log": agent.log.encode(), "status": told.encode()}
    places |= {str(file): file.read_bytes() for file in state.rglob("*") if file.is_file() and file != key}
    assert any(name.endswith("station.db") for name in places)
    leaks = [(name, secret) for name, content in places.items() for secret in secrets if secret in content]
    assert leaks == []
    for file in (state, *state.rglob("*")):
        assert not file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), f"{file} is open to others"
