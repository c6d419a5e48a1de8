"""The words of the command line. What a command needs is imported when it is asked for, so that errors come at once.

Names and exit codes are relied on by scripts; they change only with a line in the changelog.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from station.commands.start import start
from station.version import VERSION

CONFIG = "/etc/ocpp-station/station.yaml"

RUN_EXITS = """\
exit codes:
  0   stopped as asked (SIGTERM, SIGINT)
  1   the agent failed; its log tells why
  2   wrong command line
  3   the CSMS asked for a reset: start the agent again (the service does)
  75  the state directory cannot be used: another agent, disk, permissions
  78  station.yaml is wrong; every mistake is told with its line
"""


def main(arguments: Sequence[str]) -> int:
    """Run a command; gives the exit code."""
    given = _parser().parse_args(arguments)
    return _COMMANDS[given.command](given)


def _run(given: argparse.Namespace) -> int:
    return start(given.config)


def _check(given: argparse.Namespace) -> int:
    from station.commands.check import check  # noqa: PLC0415 - see the module's first lines

    return check(Path(given.config))


def _drop_in(given: argparse.Namespace) -> int:
    from station.commands.dropin import drop_in  # noqa: PLC0415 - see the module's first lines

    return drop_in(Path(given.config))


def _demo(given: argparse.Namespace) -> int:
    from station.demo import demo  # noqa: PLC0415 - see the module's first lines

    return demo(security_profile=given.security_profile, once=given.once)


def _status(given: argparse.Namespace) -> int:
    from station.commands import local  # noqa: PLC0415 - see the module's first lines

    if given.health:
        from station.commands.health import health  # noqa: PLC0415 - the same

        return _at_socket(given, health)
    return _at_socket(given, lambda address: local.status(address, watch=given.watch, raw=given.json))


def _commission(given: argparse.Namespace) -> int:
    from station.commands import commission  # noqa: PLC0415 - see the module's first lines

    if given.verify is not None:
        return commission.verify(given.verify, given.certificate)
    if given.payload is not None:
        return commission.show_payload(given.payload)
    settings, config = tuple(given.set), Path(given.config)
    return commission.commission(commission.Given(config, given.base, given.answers, settings, given.yes, given.record))


def _messages(given: argparse.Namespace) -> int:
    from station.commands import messages  # noqa: PLC0415 - see the module's first lines

    view = messages.View(given.last, given.full, given.json, given.follow, given.save)
    return _at_socket(given, lambda address: messages.show(address, view))


def _sim(given: argparse.Namespace) -> int:
    from station.commands import local  # noqa: PLC0415 - see the module's first lines

    return _at_socket(given, lambda address: local.sim(address, given.name, given.arguments))


def _variables(given: argparse.Namespace) -> int:
    from station.commands import local  # noqa: PLC0415 - see the module's first lines

    return _at_socket(given, lambda address: local.variables(address, given.what, given.arguments))


def _security_log(given: argparse.Namespace) -> int:
    from station.commands import local  # noqa: PLC0415 - see the module's first lines

    return _at_socket(given, lambda address: local.security_log(address, verify=given.verify))


def _factory_reset(given: argparse.Namespace) -> int:
    from station.commands import errors, factory, local  # noqa: PLC0415 - see the module's first lines
    from station.config import ConfigError, load  # noqa: PLC0415 - the same

    try:
        config = load(Path(given.config or CONFIG))
    except ConfigError as error:
        return errors.tell_config(error)
    return factory.factory_reset(config, local.address_of(given.config, given.socket), sure=given.yes)


def _keys(given: argparse.Namespace) -> int:
    from station.commands.keys import keys  # noqa: PLC0415 - see the module's first lines

    return keys(Path(given.config), given.what, given.name, sure=given.yes)


def _bundle(given: argparse.Namespace) -> int:
    from station.commands import bundles  # noqa: PLC0415 - see the module's first lines
    from station.commands.installers.make import Made  # noqa: PLC0415 - the same

    if given.what == "show":
        return bundles.show_bundle(given.file)
    made = Made(min_previous=given.min_previous, python=given.python, machine=given.machine)
    return bundles.make_bundle(given.folder, given.file, made)


def _allow_firmware(given: argparse.Namespace) -> int:
    from station.commands import bundles  # noqa: PLC0415 - see the module's first lines

    return _at_socket(given, lambda address: bundles.allow_older(address, given.version))


def _hal(given: argparse.Namespace) -> int:
    if given.what == "list":
        from station.commands import hal  # noqa: PLC0415 - see the module's first lines

        return hal.show()
    if given.what == "test":
        from station.commands import hal_contract  # noqa: PLC0415 - the same

        return hal_contract.try_out(given)
    from station.commands import hal_lines  # noqa: PLC0415 - the same

    return {"scan": hal_lines.scan, "read": hal_lines.read, "record": hal_lines.record}[given.what](given)


def _at_socket(given: argparse.Namespace, do: Callable[[str], int]) -> int:
    from station.commands import errors, local  # noqa: PLC0415 - see the module's first lines
    from station.config.mistakes import ConfigError  # noqa: PLC0415 - the same

    try:
        address = local.address_of(given.config, given.socket)
    except ConfigError as error:
        return errors.tell_config(error)
    if not address:
        return errors.tell("the configuration has no control socket", "add `control_socket:`", errors.EX_CONFIG)
    return do(address)


_COMMANDS = {"run": _run, "check": _check, "demo": _demo, "status": _status, "sim": _sim, "hal": _hal} | {
    "variables": _variables,
    "messages": _messages,
    "commission": _commission,
    "security-log": _security_log,
    "factory-reset": _factory_reset,
    "keys": _keys,
    "drop-in": _drop_in,
    "bundle": _bundle,
    "allow-firmware": _allow_firmware,
}


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="ocpp-station", description="OCPP 2.0.1 charging-station agent.")
    parser.add_argument("--version", action="version", version=f"ocpp-station {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    agent = commands.add_parser(
        "run", help="the agent; what the service starts", epilog=RUN_EXITS, formatter_class=plain
    )
    check = commands.add_parser(
        "check", help="validate the configuration, then everything it names; exit 1 on error", formatter_class=plain
    )
    unit = commands.add_parser("drop-in", help="what the service may touch, by station.yaml: a drop-in of its unit")
    keys = commands.add_parser("keys", help="private keys of the station, in the store that station.yaml names")
    keys.add_argument(
        "what", choices=("list", "create", "csr", "delete"), help="csr: a request in PEM, for the authority"
    )
    keys.add_argument("name", nargs="?", metavar="NAME", help="such as station-1; a name is never used twice")
    keys.add_argument("--yes", action="store_true", help="delete: even what the station connects with")
    for parser_ in (agent, check, unit, keys):
        parser_.add_argument("--config", default=CONFIG, metavar="FILE", help=f"default: {CONFIG}")

    commission = commands.add_parser("commission", help="set a station up by answering questions (docs/commission.md)")
    _add_commission(commission)
    commission.add_argument("--config", default=CONFIG, metavar="FILE", help=f"default: {CONFIG}")

    demo = commands.add_parser("demo", help="a whole station on simulated hardware, shown live; needs nothing")
    demo.add_argument("--security-profile", type=int, choices=(1, 2, 3), default=3, metavar="N", help="1, 2 or 3 (3)")
    demo.add_argument("--once", action="store_true", help="end by itself; exit 0 only if the session was right")

    status = commands.add_parser("status", help="what the running agent is doing")
    status.add_argument("--watch", action="store_true", help="again every two seconds")
    status.add_argument("--health", action="store_true", help="one line; exit 0 well, 1 not quite, 69 no agent")
    status.add_argument("--json", action="store_true", help="as it comes from the socket")
    heard = commands.add_parser("messages", help="what the running agent and the CSMS said last, without secrets")
    _add_messages(heard)
    sim = commands.add_parser(
        "sim", help="drive simulated hardware of a running agent", epilog=_SIM_EPILOG, formatter_class=plain
    )
    variables = commands.add_parser(
        "variables", help="read and set the device model of a running agent", epilog=_NAMES, formatter_class=plain
    )
    variables.add_argument(
        "what", choices=("list", "get", "set"), help="list [PART], get NAME, set NAME VALUE; VALUE -: from stdin"
    )
    variables.add_argument("arguments", nargs="*", metavar="NAME")
    security = commands.add_parser("security-log", help="the security log of a running agent; exit 1 if it was changed")
    security.add_argument("--verify", action="store_true", help="only whether it is as it was written")
    factory = commands.add_parser("factory-reset", help="forget all that was set; transactions are kept and delivered")
    factory.add_argument("--yes", action="store_true", help="really")
    allow = commands.add_parser("allow-firmware", help="let the CSMS install an older version, once")
    allow.add_argument("version", metavar="VERSION", help="versions from this one on are taken, until one is installed")
    for parser_ in (status, heard, sim, variables, security, factory, allow):
        parser_.add_argument("--config", default=None, metavar="FILE", help=f"default: {CONFIG}")
        parser_.add_argument("--socket", default=None, metavar="ADDRESS", help="a path or 127.0.0.1:PORT instead")
    sim.add_argument("name", metavar="COMMAND", help="plug_in, unplug, swipe, ...")
    sim.add_argument("arguments", nargs="*", metavar="KEY=VALUE")

    hal = commands.add_parser(
        "hal", help="the hardware that the agent knows, and what is on its lines", epilog=_HAL, formatter_class=plain
    )
    _add_hal(hal)
    _add_bundle(commands.add_parser("bundle", help="the agent as one file, for updates (docs/update.md)"))
    return parser


def _add_commission(commission: argparse.ArgumentParser) -> None:
    commission.add_argument("--base", metavar="FILE", help="a station.yaml that describes the hardware; else --config")
    commission.add_argument("--answers", metavar="FILE", help="`KEY: VALUE` lines or a QR code's text; -: stdin")
    commission.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one answer")
    commission.add_argument("--yes", action="store_true", help="ask nothing")
    commission.add_argument("--record", metavar="FILE", help="where the record goes; else beside station.yaml")
    commission.add_argument("--payload", metavar="FILE", help="only shows a file of answers as the text of a QR code")
    commission.add_argument("--verify", metavar="FILE", help="only whether a record is as it was made")
    commission.add_argument("--certificate", metavar="FILE", help="--verify: and whether this station has signed it")


def _add_messages(heard: argparse.ArgumentParser) -> None:
    heard.add_argument("--last", type=_count, default=20, metavar="N", help="how many (20); 200 are kept at most")
    heard.add_argument("--full", action="store_true", help="all of each message")
    heard.add_argument("--json", action="store_true", help="one JSON object a line")
    heard.add_argument("--follow", action="store_true", help="and those that come, until Ctrl-C")
    heard.add_argument("--save", metavar="FILE", help="all that are kept into a file, as JSON lines, instead")


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} is less than 1")
    return count


def _add_bundle(bundle: argparse.ArgumentParser) -> None:
    whats = bundle.add_subparsers(dest="what", required=True, metavar="WHAT")
    made = whats.add_parser("make", help="pack a folder that `pip install --target` has made")
    made.add_argument("folder", metavar="FOLDER")
    made.add_argument("file", metavar="FILE")
    made.add_argument("--min-previous", default="0", metavar="VERSION", help="the oldest that it may follow on")
    made.add_argument("--python", default="", metavar="3.N", help="what compiled parts need; as here")
    made.add_argument("--machine", default="", metavar="NAME", help="the same, such as aarch64; as here")
    whats.add_parser("show", help="what a bundle says of itself").add_argument("file", metavar="FILE")


def _add_hal(hal: argparse.ArgumentParser) -> None:
    hal.add_argument("what", choices=("list", "scan", "read", "record", "test"))
    named = "of station.yaml: a bus (scan), a device (read, test), a meter (record)"
    hal.add_argument("name", nargs="?", metavar="NAME", help=named)
    hal.add_argument("--config", default=CONFIG, metavar="FILE", help=f"default: {CONFIG}")
    hal.add_argument("--port", metavar="DEVICE", help="a serial line instead of a bus of station.yaml")
    hal.add_argument("--host", metavar="HOST[:PORT]", help="Modbus TCP instead")
    hal.add_argument("--baud", type=int, metavar="N", help="of --port; else as the meter leaves its factory, or 9600")
    hal.add_argument("--parity", choices=("none", "even", "odd"), help="of --port")
    hal.add_argument("--template", metavar="NAME", help="the register map of a meter at --port or --host")
    hal.add_argument("--address", type=int, metavar="N", help="its address")
    hal.add_argument("--addresses", default="1-32", metavar="RANGE", help="scan: which; 1-32, 42 or 1-3,42")
    hal.add_argument("--timeout", type=float, metavar="SECONDS", help="scan: how long to wait for each (0.3)")
    hal.add_argument("--also", action="append", default=[], metavar="RANGE", help="record: such as holding:0x5000+32")
    hal.add_argument("--output", metavar="FILE", help="record: instead of stdout")
    hal.add_argument("--driver", metavar="KIND.NAME", help="read, record, test: a device that is in no file yet")
    option = "of --driver, as in station.yaml; bus.KEY: of its line, or bus=NAME of the file"
    hal.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help=option)
    hal.add_argument("--attended", action="store_true", help="test: a person plugs and pulls; a board energises")


_HAL = """\
list     the drivers there are, and the register maps they know
scan     who answers on a Modbus line, and by which register map; only reads
read     what a meter shows, in units; what a board or a sensor sees
record   a dump of a meter's registers, for a test or a bug report
test     what every driver promises, on the real device

