"""How many reservations can be kept at once, and which of them: who asks for one of several EVSEs gets one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Offer = Mapping[int, frozenset[str]]
"""EVSEs that may be given away, each with the types of its usable connectors."""

Wanted = str | None
"""The type of connector that a reservation asks for; None: any."""


def serves(types: frozenset[str], wanted: Wanted) -> bool:
    """Whether an EVSE with these connectors will do."""
    return bool(types) if wanted is None else wanted in types


def kept(offer: Offer, wanted: Sequence[Wanted]) -> list[bool]:
    """For each wish whether it can be fulfilled; the earlier ones have precedence, and as many as possible are.

    A maximum bipartite matching by augmenting paths: a wish that has its EVSE never loses it to a later one, it only
    moves to another.
    """
    holder: dict[int, int] = {}

    def place(wish: int, seen: set[int]) -> bool:
        for evse_id in sorted(offer):
            if evse_id in seen or not serves(offer[evse_id], wanted[wish]):
                continue
            seen.add(evse_id)
            if evse_id not in holder or place(holder[evse_id], seen):
                holder[evse_id] = wish
                return True
        return False

    return [place(wish, set()) for wish in range(len(wanted))]


def fulfilled(offer: Offer, wanted: Sequence[Wanted]) -> int:
    """How many of the wishes can be fulfilled at once."""
    return sum(kept(offer, wanted))


def without(offer: Offer, evse_id: int) -> Offer:
    """The offer once this EVSE is gone."""
    return {each: types for each, types in offer.items() if each != evse_id}
