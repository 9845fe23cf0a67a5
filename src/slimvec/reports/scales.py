"""Axes of plots: which stretch of numbers they show, where they are marked, and where a number lies on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_LOG_MARKS = 8


@dataclass(frozen=True)
class Scale:
    """A stretch of numbers on a stretch of the page.

    Attributes:
        low: Number at `start`.
        high: Number at `end`; above `low`.
        start: Place of the lowest number, in pixels.
        end: Place of the highest, on either side of `start`.
        log: Equal factors are equally long.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Give the place of a number, in pixels."""
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def span(values: Sequence[float]) -> tuple[float, float]:
    """Choose what a vertical axis shows: shares from 0 to 1 and never beyond, others from 0 on where it is near.

    Args:
        values: All that is drawn, ends of intervals included.
    """
    low, high = min(values), max(values)
    if low >= 0 and high <= 1 and high - low > 0.25:
        return 0.0, 1.0
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    top = min(high + margin, 1.0) if low >= 0 and high <= 1 else high + margin
    return (0.0 if 0 <= low < 0.35 * high else low - margin), top


def marks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Give round numbers to mark an axis with: multiples of 1, 2, 2.5 or 5 times a power of ten.

    Args:
        low: Where the axis begins.
        high: Where it ends; above `low`.
        most: Marks at most.
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(s * power for s in _STEPS if math.floor(high / (s * power)) - math.ceil(low / (s * power)) < most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * number, 12) for number in range(first, last + 1)]


def log_marks(values: Sequence[float]) -> list[float]:
    """Give the marks of an axis in powers: the values themselves where they are few, else powers of two or ten."""
    different = sorted(set(values))
    if len(different) <= _MOST_LOG_MARKS:
        return different
    for base in (2.0, 10.0):
        first, last = (math.log(value, base) for value in (different[0], different[-1]))
        found = [base**power for power in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]
        if len(found) <= _MOST_LOG_MARKS + 2:
            return found
    return found[:: math.ceil(len(found) / _MOST_LOG_MARKS)]


def figure(value: float) -> str:
    """Write the number of a mark."""
    return f"{value:,.6g}"
