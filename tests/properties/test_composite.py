"""The composite schedule against a slow and simple one that asks, for each second, what is allowed then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from station.blocks.smart_charging.composite import Outlet, Site, Supply, schedule
from station.blocks.smart_charging.plans import Plans, plan, stacked
from station.now import Wall, to_datetime
from station.ocpp.types import ChargingProfileType, ChargingSchedulePeriodType, ChargingScheduleType

BEGIN_S = 1_800_000_000
LENGTH_S = 400
EVERY_S = {"Daily": 86_400, "Weekly": 604_800}


class Given(NamedTuple):
    """A profile by its seconds from BEGIN_S, so that the slow reference needs no code of the station."""

    level: int
    kind: str
    start: int
    length: int | None
    valid_from: int | None
    valid_to: int | None
    watts: bool
    periods: tuple[tuple[int, float, int | None], ...]

    def wire(self, number: int, purpose: str) -> ChargingProfileType:
        """As a CSMS would send it."""
        relative = self.kind == "Relative"
        recurring = self.kind in EVERY_S
        return ChargingProfileType(
            id=number,
            stack_level=self.level,
            charging_profile_purpose=purpose,  # type: ignore[arg-type]  # one of the four
            charging_profile_kind="Recurring" if recurring else "Relative" if relative else "Absolute",
            recurrency_kind=self.kind if recurring else None,  # type: ignore[arg-type]  # Daily or Weekly
            valid_from=_moment(self.valid_from),
            valid_to=_moment(self.valid_to),
            charging_schedule=[
                ChargingScheduleType(
                    id=1,
                    charging_rate_unit="W" if self.watts else "A",
                    start_schedule=None if relative else _moment(self.start),
                    duration=self.length,
                    charging_schedule_period=[
                        ChargingSchedulePeriodType(start_period=start, limit=limit, number_phases=phases)
                        for start, limit, phases in self.periods
                    ],
                )
            ],
        )

    def at(self, second: int, ready: int) -> tuple[float, int] | None:
        """(A per phase, phases) that it allows at a second; None: it says nothing."""
        if self.valid_from is not None and second < self.valid_from:
            return None
        if self.valid_to is not None and second >= self.valid_to:
            return None
        elapsed = second - (ready if self.kind == "Relative" else self.start)
        if elapsed < 0:
            return None
        elapsed %= EVERY_S.get(self.kind, 10**9)
        if self.length is not None and elapsed >= self.length:
            return None
        _, limit, phases = [period for period in self.periods if period[0] <= elapsed][-1]
        return (limit / 230 / (phases or 3) if self.watts else limit, phases or 3)


def _moment(second: int | None) -> datetime | None:
    return None if second is None else to_datetime(Wall(float(BEGIN_S + second)))


def slow(profiles: Sequence[Given], second: int, ready: int) -> tuple[float, int] | None:
    """What the highest profile says that says anything."""
    saying = [each for each in profiles if each.at(second, ready) is not None]
    return max(saying, key=lambda each: each.level).at(second, ready) if saying else None


seconds = st.integers(-500, 500)
limits = st.integers(0, 64).map(float)


@st.composite
def profile(draw: st.DrawFn, *, relative: bool = True) -> Given:
    kinds = ["Absolute", "Daily", "Weekly"] + (["Relative"] if relative else [])
    kind = draw(st.sampled_from(kinds))
    starts = [0, *sorted(draw(st.sets(st.integers(1, 400), max_size=4)))]
    watts = draw(st.booleans())
    valid_from, valid_to = draw(st.one_of(st.none(), seconds)), draw(st.one_of(st.none(), seconds))
    days = draw(st.integers(0, 9)) * 86_400 if kind in EVERY_S else 0
    return Given(
        level=0,
        kind=kind,
        start=draw(seconds) - days,
        length=draw(st.one_of(st.none(), st.integers(1, 600))),
        valid_from=valid_from,
        valid_to=valid_to,
        watts=watts,
        periods=tuple(
            (start, draw(limits) * (690 if watts else 1), draw(st.sampled_from([None, 1, 3]))) for start in starts
        ),
    )


def stack(*, relative: bool = True) -> st.SearchStrategy[list[Given]]:
    """Up to three profiles, each of a level of its own."""
    profiles = st.lists(profile(relative=relative), max_size=3)
    return profiles.map(lambda found: [each._replace(level=level) for level, each in enumerate(found)])


@given(tx=stack(), default=stack(), most=stack(relative=False), external=stack(), ready=st.integers(-300, 0))
def test_each_second_is_what_the_profiles_allow_then(
    tx: list[Given], default: list[Given], most: list[Given], external: list[Given], ready: int
) -> None:
    """One EVSE alone, 32 A on three phases with a board that switches."""
    outlet = Outlet(
        evse_id=1,
        supply=Supply(3, switching=True),
        max_a=32.0,
        min_a=0.0,
        ready=(BEGIN_S + ready) * 1000,
        active=True,
        tx=_plans(tx, "TxProfile"),
        default=_plans(default, "TxDefaultProfile"),
        external=(_plans(external, "ChargingStationExternalConstraints"),),
    )
    site = Site(outlets=(outlet,), supply=Supply(3, switching=True), most=_plans(most, "ChargingStationMaxProfile"))

    spans, until = schedule(site, 1, BEGIN_S * 1000, (BEGIN_S + LENGTH_S) * 1000)

    assert (spans[0].start, until) == (BEGIN_S * 1000, (BEGIN_S + LENGTH_S) * 1000)
    assert [span.start for span in spans] == sorted({span.start for span in spans})
    for second in range(LENGTH_S):
        lead = slow(tx, second, ready) or slow(default, second, ready)
        limiting = [each for each in (lead, slow(external, second, ready), slow(most, second, ready)) if each]
        amperes = min([32.0, *(each[0] for each in limiting)])
        phases = min([3, *(3 if each[1] == 3 else 1 for each in limiting)])
        span = [each for each in spans if each.start <= (BEGIN_S + second) * 1000][-1]
        assert span.amperes == math.floor(amperes * 10 + 1e-6) / 10
        assert span.phases == phases
        assert math.isclose(span.watts, amperes * 230 * phases, abs_tol=0.1 + 230 * 3 * 0.1 * bool(most))


def _plans(profiles: list[Given], purpose: str) -> Plans:
    return stacked([plan(each.wire(number, purpose)) for number, each in enumerate(profiles)])


@given(defaults=st.lists(stack(), min_size=2, max_size=3), most=stack(relative=False), fuse=st.integers(0, 100))
def test_together_the_evses_never_get_more_than_the_station(
    defaults: list[list[Given]], most: list[Given], fuse: int
) -> None:
    """And the station's own schedule never tells more than it may draw."""
    outlets = tuple(
        Outlet(
            evse_id=number,
            supply=Supply(3),
            max_a=32.0,
            ready=BEGIN_S * 1000,
            active=True,
            default=_plans(each, "TxDefaultProfile"),
        )
        for number, each in enumerate(defaults, 1)
    )
    site = Site(outlets=outlets, supply=Supply(3), fuse_a=float(fuse), most=_plans(most, "ChargingStationMaxProfile"))
    end = (BEGIN_S + LENGTH_S) * 1000
    whole, _ = schedule(site, 0, BEGIN_S * 1000, end)
    parts = [schedule(site, each.evse_id, BEGIN_S * 1000, end)[0] for each in outlets]

    for second in range(0, LENGTH_S, 7):
        time = (BEGIN_S + second) * 1000
        allowed = min([float(fuse), *(each[0] for each in [slow(most, second, 0)] if each)])
        given_a = sum([span for span in part if span.start <= time][-1].amperes for part in parts)
        assert given_a <= allowed + 1e-6
        assert [span for span in whole if span.start <= time][-1].amperes <= allowed + 1e-6
