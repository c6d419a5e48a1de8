"""How a CSMS limits a station, and what comes of it, in few words.

    put(bench, limit(16))                         TxDefaultProfile of EVSE 1: 16 A
    put(bench, limit((0, 16), (60, 8)), evse=0)   16 A, and 8 A after a minute, at all EVSEs
    put(bench, station_limit(bench, 20), evse=0)  20 A for all of them together, from now on

A profile without a start is relative.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from station.blocks.smart_charging.external import ExternalLimit
from station.now import Now
from tests.bench import Bench

Payload = dict[str, Any]

MAX = "ChargingStationMaxProfile"
DEFAULT = "TxDefaultProfile"
TX = "TxProfile"
CARD = "04A1B2C3"


def limit(*periods: float | tuple[float, ...], purpose: str = DEFAULT, **more: Any) -> Payload:
    """A charging profile, without start if it is to be relative. Periods: a limit, or (start, limit, phases).

    `more`: fields of the profile, of its schedule (`unit`, `duration`, `start`, `least`) and of the periods.
    """
    schedule: Payload = {"id": 1, "chargingRateUnit": more.pop("unit", "A")}
    for name, field in (("duration", "duration"), ("start", "startSchedule"), ("least", "minChargingRate")):
        value = more.pop(name, None)
        if value is not None:
            schedule[field] = value.isoformat() if isinstance(value, datetime) else value
    schedule["chargingSchedulePeriod"] = [_period(each) for each in periods]
    for name in ("validFrom", "validTo"):
        if isinstance(more.get(name), datetime):
            more[name] = more[name].isoformat()
    kind = "Absolute" if "startSchedule" in schedule else "Relative"
    profile = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": purpose, "chargingProfileKind": kind}
    return {**profile, "chargingSchedule": [schedule], **more}


def _period(given: float | tuple[float, ...]) -> Payload:
    values = given if isinstance(given, tuple) else (0, given)
    return dict(zip(("startPeriod", "limit", "numberPhases", "phaseToUse"), values, strict=False))


def station_limit(bench: Bench, *periods: float | tuple[float, ...], **more: Any) -> Payload:
    """A ChargingStationMaxProfile from now on."""
    return limit(*periods, **{"purpose": MAX, "id": 100, "start": bench.true_utc, **more})


def put(bench: Bench, profile: Payload, evse: int = 1) -> str:
    """SetChargingProfile; gives the status, with the reason if there is one."""
    answer = bench.csms.call("SetChargingProfile", {"evseId": evse, "chargingProfile": profile})
    reason = answer.get("statusInfo", {}).get("reasonCode")
    return f"{answer['status']}: {reason}" if reason else str(answer["status"])


def clear(bench: Bench, number: int | None = None, **criteria: Any) -> str:
    """ClearChargingProfile; gives the status."""
    request: Payload = {"chargingProfileId": number} if number is not None else {}
    if criteria:
        request["chargingProfileCriteria"] = criteria
    return str(bench.csms.call("ClearChargingProfile", request)["status"])


def ask(bench: Bench, *ids: int, evse: int | None = None, **criteria: Any) -> str:
    """GetChargingProfiles; gives the status. What is reported comes later."""
    criterion = {**({"chargingProfileId": list(ids)} if ids else {}), **criteria}
    request: Payload = {"requestId": 5, "chargingProfile": criterion}
    if evse is not None:
        request["evseId"] = evse
    bench.csms.forget()
    status = str(bench.csms.call("GetChargingProfiles", request)["status"])
    bench.advance(1)
    return status


def reported(bench: Bench) -> list[tuple[int, int]]:
    """(evse, id) of each profile that has been reported since `ask`."""
    pages = bench.csms.received("ReportChargingProfiles")
    return [(page["evseId"], profile["id"]) for page in pages for profile in page["chargingProfile"]]


def written(profile: Payload) -> str:
    """A profile as text that is the same for the same content, however it writes its times."""
    return json.dumps(profile, sort_keys=True).replace("+00:00", "Z").replace(".000Z", "Z")


def composite(bench: Bench, evse: int = 1, seconds: int = 600, unit: str = "A") -> list[tuple[int, float]]:
    """(start, limit) of each period of the composite schedule."""
    request = {"evseId": evse, "duration": seconds, "chargingRateUnit": unit}
    answer = bench.csms.call("GetCompositeSchedule", request)
    assert answer["status"] == "Accepted", answer
    assert (answer["schedule"]["evseId"], answer["schedule"]["duration"]) == (evse, seconds)
    assert answer["schedule"]["chargingRateUnit"] == unit
    return [(each["startPeriod"], each["limit"]) for each in answer["schedule"]["chargingSchedulePeriod"]]


def charge(bench: Bench, evse: int = 1, uid: str = CARD, **ev: Any) -> str:
    """A driver comes; gives the transaction's id once energy flows, or would."""
    known = {event["transactionInfo"]["transactionId"] for event in bench.events()}
    bench.evse(evse).plug_in(**ev)
    bench.evse(evse).present_token(uid)
    bench.advance(15)
    mine = [event for event in bench.events() if event["transactionInfo"]["transactionId"] not in known]
    return str(mine[0]["transactionInfo"]["transactionId"])


def amperes(bench: Bench, evse: int = 1) -> float:
    """The current per phase that flows, once the vehicle has followed."""
    bench.advance(10)
    return bench.world.evse(evse).current_a


def hold(bench: Bench, evse: int, amperes: float | None) -> None:
    """Another system limits an EVSE, or no longer; the station listens to it, whether or not it reaches the CSMS."""
    given = ExternalLimit(source="EMS", evse_id=evse, periods=() if amperes is None else ((0, amperes),))

    def command(now: Now) -> None:
        bench.station.variables.set("SmartChargingCtrlr", "ExternalControlSignalsEnabled", "true")
        bench.station.externals.set(given, now)

    _, effects = bench.station.exchange.ask(command, bench.now)
    bench._do(effects)
    bench.settle()


def ago(bench: Bench, seconds: float) -> datetime:
    """A moment before now, by the true clock."""
    return bench.true_utc - timedelta(seconds=seconds)


def ahead(bench: Bench, seconds: float) -> datetime:
    """A moment after now, by the true clock."""
    return bench.true_utc + timedelta(seconds=seconds)
