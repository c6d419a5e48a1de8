"""CustomerInformation: what the station knows of a customer is told, or removed, or both (N09, N10).

What was stored is put into words before anything is removed, in one step; the pages follow the reply. The local list
stays: only the CSMS changes it. A contract certificate is never stored, so nothing is filed under one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from station.block import Block, Routes, route
from station.now import Now
from station.ocpp.messages import (
    CustomerInformationRequest,
    CustomerInformationResponse,
    NotifyCustomerInformationRequest,
)
from station.ocpp.types import StatusInfoType
from station.ports import Clocked, Csms
from station.state.customers import Customer, Customers

PAGE_CHARACTERS = 512
AT_ONCE = 4
"""So many reports may be under way; who asks for another is told to wait."""
CLEARED = "cleared"


class CustomerInformation(Block):
    """Block N: customer information. `disk_fails` tells whether nothing can be removed for good now."""

    def __init__(self, *, customers: Customers, csms: Csms, clock: Clocked, disk_fails: Callable[[], bool]) -> None:
        self._customers = customers
        self._csms = csms
        self._clock = clock
        self._disk_fails = disk_fails
        self._open = 0

    def routes(self) -> Routes:
        """N09, N10."""
        return [route(CustomerInformationRequest, self.asked)]

    def asked(self, request: CustomerInformationRequest, now: Now) -> CustomerInformationResponse:
        """N09.FR.02, N09.FR.03, N09.FR.09, N10.FR.01, N10.FR.05."""
        del now
        references = (request.id_token, request.customer_certificate, request.customer_identifier)
        if sum(each is not None for each in references) != 1:
            return CustomerInformationResponse(status="Invalid")
        who = _customer(request)
        refused = self._refusal(request, who)
        if refused is not None:
            return CustomerInformationResponse(status="Rejected", status_info=refused)
        known = self._customers.known(who) if who is not None else []
        if request.clear and who is not None:
            self._customers.remove(who)
        text = "\n".join(known) if request.report else CLEARED
        self._csms.stream(self._messages(text, request.request_id))
        return CustomerInformationResponse(status="Accepted")

    def _refusal(self, request: CustomerInformationRequest, who: Customer | None) -> StatusInfoType | None:
        if not request.report and not request.clear:  # N09.FR.07, N10.FR.07
            return StatusInfoType(reason_code="InvalidValue", additional_info="neither report nor clear is asked for")
        if self._open >= AT_ONCE:
            return StatusInfoType(reason_code="OutOfMemory", additional_info="other reports are under way")
        if not request.clear:
            return None
        if self._disk_fails():
            return StatusInfoType(reason_code="InternalError", additional_info="nothing can be written now")
        in_use = self._customers.in_use(who) if who is not None else None
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


def _customer(request: CustomerInformationRequest) -> Customer | None:
    """Who is meant; None for whoever is known by a certificate, which is no key to anything that is stored."""
    if request.id_token is not None:
        return Customer(request.id_token.id_token, request.id_token.type)
    return Customer(request.customer_identifier) if request.customer_identifier is not None else None
