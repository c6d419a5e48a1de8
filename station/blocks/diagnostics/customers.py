"""CustomerInformation: what the station knows of a customer is told, or removed, or both (N09, N10).

The queue is looked through in pieces, each in a step of its own, so that nothing else waits for a long one; the reply
comes with the last, and then the pages. What was given up is put into words, and loses its person, piece by piece after
the whole queue was seen to owe the CSMS nothing; everything else in the last step. The local list stays: only the CSMS
changes it. A contract certificate is never stored, so nothing is filed under one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from station.block import Block, JobResult, Later, NextPiece, Results, Routes, result, route
from station.now import Mono, Now
from station.ocpp.messages import (
    CustomerInformationRequest,
    CustomerInformationResponse,
    NotifyCustomerInformationRequest,
)
from station.ocpp.types import StatusInfoType
from station.ports import Clocked, Csms
from station.state.customers import START, Customer, Customers, Place

PAGE_CHARACTERS = 512
AT_ONCE = 4
"""So many reports may be under way; who asks for another is told to wait."""
CLEARED = "cleared"
PATIENCE_S = 25.0
"""How long a search may take before the CSMS hears that it failed; then it does fail."""
TOO_LATE = StatusInfoType(reason_code="InternalError", additional_info="it took too long")
OWED = "transactions of the customer are not delivered yet"


class SearchDue(JobResult, frozen=True, kw_only=True):
    """It is the search's turn again."""


class _Search(msgspec.Struct, kw_only=True):
    """A search under way: how far it has come, and what it has found."""

    request: CustomerInformationRequest
    who: Customer
    by: Mono
    behind: Place = START
    lines: list[str] = msgspec.field(default_factory=list)


class CustomerInformation(Block):
    """Block N: customer information. `disk_fails` tells whether nothing can be removed for good now."""

    def __init__(self, *, customers: Customers, csms: Csms, clock: Clocked, disk_fails: Callable[[], bool]) -> None:
        self._customers = customers
        self._csms = csms
        self._clock = clock
        self._disk_fails = disk_fails
        self._open = 0
        self._search: _Search | None = None

    def routes(self) -> Routes:
        """N09, N10."""
        return [route(CustomerInformationRequest, self.asked)]

    def results(self) -> Results:
        """The pieces of a search."""
        return [result(SearchDue, self.go_on)]

    def load(self, now: Now) -> None:
        """A search that was interrupted is none."""
        del now
        self._search = None

    def asked(self, request: CustomerInformationRequest, now: Now) -> CustomerInformationResponse | Later:
        """N09.FR.02, N09.FR.03, N09.FR.09, N10.FR.01, N10.FR.05."""
        references = (request.id_token, request.customer_certificate, request.customer_identifier)
        if sum(each is not None for each in references) != 1:
            return CustomerInformationResponse(status="Invalid")
        who = _customer(request)
        refused = self._refusal(request, who)
        if refused is not None:
            return _rejected(refused)
        if who is None:
            return self._told(request, [])
        self._search = _Search(request=request, who=who, by=now.after(PATIENCE_S))
        return _later(self._search)

    def go_on(self, due: SearchDue, now: Now) -> CustomerInformationResponse | Later | None:
        """Another piece; with the last one everything else is told and removed."""
        del due
        search = self._search
        if search is None:
            return None
        if search.by <= now.mono:
            return self._given_up(TOO_LATE)
        clear = search.request.clear
        if search.behind.given_up and clear and (refused := self._in_use(search.who)) is not None:
            return self._given_up(refused)  # nothing is removed before all of the queue was seen
        piece = self._customers.look(search.who, search.behind)
        if clear and piece.owed:
            return self._given_up(StatusInfoType(reason_code="InUse", additional_info=OWED))
        search.lines += piece.words()
        if clear:
            self._customers.unname(piece)
        if piece.rest is not None:
            search.behind = piece.rest
            return _later(search)
        self._search = None
        known = self._customers.known(search.who, search.lines)
        if clear:
            self._customers.remove(search.who)
        return self._told(search.request, known)

    def _given_up(self, why: StatusInfoType) -> CustomerInformationResponse:
        self._search = None
        return _rejected(why)

    def _told(self, request: CustomerInformationRequest, known: list[str]) -> CustomerInformationResponse:
        text = "\n".join(known) if request.report else CLEARED
        self._csms.stream(self._messages(text, request.request_id))
        return CustomerInformationResponse(status="Accepted")

    def _refusal(self, request: CustomerInformationRequest, who: Customer | None) -> StatusInfoType | None:
        if not request.report and not request.clear:  # N09.FR.07, N10.FR.07
            return StatusInfoType(reason_code="InvalidValue", additional_info="neither report nor clear is asked for")
        if self._open >= AT_ONCE or self._search is not None:
            return StatusInfoType(reason_code="OutOfMemory", additional_info="other reports are under way")
        if not request.clear:
            return None
        if self._disk_fails():
            return StatusInfoType(reason_code="InternalError", additional_info="nothing can be written now")
        return self._in_use(who) if who is not None else None

    def _in_use(self, who: Customer) -> StatusInfoType | None:
        in_use = self._customers.in_use(who)
        return StatusInfoType(reason_code="InUse", additional_info=in_use) if in_use is not None else None

    def _messages(self, text: str, request_id: int) -> Iterator[NotifyCustomerInformationRequest]:
        """N09.FR.05; an empty text is one empty message: no data was found (N09.FR.06, N10.FR.04)."""
        self._open += 1
        try:
            starts = range(0, max(len(text), 1), PAGE_CHARACTERS)
            for seq_no, start in enumerate(starts):
                yield NotifyCustomerInformationRequest(
                    request_id=request_id,
                    generated_at=self._clock.utc_now(),
                    seq_no=seq_no,
                    tbc=start != starts[-1],
                    data=text[start : start + PAGE_CHARACTERS],
                )
        finally:  # told to the end, or given up with the connection
            self._open -= 1


def _later(search: _Search) -> Later:
    return Later(NextPiece(due=SearchDue()), search.by, _rejected(TOO_LATE))


def _rejected(why: StatusInfoType) -> CustomerInformationResponse:
    return CustomerInformationResponse(status="Rejected", status_info=why)


def _customer(request: CustomerInformationRequest) -> Customer | None:
    """Who is meant; None for whoever is known by a certificate, which is no key to anything that is stored."""
    if request.id_token is not None:
        return Customer(request.id_token.id_token, request.id_token.type)
    return Customer(request.customer_identifier) if request.customer_identifier is not None else None
