"""What the types cannot say: addresses, versions, secrets' files, values of variables."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from device_model import catalogue
from device_model.build import InitialValue, Layout, build, configure
from device_model.model import AttributeType, ComponentId, DeviceModel, Variable, VariableId
from station.config.mistakes import Mistake, meant
from station.config.schema import Evse, File, InitialVariable, worded
from station.setup import FEATURES
from station.shell.linkdown import Down
from station.shell.network import NetworkProfile, connection_url

VERSIONS = ("2.0.1",)
"""Of OCPP, those built in."""

CONNECTOR_TYPES = (
    *("cCCS1", "cCCS2", "cG105", "cTesla", "cType1", "cType2", "cGBT", "cChaoJi"),
    *("s309-1P-16A", "s309-1P-32A", "s309-3P-16A", "s309-3P-32A", "sBS1361", "sCEE-7-7", "sType2", "sType3"),
    *("Other1PhMax16A", "Other1PhOver16A", "Other3Ph", "OppCharge", "Pan", "wInductive", "wResonant"),
    *("Undetermined", "Unknown"),
)
"""ConnectorEnumType, with the later additions of the device model."""

ELSEWHERE = {
    "securityctrlr.identity": "station.identity",
    "securityctrlr.securityprofile": "csms.security_profile",
    "chargingstation.vendorname": "station.vendor",
    "chargingstation.model": "station.model",
    "chargingstation.serialnumber": "station.serial",
}
"""Variables that this file tells in a place of their own: two values would contradict each other."""

INSTALLERS = ("command", "bundle", "rauc", "swupdate")
VERSION = re.compile(r"[0-9]{1,9}([.-][0-9]{1,9}){0,7}", re.ASCII)
"""Of firmware, so that it can be told which of two is newer."""

_TLS = 2  # from this security profile on
_OWN_CERTIFICATE = 3
_SHORTEST, _LONGEST = 16, 64  # characters of a password (A00.FR.205)
_SOCKET_PATH = 107  # bytes of sockaddr_un
_BARE_IDENTITY = "identity"

Locate = Callable[[str], Path]
"""A path of the file as a whole one: relative ones begin at the file's folder."""


def network(file: File, locate: Locate) -> Iterator[Mistake]:
    """The section `csms`, and files that `transfers` names."""
    csms = file.csms
    profile = NetworkProfile(slot=0, url=csms.url, security_profile=csms.security_profile)
    try:
        connection_url(profile, _BARE_IDENTITY)
    except Down as down:
        yield Mistake(("csms", "url"), down.why.detail, "compare url and security_profile")
    for place, version in enumerate(csms.versions):
        if version not in VERSIONS:
            remedy = f"built in: {', '.join(VERSIONS)}"
            yield Mistake(("csms", "versions", place), f"OCPP {version!r} is not built in", remedy)
    yield from _needed(file)
    for key, secret in {"password_file": True, "key_file": True, "ca_file": False, "certificate": False}.items():
        name = getattr(csms, key)
        if name is not None:
            yield from readable(("csms", key), locate(name), secret=secret)
    for place, name in enumerate(csms.crl_files):
        yield from readable(("csms", "crl_files", place), locate(name), secret=False)
    if file.transfers.known_hosts is not None:
        yield from readable(("transfers", "known_hosts"), locate(file.transfers.known_hosts), secret=False)


def _needed(file: File) -> Iterator[Mistake]:
    csms = file.csms
    profile = csms.security_profile
    needed = []
    if profile < _OWN_CERTIFICATE and csms.password_file is None:
        needed.append(("password_file", "the file that holds the password, and nothing else"))
    if profile >= _TLS and csms.ca_file is None and not csms.system_roots:
        needed.append(("ca_file", "the PEM file of the authority that certified the CSMS, or `system_roots: true`"))
    if profile == _OWN_CERTIFICATE and csms.certificate is None:
        needed.append(("certificate", "the station's certificate chain, PEM"))
    if profile == _OWN_CERTIFICATE and csms.key_file is None and csms.key is None:
        needed.append(("key_file", "its private key, PEM; or `key:`, the name of one in the store of `keys`"))
    if csms.key_file is not None and csms.key is not None:
        yield Mistake(("csms", "key"), "the key of the certificate is told twice", "key_file or key, not both")
    for key, text in needed:
        yield Mistake(("csms",), f"security profile {profile} needs {key!r}", f"add `{key}:` {text}")


