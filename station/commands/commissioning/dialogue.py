"""The questions, one after the other, with what is known already. Needs a line to read from and one to write to."""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections.abc import Mapping
from typing import Any

from station.commands.commissioning.judging import BadAnswer, Judge
from station.commands.commissioning.questions import KEYS, NONE, QUESTIONS, Answers, Question

KEPT = object()
"""The answer to a secret that stays as it is."""

_NO_TEXT = "  that was no plain text in UTF-8: once more\n"


class Stopped(Exception):  # noqa: N818 - reads as what it says
    """It cannot go on; nothing was changed. The arguments are reason and remedy."""


class Known(dict[str, Any]):
    """What the file says already. `own`: it is the station's, else an example's and nobody's answer."""

    def __init__(self, sections: Mapping[str, Any], *, own: bool, secret: bool) -> None:
        super().__init__()
        self.own = own
        self.secret = secret  # a password is there, and may stay
        for question in QUESTIONS:
            section = sections.get(question.section)
            if isinstance(section, dict) and section.get(question.key) is not None:
                self[question.key] = section[question.key]
        csms = sections.get("csms")
        self.settled = {"ca_file"} if isinstance(csms, dict) and csms.get("system_roots") else set()


class Dialogue:
    """`told` is what nobody needs to be asked for; `unattended`: nobody is there to be asked at all."""

    def __init__(self, told: Mapping[str, Any], known: Known, judge: Judge, *, unattended: bool) -> None:
        self._told = told
        self._known = known
        self._judge = judge
        self._unattended = unattended

    def held(self) -> dict[str, Any]:
        """All answers. Raises Stopped, and EOFError where nobody answers."""
        answers: dict[str, Any] = {}
        for question in QUESTIONS:
            if question.needed(answers) and question.key not in self._known.settled:
                answers[question.key] = self._answer(question, answers)
        return answers

    def _answer(self, question: Question, before: Answers) -> Any:
        if question.key in self._told:
            return self._sound(question, self._told[question.key], before)
        if self._unattended:
            return self._alone(question, before)
        while True:
            try:
                given = self._asked(question)
                return given if given is KEPT else self._judge.judged(question.key, given, before)
            except BadAnswer as wrong:
                sys.stdout.write(f"  {wrong}\n")

    def _sound(self, question: Question, answer: Any, before: Answers) -> Any:
        """An answer that nobody can be asked for again."""
        try:
            return self._judge.judged(question.key, answer, before)
        except BadAnswer as wrong:
            raise Stopped(f"{question.key}: {wrong}", "correct this answer") from wrong

    def _alone(self, question: Question, before: Answers) -> Any:
        if question.secret and self._known.secret:
            return KEPT
        known = self._known.get(question.key) if self._known.own else None
        if known is None and question.must(before):
            raise Stopped(f"{question.key} is missing", f"--set {question.key}=..., or a line of --answers")
        return self._sound(question, known if known is not None else "", before)

    def _asked(self, question: Question) -> Any:
        if question.secret:
            return self._secret(question)
        known = self._known.get(question.key, self._proposal(question))
        line = asked(f"{question.text}{f' [{known}]' if known not in (None, '') else ''}: ")
        return line or known

    def _proposal(self, question: Question) -> str:
        """A key's name is not proposed where the file knows another way to one."""
        return NONE if question.key == "key" and "key_file" in self._known else question.proposal

    def _secret(self, question: Question) -> Any:
        kept = " [as it is]" if self._known.secret else ""
        prompt = f"{question.text}{kept}: "
        given = unseen(prompt) if sys.stdin.isatty() else asked(prompt)
        return KEPT if kept and not given else given


def asked(prompt: str) -> str:
    """The line that somebody types. Raises EOFError."""
    while True:
        sys.stdout.write(prompt)
        sys.stdout.flush()
        with contextlib.suppress(UnicodeDecodeError):
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            if is_text(line.strip()):
                return line.strip()
        sys.stdout.write(_NO_TEXT)


def unseen(prompt: str) -> str:
    """The line that somebody types or pastes at a terminal, which does not show it. Raises EOFError."""
    while True:
        with contextlib.suppress(UnicodeDecodeError):
            return getpass.getpass(prompt)
        sys.stdout.write(_NO_TEXT)


def is_text(line: str) -> bool:
    """Whether it can be written to a file: a terminal of another encoding gives what cannot."""
    return line.isprintable()


def agreed(prompt: str) -> bool:
    """Whether somebody says yes; neither Enter alone nor the end of the input does."""
    try:
        return asked(f"{prompt} [y/N]: ").lower() in {"y", "yes"}
    except EOFError:
        sys.stdout.write("\n")
        return False


def shown(answers: Answers) -> str:
    """The answers as they may be seen."""
    return "".join(
        f"  {key:<18}{'***' if KEYS[key].secret else value}\n" for key, value in answers.items() if value is not None
    )
