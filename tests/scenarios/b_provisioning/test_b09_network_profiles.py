"""B09, B10: the CSMS stores ways to a CSMS, orders them, and sends the station to another one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from station.state.network import NetworkProfile
from station.store.db import Fault, StoreFailed
from tests.bench import Bench
from tests.scenarios.variables import asked, get, put, set_all

PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"
CERTIFICATES = frozenset({"CSMSRootCertificate", "ChargingStationCertificate"})


def data(level: int = 1, **more: Any) -> dict[str, Any]:
    """A profile for another CSMS."""
    scheme = "ws" if level == 1 else "wss"
    return {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": f"{scheme}://other.example/ocpp",
        "messageTimeout": 50,
        "securityProfile": level,
        "ocppInterface": "Wired0",
        **more,
    }


def store(bench: Bench, slot: int, level: int = 1, **more: Any) -> tuple[str, str]:
    """SetNetworkProfile; gives the status and its reason."""
    answer = bench.csms.call("SetNetworkProfile", {"configurationSlot": slot, "connectionData": data(level, **more)})
    return str(answer["status"]), str(answer.get("statusInfo", {}).get("reasonCode", ""))


def station(path: Path, level: int = 1, *, downgrade: bool = False, **given: Any) -> Bench:
    """A station whose file names one profile of this security level."""
    scheme = "ws" if level == 1 else "wss"
    profile = NetworkProfile(slot=0, url=f"{scheme}://csms.example/ocpp", security_profile=level)
    given = {"layout": {"security_profile": level}, "profiles": (profile,), "certificates": CERTIFICATES, **given}
    if downgrade:
        given["variables"] = {"SecurityCtrlr.AllowSecurityProfileDowngrade": "true"}
    return Bench(path, **given)


def slots(found: Sequence[NetworkProfile]) -> list[int]:
    return [profile.slot for profile in found]


def restart(bench: Bench) -> None:
    assert bench.csms.call("Reset", {"type": "OnIdle"})["status"] == "Accepted"
    bench.settle()


# --- B09


@pytest.mark.req("B09.FR.01", "B09.FR.06")
def test_a_valid_profile_is_stored(bench: Bench) -> None:
    """And survives a power cut; the connection that stands is not touched."""
    bench.csms.forget()

    assert store(bench, 1) == ("Accepted", "")
    assert store(bench, 2) == ("Accepted", "")
    bench.advance(minutes=1)
    assert bench.csms.actions() == []

    bench.crash()
    assert bench.station.network.stored(1) == NetworkProfile(
        slot=1, url="ws://other.example/ocpp", security_profile=1, message_timeout_s=50.0, interface="Wired0"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"ocppCsmsUrl": "http://other.example/ocpp"},
        {"ocppCsmsUrl": "wss://other.example/ocpp"},
        {"ocppCsmsUrl": "ws:///ocpp"},
        {"ocppCsmsUrl": "ws://other.example:99999/ocpp"},
        {"ocppCsmsUrl": "ws://user:secret@other.example/ocpp"},
        {"ocppCsmsUrl": "other.example"},
        {"ocppCsmsUrl": "ws://other.example/o\ncpp"},
        {"ocppCsmsUrl": "ws://other.example/\x1b[2J"},
        {"ocppCsmsUrl": "ws://öther.example/ocpp"},
        {"ocppTransport": "SOAP"},
        {"messageTimeout": 0},
        {"messageTimeout": 3601},
        {"messageTimeout": 2**40},
        {"securityProfile": 0},
        {"securityProfile": 4},
        {"vpn": {"server": "v", "user": "u", "password": "p", "key": "k", "type": "IPSec"}},
        {"apn": {"apn": "internet", "apnAuthentication": "NONE"}},
    ],
)
@pytest.mark.req("B09.FR.02")
def test_a_profile_that_could_never_work_is_rejected(bench: Bench, wrong: dict[str, Any]) -> None:
    """A station that took it would be lost after the next start."""
    assert store(bench, 1, **wrong) == ("Rejected", "InvalidNetworkConf")
    assert bench.station.network.stored(1) is None


@pytest.mark.req("B09.FR.03")
def test_a_profile_that_cannot_be_stored_has_failed(bench: Bench) -> None:
    """The disk takes no writes: what is kept in memory only would be gone when it is needed."""
    bench.station.engine.fallback.enter(StoreFailed(Fault.IO))

    assert store(bench, 1) == ("Failed", "OutOfStorage")
    assert bench.station.network.stored(1) is None


@pytest.mark.req("B09.FR.05")
@pytest.mark.parametrize("slot", [3, 999, -1])
def test_a_slot_that_is_not_there_is_rejected(bench: Bench, slot: int) -> None:
    assert store(bench, slot) == ("Rejected", "InvalidConfSlot")


@pytest.mark.req("B09.FR.04", "A00.FR.005")
@pytest.mark.parametrize("level, lower", [(2, 1), (3, 1), (3, 2)])
def test_a_less_secure_profile_is_rejected(tmp_path: Path, level: int, lower: int) -> None:
    bench = station(tmp_path, level)

    assert store(bench, 1, lower) == ("Rejected", "NoSecurityDowngrade")
    assert store(bench, 1, level) == ("Accepted", "")


@pytest.mark.req("B09.FR.31", "A00.FR.005")
def test_where_the_file_allows_it_3_may_become_2_but_never_1(tmp_path: Path) -> None:
    bench = station(tmp_path, 3, downgrade=True)

    assert store(bench, 1, 2) == ("Accepted", "")
    assert store(bench, 1, 1) == ("Rejected", "NoSecurityDowngrade")


@pytest.mark.req("B09.FR.04")
def test_the_csms_cannot_allow_the_downgrade_itself(tmp_path: Path) -> None:
    """AllowSecurityProfileDowngrade is the operator's."""
    bench = station(tmp_path, 3)

    assert put(bench, "SecurityCtrlr.AllowSecurityProfileDowngrade", "true") == "Rejected"


