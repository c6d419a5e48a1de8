"""Block B, a small part: how messages are queued and repeated follows the variables that say so (E13, N07, part 4).

The rules are the outbox's; this only tells it the numbers, at the start and whenever one changes.
"""

from __future__ import annotations

from station.block import Block, Reactions, on
from station.facts import VariableChanged
from station.now import Now
from station.ports import Csms, DeliveryRules
from station.state.variables import Variables

WATCHED = frozenset(
    {
        ("OCPPCommCtrlr", "MessageAttempts"),
        ("OCPPCommCtrlr", "MessageAttemptInterval"),
        ("OCPPCommCtrlr", "QueueAllMessages"),
        ("MonitoringCtrlr", "OfflineQueuingSeverity"),
    }
)


class DeliverySettings(Block):
    """Keeps the outbox in step with the device model."""

    def __init__(self, *, variables: Variables, csms: Csms) -> None:
        self._variables = variables
        self._csms = csms

    def reactions(self) -> Reactions:
        """The variables watched."""
        return [on(VariableChanged, self.retune)]

    def load(self, now: Now) -> None:
        """As the variables are at the start."""
        del now
        self._apply()

    def retune(self, fact: VariableChanged, now: Now) -> None:
        """A change acts on the next attempt."""
        del now
        if (fact.component, fact.variable) in WATCHED:
            self._apply()

    def _apply(self) -> None:
        ask = self._variables
        self._csms.configure(
            DeliveryRules(
                attempts=max(1, ask.integer("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent")),
                interval_s=float(ask.integer("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent")),
                queue_all=ask.boolean("OCPPCommCtrlr", "QueueAllMessages"),
                queuing_severity=ask.integer("MonitoringCtrlr", "OfflineQueuingSeverity"),
            )
        )
