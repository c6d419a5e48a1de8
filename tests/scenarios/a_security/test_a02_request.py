"""A02, A03: the station asks for a certificate, when it is told to and when its own one ends soon."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certs.throwaway import Wish
from device_model.build import EvseLayout
from station.blocks.own_certificates.jobs import MakeRequest
from station.state.own_certificates import CHARGING_STATION, V2G, Given
from tests.csms import EPOCH, Error
from tests.scenarios.a_security.signing import DAY, FROM, Operator
from tests.scenarios.variables import get, put

WAIT = "SecurityCtrlr.CertSigningWaitMinimum"
TIMES = "SecurityCtrlr.CertSigningRepeatTimes"
SECC = {"ISO15118Ctrlr.SeccId": "DE*ABC*E1", "ISO15118Ctrlr.CountryName": "DE"}


@pytest.fixture
def csms(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def with_secc(path: Path, **more: str) -> Operator:
    """A station whose EVSE speaks ISO 15118."""
    return Operator(path, layout={"evses": (EvseLayout(iso15118=True),)}, variables={**SECC, **more})


@pytest.mark.req("A02.FR.02", "A02.FR.03", "A02.FR.13", "A00.FR.506", "A00.FR.507", "A00.FR.509", "A00.FR.511")
def test_a_trigger_brings_a_request_for_a_new_key(csms: Operator) -> None:
    """PKCS#10 in PEM, signed with SHA-256, for the serial number and the organization; each time for another key."""
    assert csms.trigger() == "Accepted"
    assert csms.trigger() == "Accepted"

    first, second = (x509.load_pem_x509_csr(each["csr"].encode()) for each in csms.requests)
    assert [each["certificateType"] for each in csms.requests] == [CHARGING_STATION] * 2
    assert second.is_signature_valid
    assert isinstance(second.signature_hash_algorithm, hashes.SHA256)
    assert second.subject.rfc4514_string() == "CN=B-1,O=Operator"
    assert first.public_key() != second.public_key()
    assert len(csms.held()) == 1, "the first key is of no use any more"


@pytest.mark.req("A00.FR.504")
def test_the_key_is_of_the_kind_that_is_recommended(csms: Operator) -> None:
    """ECDSA on P-256."""
    csms.trigger()

    key = x509.load_pem_x509_csr(csms.csr.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


@pytest.mark.req("A02.FR.05", "A03.FR.05")
def test_the_private_key_is_in_nothing_that_is_sent_or_logged(csms: Operator, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in a frame, nor in the database, nor in the log; its file is the agent's alone."""
    caplog.set_level(0)
    csms.renew()

    (file,) = (csms.bench.path / "keys").glob("*.key")
    secret = file.read_text().splitlines()[1][:40]
    assert file.stat().st_mode & 0o777 == 0o600
    spoken = "".join(str(frame.content) for frame in csms.bench.csms.log)
    logged = "".join(str(record.__dict__) for record in caplog.records)
    assert secret not in spoken + logged
    dumped = "".join(csms.bench.database.connection.iterdump())
    assert secret not in dumped


def test_without_an_organization_or_a_name_nothing_can_be_asked_for(tmp_path: Path) -> None:
    """A prerequisite of A02."""
    csms = Operator(tmp_path, variables={"SecurityCtrlr.OrganizationName": ""})

    answer = csms.bench.csms.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})

    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "MissingDevModelInfo"
    csms.bench.advance(hours=1)
    assert csms.requests == []


@pytest.mark.req("A00.FR.511")
@pytest.mark.parametrize("serial", ["192.0.2.7", "2001:db8::7", "https://csms.example"])
def test_a_serial_number_that_could_be_a_csmss_name_is_put_into_no_request(tmp_path: Path, serial: str) -> None:
    csms = Operator(tmp_path)
    csms.bench.station.variables.set("ChargingStation", "SerialNumber", serial)

    answer = csms.bench.csms.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidValue")


def test_a_combined_certificate_is_not_built_in(csms: Operator) -> None:
    answer = csms.bench.csms.call("TriggerMessage", {"requestedMessage": "SignCombinedCertificate"})

    assert answer["status"] == "NotImplemented"