@pytest.mark.req("B09.FR.01")
def test_a_change_of_the_slot_in_use_waits_for_the_next_start(bench: Bench) -> None:
    """B09, remarks: not even a dropped line brings it to bear."""
    store(bench, 0)

    bench.csms.disconnect()
    bench.advance(seconds=10)
    bench.csms.connect()
    assert [profile.url for profile in bench.station.network.profiles()] == ["ws://csms.example/ocpp"]

    restart(bench)
    assert [profile.url for profile in bench.station.network.profiles()] == ["ws://other.example/ocpp"]


# --- B10


@pytest.mark.req("B10.FR.01", "B10.FR.04")
def test_the_new_order_counts_from_the_next_start(bench: Bench) -> None:
    """RebootRequired; then the first entry comes first, and is the active one."""
    store(bench, 1)
    assert put(bench, PRIORITY, "1,0") == "RebootRequired"
    assert slots(bench.station.network.profiles()) == [0]
    assert get(bench, "OCPPCommCtrlr.ActiveNetworkProfile") == "0"

    restart(bench)

    assert slots(bench.station.network.profiles()) == [1, 0]
    assert get(bench, "OCPPCommCtrlr.ActiveNetworkProfile") == "1"


@pytest.mark.req("B10.FR.02")
@pytest.mark.parametrize("value", ["1", "0,1", "2,0", "5", "", "0,0"])
def test_an_order_with_an_empty_slot_is_rejected(bench: Bench, value: str) -> None:
    """Or with one that is not there, or none at all."""
    (result,) = set_all(bench, asked(PRIORITY, attributeValue=value))

    assert result["attributeStatus"] == "Rejected"
    assert get(bench, PRIORITY) == "0"


@pytest.mark.req("B10.FR.03")
def test_if_the_first_does_not_answer_the_next_one_does(bench: Bench) -> None:
    """What the link finds: ActiveNetworkProfile tells it, and the CSMS hears of the restart."""
    store(bench, 1)
    put(bench, PRIORITY, "1,0")
    bench.unreachable = {1}
    bench.csms.forget()

    restart(bench)

    assert get(bench, "OCPPCommCtrlr.ActiveNetworkProfile") == "0"
    assert [boot["reason"] for boot in bench.csms.received("BootNotification")] == ["RemoteReset"]


@pytest.mark.req("B10.FR.10")
def test_another_profile_needs_a_new_introduction(bench: Bench) -> None:
    """Without a restart, for the other CSMS does not know us; statuses follow, nothing goes before."""
    store(bench, 1)
    put(bench, PRIORITY, "1,0")
    restart(bench)
    bench.advance(minutes=1)
    bench.csms.disconnect()
    bench.unreachable = {1}
    bench.csms.order.registration = "Unknown"
    bench.csms.forget()

    bench.csms.connect()
    bench.advance(seconds=1)

    assert bench.csms.actions()[0] == "BootNotification"
    assert bench.csms.actions().count("StatusNotification") == 2
    assert get(bench, "OCPPCommCtrlr.ActiveNetworkProfile") == "0"


def test_the_message_timeout_is_the_profiles(bench: Bench) -> None:
    """MessageTimeout tells what is waited for, and that long it is waited."""
    assert get(bench, "OCPPCommCtrlr.MessageTimeout[Default]") == "35"
    store(bench, 1)
    put(bench, PRIORITY, "1")
    restart(bench)

    assert get(bench, "OCPPCommCtrlr.MessageTimeout[Default]") == "50"
    assert bench.station.exchange.endpoint.call_timeout_s == 50.0


