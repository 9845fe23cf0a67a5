"""Intervals: the percentile bootstrap (Efron 1979), of means over items and of whatever else is computed from draws.

Letters: N items, M measures, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Protocol, TypedDict

import numpy as np

from slimvec.frozen import Frozen
from slimvec.statistics.resampling import LEVEL, NUM_RESAMPLES, Numbers, Values, draw_blocks, draw_crossed

MIN_UNITS = 10
"""Fewer queries (or other units) give no interval worth showing: resampling three values knows only three values."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and the ends of its 95% interval; formatted with a number's format, all three are written."""

    value: float
    low: float
    high: float

    @property
    def is_apart(self) -> bool:
        """Whether it leaves 0 out."""
        return self.low > 0 or self.high < 0

    def __format__(self, form: str) -> str:
        return f"{self.value:{form}}{shown_ends(self.low, self.high, form=form)}"


class Estimated(Protocol):
    """A number with its 95% interval, as `Interval` is one."""

    @property
    def value(self) -> float:
        """The number."""
        ...

    @property
    def low(self) -> float:
        """Lower end."""
        ...

    @property
    def high(self) -> float:
        """Upper end."""
        ...


class Ends(TypedDict):
    """The ends of an interval; None where there is none."""

    low: float | None
    high: float | None


def ends_of(found: Estimated, num_units: int) -> Ends:
    """Give the ends of a number's interval, or None where it is from too few units to be one.

    Whatever is written or shown takes its ends from here.
    """
    enough = num_units >= MIN_UNITS
    return {"low": float(found.low) if enough else None, "high": float(found.high) if enough else None}


def shown_interval(low: float | None, high: float | None, num_units: int, *, form: str = ".3f") -> str:
    """Write an interval for people, or that it is from too few units to be one."""
    if low is None or high is None or num_units < MIN_UNITS:
        return f"too few ({num_units})"
    return f"{low:{form}} to {high:{form}}"


def shown_ends(low: float | None, high: float | None, *, form: str = ".3f") -> str:
    """Write the ends of an interval behind its value, with a space before; nothing where there is none."""
    return "" if low is None or high is None else f" [{low:{form}}, {high:{form}}]"


def interval_ends(drawn: Values, *, level: float = LEVEL) -> Values:
    """Give the lower and the upper end of percentile intervals: of [R] values [2], of [R, M] `[2, M]`.

    Args:
        drawn: What each resample gives; NaN where it has nothing to give, which counts for nothing.
        level: Share of the resamples inside.
    """
    ends: Values = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends


def percentile_interval(value: float, drawn: Values, *, level: float = LEVEL) -> Interval:
    """Put a number and the ends of its percentile interval together; arguments as for `percentile_intervals`."""
    return percentile_intervals([value], drawn[:, None], level=level)[0]


def percentile_intervals(values: Sequence[float] | Values, drawn: Values, *, level: float = LEVEL) -> list[Interval]:
    """Put numbers and the ends of their percentile intervals together.

    Args:
        values: [M] on the items as they are.
        drawn: [R, M] on each resample.
        level: Share of the resamples inside.
    """
    rows = zip(values, *interval_ends(drawn, level=level), strict=True)
    return [Interval(float(value), float(low), float(high)) for value, low, high in rows]


def bootstrap_intervals(
    values: Values, *, seed: int, num_resamples: int = NUM_RESAMPLES, level: float = LEVEL
) -> list[Interval]:
    """Give the mean of each measure with its percentile interval.

    All measures are resampled with the same draws of queries, so that they stay comparable.

    Args:
        values: [N, M], one row a query.
        seed: Random seed for the draws; the same seed gives the same interval.
        num_resamples: R.
        level: Share of the resampled means inside.

    Raises:
        ValueError: no queries, or a value that is not a finite number.
    """
    if len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"values of shape {values.shape}: expected at least one query and finite numbers")
    blocks = draw_blocks(len(values), np.random.default_rng(seed), num_resamples)
    means = np.concatenate([counts @ values / len(values) for counts in blocks])
    return percentile_intervals(values.mean(axis=0), means, level=level)


def crossed_intervals(values: Values, units: Numbers, kinds: Numbers, *, seed: int) -> list[Interval]:
    """Give the mean of each measure with its interval over units and the kinds that cross them.

    Args:
        values: [N, M].
        units: [N] number of each item's unit, from 0.
        kinds: [N] number of each item's kind, from 0.
        seed: Random seed for the draws.
    """
    cells, draws = draw_crossed(units, kinds, np.random.default_rng(seed))
    num_cells = draws.shape[1]
    sums = np.stack([np.bincount(cells, weights=column, minlength=num_cells) for column in values.T], axis=1)
    totals = draws @ np.bincount(cells, minlength=num_cells)
    drawn = (draws @ sums)[totals > 0] / totals[totals > 0, None]
    return percentile_intervals(values.mean(axis=0), drawn)


def paired_difference(
    first: Values, second: Values, *, seed: int, num_resamples: int = NUM_RESAMPLES, level: float = LEVEL
) -> Interval:
    """Give the mean of `first - second` on the same queries, with its interval.

    Pairing removes how hard the queries are, which both share: the interval is narrower than that of either mean. Two
    systems differ at this level when 0 is outside.

    Args:
        first: [N] values of one system.
        second: [N] values of the other on the same queries, in the same order.
        seed: Random seed for the draws.
        num_resamples: R.
        level: Share of the resampled means inside.

    Raises:
        ValueError: different numbers of queries, none, or a value that is not a finite number.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"values of shapes {first.shape} and {second.shape}: expected the same queries")
    difference = (first - second)[:, None]
    return bootstrap_intervals(difference, seed=seed, num_resamples=num_resamples, level=level)[0]


class Proportion(Frozen):
    """A share of things counted, with its 95% interval.

    Attributes:
        count: How many.
        total: Out of how many.
        share: Their quotient; None of nothing.
        low: Lower end of the interval.
        high: Upper end.
    """

    count: int
    total: int
    share: float | None
    low: float
    high: float

    def __str__(self) -> str:
        if self.share is None:
            return "none"
        return f"{self.share:.1%} [{self.low:.1%}, {self.high:.1%}]"


def proportion(count: int, total: int, *, level: float = 0.95) -> Proportion:
    """Give a share with Wilson's interval, which stays within 0 and 1 and holds for small counts and shares of 0 or 1.

    centre = (x + z^2 / 2) / (n + z^2),  half width = z sqrt(x (n - x) / n + z^2 / 4) / (n + z^2).

    Args:
        count: x, from 0 to n.
        total: n; of 0 the interval is everything.
        level: How often such intervals hold the truth.

    Raises:
        ValueError: counts that do not fit.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total}")
    if total == 0:
        return Proportion(count=0, total=0, share=None, low=0.0, high=1.0)
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (count + z * z / 2) / (total + z * z)
    half = z * sqrt(count * (total - count) / total + z * z / 4) / (total + z * z)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Proportion(
        count=count,
        total=total,
        share=count / total,
        low=0.0 if count == 0 else low,
        high=1.0 if count == total else high,
    )
