"""Making room when the queue has reached its share of the disk (E04.FR.07, E04.FR.08, E11.FR.05, E12.FR.05).

Never Started or Ended, never the oldest in a row: every second Updated of the transaction that has most of them.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from .spool import Spool

_ROW_OVERHEAD = 200
"""Bytes that a row takes beside its payload, about."""
_UNDELIVERED_FIRST = 64


class Thinned(msgspec.Struct, frozen=True):
    """Updated events of a transaction that were dropped; the gaps in its seqNo are these."""

    transaction: str
    rows: int


def thin(spool: Spool, needed_bytes: int, spared: Collection[int]) -> tuple[list[Thinned], list[int]]:
    """Drop rows worth `needed_bytes`, or as many as may be. Returns what was dropped by transaction, and the row ids.

    What was given up long ago goes before anything that can still be delivered. Reads the whole lane of transactions,
    so the caller asks for much at once and seldom.
    """
    freed = spool.drop_oldest_undelivered(_UNDELIVERED_FIRST)
    done: list[Thinned] = []
    dropped: list[int] = []
    for transaction, updates in spool.droppable():
        if freed >= needed_bytes or updates < 2:  # noqa: PLR2004  # of a single Updated there is no second
            break
        every_second = [(i, size) for i, size in spool.updates_of(transaction)[1::2] if i not in spared]
        spool.delete(i for i, _ in every_second)
        freed += sum(size + _ROW_OVERHEAD for _, size in every_second)
        dropped += [i for i, _ in every_second]
        done.append(Thinned(transaction, len(every_second)))
    return done, dropped