examples:
  ocpp-station hal scan --port /dev/ttyUSB0 --baud 9600
  ocpp-station hal scan rs485 --addresses 1-247
  ocpp-station hal read --port /dev/ttyUSB0 --template eastron-sdm630 --address 2
  ocpp-station hal record left --also input:0x0100+64 --output sdm630.json
  ocpp-station hal test --driver board.evse-wb --port /dev/ttyUSB0 --option address=10
  ocpp-station hal read --driver board.openevse --option bus.kind=rapi --option bus.port=/dev/ttyUSB0
"""

_NAMES = """\
names: Component[instance]@evse.connector.Variable[instance]/Attribute, for example
  ocpp-station variables get Connector@1.1.AvailabilityState
  ocpp-station variables set OCPPCommCtrlr.OfflineThreshold 120
  ocpp-station variables set AirCoolingSystem@2.FanSpeed/MaxSet 2000
  ocpp-station variables list FanSpeed
"""

_SIM_EPILOG = """\
examples:
  ocpp-station sim plug_in evse=1 current_a=16
  ocpp-station sim swipe id_token=04AABBCC evses=[1]
  ocpp-station sim ev evse=1 state=pause
  ocpp-station sim fault evse=1 fault=GroundFault on=true
  ocpp-station sim network up=false
  ocpp-station sim unplug evse=1
"""
