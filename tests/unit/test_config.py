"""station.yaml: each mistake is told with its line, its place, what was expected, and what to do."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from station.config import Config, ConfigError, cache, checks, load

GOOD = """\
station: {identity: CS001, vendor: Example, model: Wallbox, serial: "0042"}
csms:
  url: ws://csms.example.com/ocpp
  security_profile: 1
  password_file: password
state_directory: state
simulator: {evses: 2}
"""
LINES_OF_GOOD = GOOD.count("\n")
SECRET = "a secret of sixteen"


class Folder:
    """A folder with a station.yaml and what it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "station.yaml"
        self.secret("password", SECRET)

    def secret(self, name: str, text: str, mode: int = 0o600) -> Path:
        """A file with a secret."""
        file = self.path / name
        file.write_text(text, "utf-8")
        file.chmod(mode)
        return file

    def load(self, text: str | bytes = GOOD) -> Config:
        """Read this text as station.yaml."""
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(self.file)

    def mistakes(self, text: str | bytes) -> list[str]:
        """What is wrong with this text; it must be something."""
        with pytest.raises(ConfigError) as raised:
            self.load(text)
        return list(raised.value.mistakes)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With a password."""
    return Folder(tmp_path)


def test_a_simulator_is_a_whole_station(folder: Folder) -> None:
    """Boards, meters, readers and EVSEs follow from one line."""
    config = folder.load()

    assert [evse.meter for evse in config.wiring.evses] == ["meter-1", "meter-2"]
    assert config.layout.evses[0].max_power_w == 22_080
    assert "Power.Active.Import" in config.layout.evses[0].measurands
    assert config.setup("PowerUp").layout.identity == "CS001"


def test_the_share_of_the_disk_is_what_the_file_says(folder: Folder) -> None:
    """64 MB if it says nothing."""
    default, given = folder.load(), folder.load(f"{GOOD}queue_mb: 8\n")

    assert default.setup("PowerUp").queue_bytes == 64_000_000
    assert given.setup("PowerUp").queue_bytes == 8_000_000


def test_what_meters_sign_follows_from_their_drivers(folder: Folder) -> None:
    """Also from the copy that spares the next start the parser."""
    config = folder.load(GOOD.replace("{evses: 2}", "{evses: 2, signed_meters: true}"))
    config.state.mkdir()
    config.remember()
    again = load(folder.file)

    assert again.remembered
    assert [evse.signs for evse in config.layout.evses] == [evse.signs for evse in again.layout.evses] == [True, True]
    assert [evse.signs for evse in folder.load().layout.evses] == [False, False]


def test_paths_begin_at_the_files_folder(folder: Folder) -> None:
    """So that a station can be carried about as a folder."""
    config = folder.load()

    assert config.state == folder.path / "state"


# --- mistakes, each with its line

REAL = """\
buses:
  rs485: {kind: modbus-rtu, port: /dev/ttyS1}
boards:
  left: {driver: sim, world: w}
meters:
  main: {driver: modbus, bus: rs485, template: eastron-sdm630, address: 1}
