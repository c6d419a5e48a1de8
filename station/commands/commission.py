"""`ocpp-station commission`: asks what an installer knows, writes station.yaml and its secrets, checks, and records.

Every answer may also come by `--set KEY=VALUE`, from a file of `KEY: VALUE` lines, or from the text of a QR code, so
that it runs with nobody there. It needs a line to read from and one to write to, no more of a terminal. Nothing is
written before the last question; an end before that, by Ctrl-C too, changes nothing.

A key of the station's own is made then, and its request written out. While its certificate is away the answers are kept
as a draft beside station.yaml, which is as it was; the same command goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from certs.errors import BadCertificate, CertsError
from station.commands import dropin, errors
from station.commands.check import findings, row
from station.commands.commissioning import closed, keymaking, lines, naming, record, tried, writing
from station.commands.commissioning.dialogue import KEPT, Dialogue, Known, Stopped, agreed, shown
from station.commands.commissioning.given import BadSource, payload, told
from station.commands.commissioning.judging import Folders, Judge
from station.commands.commissioning.lines import Lines
from station.commands.commissioning.questions import KEYS, QUESTIONS, Answers
from station.commands.commissioning.steps import Steps, fitting, steps
from station.commands.commissioning.writing import Piece
from station.commands.findings import Grade
from station.commands.readable import account
from station.config import Config, ConfigError, load, source
from station.store import files

EX_USAGE = 2
EX_WAITING = 3
"""The certificate is away; everything else is there."""

RECORD = "commissioning.txt"
_SECRETS = frozenset({"key_file"})


class Given(NamedTuple):
    """What the command line says."""

    config: Path
    base: str | None = None
    answers: str | None = None
    settings: tuple[str, ...] = ()
    yes: bool = False
    record: str | None = None


class _Base(NamedTuple):
    """The file that the answers go into. `own`: it is the station's, or the draft of it."""

    text: str
    sections: Mapping[str, Any]
    own: bool


def verify(path: str, certificate: str | None) -> int:
    """Whether a record is as it was made, and by the station of this certificate; 1 if not."""
    try:
        text = Path(path).read_text("utf-8", "replace")
        if not record.whole(text):
            return errors.tell(f"{path} is not as it was made", "", 1)
        signer = record.signer(text, Path(certificate) if certificate is not None else None)
    except OSError as error:
        return errors.tell(f"{error.filename}: {error.strerror}", "", EX_USAGE)
    except BadCertificate as error:
        return errors.tell(f"{path}: {error}", "", 1)
    sys.stdout.write(f"unchanged, {record.seal_of(text)}: compare it with what was noted\n")
    sys.stdout.write(f"signed by {signer}\n" if signer else "signed by nobody\n")
    return 0


def show_payload(name: str) -> int:
    """A file of answers as the text of a QR code, its password too."""
    try:
        sys.stdout.write(payload(told(name, (), "").answers) + "\n")
    except BadSource as bad:
        return errors.tell(bad.args[0], bad.args[1], EX_USAGE)
    return 0


def commission(given: Given) -> int:
    """Ask, write, check, record. 1 if the check finds an error, 2 if an answer is missing, 78 if the file is wrong."""
    kept: list[str] = []
    try:
        installation = _Installation(given, _base(given), kept)
        waiting = installation.done()
    except (KeyboardInterrupt, EOFError):
        sys.stdout.write("\n")
        return errors.tell(f"stopped: nothing was changed{''.join(kept)}", "", EX_USAGE)
    except (Stopped, BadSource) as stopped:
        return errors.tell(f"{stopped.args[0]}{''.join(kept)}", stopped.args[1], EX_USAGE)
    except ConfigError as error:
        if kept:
            errors.tell(f"nothing was changed{''.join(kept)}", "", errors.EX_CONFIG)
        return errors.tell_config(error)
    except CertsError as error:
        return errors.tell(f"{error}", f"see docs/keys.md; nothing was changed{''.join(kept)}", errors.EX_BUSY)
    except OSError as error:
        place = error.filename or given.config.absolute().parent  # a full disk names no file
        return errors.tell(f"{place}: {error.strerror}", f"nothing was changed{''.join(kept)}", errors.EX_BUSY)
    if waiting:
        return EX_WAITING
    try:
        return _installed(given, installation)
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        return errors.tell("stopped: the station is set up, and was not recorded", "the same command once more", 1)


