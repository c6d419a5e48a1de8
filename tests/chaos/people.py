"""Drivers in front of the charger, who know nothing of links and power: they plug in, show a card, wait, leave.

Each EVSE has one, in a thread; what he does next follows from what he sees there, and chance. When nothing answers he
tries again.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos import world

ANSWERS_WITHIN_S = 5.0


CARDS = "04AABBC"


def card(evse_id: int) -> str:
    """The card of whoever charges at this EVSE."""
    return f"{CARDS}{evse_id}"


def command(folder: Path, cmd: str, **fields: object) -> dict[str, Any] | None:
    """A command for the agent's control socket; None if it does not serve, or dies meanwhile."""
    try:
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(ANSWERS_WITHIN_S)
            wire.connect(str(folder / "control.sock"))
            wire.sendall(json.dumps({"cmd": cmd, **fields}).encode() + b"\n")
            with wire.makefile("rb") as stream:
                answer: dict[str, Any] = json.loads(stream.readline() or b"null")
                return answer
    except (OSError, ValueError):
        return None


class Driver:
    """The one at EVSE `evse_id`. `remote`: starts a transaction from afar, if the CSMS can."""

    def __init__(self, folder: Path, evse_id: int, chance: random.Random, remote: Callable[[int], None]) -> None:
        self.pace_s = 0.6
        self._folder = folder
        self._evse_id = evse_id
        self._chance = chance
        self._remote = remote
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"driver-{evse_id}")

    def start(self) -> None:
        """He arrives."""
        self._thread.start()

    def leave(self) -> None:
        """He does nothing more."""
        self._gone.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._gone.wait(self._chance.uniform(0.2, 2) * self.pace_s):
            if state := world.look(self._folder):
                self._act(state)

    def _act(self, state: world.State) -> None:
        visit, chance = state.here(self._evse_id), self._chance.random()
        if visit is None:
            if chance < 0.7:
                self._do("plug_in", evse=self._evse_id, current_a=self._chance.choice((10.0, 16.0, 32.0)))
            elif chance < 0.85:
                self._authorize()
        elif state.evses[self._evse_id].snapshot().contactor_closed:
            if chance < 0.2:
                self._swipe()
            elif chance < 0.3:
                self._do("unplug", evse=self._evse_id)
            elif chance < 0.4:
                self._do("ev", evse=self._evse_id, state=self._chance.choice(("pause", "charge")))
        elif state.charged_mwh(visit) and chance < 0.6:
            self._do("unplug", evse=self._evse_id)
        elif chance < 0.8:
            self._authorize()
        else:
            self._do("ev", evse=self._evse_id, state="charge")

    def _authorize(self) -> None:
        if self._chance.random() < 0.1:
            self._remote(self._evse_id)
        else:
            self._swipe()

    def _swipe(self) -> None:
        self._do("swipe", id_token=card(self._evse_id), evses=[self._evse_id])

    def _do(self, cmd: str, **fields: object) -> None:
        command(self._folder, cmd, **fields)
