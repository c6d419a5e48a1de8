"""What may be shown of an OCPP message: no password, no key, no card, nobody's personal data. Pure.

Fields are hidden by their names as in the log (`logs.secret`), values of variables by the variable's name or because
they are written only. A token is shown as a mark that is the same for the same token until the agent ends, so that it
can be followed through a session and tells nothing to whoever reads it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from typing import Any

from station.shell.logs import hidden, secret

HIDDEN = "***"
WriteOnly = Callable[[str, str], bool]
"""Whether a variable, by the names of its component and its own, is written only."""

_TOKENS = frozenset({"idToken", "additionalIdToken", "customerIdentifier"})
_CLOSED = frozenset({"signedMeterData", "exiRequest", "exiResponse"})
"""They hold tokens and keys in a form of their own."""

_VALUES = frozenset({"attributeValue", "actualValue", "value"})
_WORD = r"\S+"
_PERSONAL = {"NotifyCustomerInformation": "data"}
_SALT = os.urandom(16)


def redacted(action: str, payload: Any, write_only: WriteOnly) -> Any:
    """The payload of a message of this kind, as it may be shown."""
    shown = _shown(payload, write_only)
    personal = _PERSONAL.get(action)
    return {**shown, personal: HIDDEN} if isinstance(shown, dict) and personal in shown else shown


def mark(token: str) -> str:
    """The same for the same token; another one after a restart."""
    return HIDDEN + hashlib.blake2b(token.encode("utf-8", "replace"), key=_SALT, digest_size=2).hexdigest()


def _shown(value: Any, write_only: WriteOnly) -> Any:
    if isinstance(value, dict):
        closed = _is_secret_variable(value, write_only)
        return {key: _field(key, each, write_only, closed=closed) for key, each in value.items()}
    if isinstance(value, list):
        return [_shown(each, write_only) for each in value]
    return re.sub(_WORD, _without_query, hidden(value)) if isinstance(value, str) else value


def _without_query(word: re.Match[str]) -> str:
    """What follows the question mark of a URL: links that storage services hand out are signed there.

    By hand, because a pattern that looks for URLs takes seconds over what a hostile CSMS can send.
    """
    url = word.group()
    mark_at = url.find("?", max(url.find("://"), 0))
    return f"{url[: mark_at + 1]}{HIDDEN}" if "://" in url and mark_at >= 0 else url


def _field(key: str, value: Any, write_only: WriteOnly, *, closed: bool) -> Any:
    if secret(key) or key in _CLOSED or (closed and key in _VALUES):
        return HIDDEN
    if key in _TOKENS and isinstance(value, str):
        return mark(value)
    if closed and key == "variableAttribute" and isinstance(value, list):
        return [{**each, "value": HIDDEN} if isinstance(each, dict) and "value" in each else each for each in value]
    return _shown(value, write_only)


def _is_secret_variable(told: dict[str, Any], write_only: WriteOnly) -> bool:
    """Whether this names a variable that hides its value."""
    variable, component = (told.get(each) for each in ("variable", "component"))
    name = variable.get("name") if isinstance(variable, dict) else None
    owner = component.get("name") if isinstance(component, dict) else None
    if not isinstance(name, str):
        return False
    return secret(name) or (isinstance(owner, str) and write_only(owner, name))
