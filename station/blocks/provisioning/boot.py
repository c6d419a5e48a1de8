"""Block B, first part: BootNotification in all its outcomes, the heartbeat, and the CSMS's clock (B01-B03, G02).

Not here: what waits for the verdict. The exchange gates the sending; whoever cares hears RegistrationChanged.
Invariant: while a CSMS is reachable and has not accepted us, either a BootNotification is under way or its time is set.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from station.block import Answered, Block, NotSent, Outcome, Outcomes, Reactions, on, outcome
from station.facts import LinkRestored, MessageTriggered, VariableChanged
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ocpp.messages import BootNotificationRequest, HeartbeatRequest
from station.ocpp.types import ChargingStationType
from station.ports import Csms, Station
from station.state.registration import Registration
from station.state.variables import Variables

RETRY_S = 60.0
"""Between BootNotifications when the CSMS names no interval, or gave no answer (B02.FR.07, B03.FR.05)."""
PATIENCE_S = 120.0
"""How long a BootNotification or Heartbeat may wait to be sent before it is made anew."""
LONGEST_SILENCE_S = 86_400.0
"""No CSMS makes a station silent for longer than a day, by mistake or in false hands: nobody could call it back."""
LONGEST_INTERVAL_S = 2**31 - 1
"""What an integer variable holds; a CSMS may name more."""
LONGEST_WITHOUT_TIME_S = 86_400.0
"""At least one Heartbeat a day where the time comes from it (G02.FR.07)."""


class _Boot(msgspec.Struct, frozen=True):
    """The context of a BootNotification."""

    triggered: bool = False


class BootSequence(Block):
    """Block B: who we are, whether we are welcome, and what time it is."""

    due_by_others = True

    def __init__(
        self,
        *,
        identity: ChargingStationType,
        registration: Registration,
        variables: Variables,
        csms: Csms,
        station: Station,
    ) -> None:
        self._identity = identity
        self._registration = registration
        self._variables = variables
        self._csms = csms
        self._station = station
        self._asking = False
        self._introduced: Mono | None = None
        self._boot_at = Mono(0.0)
        self._beat_at: Mono | None = None
        self._told_time: Mono | None = None

    def outcomes(self) -> Outcomes:
        """B01-B03, G02."""
        return [outcome(BootNotificationRequest, self.judged), outcome(HeartbeatRequest, self.heartbeat_answered)]

    def reactions(self) -> Reactions:
        """The link, the trigger, and the one variable that matters here."""
        return [
            on(LinkRestored, self.link_restored),
            on(MessageTriggered, self.triggered),
            on(VariableChanged, self.retune),
        ]

    # the BootNotification

    def load(self, now: Now) -> None:
        """Nothing is under way; whether there is anything to do, the link and the registration tell.

        After a recovery it may be on its way all the same, so it is not sent again at once.
        """
        self._asking = False
        self._boot_at = now.mono if self._introduced is None else Mono(self._introduced + RETRY_S)
        self._beat_at = self._next_beat(now)

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """Introduce ourselves, unless this CSMS knows us already (part 4, 5.3) or told us to wait (B02.FR.04)."""
        if fact.new_profile:  # B10.FR.10
            self._registration.judged("Unknown")
            self._boot_at = Mono(0.0)
        if self._registration.accepted:
            self._beat_at = now.mono if self._beats else None
        elif self._boot_at <= now.mono or self._registration.status == "Unknown":
            self._introduce(now)

    def _introduce(self, now: Now, *, triggered: bool = False) -> None:
        if self._asking and not triggered:
            return
        self._asking, self._introduced = True, now.mono
        reason = "Triggered" if triggered else self._registration.boot_reason  # B01.FR.09
        self._csms.ask(
            BootNotificationRequest(charging_station=self._identity, reason=reason),  # type: ignore[arg-type]  # checked by Registration
            by=now.after(PATIENCE_S),
            context=_Boot(triggered),
            asked=triggered,
        )

    def judged(self, outcome: Outcome[BootNotificationRequest], now: Now) -> None:
        """The CSMS's verdict, or none: then again after a time that floods nobody."""
        self._asking = False
        match outcome:
            case Answered(_, response):
                self._take_time(response.current_time, "BootNotification", now)  # B01.FR.06: in every response
                self._registration.judged(response.status)
                if response.status == "Accepted":
                    self._accepted(response.interval, now)
                else:  # B02.FR.07, B02.FR.08, B03.FR.05, B03.FR.06
                    wait_s = response.interval if response.interval > 0 else RETRY_S
                    self._boot_at = now.after(min(wait_s, LONGEST_SILENCE_S))
            case NotSent() if not self._csms.connected:
                self._boot_at = now.mono  # as soon as there is a link again
            case _:
                self._boot_at = now.after(RETRY_S)

    def _accepted(self, interval_s: int, now: Now) -> None:
        if interval_s > 0:  # B01.FR.04
            self._variables.set("OCPPCommCtrlr", "HeartbeatInterval", str(min(interval_s, LONGEST_INTERVAL_S)))
        self._beat_at = self._next_beat(now)

    # the heartbeat

    @property
    def _beats(self) -> bool:
        return self._interval_s > 0

    @property
    def _interval_s(self) -> float:
        interval_s = float(self._variables.integer("OCPPCommCtrlr", "HeartbeatInterval"))
        return min(interval_s, LONGEST_WITHOUT_TIME_S) if interval_s > 0 else 0.0

    def _next_beat(self, now: Now) -> Mono | None:
        return now.after(self._interval_s) if self._beats and self._registration.accepted else None

    def heartbeat_answered(self, outcome: Outcome[HeartbeatRequest], now: Now) -> None:
        """G02.FR.06: the CSMS's clock."""
        if isinstance(outcome, Answered):
            self._take_time(outcome.response.current_time, "Heartbeat", now)

    def _take_time(self, current_time: datetime, source: str, now: Now) -> None:
        self._told_time = now.mono
        if "Heartbeat" in self._variables.members("ClockCtrlr", "TimeSource"):
            self._station.set_clock(current_time, source)

    def retune(self, fact: VariableChanged, now: Now) -> None:
        """A new HeartbeatInterval acts at once (digest B, tricky point 7)."""
        if (fact.component, fact.variable) == ("OCPPCommCtrlr", "HeartbeatInterval"):
            self._beat_at = self._next_beat(now)

    # triggers and timers

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """TriggerMessage for the messages of this block; RemoteControl has checked that it is allowed (F06.FR.17)."""
        if fact.requested == "BootNotification":
            self._introduce(now, triggered=True)
        elif fact.requested == "Heartbeat":
            self._csms.tell(HeartbeatRequest(), asked=True)
            self._beat_at = self._next_beat(now)

    def next_due(self) -> Deadline | None:
        """The BootNotification to be sent, or the next heartbeat; nothing without a link or while one is asked."""
        if not self._csms.connected or self._asking:
            return None
        at = self._beat_at if self._registration.accepted else self._boot_at
        return MonoDeadline(at) if at is not None else None

    def due(self, now: Now) -> None:
        """Introduce ourselves again, or beat, unless something else was sent meanwhile (G02.FR.05)."""
        if not self._registration.accepted:
            self._introduce(now)
            return
        quiet_since = self._csms.last_sent
        if quiet_since is not None and quiet_since + self._interval_s > now.mono and not self._needs_time(now):
            self._beat_at = Mono(quiet_since + self._interval_s)
            return
        self._csms.tell(HeartbeatRequest())
        self._beat_at = self._next_beat(now)

    def _needs_time(self, now: Now) -> bool:
        """G02.FR.07: however much else is sent, the time is asked for once a day."""
        return self._told_time is None or now.mono - self._told_time >= LONGEST_WITHOUT_TIME_S