def _base(given: Given) -> _Base:
    if (open_to := closed.stranger(given.config)) is not None:
        raise Stopped(
            f"{open_to} is not root's alone: others could put files in place of the station's",
            f"chown root {open_to} && chmod go-w {open_to}",
        )
    with contextlib.suppress(OSError):  # where nothing can be removed, nothing can be written, and that is told later
        naming.sweep(given.config.absolute())
    draft = naming.draft_of(given.config)
    if draft.exists():
        sys.stdout.write(f"goes on from {draft}; remove it, to begin anew\n")
        path = draft
    else:
        path = Path(given.base) if given.base is not None else given.config
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise Stopped(f"{path}: {reason}", "name a file that describes the hardware by --base") from error
    parsed = source.parse(text.encode())
    if parsed.mistakes:
        raise ConfigError([f"{path}:{each.line}: {each.reason} - {each.remedy}" for each in parsed.mistakes])
    return _Base(text, parsed.data if isinstance(parsed.data, dict) else {}, own=given.base is None or path == draft)


class _Installation:
    """From the answers to the files."""

    def __init__(self, given: Given, base: _Base, kept: list[str]) -> None:
        self._given = given
        self._kept = kept  # what stays, whatever happens
        self._base = base
        self._folder = given.config.absolute().parent
        self._names = naming.Names(given.config.absolute())
        self._place = keymaking.Place(self._folder, base.sections, _owner())
        self.steps = Steps()
        self.lines = Lines(base.sections)
        self.installer = ""

    def done(self) -> bool:
        """Ask and write; whether a certificate is waited for. Raises what `commission` tells."""
        given, sections = self._given, self._base.sections
        station = sections.get("station")
        serial = str(station.get("serial", "")) if isinstance(station, dict) else ""
        said = told(given.answers, given.settings, serial)
        self.steps = steps(said.answers)
        known = Known(sections, own=self._base.own, secret=self._base.own and self._has_password())
        reserved = frozenset({given.config.name, naming.PASSWORD, RECORD})
        judge = Judge(Folders(self._folder, said.folder, reserved), known, self._place.store)
        answers = Dialogue(said.answers, known, judge, unattended=given.yes).held()
        self._scan()
        copies = {path: self._copy(name, path, answers) for name, path in judge.copies.items()}
        if not given.yes:
            self._confirm(answers, copies)
        self.installer = answers["installer"]
        pieces = [*copies.values()]
        if answers.get("key"):
            pieces.append(self._request(answers))
        self._write(answers, pieces, judge.copied)
        if not self._waiting(answers):
            return False
        request = self._folder / f"{answers['key']}.csr"
        sys.stdout.write(f"have {request} signed, then: ocpp-station commission --set certificate=FILE\n")
        return True

    def _scan(self) -> None:
        """Who is on the lines of this station; where hardware is simulated there is none."""
        said = self.steps
        if said.scan is not None or said.take is not None:
            lines.said(self.lines, said.scan or (), said.take or {})
        elif not self._given.yes and "simulator" not in self._base.sections:
            lines.by_person(self.lines)

    def _has_password(self) -> bool:
        csms = self._base.sections.get("csms")
        name = csms.get("password_file") if isinstance(csms, dict) else None
        return isinstance(name, str) and (self._folder / name).is_file()

    @staticmethod
    def _waiting(answers: Answers) -> bool:
        return bool(answers.get("key")) and not answers.get("certificate")

    def _confirm(self, answers: Answers, copies: Mapping[Path, Piece]) -> None:
        sys.stdout.write(shown({key: "as it is" if each is KEPT else each for key, each in answers.items()}))
        for section, change in self.lines.changes.items():
            sys.stdout.write(f"  {section:<18}{change}\n")
        for path, piece in copies.items():
            sys.stdout.write(f"  {path} is copied to {piece.path}\n")
        path = self._given.config
        if self._waiting(answers):
            sys.stdout.write(f"  {path} stays as it is until the certificate is there\n")
        note = f" It is there already and will be kept as {path.name}.before." if path.exists() else ""
        if not agreed(f"Write {path}?{note}" if not self._waiting(answers) else "Make the key and its request?"):
            raise Stopped("nothing was changed", "")

    def _copy(self, name: str, path: Path, answers: Answers) -> Piece:
        secret = any(answers.get(key) == name for key in _SECRETS)
        data = path.read_bytes()
        return Piece(self._names.of(name, data), data, files.PRIVATE if secret else writing.PUBLIC, given=name)

    def _request(self, answers: Answers) -> Piece:
        path = self._folder / f"{answers['key']}.csr"
        try:
            request, made = keymaking.make(self._place, answers)
        except ValueError as error:
            raise Stopped(str(error), "no certificate can name that: correct the names") from error
        sys.stdout.write(f"key {answers['key']}: {'made' if made else 'there already'}\n")
        if made:
            self._kept.append(f", but the key {answers['key']} is there now, and will be used")
        data = path.read_bytes() if keymaking.same(path, request) else request.encode()
        return Piece(path, data, writing.PUBLIC)

    def _write(self, answers: Answers, pieces: list[Piece], copied: Container[str]) -> None:
        changes: dict[str, dict[str, Any]] = {"station": {}, "csms": {}}
        called = {each.given: each.path.name for each in pieces}
        for key, value in answers.items():
            if not KEYS[key].secret and KEYS[key].section in changes:
                changes[KEYS[key].section][key] = called[value] if key in copied else value
        for question in QUESTIONS:
            if question.section == "csms" and not question.needed(answers):  # of another security profile
                changes["csms"]["password_file" if question.secret else question.key] = None
        keys = keymaking.changes(self._base.sections, answers)
        if keys:
            changes["keys"] = keys
        if answers.get("password", KEPT) is not KEPT:
            data = answers["password"].encode()
            piece = Piece(self._names.of(naming.PASSWORD, data, ours=True), data, given=naming.PASSWORD)
            changes["csms"]["password_file"] = piece.path.name
            pieces.append(piece)
        text = writing.edited(self._base.text, {**changes, **self.lines.changes})
        path = self._given.config.absolute()
        if self._waiting(answers):
            writing.write_draft(path, text, pieces, self._fits)
        else:
            for left in writing.write(path, text, pieces, self._place.owner, self._fits):
                sys.stdout.write(f"the service is still handed {left}: {dropin.REMAKE}\n")

    def _fits(self, config: Config) -> None:
        fitting(self.steps, config)


