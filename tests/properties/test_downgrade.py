"""Whatever a CSMS orders, in whatever order: the station never goes back to a less secure connection than it had."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from station.state.network import NetworkProfile
from tests.bench import Bench
from tests.scenarios.b_provisioning.test_b09_network_profiles import CERTIFICATES, PRIORITY, data
from tests.scenarios.variables import asked

LEVELS = (1, 2, 3)
SLOTS = (0, 1, 2)
Deed = tuple[str, int, int]


def said(bench: Bench, action: str, content: dict[str, Any]) -> None:
    """A CALL, if there is a connection for it."""
    if bench.csms.connected:
        bench.csms.send(action, content)


def stored(bench: Bench, slot: int, level: int) -> None:
    """SetNetworkProfile, of any level."""
    said(bench, "SetNetworkProfile", {"configurationSlot": slot, "connectionData": data(level)})


def ordered(bench: Bench, slot: int, other: int) -> None:
    """NetworkConfigurationPriority."""
    said(
        bench,
        "SetVariables",
        {"setVariableData": [asked(PRIORITY, attributeValue=",".join(map(str, {slot: 0, other % 3: 0})))]},
    )


def allowed(bench: Bench, what: int, _: int) -> None:
    """What would open the way down, if a CSMS could set it."""
    name = ("SecurityCtrlr.AllowSecurityProfileDowngrade", "SecurityCtrlr.SecurityProfile")[what % 2]
    said(bench, "SetVariables", {"setVariableData": [asked(name, attributeValue=("true", "1")[what % 2])]})


def reset(bench: Bench, _: int, __: int) -> None:
    """The next start takes up what was stored."""
    said(bench, "Reset", {"type": "Immediate"})


def led(bench: Bench, slot: int, level: int) -> None:
    """All of it at once: a profile, first in order, and the start that takes it up."""
    stored(bench, slot, level)
    ordered(bench, slot, slot)
    reset(bench, 0, 0)
    bench.settle()
    bench.advance(minutes=2)


def dropped(bench: Bench, slot: int, _: int) -> None:
    """The CSMS of a slot does not answer any more; the station looks for another."""
    bench.unreachable ^= {slot}
    if bench.csms.connected:
        bench.csms.disconnect()
    bench.advance(minutes=5)


DEEDS: dict[str, Callable[[Bench, int, int], None]] = {
    "store": stored,
    "order": ordered,
    "allow": allowed,
    "reset": reset,
    "drop": dropped,
    "lead": led,
    "power cut": lambda bench, _slot, _level: bench.crash(),
}


@settings(max_examples=12)
@given(
    first=st.sampled_from(LEVELS),
    allows=st.booleans(),
    deeds=st.lists(
        st.tuples(st.sampled_from(sorted(DEEDS)), st.sampled_from(SLOTS), st.sampled_from(LEVELS)), max_size=14
    ),
)
def test_no_orders_whatever_lead_to_a_less_secure_connection(*, first: int, allows: bool, deeds: list[Deed]) -> None:
    """Where the station's own file allows it, from 3 to 2, and to 1 never (A00.FR.005, A05, errata)."""
    scheme = "ws" if first == 1 else "wss"
    given_ = NetworkProfile(slot=0, url=f"{scheme}://csms.example/ocpp", security_profile=first)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder),
            layout={"security_profile": first},
            profiles=(given_,),
            certificates=CERTIFICATES,
            variables={"SecurityCtrlr.AllowSecurityProfileDowngrade": str(allows).lower()},
        )
        highest = first
        for name, slot, level in deeds:
            DEEDS[name](bench, slot, level)
            bench.settle()

            reached = bench.station.network.level
            tried = {profile.security_profile for profile in bench.station.network.profiles()}
            least = min(highest, 2) if allows else highest
            assert min(tried) >= least, f"{name}: {tried} after {highest}"
            assert reached >= least
            highest = max(highest, reached)
        bench.database.close()