# --- A05


@pytest.mark.req("A05.FR.02")
@pytest.mark.parametrize("level", [2, 3])
def test_without_a_root_certificate_no_tls(tmp_path: Path, level: int) -> None:
    bench = station(tmp_path, 1, certificates=frozenset())
    store(bench, 1, level)

    assert put(bench, PRIORITY, "1,0") == "Rejected"
    restart(bench)
    assert get(bench, "SecurityCtrlr.SecurityProfile") == "1"


@pytest.mark.req("A05.FR.03")
def test_without_a_certificate_of_its_own_no_profile_3(tmp_path: Path) -> None:
    bench = station(tmp_path, 2, certificates=frozenset({"CSMSRootCertificate"}))
    store(bench, 1, 3)

    assert put(bench, PRIORITY, "1,0") == "Rejected"


@pytest.mark.req("A05.FR.04", "A05.FR.05", "A05.FR.06")
@pytest.mark.parametrize("level", [1, 2])
def test_an_upgrade_removes_what_is_less_secure(tmp_path: Path, level: int) -> None:
    """Once connected: SecurityProfile is the new one, and the old slot is gone, for good."""
    bench = station(tmp_path, level)
    store(bench, 1, level + 1)
    assert put(bench, PRIORITY, "1,0") == "RebootRequired"

    restart(bench)

    assert get(bench, "SecurityCtrlr.SecurityProfile") == str(level + 1)
    assert get(bench, PRIORITY) == "1"
    assert bench.station.network.stored(0) is None
    assert slots(bench.station.network.profiles()) == [1]
    bench.crash()
    assert get(bench, PRIORITY) == "1"
    assert slots(bench.station.network.profiles()) == [1]
    assert get(bench, "SecurityCtrlr.SecurityProfile") == str(level + 1)
    assert store(bench, 0, level) == ("Rejected", "NoSecurityDowngrade")


@pytest.mark.req("A05.FR.06")
def test_an_upgrade_that_fails_removes_nothing(tmp_path: Path) -> None:
    """The way back stays open until the new one has worked once."""
    bench = station(tmp_path, 1)
    store(bench, 1, 2)
    put(bench, PRIORITY, "1,0")
    bench.unreachable = {1}

    restart(bench)

    assert get(bench, "SecurityCtrlr.SecurityProfile") == "1"
    assert get(bench, PRIORITY) == "1,0"
    assert slots(bench.station.network.profiles()) == [1, 0]


@pytest.mark.req("A05.FR.08")
def test_a_downgrade_that_is_allowed_is_accepted(tmp_path: Path) -> None:
    """And keeps the way back."""
    bench = station(tmp_path, 3, downgrade=True)
    store(bench, 1, 2)

    assert put(bench, PRIORITY, "1,0") == "RebootRequired"

    restart(bench)
    assert get(bench, "SecurityCtrlr.SecurityProfile") == "2"
    assert get(bench, PRIORITY) == "1,0"


@pytest.mark.req("A05.FR.09", "A05.FR.10", "A00.FR.005")
@pytest.mark.parametrize("downgrade", [True, False])
def test_an_order_with_a_less_secure_profile_is_rejected(tmp_path: Path, downgrade: bool) -> None:  # noqa: FBT001 - a parameter
    """However it came into its slot: here the file names it."""
    profiles = (
        NetworkProfile(slot=0, url="wss://csms.example/ocpp", security_profile=3),
        NetworkProfile(slot=1, url="ws://csms.example/ocpp", security_profile=1),
        NetworkProfile(slot=2, url="wss://csms.example/2", security_profile=2),
    )
    bench = station(tmp_path, 3, downgrade=downgrade, profiles=profiles)

    assert put(bench, PRIORITY, "0,1") == "Rejected"
    assert put(bench, PRIORITY, "0,2") == ("RebootRequired" if downgrade else "Rejected")
    assert 1 not in slots(bench.station.network.profiles())


def test_the_operators_file_has_the_last_word_on_the_level(tmp_path: Path) -> None:
    """A person at the station may do what OCPP must not, and is never left without a way to a CSMS."""
    bench = station(tmp_path, 1)
    store(bench, 1, 2)
    put(bench, PRIORITY, "1,0")
    restart(bench)
    assert bench.station.network.level == 2
    bench.crash(boot=False)

    changed = NetworkProfile(slot=0, url="wss://csms.example/3", security_profile=3)
    bench.setup = station_setup(3, changed)
    bench.boot()

    assert bench.station.network.level == 3
    assert bench.station.network.profiles() == [changed]


def station_setup(level: int, profile: NetworkProfile) -> Any:
    from tests.bench import setup  # noqa: PLC0415 - used by one test

    return setup(layout={"security_profile": level}, profiles=(profile,))