def test_a_station_without_an_secc_has_no_v2g_certificate(csms: Operator) -> None:
    assert csms.trigger(V2G) == "NotImplemented"


@pytest.mark.req("A02.FR.13", "A03.FR.13")
def test_an_secc_has_a_request_of_its_own(tmp_path: Path) -> None:
    """On P-256, named by SeccId, country and the domain component that ISO 15118-2 wants."""
    csms = with_secc(tmp_path)

    assert csms.trigger(V2G) == "Accepted"

    request = x509.load_pem_x509_csr(csms.csr.encode())
    assert csms.requests[-1]["certificateType"] == V2G
    assert request.subject.rfc4514_string() == "DC=CPO,CN=DE*ABC*E1,O=Operator,C=DE"
    assert isinstance(request.public_key(), ec.EllipticCurvePublicKey)


@pytest.mark.parametrize(
    "variables, code",
    [
        ({"ISO15118Ctrlr.SeccId": ""}, "MissingDevModelInfo"),
        ({"ISO15118Ctrlr.V2GCertificateInstallationEnabled": "false"}, "NotEnabled"),
    ],
)
def test_an_secc_without_a_name_or_permission_asks_for_nothing(
    tmp_path: Path, variables: dict[str, str], code: str
) -> None:
    csms = with_secc(tmp_path, **variables)

    answer = csms.bench.csms.call("TriggerMessage", {"requestedMessage": "SignV2GCertificate"})

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", code)


# --- repetitions


def sent_at(csms: Operator) -> list[float]:
    """Seconds between the requests."""
    frames = csms.bench.csms.frames("SignCertificate")
    return [(b.at - a.at).total_seconds() for a, b in itertools.pairwise(frames)]


@pytest.mark.req("A02.FR.17", "A02.FR.18", "A02.FR.19", "A03.FR.17", "A03.FR.18", "A03.FR.19")
def test_an_answer_that_does_not_come_is_asked_for_again_ever_more_seldom(csms: Operator) -> None:
    """After the least wait, then after the double, as often as it may be doubled; then no more until a trigger."""
    put(csms.bench, WAIT, "100")
    put(csms.bench, TIMES, "2")
    csms.trigger()
    csms.bench.advance(hours=1)

    assert sent_at(csms) == [100, 200, 400]
    assert len({each["csr"] for each in csms.requests}) == 1
    csms.bench.crash()
    csms.later(2)
    assert len(csms.requests) == 4

    csms.trigger()
    assert len(csms.requests) == 5


def test_an_answer_that_comes_after_the_last_request_is_taken(csms: Operator) -> None:
    put(csms.bench, TIMES, "0")
    csms.trigger()
    csms.bench.advance(minutes=10)

    assert csms.send(csms.signed())["status"] == "Accepted"


@pytest.mark.req("A02.FR.17", "A03.FR.17")
def test_a_power_cut_while_it_waits_only_delays_the_next_request(csms: Operator) -> None:
    put(csms.bench, WAIT, "100")
    csms.trigger()
    csms.bench.advance(seconds=90)

    csms.bench.crash()

    csms.bench.advance(seconds=90)
    assert len(csms.requests) == 1
    csms.bench.advance(seconds=20)
    assert len(csms.requests) == 2
    assert csms.requests[0] == csms.requests[1]


def test_a_request_that_the_csms_does_not_answer_counts_as_one_that_it_accepted(csms: Operator) -> None:
    csms.bench.csms.silent("SignCertificate")
    csms.trigger()
    csms.bench.csms.default("SignCertificate")
    csms.bench.advance(minutes=3)

    assert len(csms.requests) == 2


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, Error("InternalError")])
def test_a_csms_that_will_not_have_it_signed_is_left_in_peace(csms: Operator, answer: object) -> None:
    """Nothing stays of the key, and nothing is sent until a trigger."""
    csms.bench.csms.on("SignCertificate", answer)  # type: ignore[arg-type]  # an answer
    csms.trigger()
    csms.later(3)

    assert len(csms.requests) == 1
    assert csms.held() == []