def _owner() -> tuple[int, int] | None:
    """The service's user and group, where root writes for it."""
    entry = account()
    return None if entry is None else (entry.pw_uid, entry.pw_gid)


def _installed(given: Given, installation: _Installation) -> int:
    """What is tried with the station as it stands there, then the check, then the record."""
    found = list(installation.lines.findings)
    config = load(given.config, cached=False)
    trial = tried.found(config, installation.steps, unattended=given.yes)
    for each in chain(trial, findings(given.config)):
        found.append(each)
        sys.stdout.write(row(each, colours=sys.stdout.isatty()) + "\n")
        sys.stdout.flush()
    path = Path(given.record) if given.record is not None else given.config.absolute().with_name(RECORD)
    by = f"{installation.installer or '-'} (user {_user()})"
    try:
        before = path.read_text("utf-8", "replace") if path.exists() else ""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        text = record.made(config, given.config, record.Made(at, by, tuple(found), record.seal_of(before)))
        if before:
            files.replace(path.with_name(f"{path.name}.before"), before.encode(), writing.MODE)
        files.replace(path, text.encode(), writing.MODE)
    except OSError as error:
        return errors.tell(f"{path}: {error.strerror}", "the station is set up; name another --record", 1)
    sys.stdout.write(f"record: {path}\nnote its seal elsewhere: {record.seal_of(text)}\n")
    sys.stdout.write("an agent that runs already takes it over when it is started anew\n")
    return 1 if any(each.grade is Grade.ERROR for each in found) else 0


def _user() -> str:
    """Who has typed the command, behind sudo, too."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
