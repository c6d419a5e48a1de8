"""Golden payloads of 2.0.1: exactly these bytes leave for these messages, and these messages come of these bytes.

A change here is a change that every CSMS sees. The order of fields means nothing in JSON, but it is stable, so that a
retry repeats its text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from station.ocpp.base import Message, Request, Response
from station.ocpp.messages import (
    ACTIONS,
    AuthorizeRequest,
    BootNotificationRequest,
    BootNotificationResponse,
    ClearCacheResponse,
    FirmwareStatusNotificationRequest,
    Get15118EVCertificateRequest,
    GetBaseReportRequest,
    GetCompositeScheduleResponse,
    GetVariablesResponse,
    HeartbeatRequest,
    MeterValuesRequest,
    NotifyEVChargingNeedsRequest,
    NotifyEventRequest,
    NotifyReportRequest,
    RequestStartTransactionRequest,
    ReserveNowRequest,
    SecurityEventNotificationRequest,
    SendLocalListRequest,
    SetChargingProfileRequest,
    SetMonitoringLevelRequest,
    SetNetworkProfileRequest,
    SetVariablesResponse,
    SignCertificateRequest,
    StatusNotificationRequest,
    TransactionEventRequest,
    TransactionEventResponse,
)
from station.ocpp.types import (
    ACChargingParametersType,
    AdditionalInfoType,
    AuthorizationData,
    ChargingNeedsType,
    ChargingProfileType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
    ChargingStationType,
    ComponentType,
    CompositeScheduleType,
    EventDataType,
    EVSEType,
    GetVariableResultType,
    IdTokenInfoType,
    IdTokenType,
    MessageContentType,
    MeterValueType,
    ModemType,
    NetworkConnectionProfileType,
    OCSPRequestDataType,
    ReportDataType,
    SampledValueType,
    SetVariableResultType,
    SignedMeterValueType,
    StatusInfoType,
    TransactionType,
    UnitOfMeasureType,
    VariableAttributeType,
    VariableCharacteristicsType,
    VariableType,
)
from station.ocpp.v201 import Speaker201
from tests import schema

SPEAKER = Speaker201(strict=True)

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = AT.replace(second=59, microsecond=250_000)
CARD = IdTokenType(id_token="04AABBCC", type="ISO14443")
READING = MeterValueType(
    timestamp=AT,
    sampled_value=[
        SampledValueType(
            value=12345.6,
            context="Transaction.Begin",
            measurand="Energy.Active.Import.Register",
            location="Outlet",
            unit_of_measure=UnitOfMeasureType(unit="Wh"),
        )
    ],
)
SIGNED = MeterValueType(
    timestamp=LATER,
    sampled_value=[
        SampledValueType(
            value=20000.0,
            context="Transaction.End",
            signed_meter_value=SignedMeterValueType(
                signed_meter_data="T0NNRg==", signing_method="", encoding_method="OCMF", public_key=""
            ),
        )
    ],
)
LIMITS = [
    ChargingSchedulePeriodType(start_period=0, limit=16.0),
    ChargingSchedulePeriodType(start_period=900, limit=9.5, number_phases=1, phase_to_use=2),
]

FRAMES: list[tuple[Message, str]] = [
    (
        BootNotificationRequest(
            reason="PowerUp",
            charging_station=ChargingStationType(
                model="Pole", vendor_name="Maker", serial_number="42", modem=ModemType(iccid="8931")
            ),
        ),
        (
            '{"chargingStation":{"model":"Pole","vendorName":"Maker","modem":{"iccid":"8931"},"serialNumber":"42"},'
            '"reason":"PowerUp"}'
        ),
    ),
    (
        BootNotificationResponse(current_time=AT, interval=300, status="Accepted"),
        '{"currentTime":"2026-03-01T12:00:00Z","interval":300,"status":"Accepted"}',
    ),
    (HeartbeatRequest(), "{}"),
    (
        StatusNotificationRequest(timestamp=LATER, connector_status="Occupied", evse_id=1, connector_id=2),
        '{"connectorId":2,"connectorStatus":"Occupied","evseId":1,"timestamp":"2026-03-01T12:00:59.250Z"}',
    ),
    (
        AuthorizeRequest(
            id_token=IdTokenType(
                id_token="DE-ABC-1",
                type="eMAID",
                additional_info=[AdditionalInfoType(additional_id_token="7", type="x")],
            ),
            iso15118_certificate_hash_data=[
                OCSPRequestDataType(
                    hash_algorithm="SHA256",
                    issuer_name_hash="aa",
                    issuer_key_hash="bb",
                    serial_number="1f",
                    responder_url="http://ocsp.example",
                )
            ],
        ),
        (
            '{"idToken":{"idToken":"DE-ABC-1","type":"eMAID","additionalInfo":[{"additionalIdToken":"7","type":"x"}]},'
            '"iso15118CertificateHashData":[{"hashAlgorithm":"SHA256","issuerKeyHash":"bb","issuerNameHash":"aa",'
            '"responderURL":"http://ocsp.example","serialNumber":"1f"}]}'
        ),
    ),
    (
        TransactionEventRequest(
            event_type="Started",
            timestamp=AT,
            trigger_reason="Authorized",
            seq_no=0,
            offline=True,
            transaction_info=TransactionType(transaction_id="T-1", charging_state="EVConnected", remote_start_id=7),
            evse=EVSEType(id=1, connector_id=1),
            id_token=CARD,
            meter_value=[READING],
        ),
        (
            '{"eventType":"Started","seqNo":0,"timestamp":"2026-03-01T12:00:00Z","transactionInfo":{"transactionId":"T-1",'
            '"chargingState":"EVConnected","remoteStartId":7},"triggerReason":"Authorized","evse":{"id":1,"connectorId":1},'
            '"idToken":{"idToken":"04AABBCC","type":"ISO14443"},"meterValue":[{"sampledValue":[{"value":12345.6,'
            '"context":"Transaction.Begin","location":"Outlet","measurand":"Energy.Active.Import.Register",'
            '"unitOfMeasure":{"unit":"Wh"}}],"timestamp":"2026-03-01T12:00:00Z"}],"offline":true}'
        ),
    ),
    (
        TransactionEventRequest(
            event_type="Ended",
            timestamp=LATER,
            trigger_reason="EVDeparted",
            seq_no=2,
            transaction_info=TransactionType(
                transaction_id="T-1", charging_state="Idle", stopped_reason="EVDisconnected"
            ),
            meter_value=[SIGNED],
        ),
        (
            '{"eventType":"Ended","seqNo":2,"timestamp":"2026-03-01T12:00:59.250Z","transactionInfo":{"transactionId":"T-1",'
            '"chargingState":"Idle","stoppedReason":"EVDisconnected"},"triggerReason":"EVDeparted","meterValue":['
            '{"sampledValue":[{"value":20000,"context":"Transaction.End","signedMeterValue":{"encodingMethod":"OCMF",'
            '"signedMeterData":"T0NNRg==","publicKey":"","signingMethod":""}}],"timestamp":"2026-03-01T12:00:59.250Z"}]}'
        ),
    ),
    (
        TransactionEventResponse(
            total_cost=0.3,
            charging_priority=-9,
            id_token_info=IdTokenInfoType(status="Accepted", cache_expiry_date_time=AT),
            updated_personal_message=MessageContentType(format="UTF8", content="Grüße"),
        ),
        (
            '{"chargingPriority":-9,"idTokenInfo":{"status":"Accepted","cacheExpiryDateTime":"2026-03-01T12:00:00Z"},'
            '"totalCost":0.3,"updatedPersonalMessage":{"content":"Grüße","format":"UTF8"}}'
        ),
    ),
    (
        MeterValuesRequest(evse_id=1, meter_value=[READING]),
        (
            '{"evseId":1,"meterValue":[{"sampledValue":[{"value":12345.6,"context":"Transaction.Begin","location":"Outlet",'
            '"measurand":"Energy.Active.Import.Register","unitOfMeasure":{"unit":"Wh"}}],'
            '"timestamp":"2026-03-01T12:00:00Z"}]}'
        ),
    ),
    (
        SecurityEventNotificationRequest(type="StartupOfTheDevice", timestamp=AT),
        '{"timestamp":"2026-03-01T12:00:00Z","type":"StartupOfTheDevice"}',
    ),
    (
        SignCertificateRequest(csr="-----BEGIN", certificate_type="ChargingStationCertificate"),
        '{"csr":"-----BEGIN","certificateType":"ChargingStationCertificate"}',
    ),
    (
        FirmwareStatusNotificationRequest(status="Installed", request_id=-5),
        '{"status":"Installed","requestId":-5}',
    ),
    (
        NotifyEventRequest(
            generated_at=AT,
            seq_no=0,
            tbc=False,
            event_data=[
                EventDataType(
                    event_id=9,
                    timestamp=AT,
                    trigger="Alerting",
                    actual_value="81.5",
                    event_notification_type="CustomMonitor",
                    component=ComponentType(name="Connector", evse=EVSEType(id=1, connector_id=1)),
                    variable=VariableType(name="Temperature"),
                    variable_monitoring_id=3,
                )
            ],
        ),
        (
            '{"eventData":[{"actualValue":"81.5","component":{"name":"Connector","evse":{"id":1,"connectorId":1}},'
            '"eventId":9,"eventNotificationType":"CustomMonitor","timestamp":"2026-03-01T12:00:00Z","trigger":"Alerting",'
            '"variable":{"name":"Temperature"},"variableMonitoringId":3}],"generatedAt":"2026-03-01T12:00:00Z","seqNo":0,'
            '"tbc":false}'
        ),
    ),
    (
        NotifyReportRequest(
            request_id=1,
            generated_at=AT,
            seq_no=0,
            tbc=True,
            report_data=[
                ReportDataType(
                    component=ComponentType(name="OCPPCommCtrlr"),
                    variable=VariableType(name="HeartbeatInterval"),
                    variable_attribute=[VariableAttributeType(type="Actual", value="300", mutability="ReadWrite")],
                    variable_characteristics=VariableCharacteristicsType(
                        data_type="integer", supports_monitoring=False, unit="s", min_limit=1.0
                    ),
                )
            ],
        ),
        (
            '{"generatedAt":"2026-03-01T12:00:00Z","requestId":1,"seqNo":0,"reportData":[{"component":'
            '{"name":"OCPPCommCtrlr"},"variable":{"name":"HeartbeatInterval"},"variableAttribute":[{"mutability":"ReadWrite",'
            '"type":"Actual","value":"300"}],"variableCharacteristics":{"dataType":"integer","supportsMonitoring":false,'
            '"minLimit":1,"unit":"s"}}],"tbc":true}'
        ),
    ),
    (
        NotifyEVChargingNeedsRequest(
            evse_id=1,
            charging_needs=ChargingNeedsType(
                requested_energy_transfer="AC_three_phase",
                ac_charging_parameters=ACChargingParametersType(
                    energy_amount=30000.0, ev_min_current=6.0, ev_max_current=32.0, ev_max_voltage=400.0
                ),
            ),
        ),
        (
            '{"chargingNeeds":{"requestedEnergyTransfer":"AC_three_phase","acChargingParameters":{"energyAmount":30000,'
            '"evMaxCurrent":32,"evMaxVoltage":400,"evMinCurrent":6}},"evseId":1}'
        ),
    ),
    (
        Get15118EVCertificateRequest(iso15118_schema_version="urn:iso", action="Install", exi_request="gA=="),
        '{"action":"Install","exiRequest":"gA==","iso15118SchemaVersion":"urn:iso"}',
    ),
    (
        GetVariablesResponse(
            get_variable_result=[
                GetVariableResultType(
                    attribute_status="UnknownVariable",
                    component=ComponentType(name="EVSE", evse=EVSEType(id=1)),
                    variable=VariableType(name="Colour"),
                    attribute_status_info=StatusInfoType(reason_code="NotFound"),
                )
            ]
        ),
        (
            '{"getVariableResult":[{"attributeStatus":"UnknownVariable","component":{"name":"EVSE","evse":{"id":1}},'
            '"variable":{"name":"Colour"},"attributeStatusInfo":{"reasonCode":"NotFound"}}]}'
        ),
    ),
    (
        SetVariablesResponse(
            set_variable_result=[
                SetVariableResultType(
                    attribute_status="RebootRequired",
                    attribute_type="Target",
                    component=ComponentType(name="C", instance="i"),
                    variable=VariableType(name="V", instance="j"),
                )
            ]
        ),
        (
            '{"setVariableResult":[{"attributeStatus":"RebootRequired","component":{"name":"C","instance":"i"},'
            '"variable":{"name":"V","instance":"j"},"attributeType":"Target"}]}'
        ),
    ),
    (
        GetCompositeScheduleResponse(
            status="Accepted",
            schedule=CompositeScheduleType(
                evse_id=0, duration=3600, schedule_start=AT, charging_rate_unit="A", charging_schedule_period=LIMITS
            ),
        ),
        (
            '{"status":"Accepted","schedule":{"chargingRateUnit":"A","chargingSchedulePeriod":[{"startPeriod":0,"limit":16},'
            '{"startPeriod":900,"limit":9.5,"numberPhases":1,"phaseToUse":2}],"duration":3600,"evseId":0,'
            '"scheduleStart":"2026-03-01T12:00:00Z"}}'
        ),
    ),
    (
        SetChargingProfileRequest(
            evse_id=0,
            charging_profile=ChargingProfileType(
                id=1,
                stack_level=0,
                charging_profile_purpose="TxDefaultProfile",
                charging_profile_kind="Recurring",
                recurrency_kind="Daily",
                charging_schedule=[
                    ChargingScheduleType(
                        id=1, charging_rate_unit="W", start_schedule=AT, charging_schedule_period=LIMITS[:1]
                    )
                ],
            ),
        ),
        (
            '{"chargingProfile":{"chargingProfileKind":"Recurring","chargingProfilePurpose":"TxDefaultProfile",'
            '"chargingSchedule":[{"chargingRateUnit":"W","chargingSchedulePeriod":[{"startPeriod":0,"limit":16}],"id":1,'
            '"startSchedule":"2026-03-01T12:00:00Z"}],"id":1,"stackLevel":0,"recurrencyKind":"Daily"},"evseId":0}'
        ),
    ),
    (
        RequestStartTransactionRequest(id_token=CARD, remote_start_id=7, evse_id=0),
        '{"idToken":{"idToken":"04AABBCC","type":"ISO14443"},"remoteStartId":7,"evseId":0}',
    ),
    (
        ReserveNowRequest(id=1, expiry_date_time=AT, id_token=CARD, connector_type="cType2"),
        (
            '{"expiryDateTime":"2026-03-01T12:00:00Z","id":1,"idToken":{"idToken":"04AABBCC","type":"ISO14443"},'
            '"connectorType":"cType2"}'
        ),
    ),
    (
        SendLocalListRequest(
            version_number=3,
            update_type="Differential",
            local_authorization_list=[
                AuthorizationData(id_token=CARD, id_token_info=IdTokenInfoType(status="Accepted")),
                AuthorizationData(id_token=IdTokenType(id_token="", type="NoAuthorization")),
            ],
        ),
        (
            '{"updateType":"Differential","versionNumber":3,"localAuthorizationList":[{"idToken":{"idToken":"04AABBCC",'
            '"type":"ISO14443"},"idTokenInfo":{"status":"Accepted"}},{"idToken":{"idToken":"","type":"NoAuthorization"}}]}'
        ),
    ),
    (
        SetNetworkProfileRequest(
            configuration_slot=1,
            connection_data=NetworkConnectionProfileType(
                ocpp_version="OCPP20",
                ocpp_transport="JSON",
                ocpp_csms_url="wss://csms.example/ocpp",
                ocpp_interface="Wired0",
                message_timeout=30,
                security_profile=3,
            ),
        ),
        (
            '{"configurationSlot":1,"connectionData":{"messageTimeout":30,"ocppCsmsUrl":"wss://csms.example/ocpp",'
            '"ocppInterface":"Wired0","ocppTransport":"JSON","securityProfile":3,"ocppVersion":"OCPP20"}}'
        ),
    ),
    (GetBaseReportRequest(request_id=1, report_base="FullInventory"), '{"reportBase":"FullInventory","requestId":1}'),
    (SetMonitoringLevelRequest(severity=-1), '{"severity":-1}'),
    (
        ClearCacheResponse(status="Rejected", custom_data={"vendorId": "maker", "detail": {"rows": 0}}),
        '{"customData":{"vendorId":"maker","detail":{"rows":0}},"status":"Rejected"}',
    ),
]


def name(message: object) -> str:
    """The test's id: which message it is."""
    return type(message).__name__ if isinstance(message, Message) else ""


