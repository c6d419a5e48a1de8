"""`ocpp-station status --health`: one line and an exit code, for updaters and watchdogs of a machine.

The codes are a contract (docs/install.md): 0 the station is well; 1 it works, but something needs attention; 69 no
agent answers. An updater keeps new firmware at 0; a station that is merely offline is 1, with `link` in front.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from station.commands import errors, local
from station.shell.logs import one_line

UNWELL = 1


def health(address: str) -> int:
    """Ask the running agent."""
    try:
        told = local.ask(address, {"cmd": "status"})
    except local.NotRunning as gone:
        return errors.tell(str(gone), "is ocpp-station.service running?", errors.EX_NOT_RUNNING)
    if not told.get("ok"):
        return errors.tell(str(told.get("error")), "", errors.EX_NOT_RUNNING)
    found = list(complaints(told))
    sys.stdout.write(one_line("; ".join(found) or "ok") + "\n")
    return UNWELL if found else 0


def complaints(told: dict[str, Any]) -> Iterator[str]:
    """What is not as it should be, each with the part that it concerns in front."""
    if not told["link"]["up"]:
        yield f"link: {told['link']['reason']}"
    elif told["registration"] != "Accepted":
        yield f"registration: {told['registration']}"
    if told["store"] != "ok":
        yield f"store: {told['store']}"
    if told["clock"] == "not yet trusted":
        yield "clock: not yet trusted"
    for evse in told["evses"]:
        if faults := evse.get("faults"):
            yield f"evse {evse['id']}: {', '.join(faults)}"
        elif evse["status"] == "Faulted":
            yield f"evse {evse['id']}: Faulted"
