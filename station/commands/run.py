"""`ocpp-station run`: puts configuration, core and shell together, and runs them until the end.

The order matters: configuration, lock of the state directory, database, clock, station, then the loop. Nothing of the
outside world is touched before the database is open and the boot is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import random
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from certs.own import OwnChains
from hal.errors import BadOptions
from station.app import Station
from station.block import JobResult, NextPiece
from station.blocks.remote_control import Unlock, UnlockTried
from station.blocks.smart_charging.vehicle import OfferSchedules, SchedulesOffered
from station.commands import errors, extensions, network, roots, sealing, signing, vehicles
from station.commands.control import commands
from station.commands.firmwarejobs import FirmwareJobs, Starts
from station.commands.installers import Silent
from station.commands.keystore import key_store
from station.commands.logjobs import LogJobs
from station.commands.upkeep import DAILY_COPY, ESSENTIALS, Upkeep, in_a_thread, remembered
from station.config import Config, ConfigError, load
from station.effects import Effect
from station.inputs import Ask
from station.now import Now
from station.setup import Setup, World
from station.shell import boot, logs
from station.shell.clock import SavedTime, StationClock, boot_token
from station.shell.control import Address, Control
from station.shell.devices import HardwareThread
from station.shell.hub import Setting
from station.shell.jobs import Worker
from station.shell.link import Link
from station.shell.runner import EXIT_FAILED, Core, Outside, Runner, Served
from station.shell.watchdog import Notifier
from station.state.factory import FactoryState
from station.state.own_certificates import adopt
from station.state.security_log import SecurityLog
from station.store import files
from station.store.boots import Boots
from station.store.db import Database, StoreFailed
from station.store.fallback import Fallback
from station.store.migrations import NeedsNewerAgent
from station.store.salvage import Salvaged, open_or_salvage

log = logging.getLogger(__name__)

DATABASE = "station.db"
MIGRATION_S = 120.0
PIECES_APART_S = 0.005


def run(file: str) -> int:
    """Run the agent on this configuration; the exit code. Never raises."""
    try:
        config = load(Path(file))
    except ConfigError as error:
        return errors.tell_config(error)
    logs.set_up(config.file.log_level)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # passwords are in it
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(owned(config.state))
            config.remember()
        except OSError as error:
            return errors.tell(f"{config.state}: {error.strerror or error}", "check owner and disk", errors.EX_BUSY)
        return _guarded(config)


def _guarded(config: Config) -> int:
    """Run, and say in a line what ended it where a person can mend that; else the traceback goes into the log."""
    try:
        return _run(config)
    except (StoreFailed, NeedsNewerAgent) as error:
        return errors.tell(
            f"{config.state / DATABASE}: {error}", "check the disk, or move the file away", errors.EX_BUSY
        )
    except BadOptions as error:
        return errors.tell(str(error), "correct the device in station.yaml", errors.EX_CONFIG)
    except Exception:
        log.critical("agent.failed", exc_info=True)
        return EXIT_FAILED


@contextlib.contextmanager
def owned(state: Path) -> Iterator[None]:
    """The state directory belongs to one agent at a time. Raises OSError."""
    files.make_directory(state)
    _close_to_others(state)
    handle = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, files.PRIVATE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise OSError(error.errno, "another agent uses this directory") from error
    try:
        yield
    finally:
        os.close(handle)


def _close_to_others(state: Path) -> None:
    """Who may write here could put another database, or roots of his own, in the place of ours."""
    mode = files.open_to(state)
    if not mode:
        return
    try:
        state.chmod(state.stat().st_mode & ~mode)
    except OSError as error:
        log.error("state.open_to_others", extra={"directory": str(state), "reason": error.strerror})  # noqa: TRY400 - it is all there is to say
    else:
        log.warning("state.closed_to_others", extra={"directory": str(state)})


def _run(config: Config) -> int:
    notifier = Notifier()
    notifier.extend(MIGRATION_S)
    database, salvaged = open_or_salvage(config.state / DATABASE, copy=config.state / DAILY_COPY)
    if salvaged is not None:
        log.error("store.salvaged", extra={"quarantine": salvaged.quarantine, "damaged": salvaged.damaged})
    clock = StationClock(may_set_system=config.file.clock.set_system_clock)
    boots, disk = Boots(database), Fallback(database)
    reason = disk.attempt(lambda: _boot_reason(database, config.state))
    clock.begin(disk.attempt(lambda: boots.begin(clock.mono(), clock.now().wall)), boots.wall_of)
    database.join(SavedTime(clock, boots.save))
    seals = sealing.Seals(lambda: key_store(config))
    if config.file.keys.store != "file":
        seals.unlock()  # now, since no step may wait for a TPM
    world = World(ids=boot.RandomIds(), random=random.SystemRandom(), seal=seals.seal, unseal=seals.unseal)
    authorities = roots.of(config, fresh=FactoryState(database).is_fresh())
    setup = msgspec.structs.replace(config.setup(reason), installed=authorities.installed())
    setup = extensions.equipped(setup, config)
    lost = _lost_its_security_log(config, database, salvaged)
    setup = msgspec.structs.replace(setup, security_log_lost=lost)
    if salvaged is not None or lost:
        setup = _with_what_was_remembered(setup, config, database)
    station = Station(setup, world, database, boots, clock.now().boot)
    clock.sources = lambda: station.variables.members("ClockCtrlr", "TimeSource")
    log.info("agent.started", extra={"boot": clock.now().boot, "reason": reason, "pid": os.getpid()})
    return asyncio.run(_serve(config, station, Parts(clock, notifier, authorities, seals)))


def _with_what_was_remembered(setup: Setup, config: Config, database: Database) -> Setup:
    """The way to the CSMS as it was before the database was lost: profiles, and certificates."""
    kept = remembered(config.state, config.file.station.identity)
    adopt(database, signing.found(OwnChains(config.chains), kept.certificates), setup.given_certificate)
    return msgspec.structs.replace(setup, profiles=kept.profiles or setup.profiles)


def _lost_its_security_log(config: Config, database: Database, salvaged: Salvaged | None) -> bool:
    """Whether this station had one that is gone, wholly or in part. A new station has never reached a CSMS."""
    if salvaged is not None and "security_log" in salvaged.damaged:
        return True
    return SecurityLog(database).head().id == 0 and (config.state / ESSENTIALS).exists()


def _boot_reason(database: Database, state: Path) -> str:
    """Why the process started, by what the last start left in table `meta`."""
    token = boot_token()
    row = database.execute("SELECT value FROM meta WHERE name = 'machine_boot'").fetchone()
    before = None if row is None else str(row[0])
    if token != before:
        with database.transaction():
            database.execute("INSERT OR REPLACE INTO meta VALUES ('machine_boot', ?)", (token,))
    return boot.found_reason(token, before, boot.service_result(state))


class Parts(NamedTuple):
    """What there is besides the station and its configuration."""

    clock: StationClock
    notifier: Notifier
    authorities: roots.Roots
    seals: sealing.Seals


async def _serve(config: Config, station: Station, parts: Parts) -> int:
    unlocking = sealing.Unlocking(parts.seals, station, in_a_thread)
    runner = Runner(_core(config, station, unlocking), _outside(config, station, parts))
    unlocking.retune = runner.retune
    station.data_transfers.in_step = _in_step(runner)
    code = await runner.run()
    lost = station.engine.fallback.leave()  # what is in memory only has no other chance
    if lost is not None:
        log.error("store.not_written", extra={"kind": lost.kind.name, "detail": lost.detail})
    log.info("agent.stopped", extra={"code": code})
    return code


def _core(config: Config, station: Station, unlocking: sealing.Unlocking) -> Core:
    store = Upkeep(station, config.state, config.file.station.identity)

    def last_words(now: Now) -> None:
        station.outbox.flush()
        if now.trusted:
            station.boots.save(now.wall)

    def upkeep(now: Now) -> Sequence[Effect]:
        unlocking.look(now)
        return store.look(now)

    return Core(
        exchange=station.exchange,
        start=station.start,
        accepted=lambda: station.registration.ever_accepted,
        learn=station.stamps.learn,
        last_words=last_words,
        upkeep=upkeep,
        link_setup=lambda: network.link_setup(config, station),
    )


def _outside(config: Config, station: Station, parts: Parts) -> Outside:
    setting = Setting(parts.clock.now().boot, timing=config.timing)
    wiring = config.wiring

    def served(runner: Runner) -> dict[str, Served]:
        given = config.file.control_socket
        address = Address.of(given, config.folder) if given is not None else None
        found: dict[str, Served] = {
            "control": Control(address, config.file.control_group, commands(config, station, runner), runner.ready)
        }
        if config.file.metrics is not None:
            from station.commands import metrics  # noqa: PLC0415 - few want it

            found["metrics"] = metrics.server(config.file.metrics, station, runner, config)
        if (starts := Starts(config, _silent(station, runner))).counted:
            found["starts"] = starts
        return found

    return Outside(
        clock=parts.clock,
        link=lambda ears: Link(network.link_setup(config, station), ears, random.SystemRandom()),
        hardware=lambda tell: HardwareThread(wiring, tell, setting),
        served=served,
        workers=lambda runner: {
            Unlock: _unlocking(runner),
            OfferSchedules: _offering(runner),
            NextPiece: _next_piece,
            **roots.workers(parts.authorities, runner.retune),
            **signing.KeyWork(signing.of(config)).workers(),
            **LogJobs(config, station, runner).workers(),
            **vehicles.CertificateWork(vehicles.of(config)).workers(),
            **FirmwareJobs(config, _silent(station, runner)).workers(),
        },
        notifier=parts.notifier,
        reboot=config.file.reboot_command,
        agent_only=_agent_only(config),
    )


def _agent_only(config: Config) -> frozenset[str]:
    """L01: a new version of the agent needs no restart of the machine."""
    given = config.file.firmware
    return frozenset({"FirmwareUpdate"}) if given is not None and given.bundle is not None else frozenset()


def _silent(station: Station, runner: Runner) -> Silent:
    """L01: whether the hardware answers, asked by installers."""

    def found(now: Now) -> frozenset[int]:
        del now
        return frozenset(evse for evse in station.connectors.evse_ids() if not station.connectors.answers(evse))

    async def silent() -> frozenset[int]:
        evses: frozenset[int] = await runner.ask(found)
        return evses

    return silent


def _in_step(runner: Runner) -> Callable[[Callable[[Now], None]], None]:
    """P: for the threads of extensions."""
    loop = asyncio.get_running_loop()

    def in_step(command: Callable[[Now], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the station has stopped
            loop.call_soon_threadsafe(runner.inbox.put, lambda now: runner.exchange.give(Ask(command), now))

    return in_step


async def _next_piece(job: NextPiece) -> JobResult:
    """A moment in which whatever has come meanwhile gets into the inbox, and before the piece: all it is for."""
    await asyncio.sleep(PIECES_APART_S)
    return job.due


def _offering(runner: Runner) -> Worker:
    """K15: the vehicle is the hardware thread's."""

    async def offer(job: OfferSchedules) -> SchedulesOffered:
        reason = await asyncio.wrap_future(runner.hardware.offer(job.evse_id, job.schedules))
        if reason:
            log.warning("vehicle.not_offered", extra={"evse": job.evse_id, "reason": reason})
        return SchedulesOffered(evse_id=job.evse_id, reason=reason)

    return offer


def _unlocking(runner: Runner) -> Worker:
    """F05: the lock is the hardware thread's."""

    async def unlock(job: Unlock) -> UnlockTried:
        reason = await asyncio.wrap_future(runner.hardware.unlock(job.evse_id))
        return UnlockTried(
            evse_id=job.evse_id,
            connector_id=job.connector_id,
            unlocked=not reason,
            at=runner.clock.now().instant,
            reason=reason,
        )

    return unlock