def test_a_request_that_was_made_offline_leaves_when_there_is_a_link(csms: Operator) -> None:
    csms.bench.keys_busy = True
    csms.trigger()
    csms.bench.csms.disconnect()
    job = csms.bench.job(MakeRequest)
    csms.bench.job_done(job, csms.bench.keys.do(job.job))
    assert csms.requests == []

    csms.bench.csms.connect()

    assert len(csms.requests) == 1


def test_a_request_that_the_link_took_along_is_sent_again(csms: Operator) -> None:
    csms.bench.csms.hold()
    csms.trigger()
    csms.bench.csms.disconnect()
    csms.bench.csms.release()

    csms.bench.csms.connect()
    csms.bench.advance(seconds=5)

    assert len({each["csr"] for each in csms.requests}) == 1
    assert len(csms.bench.csms.frames("SignCertificate")) == 2


def test_a_station_that_is_pending_is_given_its_certificate(tmp_path: Path) -> None:
    """A CSMS that takes only its own certificates accepts the station when it has one (A00.FR.429, A00.FR.806)."""
    csms = Operator(tmp_path, connected=False)
    csms.bench.csms.on("BootNotification", {"status": "Pending", "interval": 600})
    csms.bench.csms.connect()

    key = csms.renew()

    assert csms.bench.station.registration.status == "Pending"
    assert csms.bench.station.own_certificates.ways() == (key,)


@pytest.mark.parametrize("cut", ["making", "sending"])
def test_whatever_a_power_cut_left_half_done_is_done(csms: Operator, cut: str) -> None:
    csms.bench.keys_busy = cut == "making"
    csms.bench.csms.silent("SignCertificate")
    csms.trigger()

    csms.bench.crash(boot=False)
    csms.bench.csms.default("SignCertificate")
    csms.bench.keys_busy = False
    csms.bench.boot()
    csms.bench.advance(seconds=5)

    assert csms.send(csms.signed())["status"] == "Accepted"


def test_a_key_store_that_fails_is_tried_again(csms: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, kind: object) -> None:
        raise OSError(5, f"no {name} of {kind}")

    with monkeypatch.context() as failing:
        failing.setattr(csms.bench.keys._places.keys, "create", broken)
        assert csms.trigger() == "Accepted"
        csms.bench.advance(minutes=50)
    assert csms.requests == []

    csms.bench.advance(minutes=20)

    assert csms.requests


@pytest.mark.req("A02.FR.21")
def test_plug_and_charge_is_off_until_the_next_start_without_a_v2g_certificate(tmp_path: Path) -> None:
    csms = with_secc(tmp_path)
    csms.bench.csms.on("SignCertificate", {"status": "Rejected"})

    csms.trigger(V2G)

    assert get(csms.bench, "ISO15118Ctrlr.PnCEnabled") == "false"
    csms.bench.crash()
    csms.bench.advance(seconds=5)
    assert get(csms.bench, "ISO15118Ctrlr.PnCEnabled") == "true"


# --- by itself


def ending(days: float) -> Given:
    """A certificate of the factory's with so many days to live."""
    return Given("factory", FROM, (EPOCH + days * DAY).timestamp())  # type: ignore[arg-type]  # wall times


@pytest.mark.req("A03.FR.02", "A03.FR.03")
def test_a_certificate_is_renewed_a_month_before_its_end(tmp_path: Path) -> None:
    csms = Operator(tmp_path, given=ending(40))
    csms.later(9.5)
    assert csms.requests == []

    csms.later(1)

    (request,) = csms.requests[:1]
    assert request["certificateType"] == CHARGING_STATION
    assert x509.load_pem_x509_csr(request["csr"].encode()).subject.get_attributes_for_oid(NameOID.COMMON_NAME)


@pytest.mark.req("A03.FR.08", "A03.FR.10")
def test_what_renews_itself_goes_on_doing_so(tmp_path: Path) -> None:
    """Three years: each certificate is renewed once, in time, with another key."""
    csms = Operator(tmp_path, given=ending(20))
    told: list[str] = []
    for _ in range(4):
        csms.later(1)
        told.append(csms.csr)
        assert csms.send(csms.signed())["status"] == "Accepted"
        csms.later(333)
        assert csms.csr == told[-1]
        csms.later(2)

    assert len(set(told)) == 4
    assert len(csms.held()) == 2, "the one in use, and the one that was asked for"


