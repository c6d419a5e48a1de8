"""One storm: a station with four drivers behind a bad line, killed again and again, and the reckoning afterwards."""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.agent import PASSWORD, Agent
from tests.chaos import judge, world
from tests.chaos.people import Driver, card, command
from tests.chaos.proxy import Proxy
from tests.live_csms import LiveCsms

EVSES = 4
MESSAGE_TIMEOUT_S = 5
CALM_S = 90.0
"""How long everything may take to come to rest."""

MORE = """\
- {{component: SampledDataCtrlr, variable: TxUpdatedInterval, value: 1}}
- {{component: TxCtrlr, variable: TxStartPoint, value: "{start}"}}
- {{component: TxCtrlr, variable: TxStopPoint, value: "{stop}"}}
- {{component: TxCtrlr, variable: EVConnectionTimeOut, value: 20}}
- {{component: AuthCtrlr, variable: OfflineTxForUnknownIdEnabled, value: true}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRepeatTimes, value: 0}}
- {{component: OCPPCommCtrlr, variable: WebSocketPingInterval, value: 2}}
- {{component: OCPPCommCtrlr, variable: MessageTimeout, variable_instance: Default, value: {timeout}}}
- {{component: OCPPCommCtrlr, variable: MessageAttempts, variable_instance: TransactionEvent, value: 100}}
- {{component: OCPPCommCtrlr, variable: MessageAttemptInterval, variable_instance: TransactionEvent, value: 1}}
"""


class Kind(NamedTuple):
    """What the station is like."""

    start: str
    stop: str
    resume: bool


KINDS = (
    Kind("PowerPathClosed", "EVConnected,Authorized", resume=False),
    Kind("EVConnected", "EVConnected", resume=False),
    Kind("Authorized", "Authorized", resume=True),
    Kind("EnergyTransfer", "EVConnected,Authorized", resume=False),
    Kind("EVConnected,Authorized", "PowerPathClosed", resume=True),
)


