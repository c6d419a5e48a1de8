"""The commands of the control socket: state and variables, and what moves simulated hardware (design 9)."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, Literal

import msgspec

from station.app import Station
from station.block import Answered, NotSent, Outcome, Refused
from station.blocks.smart_charging.external import ExternalLimit, Source
from station.commands import conversation, status
from station.config import Config
from station.config.schema import worded
from station.now import Now, to_datetime
from station.ocpp.messages import DataTransferRequest
from station.refusal import Refusal
from station.shell.control import Address, Answer, CommandError, Handler
from station.shell.runner import Runner
from station.shell.simulation import Command, Simulation, network_switch
from station.shell.threads import in_thread
from station.state.naming import named
from station.state.security_log import SecurityLog

log = logging.getLogger(__name__)


class DataTransfer(Command, frozen=True, kw_only=True):
    """A message of a vendor's own to the CSMS (P02)."""

    vendor_id: str
    message_id: str | None = None
    data: Any = None


class Variables(Command, frozen=True, kw_only=True):
    """All variables, or those whose names contain a text."""

    part: str = ""


class GetVariable(Command, frozen=True, kw_only=True):
    """One variable: `Component[instance]@evse.connector.Variable[instance]`."""

    name: str


class SetVariable(Command, frozen=True, kw_only=True):
    """Another value for it."""

    name: str
    value: str | bool | int | float


class GetMessages(Command, frozen=True, kw_only=True):
    """The last OCPP messages: those whose number is above `after`."""

    after: int = 0


class FactoryReset(Command, frozen=True, kw_only=True):
    """Forget all that was set. `confirm` must be there: nobody does it by mistake."""

    confirm: Literal[True]


class AllowFirmware(Command, frozen=True, kw_only=True):
    """Versions from this one on may be installed, until one has been (L01)."""

    version: str


class Limit(Command, frozen=True, kw_only=True):
    """Another system limits the station (EVSE 0) or one EVSE (K11), or no longer: without a value, or with null.

    `amperes` per phase, or `watts` of all phases; `schedule` instead of one value: [[0, 16], [3600, 8]] in `unit`.
    """

    source: Source = "EMS"
    evse: int = 0
    amperes: float | None = None
    watts: float | None = None
    schedule: tuple[tuple[int, float], ...] = ()
    unit: Literal["A", "W"] = "A"
    duration_s: Annotated[int, msgspec.Meta(gt=0)] | None = None
    grid_critical: bool | None = None

    def limit(self) -> ExternalLimit:
        """As smart charging takes it. Raises ValueError for more than one value."""
        values = [(self.unit, self.schedule)] if self.schedule else []
        values += [("A", ((0, self.amperes),))] if self.amperes is not None else []
        values += [("W", ((0, self.watts),))] if self.watts is not None else []
        if len(values) > 1:
            raise ValueError("one of amperes, watts and schedule")
        unit, periods = values[0] if values else (self.unit, ())
        return ExternalLimit(
            source=self.source,
            evse_id=self.evse,
            unit=unit,
            periods=periods,
            duration_s=self.duration_s,
            grid_critical=self.grid_critical,
        )


def commands(config: Config, station: Station, runner: Runner) -> dict[str, Handler]:
    """By name."""

    async def tell_status(line: bytes) -> Answer:
        del line
        told: Answer = await runner.ask(lambda now: status.of(station, runner, config, now))
        return told

    simulated = any(bus.kind == "sim" for bus in config.wiring.buses)
    found: dict[str, Handler] = {"status": tell_status, **_reading(station, runner)}
    found |= (
        _changing(config, station, runner) if simulated or _has_owner(config) else dict.fromkeys(CHANGING, _refused)
    )
    if simulated:
        found |= Simulation(runner.hardware, config.wiring, runner.clock, runner.tell).commands()
        found["network"] = network_switch(runner.link)
        found["data_transfer"] = _data_transfer(station, runner)
    return found


CHANGING = ("set_variable", "factory_reset", "limit", "allow_firmware")


def _has_owner(config: Config) -> bool:
    """Whether the socket lets in whom its mode and group name; a port lets in everybody on the machine."""
    given = config.file.control_socket
    return given is not None and Address.of(given, config.folder).path is not None