@pytest.mark.parametrize("ahead, days", [(10.0, 31), (60.0, 0)])
def test_how_long_before_is_configured(tmp_path: Path, ahead: float, days: int) -> None:
    csms = Operator(tmp_path, given=ending(40), renew_ahead_s=ahead * 86_400.0)

    csms.later(max(days - 2, 0))
    assert bool(csms.requests) == (days == 0)
    csms.later(2)

    assert csms.requests


def test_a_short_life_is_renewed_in_its_last_third(csms: Operator) -> None:
    """A certificate of two weeks is not renewed at once, and again, and again."""
    csms.trigger()
    csms.send(csms.signed(wish=csms_week(2)))
    csms.bench.csms.forget()

    csms.later(9)
    assert csms.requests == []
    csms.later(1)

    assert csms.requests


def csms_week(weeks: int) -> Wish:
    return Wish(valid=(timedelta(), timedelta(weeks=weeks)))


def test_a_certificate_that_is_not_used_is_not_renewed(tmp_path: Path) -> None:
    """Below profile 3 nobody is shown it."""
    csms = Operator(tmp_path, level=2, given=ending(10))

    csms.later(3)

    assert csms.requests == []


def test_before_the_time_is_known_nothing_is_renewed(tmp_path: Path) -> None:
    """A clock that starts in the year of the build would find everything fresh, or everything over."""
    csms = Operator(tmp_path, given=ending(10), boot=False, connected=False)
    csms.bench.trusted = False
    csms.bench.boot()
    csms.later(1)
    assert csms.held() == []

    csms.bench.csms.connect()
    csms.bench.advance(hours=7)

    assert csms.requests


@pytest.mark.req("A02.FR.19", "A03.FR.19", "A02.FR.20")
@pytest.mark.parametrize("why", ["no answer", "a wrong answer"])
def test_what_was_given_up_is_not_begun_again_by_itself(tmp_path: Path, why: str) -> None:
    csms = Operator(tmp_path, given=ending(20))
    csms.bench.advance(seconds=1)
    if why == "a wrong answer":
        assert csms.send("nonsense")["status"] == "Rejected"
    csms.later(3)
    csms.bench.csms.forget()

    csms.bench.crash()
    csms.later(5)

    assert csms.requests == []
    csms.trigger()
    assert csms.requests


def test_what_the_csms_refused_is_asked_for_again_a_day_later(tmp_path: Path) -> None:
    """The certificate ends all the same."""
    csms = Operator(tmp_path, given=ending(20), connected=False)
    csms.bench.csms.on("SignCertificate", {"status": "Rejected"})
    csms.bench.csms.connect()
    csms.bench.advance(hours=23)
    assert len(csms.requests) == 1

    csms.bench.advance(hours=8)

    assert len(csms.requests) == 2


def test_a_renewal_that_the_csms_does_not_take_is_tried_again_a_day_later(tmp_path: Path) -> None:
    """Not at each look: the connection suffers every time."""
    csms = Operator(tmp_path, given=ending(20))
    csms.bench.advance(seconds=1)
    csms.bench.refused.update(csms.held())
    assert csms.send(csms.signed())["status"] == "Accepted"
    csms.bench.settle()
    assert csms.events("DiscardedRenewedClientCertificate")

    csms.bench.advance(hours=23)
    assert len(csms.requests) == 1
    csms.bench.advance(hours=8)

    assert len({each["csr"] for each in csms.requests}) == 2


def test_a_v2g_certificate_is_renewed_too(tmp_path: Path) -> None:
    csms = with_secc(tmp_path)
    csms.trigger(V2G)
    csms.send(csms.signed(by=csms.v2g), V2G)
    csms.bench.csms.forget()
    csms.later(334)
    assert [each for each in csms.requests if each["certificateType"] == V2G] == []

    csms.later(2)

    assert [each for each in csms.requests if each["certificateType"] == V2G]
