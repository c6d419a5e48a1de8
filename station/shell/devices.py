"""The hardware thread: drivers, facts out, wants in (design 3, A2).

It has its own thread and event loop, so that a core stalled by a slow disk or a signature keeps no wire waiting. The
core calls the methods of `HardwareThread` from its own thread; none of them waits. What the hardware has to say comes
as batches through `tell`, called in the hardware's thread; for each the core answers `committed`, after it has handed
over the wants of that step. What is decided, `reconcile` decides; here is only the doing.
Invariant: no exception of a driver leaves its task; a driver that fails is restarted, the others do not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from hal.api import Indication
from hal.errors import NotFound
from hal.iso15118 import SeccSetup
from hal.schedules import ScheduleOffer
from station.effects import VehicleAnswer, Want
from station.now import Mono, Rhythm
from station.shell.hub import Hub, Setting
from station.shell.reconcile import Batch
from station.shell.wiring import Wiring

log = logging.getLogger(__name__)

T = TypeVar("T")

STOP_S = 5.0
"""How long the orderly stop may take: every permission withdrawn, every device closed."""


class HardwareThread:
    """All hardware of one station, seen from the core. Thread-safe; no method but `start` and `stop` waits."""

    def __init__(self, wiring: Wiring, tell: Callable[[Batch], None], setting: Setting) -> None:
        self._make = functools.partial(Hub, wiring, tell, setting)
        self._hub: Hub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._posts: list[Callable[[Hub], None]] = []
        self._thread = threading.Thread(target=self._main, name="hardware", daemon=True)
        self._ready: Future[None] = Future()
        self._ended: Callable[[], None] = lambda: None

    def start(self, ended: Callable[[], None] = lambda: None) -> None:
        """Build every driver and begin; devices that are absent are waited for. Raises BadOptions.

        `ended` is called in the hardware's thread when that ends, stopped or by a bug.
        """
        self._ended = ended
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Withdraw every permission, close every device and end the thread; after 5 s it is left to itself."""
        if self._thread.is_alive():
            self._post(Hub.stop)
            self._thread.join(STOP_S)

    # --- what the core tells

    def want(self, evse_id: int, want: Want) -> None:
        """The core wants this of an EVSE."""
        self._post(lambda hub: hub.want(evse_id, want))

    def sample(self, evse_id: int, purpose: str, by: Mono, label: str = "") -> None:
        """Ask for a reading: answered by `MeterSampled`, or at `by` by `SampleFailed`."""
        self._post(lambda hub: hub.sample(evse_id, purpose, by, label))

    def keep_reading(self, evse_id: int, rhythm: Rhythm | None) -> None:
        """Have a meter read in this rhythm: `MeterSampled` each time, with the purpose "moment"."""
        self._post(lambda hub: hub.keep_reading(evse_id, rhythm))

    def committed(self, number: int) -> None:
        """The core has committed the step of batch `number`; the wants of that step were handed over before."""
        self._post(lambda hub: hub.committed(number))

    def snapshot_again(self) -> None:
        """The core forgot what it was told."""
        self._post(Hub.snapshot_again)

    def show(self, text: str) -> None:
        """Show a text on every display, as soon as it answers."""
        self._post(lambda hub: hub.show(text))

    def indicate(self, evse_id: int, indication: Indication) -> None:
        """Show on the lamp of an EVSE what it looks like."""
        self._post(lambda hub: hub.shining.tell(evse_id, indication))

    def answer(self, evse_id: int, answer: VehicleAnswer) -> None:
        """Tell the vehicle at an EVSE, if its board can."""
        self._post(lambda hub: hub.answer(evse_id, answer))

    def equip(self, setup: SeccSetup) -> None:
        """What boards that speak ISO 15118 show and offer."""
        self._post(lambda hub: hub.equip(setup))

    def unlock(self, evse_id: int) -> Future[str]:
        """Open the connector lock (F05); gives the reason if it stays locked, else an empty text."""
        return self._await(lambda hub: hub.unlock(evse_id))

    def _await(self, what: Callable[[Hub], Coroutine[Any, Any, str]]) -> Future[str]:
        loop, hub = self._loop, self._hub
        if loop is None or hub is None or loop.is_closed():
            gone: Future[str] = Future()
            gone.set_result("the hardware is stopped")
            return gone
        return asyncio.run_coroutine_threadsafe(what(hub), loop)

    def offer(self, evse_id: int, schedules: tuple[ScheduleOffer, ...]) -> Future[str]:
        """Hand charging schedules to a vehicle (K15); gives the reason if that failed, else an empty text."""
        return self._await(lambda hub: hub.offer(evse_id, schedules))

    def call(self, what: Callable[[Mapping[str, object]], T]) -> Future[T]:
        """Run `what(resources)` in the hardware's thread: how a simulated world is commanded. It must not wait.

        The result is NotFound before the thread has started, and once it has stopped.
        """
        result: Future[T] = Future()

        def run(hub: Hub) -> None:
            if not result.set_running_or_notify_cancel():
                return  # who asked waits no more: the agent stops
            try:
                result.set_result(what(hub.drivers.resources))
            except Exception as error:  # noqa: BLE001 - the caller's own mistake, handed back to him
                result.set_exception(error)

        if self._thread.is_alive():
            self._post(run)
        else:
            result.set_exception(NotFound("hardware", "it is stopped"))
        return result

    # --- inside

    def _post(self, do: Callable[[Hub], None]) -> None:
        """Have it done in the hardware's loop. What one turn of the core's loop wants goes together, in one wake-up."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:  # another thread, which has no turns
            self._hand_over([do])
            return
        self._posts.append(do)
        if len(self._posts) == 1:
            here.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        posts, self._posts = self._posts, []
        self._hand_over(posts)

    def _hand_over(self, posts: list[Callable[[Hub], None]]) -> None:
        loop, hub = self._loop, self._hub
        if loop is None or hub is None or loop.is_closed():
            return

        def take() -> None:
            for do in posts:
                loop.call_soon(do, hub)

        loop.call_soon_threadsafe(take)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
                return
            log.exception("hardware.thread_ended")
            raise
        finally:
            with contextlib.suppress(RuntimeError):  # the listener's loop is closed: the process ends anyway
                self._ended()

    async def _run(self) -> None:
        self._hub = self._make()
        self._loop = asyncio.get_running_loop()
        self._ready.set_result(None)
        await self._hub.run()
