"""Wrong key codes: whoever tries them out waits longer and longer (C04.FR.06); who charges may always stop.

Kept for each reader, in memory only. Cards are not counted: nobody tries out seven bytes.
"""

from __future__ import annotations

from station.blocks.authorization.wish import Wish
from station.now import Mono, Now
from station.ocpp.types import IdTokenType

FREE = 2
"""Mistakes that anybody may make."""

FIRST_S = 10.0
LONGEST_S = 600.0

WRONG = frozenset({"Invalid", "Unknown"})
"""What a CSMS says of a code that is none."""


class Attempts:
    """How often wrong codes were typed at each reader, and until when none is taken there."""

    def __init__(self) -> None:
        self._failed: dict[tuple[int, ...], int] = {}
        self._until: dict[tuple[int, ...], Mono] = {}

    def may_try(self, id_token: IdTokenType, reader: tuple[int, ...], now: Now) -> bool:
        """Whether the token is looked at now; `reader` is named by the EVSEs that it serves."""
        return id_token.type != "KeyCode" or self._until.get(reader, Mono(0.0)) <= now.mono

    def judged(self, wish: Wish, status: str, now: Now) -> None:
        """A token was judged; a right code makes good the wrong ones before it."""
        if wish.id_token.type != "KeyCode":
            return
        if status not in WRONG:
            self._failed.pop(wish.evse_ids, None)
            return
        count = self._failed[wish.evse_ids] = self._failed.get(wish.evse_ids, 0) + 1
        if count > FREE:
            wait_s = min(FIRST_S * 2 ** min(count - FREE - 1, 16), LONGEST_S)
            self._until[wish.evse_ids] = now.after(wait_s)
