"""A bad day in the life of a station: everything that any handler hears or answers happens once.

All that goes wrong with hardware goes wrong at EVSE 3, so that the others must be as good as new afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hal.api import Fault, Identity
from hal.iso15118 import VehicleNeeds
from station.block import Job, JobResult
from station.blocks.certificates import DropReplaced
from station.blocks.data_transfer import Installed
from station.blocks.diagnostics.logs import AssembleLog, LogAssembled, LogUploaded, UploadLog
from station.blocks.firmware.jobs import (
    ConfirmFirmware,
    DownloadFirmware,
    DropFirmware,
    FirmwareConfirmed,
    FirmwareDownloaded,
    FirmwareDropped,
    FirmwareInstalled,
    FirmwareVerified,
    InstallFirmware,
    VerifyFirmware,
)
from station.blocks.iso15118.secc import AskedStatus, JudgeStatus
from station.facts import (
    AuthorizationRefused,
    BayOccupancyChanged,
    CertificateWantedByEv,
    ClockStepped,
    ConnectorStatusDue,
    ContractShown,
    DeviceIdentified,
    DeviceLost,
    DeviceReturned,
    EvseQuarantined,
    Fact,
    LimitChanged,
    MessageUndelivered,
    OwnCertificateInstalled,
    OwnCertificatesRemoved,
    ResetAbandoned,
    ResetRequested,
    SampleFailed,
    SensorRead,
    ServiceChanged,
    StoreDegraded,
    StoreRecovered,
    TransactionThinned,
    VehicleNeedsTold,
    VehicleScheduleTold,
    VehicleSpoke,
    VehicleStopped,
    WantFailed,
)
from station.inputs import Happened
from station.now import Now
from station.ocpp.messages import DataTransferRequest, GetCertificateStatusRequest
from station.ocpp.types import IdTokenType, OCSPRequestDataType
from tests.bench import Bench
from tests.csms import EPOCH, later
from tests.scenarios.l_firmware.updates import Manufacturer, wish
from tests.scenarios.p_data_transfer.vendors import VENDOR, Vendor
from tests.scenarios.profiles import MAX, TX, limit

BROUGHT: dict[str, Any] = {
    "extensions": (Installed(VENDOR, lambda way: Vendor(way, {})),),
    "layout": {"custom_vendors": (VENDOR,)},
    "iso15118": True,
}
"""What a station needs for the day: an extension that has turns, and an SECC."""
VICTIM = 3
"""The EVSE where things happen."""
TOKEN = "04C0FFEE"
REMOTE = {"idToken": "REMOTE", "type": "Central"}
_VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
_PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
_STATE = {"component": {"name": "EVSE", "evse": {"id": VICTIM}}, "variable": {"name": "AvailabilityState"}}
_NAME = {"hashAlgorithm": "SHA256", "issuerNameHash": "0", "issuerKeyHash": "0", "serialNumber": "1"}
_ENTRIES = [
    {"idToken": {"idToken": f"LIST{n:04}", "type": "Central"}, "idTokenInfo": {"status": "Accepted"}}
    for n in range(300)
]
_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("ReserveNow", {"id": 1, "expiryDateTime": "2027-01-01T00:00:00Z", "idToken": REMOTE, "evseId": VICTIM}),
    ("CancelReservation", {"reservationId": 1}),
    ("ReserveNow", {"id": 2, "expiryDateTime": later(15).isoformat(), "idToken": REMOTE, "evseId": VICTIM}),
    ("GetVariables", {"getVariableData": [_VARIABLE]}),
    ("SetVariables", {"setVariableData": [{**_VARIABLE, "attributeValue": "200"}]}),
    ("SetVariables", {"setVariableData": [{**_PASSWORD, "attributeValue": "another one of 16 and more"}]}),
    ("GetBaseReport", {"requestId": 1, "reportBase": "SummaryInventory"}),
    ("GetReport", {"requestId": 2, "componentCriteria": ["Problem"]}),
    ("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": VICTIM}}),
    ("GetTransactionStatus", {}),
    ("DataTransfer", {"vendorId": "com.example"}),
    ("ClearCache", {}),
    ("GetLocalListVersion", {}),
    ("SendLocalList", {"updateType": "Full", "versionNumber": 1, "localAuthorizationList": _ENTRIES}),
    ("SendLocalList", {"updateType": "Full", "versionNumber": 2, "localAuthorizationList": _ENTRIES[:1]}),
    *(("TriggerMessage", {"requestedMessage": each}) for each in ("StatusNotification", "Heartbeat")),
    *[("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})] * 2,
    ("CertificateSigned", {"certificateChain": "nonsense"}),
    ("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}),
    *(
        ("TriggerMessage", {"requestedMessage": each, "evse": {"id": 1}})
        for each in ("MeterValues", "TransactionEvent")
    ),
    ("UnlockConnector", {"evseId": VICTIM, "connectorId": 1}),
    ("SetVariableMonitoring", {"setMonitoringData": [{**_STATE, "value": 1, "type": "Delta", "severity": 5}]}),
    ("SetMonitoringLevel", {"severity": 8}),
    ("SetMonitoringBase", {"monitoringBase": "All"}),
    ("GetMonitoringReport", {"requestId": 3}),
    ("ClearVariableMonitoring", {"id": [99]}),
    ("SetChargingProfile", {"evseId": VICTIM, "chargingProfile": limit((0, 16), (60, 10))}),
    ("SetChargingProfile", {"evseId": 0, "chargingProfile": limit((0, 60), (90, 50), id=2, purpose=MAX, start=EPOCH)}),
    ("GetChargingProfiles", {"requestId": 5, "chargingProfile": {"stackLevel": 0}}),
    ("GetCompositeSchedule", {"evseId": VICTIM, "duration": 600}),
    ("CustomerInformation", {"requestId": 4, "report": True, "clear": False, "idToken": REMOTE}),
    ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "rubbish"}),
    ("DeleteCertificate", {"certificateHashData": _NAME}),
    ("GetInstalledCertificateIds", {}),
    *(
        ("TriggerMessage", {"requestedMessage": each})
        for each in ("LogStatusNotification", "FirmwareStatusNotification")
    ),
    ("Reset", {"type": "OnIdle", "evseId": VICTIM}),
    (
        "SetNetworkProfile",
        {
            "configurationSlot": 1,
            "connectionData": {
                "ocppVersion": "OCPP20",
                "ocppTransport": "JSON",
                "ocppCsmsUrl": "ws://other.example/ocpp",
                "messageTimeout": 30,
                "securityProfile": 1,
                "ocppInterface": "Wired0",
            },
        },
    ),
]


def bad_day(bench: Bench) -> None:
    """All of it. What the station answers is not looked at here."""
    for action, payload in _CALLS:
        if bench.csms.connected:
            bench.csms.send(action, payload)
            bench.advance(seconds=1)
    _a_log(bench)
    _new_firmware(bench)
    bench.csms.send_text("[9]")
    _from_afar(bench)
    _by_hand(bench)
    _plug_and_charge(bench)
    _trouble(bench)
    bench.csms.disconnect()
    bench.advance(minutes=1)
    bench.csms.connect()
    bench.advance(minutes=2)
    bench.csms.send("ClearChargingProfile", {"chargingProfileId": 2})
    _restart(bench)


def _a_log(bench: Bench) -> None:
    """It cannot be uploaded, the first time; whether a broken handler lets it get there or not."""
    location = {"remoteLocation": "https://files.example/logs/"}
    bench.csms.send("GetLog", {"requestId": 5, "logType": "DiagnosticsLog", "log": location})
    for done in (LogAssembled(request_id=5), LogUploaded(request_id=5, status="UploadFailure")) * 2:
        bench.advance(minutes=1)
        kind = AssembleLog if isinstance(done, LogAssembled) else UploadLog
        for job in [each for each in bench.jobs if isinstance(each.job, kind)]:
            bench.job_done(job, done)


def _new_firmware(bench: Bench) -> None:
    """It comes, needs no restart, and is taken back in the end; the first request is none that may be trusted."""
    maker = Manufacturer(bench.path / "maker")
    bench.csms.send("UpdateFirmware", wish(bench, maker, 1))
    bench.advance(minutes=1)
    maker.is_trusted_by(bench)
    bench.csms.send("UpdateFirmware", wish(bench, maker, 2, retrieve_h=0.02))
    bench.advance(minutes=2)
    ends: list[tuple[type[Job], Callable[[str], JobResult]]] = [
        (DownloadFirmware, lambda file: FirmwareDownloaded(file=file)),
        (VerifyFirmware, lambda file: FirmwareVerified(file=file)),
        (InstallFirmware, lambda file: FirmwareInstalled(file=file, outcome="active")),
        (ConfirmFirmware, lambda file: FirmwareConfirmed(file=file, reason="the test says so")),
        (DropFirmware, lambda file: FirmwareDropped(file=file)),
    ]
    for kind, done in ends * 2:
        bench.advance(minutes=1)
        for job in [each for each in bench.jobs if isinstance(each.job, kind)]:
            bench.job_done(job, done(job.job.file))  # type: ignore[attr-defined]  # all of these have one


def _from_afar(bench: Bench) -> None:
    wish = {"idToken": REMOTE, "remoteStartId": 7, "evseId": VICTIM, "chargingProfile": limit(12, id=3, purpose=TX)}
    bench.csms.send("RequestStartTransaction", wish)
    bench.evse(VICTIM).plug_in()
    bench.advance(seconds=30)
    for event in bench.events()[-1:]:
        transaction = event["transactionInfo"]["transactionId"]
        bench.csms.send("RequestStopTransaction", {"transactionId": transaction})
    bench.advance(seconds=10)
    bench.evse(VICTIM).unplug()
    message = DataTransferRequest(vendor_id="com.example")
    _, effects = bench.station.exchange.ask(
        lambda now: bench.station.data_transfers.send(message, lambda _outcome, _now: None, now), bench.now
    )
    bench._do(effects)
    bench.settle()


def _by_hand(bench: Bench) -> None:
    evse = bench.evse(VICTIM)
    evse.plug_in()
    evse.present_token(TOKEN)
    bench.advance(seconds=20)
    needs = VehicleNeeds(channel=VICTIM, energy_wh=9000, min_a=6.0, max_a=32.0)
    tell(bench, VehicleSpoke(evse_id=VICTIM, at=bench.now.instant))
    tell(bench, VehicleNeedsTold(evse_id=VICTIM, at=bench.now.instant, needs=needs))
    bench.advance(seconds=55)  # the CSMS sets no profile
    tell(bench, VehicleScheduleTold(evse_id=VICTIM, at=bench.now.instant, schedule_id=1))
    evse.fault(Fault.OVER_TEMPERATURE)
    bench.advance(seconds=5)
    evse.fault(Fault.OVER_TEMPERATURE, on=False)
    bench.advance(seconds=20)
    tell(bench, VehicleStopped(evse_id=VICTIM, at=bench.now.instant))
    bench.advance(seconds=10)
    evse.unplug()
    for end in (None, ResetRequested(immediate=True, evse_id=VICTIM)):
        evse.plug_in()
        evse.present_token(TOKEN)
        bench.advance(seconds=70)
        if end is None:
            evse.present_token(TOKEN)
        else:
            tell(bench, end)
        bench.advance(seconds=10)
        evse.unplug()
    bench.swipe(TOKEN)
    evse.present_token("04DECAF0")
    bench.advance(minutes=5)  # nobody plugs in


def _plug_and_charge(bench: Bench) -> None:
    """A vehicle that asks for everything, and an SECC whose certificates nobody knows."""
    bench.evse(VICTIM).plug_in()
    at = bench.now.instant
    bench.csms.hold()
    tell(bench, _wanted(bench))
    bench.advance(seconds=5)
    bench.csms.release()
    tell(bench, _wanted(bench))
    tell(bench, ContractShown(evse_id=VICTIM, at=at, emaid="DE8AAC12345678", certificate_pem="rubbish"))
    bench.evse(VICTIM).unplug()
    tell(bench, OwnCertificateInstalled(use="V2GCertificate"))
    judge = JudgeStatus(fingerprint="none", pem="", chain=(), ocsp_result="", at=bench.now.wall)
    told = {"hash_algorithm": "SHA256", "issuer_name_hash": "0", "issuer_key_hash": "0", "serial_number": "1"}
    message = GetCertificateStatusRequest(
        ocsp_request_data=OCSPRequestDataType(responder_url="http://ocsp.example", **told)  # type: ignore[arg-type]  # texts
    )
    asked = AskedStatus("none")
    for command in (
        lambda _now: bench.station.ports.start(judge),
        lambda now: bench.station.csms.ask(message, by=now.after(30), context=asked),
    ):
        _, effects = bench.station.exchange.ask(command, bench.now)
        bench._do(effects)
    _, effects = bench.station.exchange.ask(_mistake, bench.now)
    bench._do(effects)
    bench.advance(seconds=70)  # its tables read again, the SECC looks for its chains


def _wanted(bench: Bench) -> CertificateWantedByEv:
    return CertificateWantedByEv(
        evse_id=VICTIM,
        at=bench.now.instant,
        schema_version="urn:iso:15118:2:2013:MsgDef",
        exi_request="gJgB",
        update=False,
        patience_s=4.5,
    )


def _trouble(bench: Bench) -> None:
    at = bench.now.instant
    tell(bench, DeviceLost(device="board-3", evse_ids=(VICTIM,), reason="silent", at=at, board=True))
    tell(bench, DeviceReturned(device="board-3", evse_ids=(VICTIM,), at=at, board=True))
    identity = Identity(vendor="Any", model="Board")
    tell(bench, DeviceIdentified(device="board-3", kind="board", evse_ids=(VICTIM,), identity=identity))
    tell(bench, SensorRead(component="EVSE", variable="Power", evse_id=VICTIM, value="1", at=at))
    tell(bench, ConnectorStatusDue(evse_id=VICTIM, connector_id=1, status="Occupied", since=bench.utc))
    tell(bench, BayOccupancyChanged(evse_id=VICTIM, at=at, occupied=True))
    tell(bench, WantFailed(evse_id=VICTIM, at=at, what="energise", reason="silent"))
    tell(bench, SampleFailed(evse_id=VICTIM, at=at, purpose="stop", reason="silent"))
    tell(bench, LimitChanged(evse_id=VICTIM, significant=True))
    tell(
        bench,
        AuthorizationRefused(id_token=IdTokenType(id_token="REMOTE", type="Central"), status="Blocked", evse_id=VICTIM),
    )
    tell(bench, MessageUndelivered(action="TransactionEvent", reason="the test says so", transaction_id="none"))
    tell(bench, TransactionThinned(transaction_id="none", events=1))
    tell(bench, StoreDegraded(kind="FULL"))
    tell(bench, StoreRecovered())
    tell(bench, OwnCertificateInstalled(use="ChargingStationCertificate"))
    tell(bench, OwnCertificatesRemoved())
    tell(bench, ResetAbandoned())
    tell(bench, ServiceChanged())
    _, effects = bench.station.exchange.ask(lambda _now: bench.station.ports.start(DropReplaced()), bench.now)
    bench._do(effects)
    bench._do(bench.station.exchange.clock_stepped(ClockStepped(by_s=0.0, source="Heartbeat"), bench.now))
    bench.advance(seconds=1)
    tell(bench, EvseQuarantined(evse_id=VICTIM, reason="the test says so"))


def _restart(bench: Bench) -> None:
    """The station waits for the driver; meanwhile a mistake makes it read its tables again."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token(TOKEN)
    bench.advance(seconds=10)
    bench.csms.send("Reset", {"type": "OnIdle"})
    _, effects = bench.station.exchange.ask(_mistake, bench.now)
    bench._do(effects)
    bench.advance(seconds=5)
    bench.evse(1).present_token(TOKEN)
    bench.advance(seconds=20)
    bench.evse(1).unplug()
    bench.advance(minutes=3)


def _mistake(now: Now) -> None:
    raise ZeroDivisionError(now)


def tell(bench: Bench, fact: Fact) -> None:
    """A step of its own for one fact."""
    bench._do(bench.station.exchange.give(Happened((fact,)), bench.now))
    bench.advance(seconds=1)
