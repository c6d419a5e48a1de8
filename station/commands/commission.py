"""`ocpp-station commission`: asks what an installer knows, writes station.yaml and its password, checks, and records.

Every answer may also come by `--set KEY=VALUE` or from a file of `KEY: VALUE` lines (`-`: stdin, such as the text of a
QR code), so that it runs with nobody there. It needs a line to read from and one to write to, no more of a terminal.
Nothing is written before the last question; an end before that, by Ctrl-C too, changes nothing.
"""

from __future__ import annotations

import getpass
import os
import pwd
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from station.commands import errors
from station.commands.check import findings, row
from station.commands.commissioning import record, writing
from station.commands.commissioning.questions import KEYS, QUESTIONS, BadAnswer, Question, judged
from station.commands.findings import Grade
from station.commands.readable import USER
from station.config import ConfigError, load, source
from station.store import files

EX_USAGE = 2
RECORD = "commissioning.txt"
_INSTEAD = {"key": "key_file", "system_roots": "ca_file"}
"""Keys of `csms` that answer a question already."""

_PASSWORD = "password"  # noqa: S105 - the name of its file


class Given(NamedTuple):
    """What the command line says."""

    config: Path
    base: str | None = None
    answers: str | None = None
    settings: tuple[str, ...] = ()
    yes: bool = False
    record: str | None = None


class _Stopped(Exception):  # noqa: N818 - reads as what it says
    """It cannot go on; nothing was changed. The arguments are reason and remedy."""


def verify(path: str) -> int:
    """Whether a record is as it was made; 1 if not."""
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError as error:
        return errors.tell(f"{path}: {error.strerror}", "", EX_USAGE)
    if not record.whole(text):
        return errors.tell(f"{path} is not as it was made", "", 1)
    sys.stdout.write(f"unchanged, {record.seal_of(text)}: compare it with what was noted\n")
    return 0


def commission(given: Given) -> int:
    """Ask, write, check, record. 1 if the check finds an error, 2 if an answer is missing, 78 if the file is wrong."""
    try:
        base = _base(given)
        answers = _Dialogue(given, base).held()
        _write(given.config, base, answers)
    except (KeyboardInterrupt, EOFError):
        sys.stdout.write("\n")
        return errors.tell("stopped: nothing was changed", "", EX_USAGE)
    except _Stopped as stopped:
        return errors.tell(stopped.args[0], stopped.args[1], EX_USAGE)
    except ConfigError as error:
        return errors.tell_config(error)
    except OSError as error:
        return errors.tell(f"{error.filename}: {error.strerror}", "nothing was changed", errors.EX_BUSY)
    return _checked(given)


def _base(given: Given) -> str:
    path = Path(given.base) if given.base is not None else given.config
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise _Stopped(f"{path}: {reason}", "name a file that describes the hardware by --base") from error