async def _refused(line: bytes) -> Answer:
    del line
    raise CommandError("not by a port, which everybody on this machine may use: give control_socket a path")


def _reading(station: Station, runner: Runner) -> dict[str, Handler]:
    """The device model and the security log, looked at."""

    async def listed(line: bytes) -> Answer:
        given = msgspec.json.decode(line, type=Variables)
        return {"variables": await runner.ask(lambda now: station.operator.listed(given.part, now))}

    async def get(line: bytes) -> Answer:
        wanted = named(msgspec.json.decode(line, type=GetVariable).name)
        return _done(await runner.ask(lambda now: station.operator.get(wanted, now)))

    async def security_log(line: bytes) -> Answer:
        del line
        told: Answer = await runner.ask(lambda _now: _logged(station.security_log))
        return told

    async def heard(line: bytes) -> Answer:
        after = msgspec.json.decode(line, type=GetMessages).after
        kept, closed, now = await runner.ask(
            lambda now: (runner.link.messages.after(0), conversation.closed(station.variables.model), now)
        )
        told = await in_thread(lambda: [*conversation.told(kept, after, now, lambda *name: name in closed)], "messages")
        return {"messages": told}

    return {"variables": listed, "get_variable": get, "security_log": security_log, "messages": heard}


def _changing(config: Config, station: Station, runner: Runner) -> dict[str, Handler]:
    """The device model by hand, and what else is the owner's alone."""

    async def set_(line: bytes) -> Answer:
        given = msgspec.json.decode(line, type=SetVariable)
        wanted = named(given.name)
        return _done(await runner.ask(lambda now: station.operator.set(wanted, worded(given.value), now)))

    async def factory_reset(line: bytes) -> Answer:
        msgspec.json.decode(line, type=FactoryReset)
        return _done(await runner.ask(station.operator.factory_reset))

    async def limit(line: bytes) -> Answer:
        given = msgspec.json.decode(line, type=Limit).limit()
        return _done(await runner.ask(lambda now: _taken(station.externals.set(given, now))))

    async def allow_firmware(line: bytes) -> Answer:
        from station.commands.installers.versions import BadVersion, Floor  # noqa: PLC0415 - needed once in years

        version = msgspec.json.decode(line, type=AllowFirmware).version
        try:
            Floor(config.state).allow(version)
        except (BadVersion, OSError) as error:
            raise CommandError(str(error)) from error
        log.warning("firmware.allowed", extra={"version": version})
        return {}

    return {"set_variable": set_, "factory_reset": factory_reset, "limit": limit, "allow_firmware": allow_firmware}


def _logged(log: SecurityLog) -> Answer:
    """All entries, whether they are as they were written, and the end of their chain."""
    head = log.head()
    entries = [
        {"id": each.id, "time": to_datetime(each.at).isoformat(), "type": each.type, "info": each.info}
        for each in log.entries()
    ]
    return {"entries": entries, "flaw": log.flaw(), "head": {"id": head.id, "hash": head.hash.hex()}}


def _taken(refusal: Refusal | None) -> Answer | str:
    return {} if refusal is None else refusal.additional_info


def _done(answer: Answer | str) -> Answer:
    if isinstance(answer, str):
        raise CommandError(answer)
    return answer


def _data_transfer(station: Station, runner: Runner) -> Handler:
    """Answers when the CSMS has."""

    async def handle(line: bytes) -> Answer:
        given = msgspec.json.decode(line, type=DataTransfer)
        message = DataTransferRequest(vendor_id=given.vendor_id, message_id=given.message_id, data=given.data)
        heard: asyncio.Future[Outcome[DataTransferRequest]] = asyncio.get_running_loop().create_future()

        def told(outcome: Outcome[DataTransferRequest], now: Now) -> None:
            del now
            if not heard.done():
                heard.set_result(outcome)

        await runner.ask(lambda now: station.data_transfers.send(message, told, now))
        outcome = await heard
        if isinstance(outcome, Answered):
            return {"status": outcome.response.status, "data": outcome.response.data}
        if isinstance(outcome, Refused):
            raise CommandError(f"the CSMS refused it: {outcome.code} {outcome.description}")
        raise CommandError(f"not sent: {outcome.reason}" if isinstance(outcome, NotSent) else "the CSMS did not answer")

    return handle
