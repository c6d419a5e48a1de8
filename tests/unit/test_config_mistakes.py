"""station.yaml: what nobody writes on purpose, and what contradicts itself. A line for each, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_config import GOOD, Folder

REAL = """\
station: {identity: CS001, vendor: Example, model: Wallbox}
csms: {url: ws://csms.example.com/ocpp, security_profile: 1, password_file: password}
buses:
  rs485: {kind: modbus-rtu, port: /dev/ttyS1}
  can: {kind: can, interface: slcan, channel: /dev/ttyS2, bitrate: 250000}
boards:
  board: {driver: can, bus: can, channels: [1, 2], max_a: 32}
meters:
  left: {driver: modbus, bus: rs485, template: eastron-sdm630}
  right: {driver: modbus, bus: rs485, template: eastron-sdm630, address: 2}
readers:
  front: {driver: pn532, port: /dev/ttyS3}
evses:
- {board: {name: board, channel: 1}, meter: left}
- {board: {name: board, channel: 2}, meter: right}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With a password."""
    return Folder(tmp_path)


def told(folder: Folder, text: str | bytes) -> str:
    """The lines that are told; each is one."""
    lines = folder.mistakes(text)
    assert all(line.isprintable() for line in lines)
    return "\n".join(lines)


@pytest.mark.parametrize("opener", ["[", "{a: ", "? ", "- "])
def test_a_file_that_is_nested_for_ever_is_refused(folder: Folder, opener: str) -> None:
    """The parser calls itself for each level: it would end the process, without a word."""
    deep = f"{GOOD}log_level:\n  {opener * 50_000}"

    assert "station.yaml:9: one thing in the other, too deep" in told(folder, deep)


def test_a_byte_that_yaml_does_not_allow_is_told_with_its_line(folder: Folder) -> None:
    """Not with a position that nobody can count."""
    assert "station.yaml:8: the character #x07 is not allowed - take it out" in told(folder, f"{GOOD}log_level: \x07\n")


@pytest.mark.parametrize(
    "change",
    [
        ("vendor: Example", 'vendor: "Exa\\nmple"'),
        ("vendor: Example", 'vendor: "Exa\\e[31mmple"'),
        ("identity: CS001", 'identity: "CS001\\n"'),
        ("password_file: password", 'password_file: "pass\\0word"'),
        ("state_directory: state", 'state_directory: "state\\0"'),
        ("state_directory: state", 'state_directory: "state\u200b"'),
        ("vendor: Example", '"ven\\ndor": Example'),
    ],
)
def test_what_cannot_be_seen_is_not_taken(folder: Folder, change: tuple[str, str]) -> None:
    """It would end in a header, a file name or a terminal."""
    assert ": a " in told(folder, GOOD.replace(*change))


@pytest.mark.parametrize("value", ["010", "1:30", "1:30:00.5", "0b11"])
def test_a_number_that_yaml_reads_as_another_one_is_refused(folder: Folder, value: str) -> None:
    """YAML 1.1 makes 8 of 010 and 90 of 1:30."""
    assert f"station.yaml:8: meter_period_s: '{value}' is no plain number" in told(
        folder, f"{GOOD}meter_period_s: {value}\n"
    )


@pytest.mark.parametrize(
    "more, expected",
    [
        ("buses:", "station.yaml:8: buses: expected key: value lines, not nothing"),
        ("buses: {b: }", "station.yaml:8: buses.b: expected key: value lines, not nothing"),
        ("meters: {m: modbus}", "station.yaml:8: meters.m: expected key: value lines, not a text"),
        (f"readers: {{{'r' * 51}: {{driver: sim}}}}", "expected a text of length <= 50"),
        ("evses: [{board: simulator, connectors: []}]", "evses[1].connectors: expected 1 to 32 entries, not 0"),
        ("meter_period_s: 60 s", "expected a number, not a text - write a plain number: no quotes, no unit"),
        ("queue_mb: 7", "station.yaml:8: queue_mb: expected a whole number >= 8"),
        ("queue_mb: 100001", "queue_mb: expected a whole number <= 100000"),
        ("queue_mb: 64 MB", "queue_mb: expected a whole number, not a text"),
        ("queue_mb: 64.5", "queue_mb: expected a whole number, not"),
        ("reboot_command: reboot", "expected a list, not a text - write a list: [reboot]"),
        ('reboot_command: [""]', "reboot_command[1]: expected a text of length >= 1"),
        ("control_socket: ''", "control_socket: expected a text of length >= 1"),
        ("control_socket: '127.0.0.1:²'", "is no address of this machine"),
        ("keys: {directory: 5}", "expected a text or nothing, not the number 5 - put it in quotes"),
        (
            "sensors: {s: {driver: sim, component: C, variable: V, period_s: 0}}",
            "sensors.s.period_s: expected a number > 0",
        ),
        ("readers: {r: {driver: pn532, evses: '1'}}", "readers.r.evses: expected a list"),
        ("readers: {r: {driver: pn532}}", "station.yaml:8: readers.r: 'port' is missing"),
        ("readers: {r: {driver: pn532, prot: x, port: y}}", "readers.r.prot: unknown here (there are: "),
        ("buses: {c: {kind: can, interface: slcan, channel: x}}", "buses.c.bitrate: slcan needs one of"),
    ],
)
def test_what_has_the_wrong_form_is_told_in_plain_words(folder: Folder, more: str, expected: str) -> None:
    """And with the line, also inside the options of a driver."""
    assert expected in told(folder, f"{GOOD}{more}\n")


def test_an_empty_section_is_told_what_belongs_there(folder: Folder) -> None:
    """`csms:` and nothing below it."""
    text = GOOD.replace('station: {identity: CS001, vendor: Example, model: Wallbox, serial: "0042"}', "station:")

    assert "station.yaml:1: station: expected `key: value` lines, not nothing - with the keys identity," in told(
        folder, text
    )


def test_one_mistake_is_told_once(folder: Folder) -> None:
    """What the reader refused is not refused again for being absent."""
    assert (
        told(folder, f"{GOOD}log_level: !loud x\n") == "station.yaml:8: log_level: the tag '!loud' - leave the tag out"
    )


def test_a_broken_register_map_is_told_with_its_file(folder: Folder) -> None:
    """The mistake is there, not in station.yaml."""
    (folder.path / "map.yaml").write_text(
        "name: x\nvendor: x\nmodel: x\nsource: x\nbus: {kind: modbus-rtu, baud: fast}\n"
    )
    text = REAL.replace("template: eastron-sdm630}", f"template: {folder.path}/map.yaml}}")

    assert f"station.yaml:9: meters.left.template: {folder.path}/map.yaml: bus.baud: expected" in told(folder, text)


@pytest.mark.parametrize(
    "url",
    ["ws://cs ms/ocpp", "ws://csms/oc\tpp", "ws://csms/\u00fc", "ws://b\u00fccher.example/", "ws://csms/\\r\\nX: 1"],
)
def test_an_address_that_is_no_plain_ascii_is_refused(folder: Folder, url: str) -> None:
    """It goes into the request line and the header Host as it is."""
    assert "csms.url: " in told(folder, GOOD.replace("ws://csms.example.com/ocpp", f'"{url}"'))


def test_a_user_name_with_a_colon_is_refused(folder: Folder) -> None:
    """Basic authentication would take the rest for the password."""
    text = GOOD.replace("security_profile: 1", "security_profile: 1\n  user_name: 'me:you'")

    assert "csms.user_name: expected a text matching regex" in told(folder, text)


# --- what contradicts itself


def test_real_hardware_is_accepted(folder: Folder) -> None:
    """What the next table changes."""
    assert len(folder.load(REAL).wiring.evses) == 2


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("meter: right", "meter: left", "evses[2].meter: the meter 'left' belongs to EVSE 1 already"),
        ("channel: 2", "channel: 1", "evses[2].board: channel 1 of 'board' belongs to EVSE 1 already"),
        ("address: 2", "address: 1", "meters.right.address: address 1 on 'rs485' belongs to 'left' already"),
        ("port: /dev/ttyS3", "port: /dev/ttyS1", "readers.front.port: /dev/ttyS1 belongs to 'rs485' already"),
        ("channel: /dev/ttyS2", "channel: /dev/ttyS1", "buses.can.channel: /dev/ttyS1 belongs to 'rs485' already"),
        ("evses:\n", "main_meter: left\nevses:\n", "main_meter: 'left' is the meter of EVSE 1, and does not see"),
        ("meter: right", "meter: right, phases: 1, connectors: [{phases: 3}]", "3 phases are more than the EVSE's 1"),
        ("meter: right", "meter: right, phase_rotation: RSR", "evses[2].phase_rotation: 'RSR' has a phase twice"),
    ],
)
def test_what_only_one_can_have_is_given_once(folder: Folder, old: str, new: str, expected: str) -> None:
    """Two EVSEs at one meter would both bill its energy."""
    assert expected in told(folder, REAL.replace(old, new))


def test_the_meter_of_the_only_evse_may_be_the_main_meter(folder: Folder) -> None:
    """It sees all there is."""
    text = REAL.replace("- {board: {name: board, channel: 2}, meter: right}\n", "main_meter: left\n")

    assert folder.load(text).wiring.main_meter == "left"


def test_a_simulator_offers_no_less_than_its_least(folder: Folder) -> None:
    """Its vehicles would never charge."""
    text = GOOD.replace("evses: 2", "evses: 2, max_current_a: 10, min_current_a: 16")

    assert "simulator.min_current_a: 16 A are more than max_current_a: 10 A" in told(folder, text)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("component: SecurityCtrlr, variable: SecurityProfile", "is said by csms.security_profile - take it out here"),
        ("component: securityctrlr, variable: identity", "is said by station.identity - take it out here"),
        ("component: TxCtrlr, variable: EVConnectionTimeOut", "is given twice, first by entry 1 - keep one of them"),
    ],
)
def test_a_variable_has_one_value(folder: Folder, name: str, expected: str) -> None:
    """Of two, nobody could tell which holds."""
    entries = ["{component: TxCtrlr, variable: EVConnectionTimeOut, value: 30}", f"{{{name}, value: 3}}"]

    assert expected in told(folder, GOOD + "variables:\n" + "".join(f"- {each}\n" for each in entries))


@pytest.mark.req("A00.FR.004")
def test_without_a_security_profile_nothing_is_connected(folder: Folder) -> None:
    """There is none by default: whoever sets up a station says how it is secured, before it talks to anybody."""
    assert "security_profile" in told(folder, GOOD.replace("  security_profile: 1\n", ""))


def test_a_file_of_known_hosts_that_is_not_there_is_told(folder: Folder) -> None:
    """Else no log would ever arrive by SFTP, and nobody would know why before it is needed."""
    text = told(folder, f"{GOOD}transfers: {{known_hosts: hosts, rate_limit_kbit_s: 1}}\n")

    assert "rate_limit_kbit_s" in text
    text = told(folder, f"{GOOD}transfers: {{known_hosts: hosts}}\n")
    assert "hosts: No such file or directory" in text


@pytest.mark.parametrize(
    "given, line",
    [
        (
            "{}",
            "station.yaml:8: firmware: no installer is named - one of command, bundle, rauc, swupdate; docs/update.md",
        ),
        ("{command: [x], bundle: {}}", "station.yaml:8: firmware: command and bundle are two installers"),
        ("{bundle: {}, patience_s: 60}", "healthy_within_s: 900 s are more than patience_s: 60 s"),
        ("{bundle: {}, oldest: new}", "oldest: 'new' is no version - such as \"1.4.2\", in quotes"),
    ],
)
def test_firmware_has_one_installer_whose_times_agree(folder: Folder, given: str, line: str) -> None:
    assert line in told(folder, f"{GOOD}firmware: {given}\n")
