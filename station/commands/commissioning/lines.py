"""Modbus lines are looked at, and what answers is taken into station.yaml, if somebody says as what. It only reads.

A line is one of the file, or a port that is in no file yet (`/dev/ttyUSB0@19200,even`, `tcp:192.168.4.2`). A place is a
line and an address (`rs485/2`). What is taken has a name, and may go to an EVSE (`left@1`): a meter by the register map
that fits, or by another that fits (`left=eastron-sdm72d-v2@1`), a board by its driver (`controller=evse-wb@1`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from hal import survey, template
from hal.buses.modbus import ModbusBus
from hal.drivers.modbus_board import ModbusBoard
from hal.errors import BadOptions, DeviceError
from hal.registry import Registry
from station.commands.commissioning.dialogue import Stopped, asked
from station.commands.commissioning.judging import BadAnswer
from station.commands.findings import REMEDIES, Finding, Grade
from station.commands.hal_device import over_network
from station.shell.clock import Machine

ADDRESSES = range(1, 33)
"""Of a line, besides those that the file names there."""

_TIMEOUT_S = 0.3
_TAKEN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,49})(?:=([A-Za-z0-9._-]+))?(?:@([0-9]{1,3}))?")
_FIRST = 1
_KINDS = {"meters": "meter", "boards": "board"}


class Line(NamedTuple):
    """A line by its name in the file, and what the file says of it."""

    name: str
    options: Mapping[str, Any]
    new: bool = False


class Place(NamedTuple):
    """Somebody who answers."""

    line: Line
    found: survey.Found


class Lines:
    """What is known of the lines of a file, what was found, and what that changes in the file."""

    def __init__(self, sections: Mapping[str, Any]) -> None:
        self._sections = sections
        self._places: dict[str, Place] = {}
        self._taken: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.changes: dict[str, Any] = {}
        """As `writing.edited` takes them."""

    @property
    def names(self) -> list[str]:
        """The Modbus lines of the file."""
        buses = self._section("buses")
        return [name for name, given in buses.items() if str(_mapping(given).get("kind")).startswith("modbus-")]

    def line(self, text: str) -> Line:
        """What somebody means. Raises BadAnswer."""
        known = self._section("buses")
        if text in self.names:
            return Line(text, _mapping(known[text]))
        name = next(name for n in range(1, 1000) if (name := f"line-{n}") not in known)
        if text.startswith("tcp:"):
            try:
                return Line(name, over_network("tcp", text.removeprefix("tcp:")), new=True)
            except BadOptions as error:
                raise BadAnswer(str(error)) from error
        if not text.startswith("/"):
            every = ", ".join(self.names) or "none"
            raise BadAnswer(f"no Modbus line is called {text!r} (there are: {every}) - or name a port: /dev/...")
        port, _, speed = text.partition("@")
        baud, _, parity = speed.partition(",")
        options = {"kind": "modbus-rtu", "port": port} | ({"baud": int(baud)} if baud.isdecimal() else {})
        return Line(name, options | ({"parity": parity} if parity else {}), new=True)

    def look(self, text: str, more: Iterable[int] = ()) -> None:
        """Ask at every address of a line. Raises BadAnswer for what is no line."""
        line = self.line(text)
        configured = dict(self._at(line.name))
        addresses = sorted({*ADDRESSES, *configured, *more})
        sys.stdout.write(f"looking at {text}, addresses {addresses[0]} to {addresses[-1]} ...\n")
        sys.stdout.flush()
        try:
            found = asyncio.run(_scanned(line, addresses))
        except BadOptions as error:
            raise BadAnswer(str(error)) from error
        except DeviceError as error:
            remedy = REMEDIES.get(type(error), "")
            self._tell(Finding(Grade.ERROR, f"scan {text}", error.reason, remedy))
            return
        for each in found:
            self._places[f"{text}/{each.address}"] = Place(line, each)
            self._tell(Finding(Grade.OK, f"scan {text}", _told(each, configured.get(each.address))))
        for address, device in configured.items():
            if address not in {each.address for each in found}:
                detail = f"address {address}, {device}, does not answer"
                self._tell(Finding(Grade.WARNING, f"scan {text}", detail, "its power, wiring, address, speed?"))

    def _tell(self, finding: Finding) -> None:
        self.findings.append(finding)
        sys.stdout.write(f"  {finding.detail}" + (f" -> {finding.remedy}\n" if finding.remedy else "\n"))
        sys.stdout.flush()

    def untaken(self) -> Iterator[str]:
        """Places where somebody answers who is not in the file."""
        for text, (line, found) in self._places.items():
            if found.address not in dict(self._at(line.name)) and not found.trouble:
                yield text

    def ask(self, text: str) -> None:
        """As what somebody is taken, as a person says it."""
        fits = self._places[text].found.fits
        drivers = ", ".join(_modbus_boards())
        form = "NAME or NAME@EVSE" if fits else f"NAME=DRIVER@EVSE; {drivers}"
        while (line := asked(f"Take {text} as ({form}; Enter: not at all): ")) != "":
            try:
                self.take(text, line)
            except BadAnswer as wrong:
                sys.stdout.write(f"  {wrong}\n")
            else:
                return

    def take(self, place: str, text: str) -> None:
        """Put who answers at a place into the file. Raises BadAnswer."""
        if place not in self._places:
            every = ", ".join(self._places) or "none"
            raise BadAnswer(f"nobody answers at {place!r} (there are: {every})")
        match = _TAKEN.fullmatch(text.strip())
        if match is None:
            raise BadAnswer(f"{text!r} is none of NAME, NAME@EVSE, NAME=DRIVER@EVSE")
        line, found = self._places[place]
        name, wanted, evse = match.groups()
        section, options = self._as(found, wanted)
        if any(name in self._section(other) for other in _others(section)):
            raise BadAnswer(f"another device is called {name!r} - take another name")
        if name in self._taken:
            raise BadAnswer(f"{name!r} is taken already, at {self._taken[name]} - take another name")
        entry = {**_mapping(self._section(section).get(name)), **options, "bus": line.name, "address": found.address}
        changes = {**self.changes, section: {**self.changes.get(section, {}), name: entry}}
        if line.new:
            changes["buses"] = {**changes.get("buses", {}), line.name: dict(line.options)}
        if evse is not None:
            changes["evses"] = self._put(int(evse), _KINDS[section], name)
        self.changes = changes
        self._taken[name] = place
        where = f", of EVSE {evse}" if evse is not None else ""
        self.findings.append(Finding(Grade.OK, f"scan {place}", f"taken as {_KINDS[section]} {name}{where}"))

    def _as(self, found: survey.Found, wanted: str | None) -> tuple[str, dict[str, Any]]:
        """The section, and the keys that tell what it is. Raises BadAnswer."""
        fitting = [fit.template for fit in found.fits]
        if wanted is None and fitting:
            return "meters", {"driver": "modbus", "template": fitting[0]}
        if wanted in fitting:
            return "meters", {"driver": "modbus", "template": wanted}
        if wanted in _modbus_boards():
            return "boards", {"driver": wanted}
        known = ", ".join((*fitting, *_modbus_boards()))
        raise BadAnswer(f"what is it? NAME=DRIVER, with one of: {known}")

    def _put(self, number: int, kind: str, name: str) -> list[Any]:
        """The EVSEs, with this device; a board may make the next one. Raises BadAnswer."""
        given = self.changes.get("evses") or self._sections.get("evses")
        evses = list(given) if isinstance(given, list) else []
        if kind == "board" and number == len(evses) + 1:
            return [*evses, {"board": name}]
        if not 1 <= number <= len(evses):
            raise BadAnswer(f"no EVSE {number} (there are {len(evses)})")
        evses[number - 1] = {**_mapping(evses[number - 1]), kind: name}
        return evses

    def _at(self, bus: str) -> Iterator[tuple[int, str]]:
        """Devices of the file on a line, by their addresses."""
        for section, kind in _KINDS.items():
            for name, given in self._section(section).items():
                options = _mapping(given)
                address = _address(options)
                if options.get("bus") == bus and isinstance(address, int):
                    yield address, f"{kind} {name}"

    def _section(self, name: str) -> Mapping[str, Any]:
        return {**_mapping(self._sections.get(name)), **_mapping(self.changes.get(name))}


def _others(section: str) -> Iterator[str]:
    yield from (
        each for each in ("boards", "meters", "readers", "locks", "sensors", "displays", "lamps") if each != section
    )


def said(lines: Lines, scan: Iterable[str] | bool, take: Mapping[str, str]) -> None:  # noqa: FBT001 - an answer
    """What somebody has said before is done. Raises Stopped; then nothing was changed."""
    wanted: dict[str, set[int]] = {}
    for text in lines.names if scan is True else scan or ():
        wanted[text] = set()
    for place in take:
        line, _, address = place.rpartition("/")
        wanted.setdefault(line, set()).update([int(address)] if address.isdecimal() else [])
    try:
        for line, addresses in wanted.items():
            lines.look(line, addresses)
        for place, text in take.items():
            lines.take(place, text)
    except BadAnswer as wrong:
        raise Stopped(f"scan: {wrong}", "correct this answer") from wrong


def by_person(lines: Lines) -> None:
    """Which lines, and who of those that answer is taken as what."""
    every = ", ".join(lines.names) or "none in the file"
    question = f"Lines to look at, in turn ({every}; all; a port such as /dev/ttyUSB0@9600; Enter: no more): "
    while (text := asked(question)) != "":
        try:
            for each in lines.names if text == "all" else [text]:
                lines.look(each)
        except BadAnswer as wrong:
            sys.stdout.write(f"  {wrong}\n")
        for place in list(lines.untaken()):
            lines.ask(place)


async def _scanned(line: Line, addresses: Iterable[int]) -> list[survey.Found]:
    options = {key: value for key, value in line.options.items() if key != "kind"}
    made = Registry().build_bus(str(line.options["kind"]), line.name, options, Machine().mono)
    bus = cast("ModbusBus", made)
    try:
        return [found async for found in survey.scan(bus, addresses, _TIMEOUT_S)]
    finally:
        await bus.close()


def _told(found: survey.Found, device: str | None) -> str:
    place = f"address {found.address}"
    if found.trouble:
        return f"{place} answers, but {found.trouble}"
    known = f" ({device})" if device is not None else " (in no section of the file)"
    if not found.fits:
        return f"{place} answers, by no register map of a meter{known}"
    fit = found.fits[0]
    who = " ".join(filter(None, (fit.identity.vendor, fit.identity.model, fit.identity.serial, fit.identity.firmware)))
    return f"{place}: {fit.template}, {who}, {fit.reading.energy_import_mwh / 1e6:.3f} kWh{known}"


@functools.cache
def _modbus_boards() -> Mapping[str, type[ModbusBoard]]:
    """Drivers of boards on Modbus, installed ones too."""
    registry, found = Registry(), {}
    for entry in registry.all():
        if entry.kind == "board":
            with contextlib.suppress(BadOptions):  # one whose library is missing
                made = registry.find(entry.kind, entry.name)
                if isinstance(made, type) and issubclass(made, ModbusBoard):
                    found[entry.name] = made
    return found


def _address(options: Mapping[str, Any]) -> object:
    """Of a device of the file, as its driver has it if the file does not say."""
    given = options.get("address")
    if given is None and isinstance(options.get("template"), str):
        with contextlib.suppress(BadOptions):
            return template.load("scan", options["template"]).bus.address
    return _FIRST if given is None else given


def _mapping(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}
