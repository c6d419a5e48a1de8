"""M06: the SECC's certificates are shown to vehicles with what a responder says of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from tests import bench as bench_module
from tests.csms import Error
from tests.scenarios.vehicles import DAY, V2G, Pki, Responder, certificates, hashes_of, secc_bench, trusts


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates are slow to make, and never changed."""
    return Pki(tmp_path_factory.mktemp("pki"))


class Operator:
    """A CSMS that reaches the responders, and a station that it gives V2G certificates."""

    def __init__(self, path: Path, pki: Pki) -> None:
        self.pki = pki
        self.bench = secc_bench(path, connected=False)
        self.bench.csms.on("BootNotification", self._registered)
        self.bench.csms.connect()
        trusts(self.bench, pki.v2g.root_pem, kind=V2G)
        self.responder = Responder((pki.v2g, pki.cpo, pki.cpo_sub))
        self.period = 700 * DAY
        self.chain = ""
        self.answers: dict[str, Any] = {}
        """By the serial number of a certificate: what is answered instead."""
        self.bench.csms.on("GetCertificateStatus", self.status)
        pki.cpo_sub._clock = lambda: self.bench.true_utc

    def _registered(self, sent: dict[str, Any]) -> dict[str, Any]:
        """A heartbeat a day, for tests that take weeks."""
        del sent
        return {"status": "Accepted", "currentTime": self.bench.true_utc.isoformat(), "interval": 86_400}

    def status(self, sent: dict[str, Any]) -> Any:
        """What the responder says, now."""
        serial = sent["ocspRequestData"]["serialNumber"]
        if serial in self.answers:
            return self.answers[serial]
        return accepted(self.says(self.certificate(serial)))

    def says(self, certificate: x509.Certificate, **more: Any) -> bytes:
        """The responder's words."""
        now = self.bench.true_utc
        return self.responder.answer(certificate, **{"this_update": now, "next_update": now + self.period, **more})

    def certificate(self, serial: str) -> x509.Certificate:
        """Of the chain."""
        return next(each for each in certificates(self.chain) if f"{each.serial_number:x}" == serial)

    def renew(self) -> str:
        """SignV2GCertificate, and what follows; gives the chain."""
        request = {"requestedMessage": "SignV2GCertificate"}
        assert self.bench.csms.call("TriggerMessage", request) == {"status": "Accepted"}
        self.chain = self.pki.secc(self.bench.csms.received("SignCertificate")[-1]["csr"])
        signed = {"certificateChain": self.chain, "certificateType": "V2GCertificate"}
        assert self.bench.csms.call("CertificateSigned", signed) == {"status": "Accepted"}
        self.bench.settle()
        return self.chain

    @property
    def asked(self) -> list[dict[str, str]]:
        """What the CSMS was asked about."""
        return [each["ocspRequestData"] for each in self.bench.csms.received("GetCertificateStatus")]

    @property
    def shown(self) -> list[list[tuple[str, bytes]]]:
        """The chains that vehicles are shown: serial numbers and what is stapled."""
        assert self.bench.world.secc is not None
        return [[(serial(each.pem), each.ocsp) for each in chain] for chain in self.bench.world.secc.chains]

    @property
    def stapled(self) -> list[bool]:
        """Which certificates of the one chain have something stapled."""
        (chain,) = self.shown
        return [bool(ocsp) for _, ocsp in chain]

    def expected(self) -> list[dict[str, str]]:
        """A question about each certificate."""
        return hashes_of(self.chain, self.pki.v2g.root_pem)


def by_serial(asked: list[dict[str, str]]) -> list[dict[str, str]]:
    """In an order that does not matter."""
    return sorted(asked, key=lambda each: each["serialNumber"])


def serial(pem: str) -> str:
    """A certificate's."""
    return f"{certificates(pem)[0].serial_number:x}"


def accepted(answer: bytes) -> dict[str, str]:
    """GetCertificateStatusResponse."""
    return {"status": "Accepted", "ocspResult": base64.b64encode(answer).decode()}


