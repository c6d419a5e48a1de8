"""Whatever CSMS, operator and power supply do: the station always has a certificate to show that it can use."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from certs.tls import TlsSettings, client_context
from station.state.own_certificates import CHARGING_STATION, GIVEN
from tests.scenarios.a_security.signing import Operator


def answer(csms: Operator, chain: str) -> None:
    """CertificateSigned; the reply may take its time."""
    request = {"certificateChain": chain, "certificateType": CHARGING_STATION}
    csms.bench.csms.send("CertificateSigned", request)
    csms.bench.settle()


def sign(csms: Operator) -> None:
    """The last request is answered well, if there is one."""
    if csms.bench.csms.connected and csms.requests:
        answer(csms, csms.signed())


def nonsense(csms: Operator) -> None:
    """And not well."""
    if csms.bench.csms.connected:
        answer(csms, "nonsense")


def trigger(csms: Operator) -> None:
    """One more."""
    if csms.bench.csms.connected:
        csms.trigger()


def cut(csms: Operator) -> None:
    """The link is gone, or back."""
    if csms.bench.csms.connected:
        csms.bench.csms.disconnect()
    else:
        csms.bench.csms.connect()


def next_one_refused(csms: Operator) -> None:
    """The CSMS will sign it and not take it."""
    signing = csms.bench.station.own_certificates.signing(CHARGING_STATION)
    if signing is not None:
        csms.bench.refused.add(signing.key)


DEEDS: dict[str, Callable[[Operator], object]] = {
    "trigger": trigger,
    "sign": sign,
    "nonsense": nonsense,
    "link": cut,
    "power cut": lambda csms: csms.bench.crash(),
    "wait": lambda csms: csms.bench.advance(minutes=4),
    "next one refused": next_one_refused,
    "jobs stall": lambda csms: setattr(csms.bench, "keys_busy", not csms.bench.keys_busy),
}


def usable(csms: Operator) -> None:
    """What is to be shown can be; what is doomed is not to be shown."""
    own, places = csms.bench.station.own_certificates, csms.bench.keys._places
    ways = own.ways()
    assert ways
    assert not set(own.doomed()) & set(ways)
    for key in ways:
        if key != GIVEN:
            client_context(TlsSettings(csms.root.root_pem, chain=places.chains.path(key), key=places.keys.tls_key(key)))


@settings(max_examples=25, deadline=None)
@given(deeds=st.lists(st.sampled_from(sorted(DEEDS)), max_size=12))
def test_there_is_always_a_certificate_that_can_be_used_and_no_key_too_many(deeds: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        csms = Operator(Path(folder))
        for deed in deeds:
            DEEDS[deed](csms)
            usable(csms)

        csms.bench.keys_busy = False
        csms.bench.csms.connected = True
        csms.bench.crash()
        csms.bench.advance(minutes=1)
        usable(csms)
        own = csms.bench.station.own_certificates
        assert len(own.ways()) == 1, "the CSMS was reached with one of them"
        signing = own.signing(CHARGING_STATION)
        assert set(csms.held()) == {*own.ways(), *([signing.key] if signing is not None else [])} - {GIVEN}
        csms.bench.database.close()