def readable(path: tuple[str | int, ...], file: Path, *, secret: bool) -> Iterator[Mistake]:
    """Whether a file that is named at `path` is there, can be read and, if it holds a secret, not by everybody."""
    try:
        state = file.stat()
    except OSError as error:
        yield Mistake(path, f"{file}: {os.strerror(error.errno or 0)}", "correct the path, or put the file there")
        return
    if not stat.S_ISREG(state.st_mode):
        yield Mistake(path, f"{file} is no file")
    elif secret and state.st_mode & stat.S_IRWXO:
        yield Mistake(path, f"{file} holds a secret and is open to everybody", f"chmod 600 {file}")
    elif not os.access(file, os.R_OK):
        yield Mistake(path, f"{file} cannot be read by this user", "give it to the agent's user")
    elif path[-1] == "password_file":
        password = password_in(file)
        if not (password.isascii() and password.isprintable()):
            yield Mistake(path, f"{file} holds more than one line of plain text", "the password and nothing else")
        elif flaw := password_flaw(password):
            yield Mistake(path, f"{file}: {flaw}", "agree on another one with the CSMS's operator")


def password_flaw(password: str) -> str:
    """Why nobody can have this password; empty if one can."""
    if not (password.isascii() and password.isprintable()):
        return "a password is one line of plain text"
    if not _SHORTEST <= len(password) <= _LONGEST:
        return f"{len(password)} characters, a password has {_SHORTEST} to {_LONGEST}"
    return ""


def password_in(file: Path) -> str:
    """What a password file holds, without the line end that editors put there. Raises OSError."""
    return file.read_bytes().decode("utf-8", "replace").strip("\r\n")


def control(file: File, locate: Locate) -> Iterator[Mistake]:
    """`control_socket` and `metrics`."""
    given, metrics = file.control_socket, file.metrics
    if metrics is not None and not _is_local_port(metrics):
        yield Mistake(("metrics",), f"{metrics!r} is no port of this machine", "127.0.0.1:PORT, such as 127.0.0.1:9464")
    if metrics is not None and metrics == given:
        yield Mistake(("metrics",), f"{metrics} is the control socket already", "another port")
    if given is None:
        return
    if ":" in given and "/" not in given:
        if not _is_local_port(given):
            yield Mistake(("control_socket",), f"{given!r} is no address of this machine", "127.0.0.1:PORT, or a path")
    elif len(os.fsencode(locate(given))) > _SOCKET_PATH:
        reason = f"{locate(given)} is longer than {_SOCKET_PATH} bytes"
        yield Mistake(("control_socket",), reason, "a shorter path, such as one in /run")


def _is_local_port(given: str) -> bool:
    host, _, port = given.rpartition(":")
    digits = port.isascii() and port.isdigit() and len(port) <= 5  # noqa: PLR2004 - ports
    return host in {"127.0.0.1", "localhost", "[::1]"} and digits and 0 < int(port) <= 65535  # noqa: PLR2004 - the same


def firmware(file: File) -> Iterator[Mistake]:
    """`firmware`: one installer, and times that agree with each other."""
    given = file.firmware
    if given is None:
        return
    named = [name for name in INSTALLERS if getattr(given, name) is not None]
    if len(named) != 1:
        reason = f"{' and '.join(named)} are two installers" if named else "no installer is named"
        yield Mistake(("firmware",), reason, f"one of {', '.join(INSTALLERS)}; docs/update.md")
    for name in {"bundle", "rauc", "swupdate"} & set(named):
        within_s = getattr(given, name).healthy_within_s
        if within_s > given.patience_s:
            reason = f"{within_s:g} s are more than patience_s: {given.patience_s:g} s"
            yield Mistake(("firmware", name, "healthy_within_s"), reason, "lower it, or raise patience_s")
    if given.oldest and not VERSION.fullmatch(given.oldest):
        yield Mistake(("firmware", "oldest"), f"{given.oldest!r} is no version", 'such as "1.4.2", in quotes')