@pytest.mark.parametrize("message, text", FRAMES, ids=name)
def test_message_leaves_as_exactly_this_text(message: Message, text: str) -> None:
    """Wire names, order, instants with `Z`, numbers without artefacts, nothing for what is absent."""
    if isinstance(message, Request):
        (wire,) = SPEAKER.encode(message).wires
        assert (wire.action, wire.payload.decode()) == (type(message).__name__.removesuffix("Request"), text)
    else:
        assert isinstance(message, Response)
        assert SPEAKER.encode_response(message).decode() == text


@pytest.mark.parametrize("message, text", FRAMES, ids=name)
def test_text_is_read_as_exactly_this_message(message: Message, text: str) -> None:
    """The way back."""
    action = type(message).__name__.removesuffix("Request").removesuffix("Response")

    read: Message
    if isinstance(message, Request):
        read = SPEAKER.decode_request(action, text.encode())
    else:
        read = SPEAKER.decode_response(ACTIONS[action].request, text.encode())

    assert type(read) is type(message)
    assert read == message


@pytest.mark.parametrize("message, text", FRAMES, ids=name)
def test_golden_text_is_valid_by_the_official_schema(message: Message, text: str) -> None:
    """A golden frame that no CSMS would take would be fool's gold."""
    action = type(message).__name__.removesuffix("Request").removesuffix("Response")

    schema.validate(action, "Request" if isinstance(message, Request) else "Response", json.loads(text))
