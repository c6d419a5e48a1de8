"""A value that lives in memory only and yet belongs to the transaction: what a failed step made of it is forgotten."""

from __future__ import annotations

from typing import Generic, TypeVar

from .db import Database

T = TypeVar("T")


class Volatile(Generic[T]):
    """Holds one frozen value. Replace `value`, never change what it holds."""

    def __init__(self, db: Database, value: T) -> None:
        self.value = value
        self._committed = value
        db.join(self)

    def must_write(self) -> bool:
        """Nothing of it goes to the disk."""
        return False

    def before_commit(self) -> None:
        """Nothing of it goes to the disk."""

    def committed(self) -> None:
        """The step counts."""
        self._committed = self.value

    def rolled_back(self) -> None:
        """The step never was."""
        self.value = self._committed
