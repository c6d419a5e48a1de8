"""The figures of `metrics:`, as OpenMetrics text (version 1.0): what `status` tells, and what the process costs.

    ocpp_station_link_up 1
    ocpp_station_evse_status{evse="1",ocpp_station_evse_status="Occupied"} 1

Names, once published, stay; units are in them. A figure that is not known is left out, never zero.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from station.app import Station
from station.commands import status
from station.config import Config
from station.now import Now
from station.shell.control import Address
from station.shell.metrics import MetricsServer
from station.shell.runner import Runner

STATUSES = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")
"""ConnectorStatusEnumType."""

_PREFIX = "ocpp_station_"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Sample(NamedTuple):
    """One line; `suffix` is what its type adds to the family's name."""

    value: float
    labels: Mapping[str, str] = {}
    suffix: str = ""


class Family(NamedTuple):
    """All figures of one name."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""


def server(given: str, station: Station, runner: Runner, config: Config) -> MetricsServer:
    """Where the configuration says."""
    address = Address.of(given, config.folder)

    async def figures() -> str:
        told: str = await runner.ask(lambda now: of(station, runner, config, now))
        return told

    return MetricsServer(address.host, address.port, figures)


def of(station: Station, runner: Runner, config: Config, now: Now) -> str:
    """All of them now."""
    told = status.of(station, runner, config, now)
    heard = runner.link.messages
    return text(families(told, {"station": heard.sent, "csms": heard.received}))


def families(told: Mapping[str, Any], counts: Mapping[str, int]) -> Iterator[Family]:
    """From what `status` tells, and the messages of either side."""
    yield from _station(told)
    yield from _evses(told["evses"])
    yield _messages(counts)
    yield from _process()


def text(families: Iterable[Family]) -> str:
    """As OpenMetrics has it. A family without figures is left out."""
    return "".join(line for family in families if family.samples for line in _lines(family)) + "# EOF\n"


def _lines(family: Family) -> Iterator[str]:
    name = family.name
    yield f"# TYPE {name} {family.kind}\n"
    if family.unit:
        yield f"# UNIT {name} {family.unit}\n"
    yield f"# HELP {name} {family.help}\n"
    for value, labels, suffix in family.samples:
        pairs = ",".join(f'{key}="{each.translate(_ESCAPES)}"' for key, each in labels.items())
        yield f"{name}{suffix}{{{pairs}}} {value:.17g}\n" if pairs else f"{name}{suffix} {value:.17g}\n"


def _gauge(name: str, help_: str, samples: Iterable[Sample], unit: str = "") -> Family:
    return Family(_PREFIX + name, "gauge", help_, tuple(samples), unit)


def _station(told: Mapping[str, Any]) -> Iterator[Family]:
    about = {"version": told["version"], "identity": told["identity"]}
    yield Family("ocpp_station", "info", "Who this is.", (Sample(1, about, "_info"),))
    queue = told["queue"]
    yield _gauge("uptime_seconds", "Since the agent started.", [Sample(told["uptime_s"])], "seconds")
    yield _gauge("link_up", "Whether a connection to the CSMS stands.", [Sample(told["link"]["up"])])
    yield _gauge("accepted", "Whether the CSMS has accepted the station.", [Sample(told["registration"] == "Accepted")])
    waits = queue["transactions_waiting"]
    yield _gauge("transaction_events_waiting", "Whether transaction events wait to be sent.", [Sample(waits)])
    given_up = [Sample(queue["undelivered"])]
    yield _gauge("undelivered_messages", "Given up after the last attempt, and kept.", given_up)
    yield _gauge("store_failing", "Whether the disk takes no writes.", [Sample(told["store"] != "ok")])
    ends: dict[str, float] = {}
    for one in told["certificates"]:
        until = datetime.fromisoformat(one["until"]).timestamp()
        ends[one["role"]] = min(until, ends.get(one["role"], until))
    samples = [Sample(until, {"role": role}) for role, until in ends.items()]
    yield _gauge("certificate_expiry_timestamp_seconds", "The next end of a certificate.", samples, "seconds")


def _evses(told: Iterable[Mapping[str, Any]]) -> Iterator[Family]:
    evses = [({"evse": str(evse["id"])}, evse, evse.get("transaction", {})) for evse in told]
    name = f"{_PREFIX}evse_status"
    states = [Sample(evse["status"] == each, {**label, name: each}) for label, evse, _ in evses for each in STATUSES]
    yield Family(name, "stateset", "As the CSMS is told.", tuple(states))
    faults = [Sample(1, {**label, "fault": fault}) for label, evse, _ in evses for fault in evse.get("faults", ())]
    yield _gauge("evse_fault", "Faults that are present.", faults)
    charging = [Sample("transaction" in evse, label) for label, evse, _ in evses]
    yield _gauge("evse_transaction", "Whether a transaction runs.", charging)
    offered = [Sample(evse["offered_a"], label) for label, evse, _ in evses if "offered_a" in evse]
    yield _gauge("evse_offered_amperes", "What the vehicle may draw per phase.", offered, "amperes")
    energy = [Sample(tx["energy_wh"], label) for label, _, tx in evses if "energy_wh" in tx]
    yield _gauge("evse_transaction_energy_watthours", "Charged in the transaction.", energy, "watthours")
    power = [Sample(tx["power_w"], label) for label, _, tx in evses if tx.get("power_w") is not None]
    yield _gauge("evse_power_watts", "As the meter showed it last.", power, "watts")


def _messages(counts: Mapping[str, int]) -> Family:
    samples = tuple(Sample(count, {"by": by}, "_total") for by, count in counts.items())
    return Family(f"{_PREFIX}messages", "counter", "OCPP messages since the start.", samples)


def _process() -> Iterator[Family]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = (Sample(usage.ru_utime + usage.ru_stime, suffix="_total"),)
    yield Family("process_cpu_seconds", "counter", "User and system time.", seconds, "seconds")
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
        yield Family("process_resident_memory_bytes", "gauge", "Resident memory.", (Sample(resident),), "bytes")
