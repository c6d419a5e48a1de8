"""Numbers that a device shows again and again, taken into the model as numbers.

A text that is made here of a number needs none of the checks that one from outside needs, and the same number again
needs no text at all.
Invariant: what a gauge has shown is a decimal that `values.check` takes, or the empty text, "cannot be read".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from device_model.model import Attribute, Variable, describe
from device_model.values import DataType


def decimal_text(number: float | None) -> str:
    """A measured number as the device model writes it: no exponent, three decimals at most; empty if it is none."""
    if number is None or not math.isfinite(number) or abs(number) >= 1e15:  # noqa: PLR2004 - more digits than a value has
        return ""
    text = f"{number:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Gauges:
    """The variables that one device shows, found once; None where the station lacks what the device could show.

    Raises ValueError for a variable that is no decimal, or has no Actual.
    """

    def __init__(self, variables: Iterable[Variable | None]) -> None:
        self._gauges = tuple(_Gauge(variable) if variable is not None else None for variable in variables)

    def show(self, numbers: Sequence[float | None]) -> list[Variable]:
        """The device shows these, in the order of the variables. Gives the variables that have changed by it."""
        changed = []
        for number, gauge in zip(numbers, self._gauges, strict=True):
            if gauge is None:
                continue
            actual = gauge.actual
            if number == gauge.number and gauge.text == actual.value:  # others may have given it a value meanwhile
                continue
            text = decimal_text(number)
            gauge.number, gauge.text = number, text
            if text != actual.value:
                actual.value = text
                changed.append(gauge.variable)
        return changed


class _Gauge:
    """One variable, and what was shown of it last."""

    def __init__(self, variable: Variable) -> None:
        actual = variable.attribute()
        if actual is None or variable.characteristics.data_type is not DataType.DECIMAL:
            raise ValueError(f"{describe(variable)} shows no decimals")
        self.variable = variable
        self.actual: Attribute = actual
        self.number: float | None = math.nan  # equal to no number
        self.text: str | None = None