"""


@pytest.mark.parametrize(
    "more, expected",
    [
        ("log_levl: info", "station.yaml:8: log_levl: unknown here - did you mean 'log_level'?"),
        ("log_level: loud", "station.yaml:8: log_level: invalid enum value 'loud' - there are: debug, error"),
        ("log_level: warn", "station.yaml:8: log_level: invalid enum value 'warn' - did you mean 'warning'?"),
        ("evses:\n- {board: simulator, phases: 4}", "station.yaml:9: evses[1].phases: expected a whole number <= 3"),
        ("evses:\n- {phases: 3}", "station.yaml:9: evses[1]: 'board' is missing - add `board: ...`"),
        ("evses:\n- {board: simulatr}", "no board is called 'simulatr' - did you mean 'simulator'?"),
        ("evses:\n- {board: simulator, meter: metre}", "no meter is called 'metre'"),
        (
            "evses:\n- {board: simulator}\n- {board: simulator}",
            "station.yaml:10: evses[2].board: channel 1 of 'simulator' belongs to EVSE 1 already",
        ),
        ("evses:\n- {board: {name: simulator, channel: 3}}", "'simulator' has no channel 3 - there are: 1, 2"),
        ("evses:\n- board: simulator\n  connectors: [{type: sTyp2}]", "did you mean 'sType2'?"),
        (
            "evses:\n- board: simulator\n  max_current_a: 16\n  connectors: [{max_current_a: 32}]",
            "evses[1].connectors[1].max_current_a: 32 A is more than the EVSE's 16 A",
        ),
        ("meters: {m: {bus: x}}", "'driver' is missing - add `driver:` and one of: bsm-ws36a, em580, modbus"),
        ("meters: {m: {driver: modbuss}}", "no meter driver has this name (there are: bsm-ws36a, em580, modbus"),
        (
            "meters: {m: {driver: modbus, bus: nowhere, template: eastron-sdm630}}",
            "meters.m.bus: no ModbusBus is called",
        ),
        ("buses: {b: {kind: modbus_rtu}}", "no kind is called 'modbus_rtu' - did you mean 'modbus-rtu'?"),
        (
            "buses: {b: {kind: modbus-rtu, port: /dev/ttyS1, baud: fast}}",
            "buses.b.baud: expected a whole number - write a plain number",
        ),
        ("readers: {simulator: {driver: sim, world: simulator}}", "is also the name of one of the boards"),
        ("readers: {r: {driver: sim, world: simulator, evses: [3]}}", "readers.r.evses: no EVSE 3 - there are 2"),
        ("main_meter: grid", "main_meter: no meter is called 'grid'"),
        ("control_socket: 0.0.0.0:80", "'0.0.0.0:80' is no address of this machine"),
        ("metrics: 0.0.0.0:9464", "'0.0.0.0:9464' is no port of this machine"),
        ("metrics: /run/metrics", "'/run/metrics' is no port of this machine"),
        ("metrics: 127.0.0.1:99999", "'127.0.0.1:99999' is no port of this machine"),
        (
            "variables:\n- {component: Nope, variable: X, value: 1}",
            "station.yaml:9: variables[1]: Nope.X: UnknownComponent",
        ),
        (
            "variables:\n- {component: SampledDataCtrlr, variable: TxUpdatedInterval, value: often}",
            "SampledDataCtrlr.TxUpdatedInterval: ",
        ),
        (
            "variables:\n- {component: SecurityCtrlr, variable: BasicAuthPassword, value: sixteen characters}",
            "SecurityCtrlr.BasicAuthPassword is a secret - take it out of this file",
        ),
        ("log_level: info\nlog_level: debug", "station.yaml:9: log_level: written twice, first in line 8"),
        ("state_directory: state", "written twice, first in line 6"),
        ("evses:\n\t- board: x", "station.yaml:9: a tab in front of the text - YAML is indented by spaces"),
        ("log_level: [info", "not YAML"),
        ("log_level: !!python/object:os.system x", "the tag"),
        ("variables: 5", "variables: expected a list, not the number 5"),
        ("keys: {store: cloud}", "keys.store: invalid enum value 'cloud'"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_remedy(folder: Folder, more: str, expected: str) -> None:
    """One table for all kinds of mistakes."""
    told = folder.mistakes(f"{GOOD}{more}\n")

    assert any(expected in line for line in told), told


@pytest.mark.parametrize(
    "change, expected",
    [
        (
            ("CS001", "1234"),
            "station.yaml:1: station.identity: expected a text, not the number 1234 - put it in quotes",
        ),
        (("CS001", "CS:1"), "station.identity: expected a text matching regex"),
        (("vendor: Example, ", ""), "station.yaml:1: station: 'vendor' is missing"),
        (("ws://", "wss://"), "station.yaml:3: csms.url: security profile 1 needs a URL like ws://host/path"),
        (("ws://csms", "ws://me:pw@csms"), "the CSMS URL must hold neither user name, password"),
        (("security_profile: 1", "security_profile: 4"), "station.yaml:4: csms.security_profile: invalid enum value 4"),
        (("  password_file: password\n", ""), "security profile 1 needs 'password_file'"),
        (("password_file: password", "password: sixteen-characters"), "csms.password: unknown here"),
        (("password_file: password", "password_file: gone"), "No such file or directory"),
        (("simulator: {evses: 2}\n", ""), "no EVSE - add `evses:`, or `simulator: {evses: 1}`"),
        (("security_profile: 1", 'security_profile: 1\n  versions: ["1.6"]'), "OCPP '1.6' is not built in"),
        (("security_profile: 1", "security_profile: 1\n  versions: [2.1]"), "expected a text, not the number 2.1"),
    ],
)
def test_what_is_wrong_with_station_and_csms(folder: Folder, change: tuple[str, str], expected: str) -> None:
    """The parts that every file has."""
    told = folder.mistakes(GOOD.replace(*change))

    assert any(expected in line for line in told), told


def test_a_socket_whose_path_the_kernel_cannot_take_is_refused(folder: Folder) -> None:
    """107 bytes, counted with the folder that a relative path begins at."""
    told = folder.mistakes(f"{GOOD}control_socket: {'x' * 100}/c.sock\n")

    assert "is longer than 107 bytes - a shorter path" in told[0]


def test_profile_2_and_3_need_their_certificates(folder: Folder) -> None:
    """And say which."""
    secure = GOOD.replace("ws://", "wss://")

    second = folder.mistakes(secure.replace("security_profile: 1", "security_profile: 2"))
    third = folder.mistakes(secure.replace("security_profile: 1", "security_profile: 3"))

    assert ["'ca_file'" in line for line in second] == [True]
    assert [name for name in ("ca_file", "certificate", "key_file") if any(f"'{name}'" in line for line in third)] == [
        "ca_file",
        "certificate",
        "key_file",
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(folder: Folder) -> None:
    """Five mistakes are corrected once, not five times."""
    told = folder.mistakes(
        GOOD.replace("CS001", "7").replace("model:", "modell:").replace("evses: 2", "evses: 99")
        + "log_levl: info\nmain_meter: grid\n"
    )

    lines = [int(line.split(":")[1]) for line in told]
    assert lines == sorted(lines)
    assert {1, 7, 8} <= set(lines)


def test_keys_are_of_use_only_where_something_reads_them_and_shows_what_to_type(folder: Folder) -> None:
    """A simulated station has both; one without a display is told."""
    file = folder.load(f"{GOOD}keypad: true\n").file
    assert folder.load(f"{GOOD}keypad: true\n").setup("PowerUp").keypad

    told = [each.path for each in checks.evses(msgspec.structs.replace(file, displays={}))]

    assert told == [("keypad",)]


def test_references_are_checked_although_something_else_is_misspelt(folder: Folder) -> None:
    """An unknown key does not hide a missing device."""
    told = folder.mistakes(f"{GOOD}log_levl: info\nmain_meter: grid\n")

    assert [("log_levl" in line, "main_meter" in line) for line in told] == [(True, False), (False, True)]


# --- hostile files


def test_a_file_of_aliases_does_not_grow(folder: Folder) -> None:
    """A billion laughs are told in one line, and soon."""
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))

    told = folder.mistakes(f"l0: &l0 [a, b]\n{levels}\n")

    assert sum("too large or too deep" in line for line in told) == 1


@pytest.mark.parametrize(
    "raw, expected",
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"- a\n- b\n", "expected `key: value` lines"),
        (b"station: {identity: \xff}\n", "station.yaml:1: not UTF-8"),
        (b"a: &a [*a]\n", "too large or too deep"),
        (b"x: " + b"y" * 300_000, "too large, at most 262144 bytes are read"),
        (b"[" * 500, ""),
    ],
)
def test_what_is_no_configuration_at_all_is_refused(folder: Folder, raw: bytes, expected: str) -> None:
    """Whatever somebody points --config at."""
    assert expected in folder.mistakes(raw)[0]


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/", "/proc/self/mem"])
def test_what_is_no_file_is_not_read(path: str) -> None:
    """A device may have no end."""
    with pytest.raises(ConfigError, match=f"{path}: .* - give the path of station.yaml by --config"):
        load(Path(path))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(ConfigError, match="--config"):
        load(tmp_path / "nowhere.yaml")


# --- secrets


@pytest.mark.parametrize("mode, refused", [(0o600, False), (0o640, False), (0o644, True), (0o606, True)])
def test_a_secret_that_everybody_can_read_is_refused(folder: Folder, mode: int, refused: bool) -> None:  # noqa: FBT001 - a column of the table
    """It is none any more."""
    folder.secret("password", SECRET, mode)

    if refused:
        assert "is open to everybody - chmod 600" in folder.mistakes(GOOD)[0]
    else:
        folder.load()


@pytest.mark.req("A00.FR.205")
@pytest.mark.parametrize("password", ["short", "x" * 65, "two lines of\npassword text", "grün ist keine gute Farbe"])
def test_a_password_that_no_csms_would_take_is_refused_without_showing_it(folder: Folder, password: str) -> None:
    """Between 16 and 64 printable characters."""
    folder.secret("password", password)

    told = folder.mistakes(GOOD)

    assert "csms.password_file" in told[0]
    assert password not in "".join(told)


def test_the_password_reaches_the_device_model_and_nothing_else(folder: Folder) -> None:
    """Not the copy on disk, not a repr."""
    config = folder.load()
    config.state.mkdir()
    config.remember()

    assert SECRET in {one.value for one in config.setup("PowerUp").initial}
    assert SECRET not in (config.state / cache.NAME).read_text("utf-8")
    assert SECRET not in repr(config)


# --- the copy


def test_an_unchanged_file_is_not_parsed_again(folder: Folder) -> None:
    """The parser costs 15 ms of every start; a process shows that it is not even imported."""
    config = folder.load()
    config.state.mkdir()
    config.remember()

    code = f"""
        import sys
        from pathlib import Path
        from station.config import load
        config = load(Path({str(folder.file)!r}))
        assert config.remembered and config.layout.identity == "CS001"
        assert "yaml" not in sys.modules
    """
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 0, done.stderr


def test_a_changed_file_is_parsed_again(folder: Folder) -> None:
    """The copy belongs to one text."""
    config = folder.load()
    config.state.mkdir()
    config.remember()

    changed = folder.load(GOOD.replace("CS001", "CS002"))

    assert not changed.remembered
    assert changed.layout.identity == "CS002"


def test_a_damaged_copy_is_no_trouble(folder: Folder) -> None:
    """The file itself is there."""
    config = folder.load()
    config.state.mkdir()
    config.remember()
    (config.state / cache.NAME).write_text('{"sha256": 5}', "utf-8")

    assert not folder.load().remembered


def test_a_secret_that_was_opened_to_everybody_later_is_noticed(folder: Folder) -> None:
    """The copy spares the parser, not the look at the files."""
    config = folder.load()
    config.state.mkdir()
    config.remember()

    (folder.path / "password").chmod(0o644)

    assert "is open to everybody" in folder.mistakes(GOOD)[0]