@pytest.fixture
def csms(tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """With no certificate yet; its meters are left alone for weeks."""
    monkeypatch.setattr(bench_module, "IDLE_PERIOD_S", 1e9)
    return Operator(tmp_path, pki)


@pytest.mark.req("M06.FR.06", "M06.FR.07")
def test_the_status_of_the_whole_chain_is_fetched_and_shown(csms: Operator) -> None:
    chain = csms.renew()

    assert csms.asked == csms.expected()
    assert [each[0] for each in csms.shown[0]] == [f"{each.serial_number:x}" for each in certificates(chain)]
    for shown, certificate in zip(csms.shown[0], certificates(chain), strict=True):
        response = ocsp.load_der_ocsp_response(shown[1])
        assert response.serial_number == certificate.serial_number
        assert response.certificate_status is ocsp.OCSPCertStatus.GOOD


@pytest.mark.req("M06.FR.07")
def test_after_a_renewal_the_intermediates_are_asked_about_again(csms: Operator) -> None:
    csms.renew()
    csms.bench.advance(days=1)
    csms.bench.csms.forget()

    csms.renew()

    assert csms.asked == csms.expected()
    assert len(csms.shown) == 1
    assert csms.stapled == [True, True, True]


@pytest.mark.req("M06.FR.10")
def test_they_are_fetched_at_least_once_a_week(csms: Operator) -> None:
    csms.renew()
    for _week in range(2):
        csms.bench.csms.forget()

        csms.bench.advance(days=7)

        assert by_serial(csms.asked) == by_serial(csms.expected())


@pytest.mark.req("M06.FR.10")
def test_a_csms_that_fails_for_hours_is_asked_again_within_the_week(csms: Operator) -> None:
    csms.renew()
    csms.bench.advance(days=5.9)
    csms.bench.csms.forget()
    csms.bench.csms.on("GetCertificateStatus", {"status": "Failed"})
    csms.bench.advance(hours=12)
    failed = len(csms.asked)
    csms.bench.csms.on("GetCertificateStatus", csms.status)

    csms.bench.advance(hours=12)

    assert failed > 3
    assert len(csms.asked) == failed + 3


def test_one_that_counts_for_a_day_is_fetched_before_it_ends(csms: Operator) -> None:
    csms.period = DAY
    csms.renew()

    for _hour in range(48):
        csms.bench.advance(hours=1)
        assert csms.stapled == [True, True, True]

    assert len(csms.asked) <= 3 * 4


@pytest.mark.req("M06.FR.06")
def test_what_was_fetched_outlives_a_power_cut(csms: Operator) -> None:
    csms.renew()
    shown = csms.shown
    csms.bench.csms.forget()

    csms.bench.crash()
    csms.bench.advance(minutes=1)

    assert csms.shown == shown
    assert csms.asked == []


def test_a_station_that_was_off_for_a_week_asks_at_once(csms: Operator) -> None:
    csms.renew()
    csms.bench.csms.forget()

    csms.bench.crash(down_s=8 * 86_400.0)
    csms.bench.advance(minutes=1)

    assert csms.asked == csms.expected()


def test_what_has_expired_is_not_shown(csms: Operator) -> None:
    csms.period = timedelta(hours=5)
    csms.renew()
    csms.bench.csms.disconnect()
    csms.bench.advance(hours=4.9)
    assert csms.stapled == [True, True, True]

    csms.bench.advance(hours=0.2)

    assert csms.stapled == [False, False, False]


def test_offline_the_questions_wait_for_the_link(csms: Operator) -> None:
    csms.renew()
    csms.bench.csms.disconnect()
    csms.bench.advance(days=7)
    csms.bench.csms.forget()

    csms.bench.csms.connect()

    assert csms.asked == csms.expected()


def test_a_link_that_is_lost_in_between_costs_no_question(csms: Operator) -> None:
    csms.bench.csms.on("GetCertificateStatus", None)
    csms.renew()
    assert len(csms.asked) == 1
    csms.bench.csms.disconnect()
    csms.bench.csms.on("GetCertificateStatus", csms.status)

    csms.bench.csms.connect()

    assert csms.stapled == [True, True, True]


def broken(csms: Operator, certificate: x509.Certificate) -> dict[str, Callable[[], Any]]:
    """Answers that prove nothing about the leaf."""
    other = certificates(csms.chain)[1]
    return {
        "failed": lambda: {"status": "Failed"},
        "empty": lambda: {"status": "Accepted"},
        "error": lambda: Error("InternalError"),
        "no answer": lambda: None,
        "rubbish": lambda: {"status": "Accepted", "ocspResult": "%%%"},
        "not DER": lambda: accepted(b"\x30\x03\x01\x01\x00" * 100),
        "of another": lambda: accepted(csms.says(other)),
        "expired": lambda: accepted(csms.says(certificate, this_update=_ago(csms, 9), next_update=_ago(csms, 2))),
        "unknown": lambda: accepted(csms.says(certificate, cert_status=ocsp.OCSPCertStatus.UNKNOWN)),
        "forged": lambda: accepted(_forged(csms, certificate)),
    }


def _ago(csms: Operator, days: float) -> Any:
    return csms.bench.true_utc - timedelta(days=days)


def _forged(csms: Operator, certificate: x509.Certificate) -> bytes:
    answer = bytearray(csms.says(certificate))
    answer[-200] ^= 1
    return bytes(answer)


KINDS = ["failed", "empty", "error", "no answer", "rubbish", "not DER", "of another", "expired", "unknown", "forged"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_proves_nothing_is_not_shown_and_asked_for_again(csms: Operator, kind: str) -> None:
    csms.bench.csms.on("GetCertificateStatus", {"status": "Failed"})
    csms.renew()
    leaf = certificates(csms.chain)[0]
    csms.answers[f"{leaf.serial_number:x}"] = broken(csms, leaf)[kind]()
    csms.bench.csms.on("GetCertificateStatus", csms.status)

    csms.bench.advance(minutes=10)

    assert csms.stapled == [False, True, True]
    csms.answers.clear()
    csms.bench.advance(minutes=20)
    assert csms.stapled == [True, True, True]


def test_while_nothing_new_can_be_had_what_is_known_is_shown(csms: Operator) -> None:
    csms.renew()
    shown = csms.shown
    csms.bench.csms.on("GetCertificateStatus", {"status": "Failed"})
    csms.bench.csms.forget()

    csms.bench.advance(days=6.2)

    assert len(csms.asked) > 3
    assert csms.shown == shown


def test_a_revoked_certificate_is_shown_as_one(csms: Operator, caplog: pytest.LogCaptureFixture) -> None:
    csms.renew()
    leaf = certificates(csms.chain)[0]
    words = {"cert_status": ocsp.OCSPCertStatus.REVOKED, "revocation_time": _ago(csms, 1)}
    csms.answers[f"{leaf.serial_number:x}"] = accepted(csms.says(leaf, **words))

    csms.bench.advance(days=7)

    response = ocsp.load_der_ocsp_response(csms.shown[0][0][1])
    assert response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert "secc.revoked" in caplog.text


def test_a_station_without_a_v2g_certificate_asks_nothing(csms: Operator) -> None:
    csms.bench.advance(days=8)

    assert csms.asked == []
    assert csms.bench.world.secc is not None
    assert csms.bench.world.secc.chains == ()


def test_a_disk_that_gives_no_chains_is_looked_at_again(csms: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    csms.renew()
    places = csms.bench.certificate_work._places
    broken_disk = type("Broken", (), {"read": lambda _self, _key: (_ for _ in ()).throw(OSError("gone"))})()
    monkeypatch.setattr(csms.bench.certificate_work, "_places", type(places)(places.roots, broken_disk))
    csms.bench.crash()
    csms.bench.advance(minutes=1)
    assert csms.bench.world.secc is not None
    assert csms.bench.world.secc.chains == ()

    monkeypatch.undo()
    csms.bench.advance(hours=2)

    assert csms.stapled == [True, True, True]