def evses(file: File) -> Iterator[Mistake]:
    """What each EVSE and its connectors are."""
    sim = file.simulator
    if sim is not None and sim.min_current_a > sim.max_current_a:
        reason = f"{sim.min_current_a:g} A are more than max_current_a: {sim.max_current_a:g} A"
        yield Mistake(("simulator", "min_current_a"), reason, "lower it")
    if not file.evses:
        yield Mistake((), "no EVSE", "add `evses:`, or `simulator: {evses: 1}` to try it out")
    for place, evse in enumerate(file.evses):
        for number, connector in enumerate(evse.connectors):
            path = ("evses", place, "connectors", number)
            if connector.type not in CONNECTOR_TYPES:
                yield Mistake(
                    (*path, "type"), f"no connector is {connector.type!r}", meant(connector.type, CONNECTOR_TYPES)
                )
            if connector.max_current_a is not None and connector.max_current_a > evse.max_current_a:
                reason = f"{connector.max_current_a:g} A is more than the EVSE's {evse.max_current_a:g} A"
                yield Mistake((*path, "max_current_a"), reason, "raise the EVSE's or lower the connector's")
            if connector.phases is not None and connector.phases > evse.phases:
                reason = f"{connector.phases} phases are more than the EVSE's {evse.phases}"
                yield Mistake((*path, "phases"), reason, "raise the EVSE's or lower the connector's")
        letters = (evse.phase_rotation or "").replace("x", "")
        if len(set(letters)) != len(letters):
            reason = f"{evse.phase_rotation!r} has a phase twice"
            yield Mistake(("evses", place, "phase_rotation"), reason, "such as RST, STR, or Rxx for one phase")
        yield from _lock(place, evse)
    if file.keypad and not (file.displays and file.readers):
        yield Mistake(("keypad",), "nothing shows what is to be typed, or reads it", "name a reader and a display")


def _lock(place: int, evse: Evse) -> Iterator[Mistake]:
    if evse.lock is not None and not any(connector.lock is not False for connector in evse.connectors):
        reason = "a lock is named, and no connector has one"
        yield Mistake(("evses", place, "lock"), reason, "leave it out, or take `lock: false` from a connector")


def initial(entry: InitialVariable) -> InitialValue:
    """An entry of `variables` for the device model."""
    text = worded(entry.value)
    component = ComponentId(entry.component, entry.instance, entry.evse, entry.connector)
    variable = VariableId(entry.variable, entry.variable_instance)
    return InitialValue(component, variable, text, AttributeType(entry.attribute))


def _not_here(model: DeviceModel, given: list[InitialValue]) -> Iterator[Mistake]:
    """Values that have another place, in this file or in a file of their own."""
    first: dict[int, int] = {}
    for place, one in enumerate(given):
        found = model.find(one.component, one.variable)
        attribute = found.attribute(one.attribute) if isinstance(found, Variable) else None
        if attribute is None:
            continue
        name = f"{one.component.name}.{one.variable.name}"
        elsewhere = ELSEWHERE.get(name.lower())
        if attribute.secret:
            remedy = "take it out of this file: csms.password_file names one"
            yield Mistake(("variables", place), f"{name} is a secret", remedy)
        elif elsewhere is not None:
            yield Mistake(("variables", place), f"{name} is said by {elsewhere}", "take it out here")
        elif first.setdefault(id(attribute), place) != place:
            reason = f"{name} is given twice, first by entry {first[id(attribute)] + 1}"
            yield Mistake(("variables", place), reason, "keep one of them")


def variables(file: File, layout: Layout) -> Iterator[Mistake]:
    """Values that the device model of this station does not take."""
    try:
        model = build(catalogue.load(), layout, FEATURES)
    except (ValueError, IndexError) as error:
        yield Mistake(("components",) if file.components else ("evses",), str(error), "are evse and connector right?")
        return
    given = [initial(entry) for entry in file.variables]
    yield from _not_here(model, given)
    remedies = {
        "UnknownComponent": "is the component part of this station, and its evse and connector right?",
        "UnknownVariable": "compare the names of variable and variable_instance with the component's",
        "NotSupportedAttributeType": "this variable has no such attribute",
    }
    for mistake in configure(model, given):
        one = given[mistake.position]
        name = f"{one.component.name}.{one.variable.name}"
        reason = f"{name}: {mistake.reason}"
        yield Mistake(("variables", mistake.position), reason, remedies.get(mistake.reason, ""))
