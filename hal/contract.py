"""What every driver must do, in or out of this tree: named checks, for tests and for `ocpp-station hal test`.

No test framework is needed: a check is a coroutine of `hal.promises` that returns, or raises `Broken`. It is given a
harness (`hal.harness`) that builds the driver and stimulates the device; what the harness cannot do is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from hal import promises
from hal.harness import Broken, Faults, Harness, Jams, Plugs, Presents, Unplugs


class Check(NamedTuple):
    """One promise. `kind` "any": of every driver. `needs`: what the harness must be able to do."""

    kind: str
    run: Callable[[Any], Coroutine[Any, Any, None]]
    needs: tuple[type[Any], ...] = ()

    @property
    def promise(self) -> str:
        """What is promised, in words."""
        return (self.run.__doc__ or self.run.__name__).splitlines()[0]


class Result(NamedTuple):
    """What came of a check: `passed`, `failed` or `skipped`, and why."""

    promise: str
    outcome: str
    detail: str = ""


def checks(kind: str) -> list[Check]:
    """The checks for a kind of driver, in a sensible order. Raises ValueError for an unknown kind."""
    found = [check for check in CHECKS if check.kind in {"any", kind}]
    if not any(check.kind == kind for check in found):
        raise ValueError(f"there is no contract for {kind!r}")
    return found


async def run(harness: Harness) -> list[Result]:
    """Every check on a fresh driver; one that fails does not keep the others from running."""
    return [await run_one(check, harness) for check in checks(harness.kind)]


async def run_one(check: Check, harness: Harness) -> Result:
    """One check."""
    missing = [need.__name__ for need in check.needs if not isinstance(harness, need)]
    if missing:
        return Result(check.promise, "skipped", f"the harness cannot: {', '.join(missing)}")
    try:
        await check.run(harness)
    except Broken as broken:
        return Result(check.promise, "failed", str(broken))
    except Exception as error:  # noqa: BLE001 - anything a driver raises is a failure of its contract
        return Result(check.promise, "failed", f"raised {type(error).__name__}: {error}")
    return Result(check.promise, "passed")


CHECKS: Sequence[Check] = (
    Check("any", promises.reopens),
    Check("any", promises.absence, (Unplugs,)),
    Check("any", promises.identity),
    Check("meter", promises.reading),
    Check("meter", promises.together),
    Check("meter", promises.gives_up),
    Check("meter", promises.meter_lost, (Unplugs,)),
    Check("meter", promises.signs),
    Check("board", promises.shows),
    Check("board", promises.tells_all),
    Check("board", promises.denies),
    Check("board", promises.refuses),
    Check("board", promises.charges, (Plugs,)),
    Check("board", promises.lapses, (Plugs,)),
    Check("board", promises.unplugged, (Plugs,)),
    Check("board", promises.faulted, (Plugs, Faults)),
    Check("board", promises.locks_itself),
    Check("board", promises.bridges),
    Check("board", promises.board_lost, (Unplugs,)),
    Check("reader", promises.reads_cards, (Presents,)),
    Check("lock", promises.moves),
    Check("lock", promises.jams, (Jams,)),
    Check("display", promises.displays),
    Check("lamp", promises.indicates),
    Check("sensor", promises.measures),
)
"""The contract."""
