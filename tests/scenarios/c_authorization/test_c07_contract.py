"""C07: a vehicle identifies itself by its contract certificate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.throwaway import Authority, Wish, names_responder
from hal.sim.world import Contract
from station.blocks.authorization.contracts import CheckContract
from tests.bench import Bench
from tests.scenarios.vehicles import (
    EMAID,
    LIFE,
    RESPONDER,
    V2G,
    Pki,
    arrives,
    certificates,
    hashes_of,
    secc_bench,
    trusts,
)

E_MAID = {"idToken": EMAID, "type": "eMAID"}
CENTRAL = {"ISO15118Ctrlr.CentralContractValidationAllowed": "true"}
OFFLINE = {"AuthCtrlr.LocalAuthorizeOffline": "true", "LocalAuthListCtrlr.Enabled": "true"}
UNKNOWN = {**OFFLINE, "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"}
ACCEPTED = {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates are slow to make, and never changed."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def bench(tmp_path: Path, pki: Pki) -> Bench:
    """The root of mobility operators is installed."""
    bench = secc_bench(tmp_path)
    trusts(bench, pki.mo.root_pem)
    return bench


def asked(bench: Bench) -> list[dict[str, Any]]:
    """What the CSMS was asked."""
    return bench.csms.received("Authorize")


def told(bench: Bench, evse: int = 1) -> bool | None:
    """What the vehicle was told; None: it waits."""
    return bench.world.contracts.get(evse)


def starter(bench: Bench, evse: int = 1) -> str | None:
    """Whose session it is."""
    session = bench.station.sessions.on_evse(evse)
    return session.id_token.id_token if session is not None and session.id_token is not None else None


def charges(bench: Bench, evse: int = 1) -> bool:
    """Whether it does a while later."""
    bench.advance(seconds=10)
    return bench.evse(evse).charging


@pytest.mark.req("C07.FR.01", "C07.FR.02", "C08.FR.01")
def test_the_csms_is_asked_with_the_contract_and_what_a_responder_needs(bench: Bench, pki: Pki) -> None:
    chain = pki.contract()

    arrives(bench, chain)

    assert asked(bench) == [{"idToken": E_MAID, "iso15118CertificateHashData": hashes_of(chain, pki.mo.root_pem)}]
    assert told(bench)
    assert charges(bench)
    assert bench.events()[-1]["transactionInfo"]["chargingState"] == "Charging"
    assert [event["idToken"] for event in bench.events() if "idToken" in event] == [E_MAID]


def test_a_contract_may_lead_to_a_v2g_root(tmp_path: Path, pki: Pki) -> None:
    bench = secc_bench(tmp_path)
    trusts(bench, pki.v2g.root_pem, kind=V2G)

    arrives(bench, pki.contract(by=pki.cpo_sub))

    assert told(bench)


def test_of_a_long_chain_four_certificates_are_told(bench: Bench, pki: Pki) -> None:
    authority = pki.mo
    for depth in range(4):
        authority = authority.subordinate(
            f"Sub {depth}", Wish(valid=LIFE, extensions=(names_responder(RESPONDER),)), below=9 - depth
        )
    chain = pki.contract(by=authority)

    arrives(bench, chain)

    assert asked(bench)[0]["iso15118CertificateHashData"] == hashes_of(chain, pki.mo.root_pem)[:4]
    assert told(bench)


@pytest.mark.parametrize(
    "answer",
    [
        {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "ContractCancelled"},
        {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "CertificateRevoked"},
        {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "Accepted"},
        {"idTokenInfo": {"status": "Blocked"}},
    ],
)
def test_both_the_contract_and_the_certificate_must_be_accepted(bench: Bench, pki: Pki, answer: dict[str, Any]) -> None:
    """C07.FR.13 to C07.FR.17, seen from the station."""
    bench.csms.on("Authorize", answer)

    arrives(bench, pki.contract())

    assert told(bench) is False
    assert not charges(bench)
    assert not [event for event in bench.events() if "idToken" in event]


def test_a_csms_that_says_nothing_of_the_certificate_has_nothing_against_it(bench: Bench, pki: Pki) -> None:
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted"}})

    arrives(bench, pki.contract())

    assert told(bench)


# --- the root is not here


@pytest.mark.req("C07.FR.06")
def test_a_chain_whose_root_is_missing_is_judged_by_the_csms(tmp_path: Path, pki: Pki) -> None:
    bench = secc_bench(tmp_path, variables=CENTRAL)
    bench.csms.on("Authorize", ACCEPTED)
    chain = pki.contract()

    arrives(bench, chain)

    assert asked(bench) == [{"idToken": E_MAID, "certificate": chain}]
    assert told(bench)
    assert charges(bench)


def test_a_root_that_the_vehicle_brings_along_is_not_told_and_not_believed(tmp_path: Path, pki: Pki) -> None:
    bench = secc_bench(tmp_path, variables=CENTRAL)
    bench.csms.on("Authorize", ACCEPTED)
    chain = pki.contract()

    arrives(bench, chain + pki.mo.root_pem)

    assert asked(bench)[0]["certificate"] == chain


@pytest.mark.parametrize(
    "answer",
    [
        {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertificateRevoked"},
        {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "CertChainError"},
        {"idTokenInfo": {"status": "Accepted"}},
    ],
)
def test_what_nobody_has_validated_does_not_charge(tmp_path: Path, pki: Pki, answer: dict[str, Any]) -> None:
    bench = secc_bench(tmp_path, variables=CENTRAL)
    bench.csms.on("Authorize", answer)

    arrives(bench, pki.contract())

    assert told(bench) is False
    assert not charges(bench)


def test_unless_the_csms_may_judge_it_nobody_is_asked(tmp_path: Path, pki: Pki) -> None:
    bench = secc_bench(tmp_path)

    arrives(bench, pki.contract())

    assert asked(bench) == []
    assert told(bench) is False


def test_a_chain_that_no_message_could_carry_is_refused(tmp_path: Path, pki: Pki) -> None:
    bench = secc_bench(tmp_path, variables=CENTRAL)
    authority = pki.mo
    for depth in range(8):
        authority = authority.subordinate(f"Long {depth}", Wish(valid=LIFE), below=9 - depth)
    chain = pki.contract(by=authority)

    arrives(bench, chain)

    assert 5500 < len(chain) < 20_000
    assert asked(bench) == []
    assert told(bench) is False


# --- offline


def listed(bench: Bench, status: str = "Accepted") -> None:
    """The eMAID is in the local list."""
    entry = {"idToken": E_MAID, "idTokenInfo": {"status": status}}
    update = {"updateType": "Full", "versionNumber": 1, "localAuthorizationList": [entry]}
    assert bench.csms.call("SendLocalList", update) == {"status": "Accepted"}


def offline(path: Path, pki: Pki, variables: dict[str, str], *, root: bool = True) -> Bench:
    """A station that loses its CSMS before the vehicle comes; the eMAID is in its list."""
    bench = secc_bench(path, variables=variables)
    if root:
        trusts(bench, pki.mo.root_pem)
    listed(bench)
    bench.csms.disconnect()
    return bench


@pytest.mark.req("C07.FR.08", "C07.FR.09", "C07.FR.10")
def test_offline_a_valid_contract_of_the_local_list_charges(tmp_path: Path, pki: Pki) -> None:
    bench = offline(tmp_path, pki, OFFLINE)

    arrives(bench, pki.contract())

    assert told(bench)
    assert charges(bench)


@pytest.mark.req("C07.FR.10")
@pytest.mark.parametrize("status", ["Blocked", "Expired"])
def test_offline_one_that_the_list_refuses_does_not(tmp_path: Path, pki: Pki, status: str) -> None:
    bench = offline(tmp_path, pki, UNKNOWN)
    bench.csms.connect()
    listed(bench, status)
    bench.csms.disconnect()

    arrives(bench, pki.contract())

    assert told(bench) is False
    assert not charges(bench)


@pytest.mark.req("C07.FR.09", "C07.FR.11")
def test_offline_a_valid_contract_of_the_cache_charges(tmp_path: Path, pki: Pki) -> None:
    bench = secc_bench(tmp_path, variables={**OFFLINE, "AuthCacheCtrlr.Enabled": "true"})
    trusts(bench, pki.mo.root_pem)
    chain = pki.contract()
    arrives(bench, chain)
    bench.advance(minutes=1)
    bench.evse(1).unplug()
    bench.csms.disconnect()
    bench.csms.forget()

    arrives(bench, chain)

    assert told(bench)
    assert charges(bench)


@pytest.mark.req("C07.FR.12")
@pytest.mark.parametrize("allowed", [True, False])
def test_offline_an_unknown_one_charges_if_unknown_ones_may(tmp_path: Path, pki: Pki, *, allowed: bool) -> None:
    bench = offline(tmp_path, pki, UNKNOWN if allowed else OFFLINE)
    other = "NL-ABC-C00000001-1"

    arrives(bench, pki.contract(other), other)

    assert told(bench) is allowed
    assert charges(bench) is allowed


@pytest.mark.req("C07.FR.08")
@pytest.mark.parametrize("wrong", ["root", "expired", "forged"])
def test_offline_what_the_station_cannot_validate_does_not_charge(tmp_path: Path, pki: Pki, wrong: str) -> None:
    bench = offline(tmp_path, pki, {**UNKNOWN, **CENTRAL}, root=wrong != "root")
    made: dict[str, Callable[[Pki], str]] = {"root": Pki.contract, "expired": expired, "forged": forged}
    chain = made[wrong](pki)

    arrives(bench, chain)

    assert told(bench) is False
    assert not charges(bench)


@pytest.mark.req("C07.FR.07")
def test_offline_no_contract_charges_if_none_may_be_validated_here(tmp_path: Path, pki: Pki) -> None:
    """It is not even offered; a vehicle that presents it all the same is refused."""
    bench = offline(tmp_path, pki, {**UNKNOWN, "ISO15118Ctrlr.ContractValidationOffline": "false"})

    arrives(bench, pki.contract(), presents=True)

    assert bench.world.secc is not None
    assert not bench.world.secc.contract
    assert told(bench) is False
    assert not charges(bench)


@pytest.mark.req("C07.FR.07")
@pytest.mark.parametrize("allowed", [True, False])
def test_a_csms_that_does_not_answer_is_as_good_as_none(tmp_path: Path, pki: Pki, *, allowed: bool) -> None:
    variables = {**UNKNOWN, "ISO15118Ctrlr.ContractValidationOffline": "true" if allowed else "false"}
    bench = secc_bench(tmp_path, variables=variables)
    trusts(bench, pki.mo.root_pem)
    bench.csms.on("Authorize", None)
    arrives(bench, pki.contract())
    assert told(bench) is None

    bench.advance(seconds=45)

    assert told(bench) is allowed


# --- vehicles that lie, break or leave


def expired(pki: Pki) -> str:
    """A contract of last year."""
    return pki.contract(valid=(timedelta(days=-400), timedelta(days=-35)))


def forged(pki: Pki) -> str:
    """Signed by somebody who calls himself as the operator does."""
    impostor = Authority.create("MO sub", pki.mo._directory, None, LIFE, clock=pki.mo._clock)
    leaf = certificates(pki.contract(by=impostor))[0]
    return _pem(leaf) + pki.mo_sub.own_pem


def _pem(certificate: Any) -> str:
    text: str = certificate.public_bytes(Encoding.PEM).decode()
    return text


def cyclic(pki: Pki) -> str:
    """Two authorities that have signed each other, and no root."""
    one = Authority.create("One", pki.mo._directory, None, LIFE, clock=pki.mo._clock)
    two = Authority(one.subordinate("Two")._key, [], pki.mo._directory, pki.mo._clock)
    first = one.subordinate("Two", Wish(valid=LIFE, key=two._key), below=5)
    second = first.subordinate("One", Wish(valid=LIFE, key=one._key), below=5)
    return _pem(certificates(pki.contract(by=second))[0]) + second.own_pem + first.own_pem


def of_an_authority(pki: Pki) -> str:
    """A certificate that may sign others, presented as a driver's."""
    return pki.mo_sub.subordinate(EMAID, Wish(valid=LIFE), below=0).own_pem + pki.mo_sub.own_pem


