"""On what terms firmware is updated. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from station.now import Now
from station.state.firmware_updates import FirmwareUpdate


class FirmwareTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What station.yaml says of updates. `while_charging`: what may be done beside transactions, and what waits.

    `unsigned`: firmware without a certificate is taken, too (L02). `patience_s`: how long the installer may take.
    `healthy_within_s`: how long new firmware may take until the CSMS accepts it; None: others see to that.
    """

    while_charging: Literal["nothing", "download", "install"] = "download"
    unsigned: bool = False
    patience_s: float = 1800.0
    healthy_within_s: float | None = None

    def keep_sessions_out(self, update: FirmwareUpdate, now: Now, *, welcome: bool) -> bool:
        """Whether no new session may begin (L01.FR.07, L02.FR.04). `welcome`: the CSMS allows them meanwhile."""
        match update.phase:
            case "download" | "verify":
                return self.while_charging == "nothing" and not welcome and now.wall >= update.retrieve
            case "wait":
                return not welcome and (update.install is None or now.wall >= update.install)
            case "install":
                return self.while_charging != "install"
            case "restart":
                return update.boot == now.boot and not welcome
        return False
