"""A02, A03: a signed certificate comes, is checked, used, and takes the place of the one before it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from certs.errors import BadTlsSettings
from certs.throwaway import Authority, Wish
from device_model.build import EvseLayout
from station.blocks.own_certificates.intake import CHECKING_PATIENCE_S
from station.blocks.own_certificates.jobs import CheckChain
from station.commands import signing
from station.commands.signing import Places
from station.state.own_certificates import CHARGING_STATION, GIVEN, MOST_V2G, V2G, Given
from station.store.files import replace
from tests.csms import EPOCH
from tests.scenarios.a_security.signing import DAY, Operator
from tests.scenarios.variables import put

SECC = {"ISO15118Ctrlr.SeccId": "DE*ABC*E1", "ISO15118Ctrlr.CountryName": "DE"}


@pytest.fixture
def csms(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.mark.req("A02.FR.08", "A02.FR.10", "A03.FR.08", "A03.FR.10")
def test_a_good_certificate_is_used_at_once(csms: Operator) -> None:
    """Accepted, then connected anew by it; the factory's is not shown any more, also not after a power cut."""
    assert csms.bench.station.own_certificates.ways() == (GIVEN,)

    key = csms.renew()

    assert [intent.intent.kind for intent in csms.bench.intents] == ["reconnect"]
    assert csms.bench.station.own_certificates.ways() == (key,)
    assert (csms.held(), csms.files()) == ([key], [key])
    logged = [each.info for each in csms.bench.station.security_log.entries()]
    assert [each for each in logged if key in each]
    csms.bench.crash()
    assert csms.bench.station.own_certificates.ways() == (key,)


@pytest.mark.req("A02.FR.10", "A03.FR.10")
def test_the_one_before_is_destroyed_when_the_new_one_has_worked(csms: Operator) -> None:
    """Neither key nor chain of it is left."""
    first = csms.renew()
    csms.bench.csms.connected = True

    second = csms.renew()

    assert first != second
    assert (csms.held(), csms.files()) == ([second], [second])


@pytest.mark.req("A02.FR.28", "A02.FR.29", "A02.FR.10", "A03.FR.24", "A03.FR.25")
def test_a_certificate_that_the_csms_does_not_take_is_given_up(csms: Operator) -> None:
    """The one that worked is used again; the CSMS is told that the new one is gone."""
    first = csms.renew()
    csms.trigger()
    (second,) = [each for each in csms.held() if each != first]
    csms.bench.refused.add(second)

    assert csms.send(csms.signed())["status"] == "Accepted"
    csms.bench.settle()

    assert csms.bench.station.own_certificates.ways() == (first,)
    assert (csms.held(), csms.files()) == ([first], [first])
    (told,) = csms.events("DiscardedRenewedClientCertificate")
    assert second in told


@pytest.mark.req("A02.FR.28", "A03.FR.24")
def test_until_one_of_them_has_worked_both_are_kept(csms: Operator) -> None:
    """Whatever happens meanwhile."""
    first = csms.renew()
    csms.trigger()
    csms.bench.keys_busy = True
    call = csms.bench.csms.send(
        "CertificateSigned", {"certificateChain": csms.signed(), "certificateType": CHARGING_STATION}
    )
    csms.bench.csms.disconnect()
    job = csms.bench.job(CheckChain)
    csms.bench.job_done(job, csms.bench.keys.do(job.job))
    csms.bench.keys_busy = False

    ways = csms.bench.station.own_certificates.ways()
    assert not call.done
    assert ways[1:] == (first,)
    csms.bench.crash()
    assert csms.bench.station.own_certificates.ways() == ways
    assert csms.held() == sorted(ways)


