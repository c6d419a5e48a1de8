"""The test CSMS over a real socket: what the system tests stand on."""

from __future__ import annotations

import http
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from certs.throwaway import Authority
from tests.live_csms import LiveCsms, server

pytestmark = pytest.mark.system

PASSWORD = "a password of 16"
V201 = [Subprotocol("ocpp2.0.1")]
BOOT = {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Example"}}


@pytest.fixture
def live() -> Iterator[LiveCsms]:
    """Profile 1."""
    with LiveCsms(password=PASSWORD) as live:
        yield live


def station(live: LiveCsms, password: str = PASSWORD) -> ClientConnection:
    """A connection as a station makes it."""
    url = live.url.replace("://", f"://CS001:{password}@".replace(" ", "%20")) + "/CS001"
    return connect(url, subprotocols=V201)


def test_a_station_boots_and_is_called(live: LiveCsms) -> None:
    """Both directions, and what the handshake showed."""
    with station(live) as wire:
        wire.send(json.dumps([2, "1", "BootNotification", BOOT]))
        assert json.loads(wire.recv(5))[2]["status"] == "Accepted"
        live.wait_for("BootNotification")

        call = live.send("ClearCache")
        wire.send(json.dumps([3, json.loads(wire.recv(5))[1], {"status": "Accepted"}]))
        live.until(lambda: call.done)

    assert call.answer == {"status": "Accepted"}
    assert live.handshakes[0].path == "/ocpp/CS001"


def test_a_wrong_password_and_a_closed_door_are_refused(live: LiveCsms) -> None:
    """401, and whatever the test says."""
    with pytest.raises(InvalidStatus, match="401"):
        station(live, "wrong")
    live.refuse_with = http.HTTPStatus.SERVICE_UNAVAILABLE
    with pytest.raises(InvalidStatus, match="503"):
        station(live)


def test_a_broken_rule_fails_the_test() -> None:
    """A Heartbeat before the BootNotification."""
    with LiveCsms() as live, connect(live.url + "/CS001", subprotocols=V201) as wire:
        wire.send(json.dumps([2, "1", "Heartbeat", {}]))

        with pytest.raises(AssertionError, match="registration"):
            live.wait_for("Heartbeat", timeout_s=5)
        live.forgive()


def test_the_common_name_of_a_station_is_seen_with_profile_3(tmp_path: Path) -> None:
    """Mutual TLS."""
    pki = Authority.create("Test root", tmp_path)
    client = pki.issue("CS001")
    context = ssl.create_default_context(cadata=pki.root_pem)
    context.load_cert_chain(client.chain, client.key)

    with (
        LiveCsms(tls=server(pki, client_root=pki.root_pem)) as live,
        connect(live.url + "/CS001", subprotocols=V201, ssl=context),
    ):
        live.until(lambda: live.connected)

    assert (live.handshakes[0].client, live.handshakes[0].tls) == ("CS001", "TLSv1.3")