class _Dialogue:
    """The questions, one after the other, with what is known already."""

    def __init__(self, given: Given, base: str) -> None:
        self._given = given
        self._folder = given.config.absolute().parent
        self._told = {**_file(given.answers), **_settings(given.settings)}
        data = source.parse(base.encode()).data
        sections = data if isinstance(data, dict) else {}
        self._known: dict[str, Any] = {}
        for question in QUESTIONS:
            section = sections.get(question.section)
            if isinstance(section, dict) and question.key in section:
                self._known[question.key] = section[question.key]
        csms = sections.get("csms")
        self._settled = {each for key, each in _INSTEAD.items() if isinstance(csms, dict) and csms.get(key)}
        self._own = given.base is None  # else they are an example's, and nobody's answer

    def held(self) -> dict[str, Any]:
        """All answers. Raises _Stopped, and EOFError where nobody answers."""
        answers: dict[str, Any] = {}
        for question in QUESTIONS:
            if question.needed(answers) and question.key not in self._settled:
                answers[question.key] = self._answer(question, answers)
        if not self._given.yes:
            self._confirm(answers)
        return answers

    def _answer(self, question: Question, before: Mapping[str, Any]) -> Any:
        if question.key in self._told:
            return self._sound(question, self._told[question.key], before)
        if self._given.yes:
            return self._unattended(question, before)
        while True:
            try:
                return judged(question.key, self._asked(question), before, self._folder)
            except BadAnswer as wrong:
                sys.stdout.write(f"  {wrong}\n")

    def _sound(self, question: Question, answer: Any, before: Mapping[str, Any]) -> Any:
        """An answer that nobody can be asked for again."""
        try:
            return judged(question.key, answer, before, self._folder)
        except BadAnswer as wrong:
            raise _Stopped(f"{question.key}: {wrong}", "correct this answer") from wrong

    def _unattended(self, question: Question, before: Mapping[str, Any]) -> Any:
        known = self._known.get(question.key, "" if question.optional else None) if self._own else None
        if known is None and not question.optional:
            raise _Stopped(f"{question.key} is missing", f"--set {question.key}=..., or a line of --answers")
        return self._sound(question, known or "", before)

    def _asked(self, question: Question) -> Any:
        known = self._known.get(question.key)
        if question.secret and sys.stdin.isatty():
            return getpass.getpass(f"{question.text}: ")
        sys.stdout.write(f"{question.text}{f' [{known}]' if known not in (None, '') else ''}: ")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.strip() or (known if known is not None else "")

    def _confirm(self, answers: Mapping[str, Any]) -> None:
        for key, value in answers.items():
            sys.stdout.write(f"  {key:<18}{'***' if KEYS[key].secret else value}\n")
        path = self._given.config
        note = f" It is there already and will be kept as {path.name}.before." if path.exists() else ""
        sys.stdout.write(f"Write {path}?{note} [y/N]: ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise _Stopped("nothing was changed", "")


def _file(name: str | None) -> dict[str, Any]:
    """Answers from a file, or from stdin."""
    if name is None:
        return {}
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise _Stopped(f"{name}: {error.strerror}", "name a file of `KEY: VALUE` lines") from error
    parsed = source.parse(raw)
    if parsed.mistakes:
        first = parsed.mistakes[0]
        raise _Stopped(f"{name}:{first.line}: {first.reason}", first.remedy)
    return _known_ones(parsed.data)


def _settings(given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            raise _Stopped(f"{each!r} is no setting", "write KEY=VALUE")
        if key in KEYS and KEYS[key].secret:
            raise _Stopped(f"{key}: not on a command line, which others on this machine see", "use --answers")
        found[key] = value
    return _known_ones(found)


def _known_ones(found: dict[str, Any]) -> dict[str, Any]:
    for key in found:
        if key not in KEYS:
            raise _Stopped(f"nobody asks for {key!r}", f"there are: {', '.join(KEYS)}")
    return found


def _write(path: Path, base: str, answers: Mapping[str, Any]) -> None:
    sections: dict[str, dict[str, Any]] = {name: {} for name in writing.SECTIONS}
    for key, value in answers.items():
        if not KEYS[key].secret:
            sections[KEYS[key].section][key] = value
    secret = None
    for question in QUESTIONS:
        if not question.needed(answers):  # of another security profile
            sections[question.section]["password_file" if question.secret else question.key] = None
    if "password" in answers:
        sections["csms"]["password_file"] = _PASSWORD
        secret = (path.absolute().with_name(_PASSWORD), answers["password"])
    writing.write(path, writing.edited(base, sections), secret, _owner())


def _owner() -> tuple[int, int] | None:
    """The service's user, where root writes for it."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid


def _checked(given: Given) -> int:
    found = []
    for each in findings(given.config):
        found.append(each)
        sys.stdout.write(row(each, colours=sys.stdout.isatty()) + "\n")
        sys.stdout.flush()
    path = Path(given.record) if given.record is not None else given.config.absolute().with_name(RECORD)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    text = record.made(load(given.config, cached=False), given.config, found, at)
    try:
        files.replace(path, text.encode(), writing.MODE)
    except OSError as error:
        return errors.tell(f"{path}: {error.strerror}", "the station is set up; name another --record", 1)
    sys.stdout.write(f"record: {path}\nnote its seal elsewhere: {record.seal_of(text)}\n")
    sys.stdout.write("an agent that runs already takes it over when it is started anew\n")
    return 1 if any(each.grade is Grade.ERROR for each in found) else 0
