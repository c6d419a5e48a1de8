"""What `ocpp-station status` shows: one snapshot of the station, taken in a step that writes nothing."""

from __future__ import annotations

from typing import Any

from station.app import Station
from station.commands import expiry
from station.config import Config
from station.now import Now, rfc3339
from station.shell.control import Answer
from station.shell.runner import Runner
from station.state.meters import Sample
from station.state.sessions import Session
from station.store.outbox import Outbox
from station.version import VERSION


def of(station: Station, runner: Runner, config: Config, now: Now) -> Answer:
    """Everything a person at the charger, or far away, wants to know first."""
    return {
        "identity": config.file.station.identity,
        "version": VERSION,
        "time": rfc3339(now.wall),
        "clock": runner.clock.source or "not yet trusted",
        "uptime_s": round(now.mono - runner.began),
        "link": _link(runner),
        "registration": station.registration.status,
        "boot_reason": station.registration.boot_reason,
        "evses": [_evse(station, evse_id) for evse_id in station.connectors.evse_ids()],
        "queue": _queue(station.outbox),
        "certificates": list(expiry.certificates(config, station.own_certificates)),
        "store": "in memory: the disk fails" if station.engine.fallback.active else "ok",
    }


def _link(runner: Runner) -> dict[str, Any]:
    up, down = runner.link.up, runner.link.down
    if up is not None:
        return {
            "up": True,
            "url": up.profile.url,
            "security_profile": up.profile.security_profile,
            "subprotocol": up.subprotocol,
            "tls": up.tls,
            "compressed": up.compressed,
        }
    if down is None:
        return {"up": False, "reason": "connecting"}
    return {"up": False, "kind": down.kind.value, "reason": down.detail, "remedy": down.remedy}


def _evse(station: Station, evse_id: int) -> dict[str, Any]:
    connectors = station.connectors
    told: dict[str, Any] = {
        "id": evse_id,
        "status": connectors.status_of_evse(evse_id),
        "connectors": [
            {"id": each, "status": connectors.status(evse_id, each)} for each in connectors.connector_ids(evse_id)
        ],
    }
    if faults := sorted(fault.value for fault in connectors.faults(evse_id)):
        told["faults"] = faults
    want = station.ports.wanted(evse_id)
    if want is not None and want.energise:
        told["offered_a"] = want.limit_a
    session = station.sessions.on_evse(evse_id)
    if session is not None and session.transaction_id is not None:
        told["transaction"] = _transaction(session, station.meters.last(evse_id))
    return told


def _transaction(session: Session, newest: Sample | None) -> dict[str, Any]:
    told: dict[str, Any] = {"id": session.transaction_id, "charging_state": session.charging_state}
    last = newest or session.last
    if session.begin is not None and last is not None:
        charged_mwh = last.reading.energy_import_mwh - session.begin.reading.energy_import_mwh
        told["energy_wh"] = charged_mwh / 1000
        told["power_w"] = last.reading.power_import_w
    return told


def _queue(outbox: Outbox) -> dict[str, Any]:
    return {"transactions_waiting": outbox.has_transactions(), "undelivered": outbox.undelivered()}
