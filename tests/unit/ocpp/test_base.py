"""A type checker refuses a handler of the wrong message.

The refusals stand here as ignored errors: were they no longer errors, mypy would complain of an unused ignore.
"""

from __future__ import annotations

from collections.abc import Callable

from station.ocpp import messages_v21
from station.ocpp.base import Q, R, Request
from station.ocpp.messages import ACTIONS, ClearCacheRequest, ClearCacheResponse, ResetRequest, ResetResponse


def route(request: type[Request[Q, R]], handler: Callable[[Q], R]) -> tuple[str, object]:
    """The shape of a route, as the engine's tables have it."""
    return request.__name__, handler


def reset(_request: ResetRequest) -> ResetResponse:
    """A handler of Reset."""
    return ResetResponse(status="Accepted")


def muddled(_request: ResetRequest) -> ClearCacheResponse:
    """A handler that gives the response of another action."""
    return ClearCacheResponse(status="Accepted")


def test_handler_of_the_right_messages_is_taken_and_others_are_type_errors() -> None:
    """`Request[itself, its response]` binds the three together; at run time it is just the class."""
    assert route(ResetRequest, reset) == ("ResetRequest", reset)
    route(ResetRequest, muddled)  # type: ignore[arg-type]  # proof: the response is another action's
    route(ClearCacheRequest, reset)  # type: ignore[arg-type]  # proof: the request is another action's
    ResetResponse(status="Perhaps")  # type: ignore[arg-type]  # proof: not a member of the enumeration


def test_each_action_pairs_the_request_and_response_of_its_name() -> None:
    """The table of the generated modules."""
    for name, pair in {**ACTIONS, **messages_v21.ACTIONS}.items():
        assert (pair.request.__name__, pair.response.__name__) == (f"{name}Request", f"{name}Response")


def test_messages_that_only_21_has_are_no_part_of_the_common_table() -> None:
    """A station that speaks 2.0.1 alone need not import them."""
    assert not ACTIONS.keys() & messages_v21.ACTIONS.keys()
    assert len(messages_v21.ACTIONS) == 26
