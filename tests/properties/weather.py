"""Bad weather: a script of chance in which drivers, car, link, CSMS, clocks, devices and power do what they like."""

from __future__ import annotations

import random
from collections.abc import Callable

from hal.api import Fault
from tests.bench import Bench

STARTS_AND_STOPS = (
    ("PowerPathClosed", "EVConnected,Authorized"),
    ("EVConnected", "EVConnected"),
    ("Authorized", "Authorized"),
    ("EnergyTransfer", "EVConnected,Authorized"),
    ("EVConnected", "PowerPathClosed"),
)
MESSAGES = ("TransactionEvent", "Authorize", "Heartbeat", "StatusNotification", "BootNotification")
JUMPS_S = (-86_400, 86_400, -3600, 3)
EVSES = (1, 2)


class Weather:
    """What happens to one bench, chosen by `seed`."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench = bench
        self._rng = random.Random(seed)  # noqa: S311 - chance that a test can repeat
        self._plugged: set[int] = set()
        self._kinds: dict[Callable[[int], None], int] = {
            self._swipe: 18,
            self._plug: 12,
            self._unplug: 6,
            self._flap: 10,
            self._cut: 6,
            self._connect: 8,
            self._silence: 6,
            self._refuse: 4,
            self._make_friendly: 8,
            self._answer_late: 4,
            self._fail_power: 4,
            self._set_clock: 4,
            self._fault: 3,
            self._lose_board: 2,
            self._lose_meter: 2,
            self._pause: 3,
        }

    def blow(self, things: int) -> None:
        """So many things happen, one after the other."""
        for _ in range(things):
            (what,) = self._rng.choices(list(self._kinds), list(self._kinds.values()))
            what(self._rng.choice(EVSES))
            self._bench.advance(seconds=self._rng.choice((0.1, 1, 5, 30)))

    def clear_up(self) -> None:
        """Everybody is friendly again, the cars have gone, and a while has passed."""
        self._make_friendly(0)
        for evse_id in EVSES:
            self._bench.world.lose(f"meter-{evse_id}", on=False)
            self._bench.evse(evse_id).fault(Fault.OVER_TEMPERATURE, on=False)
            self._unplug(evse_id)
        self._connect(0)
        self._bench.advance(minutes=20)

    def _swipe(self, evse_id: int) -> None:
        self._bench.evse(evse_id).present_token(f"04AABBC{evse_id}")

    def _plug(self, evse_id: int) -> None:
        if evse_id not in self._plugged:
            self._bench.evse(evse_id).plug_in()
            self._plugged.add(evse_id)

    def _unplug(self, evse_id: int) -> None:
        if evse_id in self._plugged:
            self._bench.evse(evse_id).unplug()
            self._plugged.discard(evse_id)

    def _pause(self, evse_id: int) -> None:
        if evse_id in self._plugged:
            self._bench.evse(evse_id).ev(self._rng.choice(("pause", "charge")))

    def _flap(self, _evse_id: int) -> None:
        for _ in range(self._rng.randrange(1, 6)):
            self._cut(0)
            self._bench.advance(seconds=self._rng.uniform(0.05, 0.6))
            self._connect(0)

    def _cut(self, _evse_id: int) -> None:
        if self._bench.csms.connected:
            self._bench.csms.disconnect()

    def _connect(self, _evse_id: int) -> None:
        if not self._bench.csms.connected:
            self._bench.csms.connect()

    def _silence(self, _evse_id: int) -> None:
        self._bench.csms.silent(self._rng.choice(MESSAGES[:4]))

    def _refuse(self, _evse_id: int) -> None:
        self._bench.csms.error(self._rng.choice(MESSAGES))

    def _make_friendly(self, _evse_id: int) -> None:
        for action in MESSAGES:
            self._bench.csms.default(action)

    def _answer_late(self, _evse_id: int) -> None:
        self._bench.csms.hold()
        self._bench.advance(seconds=self._rng.choice((1, 20, 40, 100)))
        self._bench.csms.release()

    def _fail_power(self, _evse_id: int) -> None:
        self._bench.crash(down_s=self._rng.choice((1, 30, 4000)))

    def _set_clock(self, _evse_id: int) -> None:
        """The CSMS's, that is."""
        self._bench.true_offset += self._rng.choice(JUMPS_S)

    def _fault(self, evse_id: int) -> None:
        self._bench.evse(evse_id).fault(Fault.OVER_TEMPERATURE, on=self._rng.random() < 0.4)

    def _lose_board(self, _evse_id: int) -> None:
        self._bench.world.lose("board")
        self._bench.hardware.lost("board", "gone", self._bench.mono)
        self._bench.advance(seconds=self._rng.choice((1, 5, 20)))
        self._bench.world.lose("board", on=False)
        self._bench.found_board()

    def _lose_meter(self, evse_id: int) -> None:
        self._bench.world.lose(f"meter-{evse_id}", on=self._rng.random() < 0.5)