class Storm:
    """`folder`: an empty directory with a short path. `deadline`: monotonic; no new harm is done after it."""

    def __init__(self, folder: Path, kind: Kind, seed: int, deadline: float) -> None:
        self.counts: Counter[str] = Counter()
        self.peace_s = 3.0
        """From one trouble to the next, on average."""
        self._folder = folder
        self._chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._deadline = deadline
        self._csms = LiveCsms(password=PASSWORD)
        self._csms.script.order.message_timeout_s = MESSAGE_TIMEOUT_S
        self._proxy = Proxy(self._csms.port, random.Random(seed + 1))  # noqa: S311 - the same
        more = MORE.format(start=kind.start, stop=kind.stop, timeout=MESSAGE_TIMEOUT_S)
        self._agent = Agent(folder, "", more=more)
        self._agent.program = (sys.executable, "-m", "tests.chaos.station")
        self._agent.environment[world.FOLDER] = str(folder)
        self._kind = kind
        self._drivers = [
            Driver(folder, n, random.Random(seed + 10 + n), self._remote)  # noqa: S311 - the same
            for n in range(1, EVSES + 1)
        ]

    def run(self, sessions: int, kills: int) -> Counter[str]:
        """Until so many cars have charged and the agent was killed so often, and all is told. AssertionError."""
        with self._csms, self._proxy, contextlib.ExitStack() as ending:
            self._configure()
            ending.enter_context(self._agent)
            self._listens()
            for driver in self._drivers:
                driver.start()
                ending.callback(driver.leave)
            while (self._charged() < sessions or self.counts["kills"] < kills) and time.monotonic() < self._deadline:
                self._trouble()
            self._calm()
            self._keep_record()
            self._reckon()
        return self.counts

    def _configure(self) -> None:
        file = self._agent.folder / "station.yaml"
        text = file.read_text("utf-8").replace("  url: ", f"  url: ws://localhost:{self._proxy.port}/ocpp")
        text = text.replace("{evses: 2}", f"{{evses: {EVSES}}}\nresume_transactions: {str(self._kind.resume).lower()}")
        file.write_text(text, "utf-8")

    def _charged(self) -> int:
        state = world.look(self._folder)
        return sum(visit.end_mwh not in {None, visit.begin_mwh} for visit in state.visits) if state else 0

    # --- harm

    def _trouble(self) -> None:
        """Some time of peace, then something."""
        self._pause(self._chance.expovariate(1 / self.peace_s))
        what = self._chance.random()
        if what < 0.5:
            self._kill()
        elif what < 0.6:
            self._stop()
        elif what < 0.8:
            self._proxy.closed = True
            self._proxy.cut(reset=self._chance.random() < 0.5)
            self._pause(self._chance.uniform(1, 8))
            self._proxy.closed = False
            self.counts["outages"] += 1
        else:
            self._proxy.cut()
            self.counts["cuts"] += 1

    def _pause(self, seconds: float) -> None:
        """Meanwhile the agent must not die by itself, and the CSMS must have nothing to complain of."""
        time.sleep(seconds)
        assert self._agent.process is not None
        assert self._agent.process.poll() is None, f"it ended by itself: {self._agent.process.poll()}"
        self._csms.until(lambda: True)

    def _kill(self) -> None:
        """Power is gone; sometimes a car drives away in the dark; sometimes power goes again before all is up."""
        self._agent.kill()
        self.counts["kills"] += 1
        self._dark()
        if self._chance.random() < 0.25:
            time.sleep(self._chance.uniform(0.05, 3))
            self._agent.kill()
            self.counts["kills"] += 1
            self._dark()
        self._listens()

    def _stop(self) -> None:
        code = self._agent.stop()
        assert code == 0, f"an orderly stop ended with {code}"
        self.counts["orderly stops"] += 1
        self._dark()
        self._listens()

    def _dark(self) -> None:
        self._proxy.cut()
        self._csms.until(lambda: not self._csms.connected, "the dead agent's connection to end")
        self._csms.script.order.rebooted()
        time.sleep(self._chance.choice((0.0, 0.0, 0.5, 3.0)))
        state = world.look(self._folder)
        if state and self._chance.random() < 0.2:
            self._drives_away(state)
        self._agent.start()

    def _drives_away(self, state: world.State) -> None:
        here = [visit.evse_id for visit in state.visits if visit.end_mwh is None]
        if here:
            dark = world.LastingWorld(self._folder, {}, time.monotonic)
            dark.unplug(self._chance.choice(here))
            self.counts["left in the dark"] += 1

    def _listens(self) -> None:
        """The agent serves its control socket again, or has ended."""
        process = self._agent.process
        assert process is not None
        while command(self._folder, "status") is None:
            assert process.poll() is None, f"it did not start: {process.poll()}"
            time.sleep(0.05)

    def _remote(self, evse_id: int) -> None:
        request = {"idToken": {"idToken": card(evse_id), "type": "ISO14443"}, "remoteStartId": 7, "evseId": evse_id}
        with self._csms._changed, contextlib.suppress(AssertionError, OSError):
            self._csms.script.send("RequestStartTransaction", request)
            self.counts["remote starts asked"] += 1

    # --- the end

    def _calm(self) -> None:
        """The line is good, every car leaves, and the queue gets empty."""
        self._proxy.calm = True
        self._proxy.cut()
        for driver in self._drivers:
            driver.leave()
        for number in range(1, EVSES + 1):
            command(self._folder, "unplug", evse=number)
        end, quiet = time.monotonic() + CALM_S, 0
        while quiet < 3:
            status = self._agent.command("status")
            running = any("transaction" in evse for evse in status["evses"])
            rest = status["link"]["up"] and not running and not status["queue"]["transactions_waiting"]
            quiet = quiet + 1 if rest else 0
            assert time.monotonic() < end, f"it does not come to rest: {status}"
            self._pause(0.5)
        assert self._agent.stop() == 0

    def _reckon(self) -> None:
        """The CSMS's record against the truth, and nothing left over in the station."""
        script, state = self._csms.script, world.look(self._folder)
        assert state is not None
        frames, shown = script.frames("TransactionEvent"), world.told(self._folder)
        every = judge.bills(frames)
        for bill in every:
            judge.check_bill(bill, set(shown.get(bill.evse_id or 0, ())))
        interrupted = frozenset(re.findall(r" transaction\.interrupted .*?transaction=(\S+)", self._agent.log))
        self.counts["ended by a cut"] = len(interrupted)
        for number in range(1, EVSES + 1):
            visits = [visit for visit in state.visits if visit.evse_id == number]
            account = judge.check_account(visits, [b for b in every if b.evse_id == number])
            self.counts["sessions"] += account.charged
            self.counts["billed Wh"] += account.billed_mwh // 1000
        self.counts["offline"] = judge.check_offline(frames, [each.at for each in self._csms.handshakes])
        self.counts["transactions"] = len(every)
        self.counts["events"] = len(frames)
        self.counts["repeated"] = sum(frame.repeated for frame in frames)
        self.counts.update(self._proxy.counts)
        self._left_over()

    def _keep_record(self) -> None:
        """Every frame, for whoever looks into a folder that is kept."""
        lines = [f"{frame.at:%T.%f} {frame}" for frame in self._csms.script.log]
        (self._folder / "record").write_text("\n".join(lines), "utf-8")

    def _left_over(self) -> None:
        with contextlib.closing(sqlite3.connect(self._folder / "state" / "station.db")) as database:
            for table in ("outbox", "undelivered", "poison"):
                rows = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a constant
                assert not rows, f"{rows} rows are left in {table}"
        log = self._agent.log
        assert "Traceback" not in log, "there is a traceback in its log"
        assert "engine.recovery" not in log, "it had to recover from a mistake"
