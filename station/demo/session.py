"""What happens in the demo: the agent starts, a driver comes, charges for half a minute, pays and leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from station.demo.checks import Meter, judge
from station.demo.csms import CURRENCY, PRICE_OF_SESSION, PRICE_PER_KWH, DemoCsms, Payload, Said
from station.demo.place import IDENTITY, Place
from station.demo.view import View

BOOT_S = 30.0
STEP_S = 15.0
CHARGE_S = 14.0
CARD = "04AABBCCDDEE80"
_REDRAW_S = 0.25
_LOG_LINES = 12
_PROFILES = {
    1: "security profile 1, a password and no TLS",
    2: "security profile 2, a password over TLS",
    3: "security profile 3, TLS with a certificate of the station",
}


class WentWrong(Exception):  # noqa: N818 - the end of the demo, not one error among others
    """Something that must happen did not; the text is for people."""


class Demo:
    """One performance."""

    def __init__(self, place: Place, *, once: bool, view: View | None = None) -> None:
        self._place = place
        self._once = once
        self._view = view or View()
        self._csms = DemoCsms(password=place.password, tls=place.tls, heard=self._said, connected=self._connected)
        self._agent: asyncio.subprocess.Process | None = None
        self._meter_before = 0.0

    async def play(self) -> int:
        """From the first connection to the bill; the exit code."""
        server = await self._csms.serve()
        self._place.write(server.sockets[0].getsockname()[1])
        board = asyncio.ensure_future(self._keep_board())
        try:
            await self._boot()
            right = self._judge(await self._session())
            if not self._once:
                await self._stay()
            code = await self._stop()
            self._view.end()
            self._view.verdict(code == 0, f"the agent ended in good order (exit code {code})")
            return 0 if right and code == 0 else self._failed("see the lines marked WRONG")
        except WentWrong as wrong:
            return self._failed(str(wrong))
        finally:
            board.cancel()
            await self._stop()
            server.close()

    # --- the story

    async def _boot(self) -> None:
        self._view.line(
            "The agent, on simulated hardware, and a CSMS of its own talk OCPP 2.0.1: each message as it passes."
        )
        self._view.chapter(f"A charging station starts: {_PROFILES[self._place.profile]}")
        self._view.event(f"ocpp-station run --config {self._place.config}")
        with (self._place.folder / "agent.log").open("ab") as log:
            self._agent = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "station", "run", "--config", str(self._place.config)), stdout=log, stderr=log
            )
        asyncio.ensure_future(self._agent.wait()).add_done_callback(lambda _: self._csms.news.set())
        await self._must(lambda: self._answered("BootNotification"), BOOT_S, "the station was never accepted")
        settings = [_setting("SampledDataCtrlr", "TxUpdatedInterval", "2")]
        await self._csms.call("SetVariables", {"setVariableData": settings})
        asked = [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": "SecurityProfile"}}]
        await self._csms.call("GetVariables", {"getVariableData": asked})
        await self._must(lambda: self._statuses("Available") >= 2, STEP_S, "its connectors never became Available")  # noqa: PLR2004 - EVSEs

    async def _session(self) -> Meter:
        self._meter_before = await self._meter()
        self._view.chapter("A driver plugs in and holds a card to the reader")
        await self._command("plug_in", evse=1, current_a=500, ramp_a_per_s=60, capacity_wh=77_000)
        await self._must(lambda: self._statuses("Occupied") >= 1, STEP_S, "nobody noticed the plug")
        await self._command("swipe", id_token=CARD, evses=[1])
        await self._must(self._is_charging, STEP_S, "it never charged")

        self._view.chapter(f"It charges ({PRICE_PER_KWH} {CURRENCY}/kWh and {PRICE_OF_SESSION} {CURRENCY} a session)")
        updates = len(self._csms.events("Updated"))
        await asyncio.sleep(CHARGE_S)
        if len(self._csms.events("Updated")) <= updates:
            raise WentWrong("no meter value came while it charged")

        self._view.chapter("The driver holds the card to the reader again, and unplugs")
        await self._command("swipe", id_token=CARD, evses=[1])
        await self._must(self._has_stopped, STEP_S, "it did not stop charging")
        await self._command("unplug", evse=1)
        await self._must(lambda: self._csms.events("Ended"), STEP_S, "the transaction never ended")
        await self._must(lambda: self._last_status() == "Available", STEP_S, "the connector stayed Occupied")
        return Meter(self._meter_before, await self._meter())

    def _judge(self, meter: Meter) -> bool:
        """The bill, and whether everything was right."""
        for bill in self._csms.bills.values():
            self._view.chapter("The bill")
            energy = f"{bill.energy_wh / 1000:.3f} kWh at {PRICE_PER_KWH} {CURRENCY}"
            self._view.line(f"  {energy:<28}{bill.energy_wh / 1000 * PRICE_PER_KWH:8.2f} {CURRENCY}")
            self._view.line(f"  {'session fee':<28}{PRICE_OF_SESSION:8.2f} {CURRENCY}")
            self._view.line(f"  {'total':<28}{bill.total:8.2f} {CURRENCY}")
        self._view.chapter("Was it right?")
        verdicts = list(judge(self._csms, meter))
        for verdict in verdicts:
            self._view.verdict(verdict.good, verdict.text)
        return all(verdict.good for verdict in verdicts)

    async def _stay(self) -> None:
        """Let somebody play with it until Ctrl-C."""
        self._view.chapter("The station goes on. Try it from another terminal here; Ctrl-C ends the demo")
        program = _program()
        self._view.line(f"  S={self._place.socket}")
        for command in ("plug_in evse=2 current_a=300", "swipe id_token=04AABBCC evses=[2]", "unplug evse=2"):
            self._view.line(f"  {program} sim --socket $S {command}")
        self._view.line(f"  {program} status --socket $S --watch\n")
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        agent = asyncio.ensure_future(self._running().wait())
        waiting = asyncio.ensure_future(stop.wait())
        await asyncio.wait({agent, waiting}, return_when=asyncio.FIRST_COMPLETED)

    def _failed(self, reason: str) -> int:
        self._view.end()
        self._view.line(f"\nThe demo went wrong: {reason}")
        with contextlib.suppress(OSError):
            lines = (self._place.folder / "agent.log").read_text("utf-8").splitlines()
            self._view.line("the agent's log ends:\n  " + "\n  ".join(lines[-_LOG_LINES:]))
        return 1

    # --- what was seen

    def _answered(self, action: str) -> bool:
        return any(said.by == "csms" and said.action == action for said in self._csms.said)

    def _statuses(self, status: str) -> int:
        newest = {
            (said.content["evseId"], said.content["connectorId"]): said.content["connectorStatus"]
            for said in self._csms.said
            if said.action == "StatusNotification" and said.kind == "CALL"
        }
        return list(newest.values()).count(status)

    def _last_status(self) -> str:
        sent = [s.content for s in self._csms.said if s.action == "StatusNotification" and s.kind == "CALL"]
        return str(sent[-1]["connectorStatus"]) if sent else ""

    def _states(self) -> list[str]:
        infos = [event["transactionInfo"] for event in self._csms.events()]
        return [info["chargingState"] for info in infos if "chargingState" in info]

    def _is_charging(self) -> bool:
        return self._states()[-1:] == ["Charging"]

    def _has_stopped(self) -> bool:
        return bool(self._csms.events("Ended")) or self._states()[-1:] != ["Charging"]

    def _said(self, said: Said) -> None:
        self._view.said(said)

    def _connected(self, how: str) -> None:
        self._view.event(f"{IDENTITY} is connected: {how}")

    # --- the agent

    async def _must(self, condition: Any, within_s: float, otherwise: str) -> None:
        """Wait for something that has to happen. Raises WentWrong."""
        agent = self._running()
        if not await self._csms.until(lambda: condition() or agent.returncode is not None, within_s):
            raise WentWrong(f"{otherwise} ({within_s:g} s)")
        if agent.returncode is not None:
            raise WentWrong(f"the agent ended with exit code {agent.returncode}")

    def _running(self) -> asyncio.subprocess.Process:
        if self._agent is None:
            raise WentWrong("the agent was never started")
        return self._agent

    async def _ask(self, command: Mapping[str, Any]) -> Payload:
        reader, writer = await asyncio.open_unix_connection(self._place.socket)
        try:
            writer.write(json.dumps(command).encode() + b"\n")
            answer: Payload = json.loads(await reader.readline() or b"{}")
        finally:
            writer.close()
        return answer

    async def _command(self, cmd: str, **fields: Any) -> Payload:
        """Something done to the simulated hardware. Raises WentWrong."""
        try:
            answer = await self._ask({"cmd": cmd, **fields})
        except (OSError, ValueError) as error:
            raise WentWrong(f"the control socket does not answer: {error}") from error
        if not answer.get("ok"):
            raise WentWrong(f"{cmd}: {answer.get('error')}")
        return answer

    async def _meter(self) -> float:
        """The simulated meter, past the CSMS."""
        return float((await self._command("meter", evse=1))["energy_import_wh"])

    async def _keep_board(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):
                self._view.board(self._csms, await self._ask({"cmd": "status"}))
            await asyncio.sleep(_REDRAW_S)

    async def _stop(self) -> int:
        """End the agent in good order, or by force; its exit code."""
        agent = self._agent
        if agent is None:
            return -1
        if agent.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                agent.send_signal(signal.SIGTERM)
            ended = asyncio.ensure_future(agent.wait())
            await asyncio.wait({ended}, timeout=STEP_S)
            if not ended.done():
                os.kill(agent.pid, signal.SIGKILL)
                await ended
        return agent.returncode if agent.returncode is not None else -1


def _program() -> str:
    """How this program was called, so that what is shown can be copied."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "ocpp-station" else f"{sys.executable} -m station"


def _setting(component: str, variable: str, value: str) -> Payload:
    return {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}