def without_usage(pki: Pki) -> str:
    """Its key may not sign."""
    bits = dict.fromkeys(USAGES, False)
    value = x509.KeyUsage(**{**bits, "key_encipherment": True})
    return pki.contract(extensions=(x509.Extension(value.oid, critical=True, value=value),))


USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
HOSTILE: dict[str, Callable[[Pki], str]] = {
    "nothing": lambda _pki: "",
    "garbage": lambda _pki: "\x00\xff" * 500,
    "no certificate": lambda _pki: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "ten megabytes": lambda pki: pki.contract() * 10_000,
    "a hundred certificates": lambda pki: _pem(certificates(pki.contract())[0]) * 18,
    "cyclic": cyclic,
    "of somebody else": lambda pki: pki.contract("DE-8AA-C00000000-1"),
    "forged": forged,
    "an authority": of_an_authority,
    "not for signing": without_usage,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_chain_that_proves_nothing_does_not_charge_and_harms_nobody(bench: Bench, pki: Pki, kind: str) -> None:
    chain = HOSTILE[kind](pki)

    arrives(bench, chain)

    assert told(bench) is False
    assert not charges(bench)
    arrives(bench, pki.contract(), evse=2)
    assert told(bench, 2)


@pytest.mark.req("C07.FR.01")
def test_the_csms_hears_of_an_expired_contract_which_whatever_it_says(bench: Bench, pki: Pki) -> None:
    bench.csms.on("Authorize", ACCEPTED)
    chain = expired(pki)

    arrives(bench, chain)

    assert asked(bench)[0]["iso15118CertificateHashData"] == hashes_of(chain, pki.mo.root_pem)
    assert told(bench) is False
    assert not charges(bench)


@pytest.mark.parametrize("claimed", ["DE8AAC12345678X", "de-8aa-c12345678", "DE8AAC12345678"])
def test_an_emaid_is_the_same_without_separators_and_check_digit(bench: Bench, pki: Pki, claimed: str) -> None:
    arrives(bench, pki.contract(), claimed)

    assert asked(bench)[0]["idToken"] == E_MAID


def test_a_vehicle_that_leaves_is_not_judged_and_the_next_one_is(bench: Bench, pki: Pki) -> None:
    bench.keys_busy = True
    arrives(bench, pki.contract())
    job = bench.job(CheckContract)
    bench.evse(1).unplug()
    bench.keys_busy = False
    other = "NL-ABC-C00000001-1"
    arrives(bench, pki.contract(other), other)
    bench.csms.forget()

    bench.job_done(job, bench.certificate_work.do(job.job))

    assert asked(bench) == []
    assert starter(bench) == other


def test_a_vehicle_that_leaves_while_the_csms_is_asked_authorizes_nobody(bench: Bench, pki: Pki) -> None:
    bench.csms.hold()
    arrives(bench, pki.contract())
    bench.evse(1).unplug()

    bench.csms.release()
    bench.advance(minutes=5)

    assert not bench.evse(1).charging
    assert not [event for event in bench.events() if event["transactionInfo"].get("chargingState") == "Charging"]


def test_the_vehicle_is_told_before_it_gives_up(bench: Bench, pki: Pki) -> None:
    bench.keys_busy = True
    arrives(bench, pki.contract())

    bench.advance(seconds=56)

    assert told(bench) is False


def test_a_vehicle_that_pauses_and_presents_its_contract_again_goes_on(bench: Bench, pki: Pki) -> None:
    chain = pki.contract()
    arrives(bench, chain)
    assert charges(bench)
    bench.csms.forget()

    bench.world.present(1, Contract(EMAID, chain))
    bench.settle()

    assert told(bench)
    assert asked(bench) == []
    assert charges(bench)


def test_a_card_that_came_first_is_whom_the_vehicle_charges_for(bench: Bench, pki: Pki) -> None:
    bench.evse(1).present_token("04C0FFEE")
    bench.csms.forget()

    arrives(bench, pki.contract())

    assert told(bench)
    assert asked(bench) == []
    assert charges(bench)
    assert starter(bench) == "04C0FFEE"


@pytest.mark.req("C08.FR.01", "C08.FR.02")
def test_a_vehicle_that_speaks_iso_15118_is_identified_by_a_card_at_any_time(bench: Bench) -> None:
    bench.evse(1).plug_in(evcc_id="0A1B2C3D4E5F")
    bench.advance(minutes=20)

    bench.evse(1).present_token("04C0FFEE")

    assert asked(bench) == [{"idToken": {"idToken": "04C0FFEE", "type": "ISO14443"}}]
    assert charges(bench)


def test_two_vehicles_are_judged_at_once(bench: Bench, pki: Pki) -> None:
    other = "NL-ABC-C00000001-1"
    bench.csms.on(
        "Authorize",
        lambda sent: {"idTokenInfo": {"status": "Accepted" if sent["idToken"]["idToken"] == other else "Blocked"}},
    )

    arrives(bench, pki.contract())
    arrives(bench, pki.contract(other), other, evse=2)

    assert (told(bench, 1), told(bench, 2)) == (False, True)


def test_without_plug_and_charge_a_contract_is_neither_offered_nor_taken(tmp_path: Path, pki: Pki) -> None:
    bench = secc_bench(tmp_path, variables={"ISO15118Ctrlr.PnCEnabled": "false"})
    trusts(bench, pki.mo.root_pem)

    arrives(bench, pki.contract(), presents=True)

    assert bench.world.secc is not None
    assert not bench.world.secc.contract
    assert told(bench) is False
    assert asked(bench) == []


@pytest.mark.parametrize("start", ["Authorized", "EVConnected", "PowerPathClosed"])
def test_a_transaction_starts_where_it_does_with_a_card(tmp_path: Path, pki: Pki, start: str) -> None:
    bench = secc_bench(tmp_path, variables={"TxCtrlr.TxStartPoint": start})
    trusts(bench, pki.mo.root_pem)

    arrives(bench, pki.contract())

    events = [event for event in bench.events() if event.get("idToken") == E_MAID]
    assert [event["triggerReason"] for event in events] == ["Authorized"]
    assert events[0]["eventType"] == ("Updated" if start == "EVConnected" else "Started")
