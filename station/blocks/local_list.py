"""Block D. The CSMS sends the local authorization list, whole or in changes, and asks for its version.

An update is checked as a whole, then written in pieces, each in a step of its own, so that nothing else waits for a
long list; the reply comes with the step that makes it valid. What an update has superseded is cleaned away in pieces,
too. How the list is used, Authorization decides.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from station.block import Block, JobResult, Later, NextPiece, Results, Routes, result, route
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ocpp.messages import (
    GetLocalListVersionRequest,
    GetLocalListVersionResponse,
    SendLocalListRequest,
    SendLocalListResponse,
)
from station.refusal import Refusal
from station.state.local_list import Entry, LocalList, entry
from station.state.variables import Variables

PIECE = 200
"""Rows written or looked at in one step, so that it takes less than 20 ms (design 6)."""

PACE_S = 0.1
"""Between two pieces of cleaning up: nobody waits for it."""

PATIENCE_S = 25.0
"""How long an update may take before the CSMS hears that it failed; then it does fail."""

CTRLR = "LocalAuthListCtrlr"


class PieceDue(JobResult, frozen=True, kw_only=True):
    """It is the update's turn again."""


class _Update(msgspec.Struct, kw_only=True):
    """An update under way: what is still to be written, and how many entries the list will have."""

    version: int
    full: bool
    rest: list[Entry]
    by: Mono
    entries: int
    room: bool = False
    """Nothing of an interrupted update is in the way any more."""


class LocalAuthorizationList(Block):
    """Block D. `disk_fails` tells whether nothing can be stored now."""

    def __init__(self, *, local_list: LocalList, variables: Variables, disk_fails: Callable[[], bool]) -> None:
        self._list = local_list
        self._variables = variables
        self._disk_fails = disk_fails
        self._update: _Update | None = None
        self._clean_at: Mono | None = None

    def routes(self) -> Routes:
        """D01, D02."""
        return [
            route(SendLocalListRequest, self.send),
            route(GetLocalListVersionRequest, self.tell_version, reads=True),
        ]

    def results(self) -> Results:
        """The pieces of an update."""
        return [result(PieceDue, self.go_on)]

    def load(self, now: Now) -> None:
        """An update that was interrupted is none; what it wrote is cleaned away."""
        self._update = None
        self._clean_at = None if self._list.is_clean else now.after(PACE_S)
        self._show_entries()

    # --- D02

    def tell_version(self, request: GetLocalListVersionRequest, now: Now) -> GetLocalListVersionResponse:
        """D02.FR.01 to D02.FR.03."""
        del request, now
        return GetLocalListVersionResponse(version_number=self._list.version if self._enabled else 0)

    @property
    def _enabled(self) -> bool:
        """D01.FR.13."""
        return self._variables.boolean(CTRLR, "Enabled")

    # --- D01

    def send(self, request: SendLocalListRequest, now: Now) -> SendLocalListResponse | Later:
        """D01.FR.02. Nothing of an update that is not Accepted stays."""
        full = request.update_type == "Full"
        given = request.local_authorization_list or ()
        refusal = self._may_not() or self._flaw(request)
        if refusal is not None:
            return _failed(refusal)
        if not full and request.version_number <= self._list.version:  # D01.FR.19
            return SendLocalListResponse(status="VersionMismatch")
        lines = [entry(each.id_token, each.id_token_info) for each in given]
        if len({line.token for line in lines}) < len(lines):  # D01.FR.06
            return _failed(Refusal("InvalidValue", "a token is there twice"))
        self._update = _Update(
            version=request.version_number,
            full=full,
            rest=lines,
            by=now.after(PATIENCE_S),
            entries=0 if full else self._list.entries,
        )
        if len(lines) > PIECE:  # to read it took long enough
            return self._later(self._update)
        return self._piece(self._update, now)

    def _may_not(self) -> Refusal | None:
        if not self._enabled:
            return Refusal("NotEnabled")
        if self._update is not None:
            return Refusal("InvalidMessageSeq", "another update is under way")
        return Refusal("OutOfStorage", "nothing can be stored now") if self._disk_fails() else None

    def _flaw(self, request: SendLocalListRequest) -> Refusal | None:
        given = request.local_authorization_list or ()
        most = self._variables.integer(CTRLR, "ItemsPerMessage")
        if request.version_number <= 0:  # D01.FR.18
            return Refusal("ValuePositiveOnly", "versionNumber")
        if len(given) > most:  # D01.FR.11
            return Refusal("TooManyElements", f"at most {most} in a message")
        if request.update_type == "Full" and any(each.id_token_info is None for each in given):
            return Refusal("MissingParam", "idTokenInfo")
        return None

    def go_on(self, due: PieceDue, now: Now) -> SendLocalListResponse | Later | None:
        """Another piece; too late it is given up, for then the CSMS has heard that it failed."""
        del due
        update = self._update
        if update is None:
            return None
        if update.by <= now.mono:
            return self._give_up(Refusal("InternalError", "it took too long"), now)
        return self._piece(update, now)

    def _piece(self, update: _Update, now: Now) -> SendLocalListResponse | Later:
        """Write one piece; with the last one the update is valid (D01.FR.01)."""
        update.room = update.room or self._list.discard(PIECE)
        if not update.room:
            return self._later(update)
        piece, update.rest = update.rest[:PIECE], update.rest[PIECE:]
        update.entries += len(piece) if update.full else self._list.change_by(piece)
        self._list.stage(piece)
        if update.rest:
            return self._later(update)
        if update.entries > (most := self._variables.most(CTRLR, "Entries")):
            return self._give_up(Refusal("OutOfStorage", f"at most {most} entries"), now)
        self._list.make_valid(update.version, update.entries, full=update.full)
        self._end(now)
        return SendLocalListResponse(status="Accepted")

    def _later(self, update: _Update) -> Later:
        return Later(NextPiece(due=PieceDue()), update.by, _failed(Refusal("InternalError", "it took too long")))

    def _give_up(self, refusal: Refusal, now: Now) -> SendLocalListResponse:
        self._end(now)
        return _failed(refusal)

    def _end(self, now: Now) -> None:
        self._update = None
        self._clean_at = None if self._list.is_clean else now.after(PACE_S)
        self._show_entries()

    def _show_entries(self) -> None:
        """D01.FR.12."""
        self._variables.set(CTRLR, "Entries", str(self._list.entries))

    # --- cleaning up

    def next_due(self) -> Deadline | None:
        """The next piece of cleaning up; none while an update is written."""
        return None if self._clean_at is None or self._update is not None else MonoDeadline(self._clean_at)

    def due(self, now: Now) -> None:
        """One piece."""
        self._list.clean(PIECE)
        self._clean_at = None if self._list.is_clean else now.after(PACE_S)


def _failed(refusal: Refusal) -> SendLocalListResponse:
    return SendLocalListResponse(status="Failed", status_info=refusal.info)
