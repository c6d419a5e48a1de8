"""The rules of order that a schema cannot tell: what a CSMS may rely on when it listens to one station.

Pure: fed with decoded frames and the time, raises AssertionError at the first one that breaks a rule. Shares no code
with the station.
Invariant: what passes here was legal at the moment it arrived, whatever came before, over any number of connections.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

Payload = dict[str, Any]

LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
FREE_TEXT = {"customData", "data", "techInfo", "certificate", "csr"}
"""Fields whose text is not ours to judge."""

ERROR_CODES = frozenset(
    {
        "FormatViolation",
        "GenericError",
        "InternalError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
        "OccurrenceConstraintViolation",
        "PropertyConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "SecurityError",
        "TypeConstraintViolation",
    }
)
"""The spelling of OCPP 2.0.1 (part 4, 4.3)."""

PAGES = {
    "NotifyReport": ("GetBaseReport", "GetReport"),
    "NotifyMonitoringReport": ("GetMonitoringReport",),
    "NotifyDisplayMessages": ("GetDisplayMessages",),
    "NotifyCustomerInformation": ("CustomerInformation",),
    "ReportChargingProfiles": ("GetChargingProfiles",),
}
"""Messages that come in pages under a request id, and what asks for them."""

TRIGGERED = {
    "BootNotification": ("BootNotification",),
    "LogStatusNotification": ("LogStatusNotification",),
    "FirmwareStatusNotification": ("FirmwareStatusNotification",),
    "Heartbeat": ("Heartbeat",),
    "MeterValues": ("MeterValues",),
    "StatusNotification": ("StatusNotification",),
    "TransactionEvent": ("TransactionEvent",),
    "SignChargingStationCertificate": ("SignCertificate",),
    "SignV2GCertificate": ("SignCertificate",),
    "SignCombinedCertificate": ("SignCertificate",),
    "PublishFirmwareStatusNotification": ("PublishFirmwareStatusNotification",),
}
"""requestedMessage of TriggerMessage -> the CALL that follows."""


class Sent(NamedTuple):
    """A CALL of the station, as remembered to recognise its repetition."""

    action: str
    content: str


class Transaction(NamedTuple):
    """How far a transaction has come."""

    seq_no: int
    timestamp: datetime
    ended: bool


def leaves(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Every scalar of a payload with its path; free text is left out."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in FREE_TEXT:
                yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


def check_values(action: str, payload: Payload) -> None:
    """No nulls; times in UTC with `Z` and at most three decimals (part 4, 3.1.4)."""
    for path, value in leaves(payload):
        assert value is not None, f"{action}: null at {path}; a field without value is left out"
        if isinstance(value, str) and LIKE_A_TIME.match(value):
            assert TIME.fullmatch(value), f"{action}: {path} is {value!r}, not UTC with Z and at most 3 decimals"


class Order:
    """Judges the CALLs of one station in the order of their arrival."""

    def __init__(self, message_timeout_s: float = 30.0) -> None:
        self.message_timeout_s = message_timeout_s
        """After this a CALL without an answer counts as given up, and the next may come."""
        self.gaps_allowed = False
        """Set by a test that fills the station's memory: Updated events may then be missing (E04.FR.08)."""
        self.registration = "Unknown"
        self.transactions: dict[str, Transaction] = {}
        self._sent: dict[str, Sent] = {}
        self._open: tuple[str, float] | None = None
        self._pages: dict[tuple[str, int], int] = {}
        self._asked: dict[tuple[str, int], bool] = {}
        self._allowed_pending: set[str] = set()

    # --- what the CSMS does -------------------------------------------------------------------------------------------

    def asked(self, action: str, request: Payload, response: Payload) -> None:
        """The station answered a CALL of the CSMS: may allow messages that follow from it (FR.05, B02)."""
        accepted = response.get("status") == "Accepted"
        if action == "TriggerMessage" and accepted:
            self._allowed_pending.update(TRIGGERED.get(request["requestedMessage"], ()))
        for pages, requests in PAGES.items():
            if action in requests and accepted:
                self._asked[pages, request["requestId"]] = True
                self._pages[pages, request["requestId"]] = 0
                self._allowed_pending.add(pages)

    def answered(self, message_id: str, action: str, answer: Payload | None) -> None:
        """The CSMS answered a CALL of the station; None: with a CALLERROR."""
        if self._open and self._open[0] == message_id:
            self._open = None
        if action == "BootNotification" and answer is not None:
            self.registration = answer["status"]

    def link_lost(self) -> None:
        """Connections do not share open CALLs."""
        self._open = None

    def rebooted(self) -> None:
        """The station starts anew: BootNotification comes first again (B01.FR.01)."""
        self.registration = "Unknown"
        self._open = None

    # --- what the station does ----------------------------------------------------------------------------------------

    def call(self, message_id: str, action: str, payload: Payload, at: float) -> bool:
        """Judge a CALL that arrived at `at` (seconds, monotonic). True if it repeats an earlier one."""
        assert 1 <= len(message_id) <= 36, f"{action}: message id {message_id!r} is not 1 to 36 characters"
        self._check_one_at_a_time(message_id, action, at)
        self._check_registration(action)
        repeated = self._check_id(message_id, action, payload)
        if not repeated:
            if action == "TransactionEvent":
                self._check_transaction(payload)
            if action in PAGES:
                self._check_page(action, payload)
        return repeated

    def _check_one_at_a_time(self, message_id: str, action: str, at: float) -> None:
        if self._open:
            waited = at - self._open[1]
            assert waited >= self.message_timeout_s - 0.001, (
                f"{action} was sent {waited:.3f} s after a CALL without answer; it must wait (FR.01)"
            )
        self._open = (message_id, at)

    def _check_registration(self, action: str) -> None:
        if action == "BootNotification" or self.registration == "Accepted":
            return
        allowed = self.registration == "Pending" and action in self._allowed_pending
        assert allowed, f"{action} was sent while registration is {self.registration} (B01 to B03)"

    def _check_id(self, message_id: str, action: str, payload: Payload) -> bool:
        same = {name: value for name, value in payload.items() if name != "offline"}
        sent = Sent(action, json.dumps(same, sort_keys=True))
        before = self._sent.setdefault(message_id, sent)
        assert before == sent, f"{action}: message id {message_id} was used before, for another message"
        return before is not sent

    def _check_transaction(self, payload: Payload) -> None:
        key, kind, seq_no = payload["transactionInfo"]["transactionId"], payload["eventType"], payload["seqNo"]
        name = f"transaction {key}, {kind} {seq_no}"
        timestamp = datetime.fromisoformat(payload["timestamp"])
        known = self.transactions.get(key)
        if known is None:
            assert kind == "Started", f"{name}: the first event is not Started"
            assert seq_no == 0, f"{name}: seqNo does not begin at 0"
        else:
            assert kind != "Started", f"{name}: started twice"
            assert not known.ended, f"{name}: an event after Ended"
            gap = seq_no - known.seq_no
            assert gap == 1 or (self.gaps_allowed and gap > 1), f"{name}: follows seqNo {known.seq_no}"
            assert timestamp >= known.timestamp, f"{name}: {timestamp} is earlier than the event before"
        self.transactions[key] = Transaction(seq_no, timestamp, kind == "Ended")

    def _check_page(self, action: str, payload: Payload) -> None:
        key = (action, payload["requestId"])
        assert self._asked.get(key), f"{action}: request id {key[1]} was not asked for, or not yet answered (FR.05)"
        if "seqNo" in payload:
            assert payload["seqNo"] == self._pages[key], f"{action}: page {payload['seqNo']}, not {self._pages[key]}"
        self._pages[key] += 1
        if not payload.get("tbc", False):
            self._asked[key] = False
