"""Block L, as far as it is built: no firmware is ever installed here, and who asks hears so.

UpdateFirmware is not built in, so there is never a task whose status could be told.
"""

from __future__ import annotations

from station.block import Block, Reactions, on
from station.facts import MessageTriggered
from station.now import Now
from station.ocpp.messages import FirmwareStatusNotificationRequest
from station.ports import Csms


class Firmware(Block):
    """Block L."""

    def __init__(self, *, csms: Csms) -> None:
        self._csms = csms

    def reactions(self) -> Reactions:
        """The trigger."""
        return [on(MessageTriggered, self.triggered)]

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """F06.FR.16."""
        del now
        if fact.requested == "FirmwareStatusNotification":
            self._csms.tell(FirmwareStatusNotificationRequest(status="Idle"), asked=True)
