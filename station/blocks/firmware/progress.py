"""How far an update has come: kept, and told to the CSMS when it is news (L01.FR.01, L02.FR.01)."""

from __future__ import annotations

from typing import Any

import msgspec

from station.ocpp.enums import FirmwareStatusEnumType
from station.ocpp.messages import FirmwareStatusNotificationRequest
from station.ports import Csms
from station.state.firmware_updates import FirmwareUpdate, FirmwareUpdates


class Progress:
    """The way from an update's row to FirmwareStatusNotification."""

    def __init__(self, updates: FirmwareUpdates, csms: Csms) -> None:
        self._updates = updates
        self._csms = csms

    def reach(self, update: FirmwareUpdate, status: FirmwareStatusEnumType | None, **changes: Any) -> FirmwareUpdate:
        """Keep how far it has come, and tell it if it is news."""
        new = msgspec.structs.replace(update, told=status or update.told, **changes)
        if new != update:
            self._updates.keep(new)
        if status is not None and status != update.told:
            self.tell(new, status)
        return new

    def tell(self, update: FirmwareUpdate, status: FirmwareStatusEnumType, *, asked: bool = False) -> None:
        """L01.FR.10, L01.FR.20, L02.FR.06, L02.FR.14."""
        told = FirmwareStatusNotificationRequest(status=status, request_id=update.request_id)
        self._csms.tell(told, asked=asked)

    def tell_again(self) -> None:
        """What was told last; of an update that has come to its good end, and of none, that nothing is under way."""
        last = self._updates.last
        if last is None or last.told is None or last.told == "Installed":
            self._csms.tell(FirmwareStatusNotificationRequest(status="Idle"), asked=True)
        else:
            self.tell(last, last.told, asked=True)