def test_a_connection_that_was_dialled_before_the_new_one_came_says_nothing_of_it(
    csms: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old certificate was the first choice then; the station connects once more, with the new one."""
    csms.trigger()
    with monkeypatch.context() as dialling:
        shown, place = csms.bench._shown, csms.bench._place
        of_before = iter([GIVEN])
        dialling.setattr(csms.bench, "_shown", lambda profile: next(of_before, None) or shown(profile))
        dialling.setattr(csms.bench, "_place", lambda name: 0 if name == GIVEN else place(name))
        assert csms.send(csms.signed())["status"] == "Accepted"
        csms.bench.settle()

    assert len(csms.bench.intents) == 2
    assert GIVEN not in csms.bench.station.own_certificates.ways()
    assert csms.events("DiscardedRenewedClientCertificate") == []


def test_below_profile_3_it_is_kept_for_later(tmp_path: Path) -> None:
    """The way up: a certificate first, then A05."""
    csms = Operator(tmp_path, level=2, given=None)

    key = csms.renew()

    assert csms.bench.intents == []
    assert csms.bench.station.own_certificates.ways() == (key,)


# --- certificates that are not good


def _of_a_stranger(csms: Operator) -> str:
    folder = csms.bench.path / "stranger"
    folder.mkdir()
    return csms.signed(by=Authority.create("Operator root", folder, clock=lambda: csms.bench.true_utc))


WRONG: dict[str, tuple[Callable[[Operator], str], str]] = {
    "nonsense": (lambda _csms: "nonsense", "not a certificate"),
    "of the future": (lambda csms: csms.signed(wish=Wish(valid=(DAY, 9 * DAY))), "not valid before"),
    "expired": (lambda csms: csms.signed(wish=Wish(valid=(-9 * DAY, -DAY))), "expired"),
    "of a stranger": (_of_a_stranger, "not signed by"),
    "of the wrong hierarchy": (lambda csms: csms.signed(by=csms.v2g), "leads to no root"),
    "of another station": (lambda csms: csms.root.issue("B-1", Wish(organization="Operator")).pem, "another key"),
}


@pytest.mark.req("A02.FR.06", "A02.FR.07", "A02.FR.20", "A03.FR.06", "A03.FR.07")
@pytest.mark.parametrize("kind", WRONG)
def test_a_certificate_that_is_not_good_is_discarded_and_told(csms: Operator, kind: str) -> None:
    """Nothing of it is kept, the station stays connected as it was, and sends no further request by itself."""
    make, reason = WRONG[kind]
    csms.trigger()

    answer = csms.send(make(csms))

    assert answer["status"] == "Rejected"
    assert reason in answer["statusInfo"]["additionalInfo"]
    (told,) = csms.events("InvalidChargingStationCertificate")
    assert reason in told
    assert csms.files() == []
    assert csms.bench.intents == []
    csms.bench.advance(hours=3)
    assert len(csms.requests) == 1


@pytest.mark.req("A02.FR.07", "A03.FR.07")
def test_the_right_one_is_still_taken_after_a_wrong_one(csms: Operator) -> None:
    csms.trigger()
    csms.send("nonsense")

    assert csms.send(csms.signed())["status"] == "Accepted"


def test_an_answer_to_a_request_of_before_is_refused(csms: Operator) -> None:
    """A replayed or belated one: its key is gone."""
    csms.trigger()
    old = csms.signed()
    csms.trigger()

    assert csms.send(old)["status"] == "Rejected"
    assert csms.send(csms.signed())["status"] == "Accepted"


def test_the_same_answer_twice_is_refused_the_second_time(csms: Operator) -> None:
    """What was asked for has come; the certificate in use stays."""
    csms.trigger()
    chain = csms.signed()
    assert csms.send(chain)["status"] == "Accepted"
    csms.bench.settle()
    ways = csms.bench.station.own_certificates.ways()

    answer = csms.send(chain)

    assert answer["status"] == "Rejected"
    assert "has come already" in csms.events("InvalidChargingStationCertificate")[0]
    assert csms.bench.station.own_certificates.ways() == ways


def test_one_that_nobody_asked_for_is_refused(csms: Operator) -> None:
    chain = csms.root.issue("B-1", Wish(organization="Operator")).pem

    assert csms.send(chain)["status"] == "Rejected"
    assert csms.send(chain, None)["status"] == "Rejected"


@pytest.mark.req("A02.FR.16", "A03.FR.16")
def test_a_chain_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    csms = Operator(tmp_path, variables={"SecurityCtrlr.MaxCertificateChainSize": "800"})
    csms.trigger()
    chain = csms.signed(by=csms.root.subordinate("Sub"))
    assert len(chain) > 800

    answer = csms.send(chain)

    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "TooLargeElement"
    assert len(csms.signed()) <= 800
    assert csms.send(csms.signed())["status"] == "Accepted"


def test_a_disk_that_takes_no_writes_takes_no_certificate(csms: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    csms.trigger()
    assert csms.bench.keys._places.chains._write is replace

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, f"no space for {len(data)} bytes at {path}")

    with monkeypatch.context() as disk:
        disk.setattr(csms.bench.keys._places.chains, "_write", full)
        assert csms.send(csms.signed())["status"] == "Rejected"

    assert csms.bench.station.own_certificates.ways() == (GIVEN,)
    assert csms.send(csms.signed())["status"] == "Accepted"


def test_a_key_store_that_is_too_slow_gets_no_certificate_installed(csms: Operator) -> None:
    """The CSMS was told Rejected: what is found out later is not done behind its back."""
    csms.trigger()
    csms.bench.keys_busy = True
    call = csms.bench.csms.send("CertificateSigned", {"certificateChain": csms.signed()})
    csms.bench.advance(seconds=CHECKING_PATIENCE_S + 1)
    assert call.answer is not None
    assert call.answer["status"] == "Rejected"

    job = csms.bench.job(CheckChain)
    csms.bench.keys_busy = False
    csms.bench.job_done(job, csms.bench.keys.do(job.job))

    assert csms.bench.station.own_certificates.ways() == (GIVEN,)
    assert csms.files() == []
    assert csms.send(csms.signed())["status"] == "Accepted"


@pytest.mark.req("A02.FR.07")
def test_a_certificate_that_tls_cannot_use_is_discarded(csms: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it dislikes: better found out now than at the next connection."""

    def dislike(settings: object) -> None:
        raise BadTlsSettings(f"TLS does not take {type(settings).__name__}")

    csms.trigger()
    with monkeypatch.context() as library:
        library.setattr(signing, "client_context", dislike)
        assert csms.send(csms.signed())["status"] == "Rejected"

    assert csms.files() == []
    assert csms.bench.station.own_certificates.ways() == (GIVEN,)


def test_an_answer_that_is_checked_when_a_new_trigger_comes_does_not_stop_what_that_asks_for(csms: Operator) -> None:
    """It is for the key of before, which is refused; the new request goes out, and its answer is taken."""
    csms.trigger()
    csms.bench.keys_busy = True
    call = csms.bench.csms.send("CertificateSigned", {"certificateChain": csms.signed()})
    csms.trigger()
    for _ in range(3):  # in the order they were started, as the agent does them
        job = csms.bench.jobs[0]
        csms.bench.job_done(job, csms.bench.keys.do(job.job))
    csms.bench.keys_busy = False

    assert call.answer is not None
    assert call.answer["status"] == "Rejected"
    assert csms.bench.station.own_certificates.ways() == (GIVEN,)
    assert csms.files() == []
    assert len(csms.requests) == 2
    assert csms.send(csms.signed())["status"] == "Accepted"


# --- for vehicles


@pytest.fixture
def secc(tmp_path: Path) -> Operator:
    return Operator(tmp_path, layout={"evses": (EvseLayout(iso15118=True),)}, variables=SECC)


@pytest.mark.req("A02.FR.13", "A03.FR.13")
def test_a_v2g_certificate_leads_to_a_v2g_root_and_changes_nothing_of_the_link(secc: Operator) -> None:
    secc.trigger(V2G)
    assert secc.send(secc.signed(), V2G)["status"] == "Rejected"

    assert secc.send(secc.signed(by=secc.v2g), V2G)["status"] == "Accepted"

    own = secc.bench.station.own_certificates
    assert [each.stage for each in own.chains(V2G)] == ["new"]
    assert own.ways() == (GIVEN,)
    assert secc.bench.intents == []
    assert secc.bench.keys._places.chains.read(own.chains(V2G)[0].key).count("BEGIN CERTIFICATE") == 1


@pytest.mark.req("A02.FR.15", "A03.FR.15")
def test_of_several_of_one_root_the_newest_is_shown_to_vehicles(secc: Operator) -> None:
    """By the start of its period; of each root there is one."""
    other = Authority.create("Other V2G", secc.bench.path, valid=(-DAY, 5000 * DAY), clock=lambda: EPOCH)
    secc.bench.keys._places = _trusting(secc, other)
    starts = [(secc.v2g, -2), (secc.v2g, -9), (other, -30)]
    for authority, days in starts:
        secc.trigger(V2G)
        wish = Wish(valid=(timedelta(days=days), 300 * DAY))
        assert secc.send(secc.signed(by=authority, wish=wish), V2G)["status"] == "Accepted"

    shown = secc.bench.station.own_certificates.secc(secc.bench.now)

    assert len(secc.bench.station.own_certificates.chains(V2G)) == 3
    ages = sorted(round((secc.bench.now.wall - each.not_before) / 86_400) for each in shown)
    assert ages == [2, 30]


def test_of_many_the_oldest_go_but_never_the_one_that_has_just_come(secc: Operator) -> None:
    """Whoever hears Accepted may count on it; its period may have begun before those of all others."""
    for days in (*range(1, MOST_V2G + 1), 30):
        secc.trigger(V2G)
        wish = Wish(valid=(timedelta(days=-days), 300 * DAY))
        assert secc.send(secc.signed(by=secc.v2g, wish=wish), V2G)["status"] == "Accepted"

    kept = secc.bench.station.own_certificates.chains(V2G)

    ages = [round((secc.bench.now.wall - each.not_before) / 86_400) for each in kept]
    assert ages == [*range(1, MOST_V2G), 30]
    assert secc.files() == sorted(each.key for each in kept)


def test_one_that_has_ended_is_shown_to_no_vehicle(secc: Operator) -> None:
    secc.trigger(V2G)
    day = Wish(valid=(timedelta(), timedelta(days=1)))
    assert secc.send(secc.signed(by=secc.v2g, wish=day), V2G)["status"] == "Accepted"
    assert secc.bench.station.own_certificates.secc(secc.bench.now)

    secc.bench.advance(hours=25)

    assert not secc.bench.station.own_certificates.secc(secc.bench.now)


def _trusting(secc: Operator, other: Authority) -> Places:
    roots = secc.v2g.root_pem + other.root_pem
    return msgspec.structs.replace(secc.bench.keys._places, roots=lambda _use: roots)


def test_without_a_type_the_key_says_what_it_is(secc: Operator) -> None:
    secc.trigger()
    secc.trigger(V2G)

    assert secc.send(secc.signed(by=secc.v2g), None)["status"] == "Accepted"

    assert secc.bench.station.own_certificates.chains(V2G)
    assert secc.bench.station.own_certificates.ways() == (GIVEN,)


# --- the operator, the factory


def test_a_factory_reset_leaves_no_key_behind(csms: Operator) -> None:
    """And the factory's certificate counts again."""
    csms.renew()
    csms.trigger()
    _, effects = csms.bench.station.exchange.ask(csms.bench.station.operator.factory_reset, csms.bench.now)
    csms.bench._do(effects)
    csms.bench.advance(seconds=1)

    assert csms.bench.station.own_certificates.ways() == (GIVEN,)
    assert (csms.held(), csms.files()) == ([], [])


def test_another_certificate_in_the_stations_file_counts_again(csms: Operator) -> None:
    """An installer replaced it: it is tried first, and the one that worked is kept until it has."""
    key = csms.renew()
    csms.bench.csms.connected = False
    another = Given("another", csms.bench.now.wall, csms.bench.now.wall)
    csms.bench.setup = msgspec.structs.replace(csms.bench.setup, given_certificate=another)
    csms.bench.crash()
    assert csms.bench.station.own_certificates.ways() == (GIVEN, key)

    csms.bench.refused.add(GIVEN)
    csms.bench.csms.connect()

    assert csms.bench.station.own_certificates.ways() == (key,)
    csms.bench.crash()
    assert csms.bench.station.own_certificates.ways() == (key,)


@pytest.mark.req("A05.FR.03")
def test_an_expired_certificate_leads_to_no_profile_3(tmp_path: Path) -> None:
    """Only a valid one counts."""
    csms = Operator(tmp_path, level=2, given=None, certificates=frozenset({"CSMSRootCertificate"}))
    profile = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "wss://other.example/ocpp",
        "messageTimeout": 30,
        "securityProfile": 3,
        "ocppInterface": "Wired0",
    }
    csms.bench.csms.call("SetNetworkProfile", {"configurationSlot": 1, "connectionData": profile})
    assert put(csms.bench, "OCPPCommCtrlr.NetworkConfigurationPriority", "1,0") == "Rejected"

    csms.renew()
    assert put(csms.bench, "OCPPCommCtrlr.NetworkConfigurationPriority", "1,0") == "RebootRequired"
    put(csms.bench, "OCPPCommCtrlr.NetworkConfigurationPriority", "0")

    csms.later(366)
    assert put(csms.bench, "OCPPCommCtrlr.NetworkConfigurationPriority", "1,0") == "Rejected"
