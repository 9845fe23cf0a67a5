"""Statistics that are not plain means, each with its values on the same resamples of the items.

They can be averaged and subtracted resample by resample, so that what rests on the same items stays comparable.

Letters: N items, R resamples, S sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.statistics.intervals import interval_ends
from slimvec.statistics.resampling import Values

TIE = 1e-6
"""Cosines this close are equal: unit vectors in float32 leave such differences."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number with what it would have been on other items.

    Attributes:
        value: On the items.
        samples: [R], on resamples of them.
        num_items: It rests on.
    """

    value: float
    samples: Values
    num_items: int

    @property
    def low(self) -> float:
        """Lower end of the 95% interval."""
        return float(min(self.value, interval_ends(self.samples)[0]))

    @property
    def high(self) -> float:
        """Upper end of the 95% interval."""
        return float(max(self.value, interval_ends(self.samples)[1]))


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Give the mean of estimates that rest on different items, all of the same weight."""
    return Estimate(
        float(np.mean([estimate.value for estimate in estimates])),
        np.mean([estimate.samples for estimate in estimates], axis=0),
        sum(estimate.num_items for estimate in estimates),
    )


def estimate_sums(sums: Values, counts: Values, statistic: Callable[[Values], Values]) -> Estimate:
    """Estimate a function of sums over the items.

    Args:
        sums: [N, S], what each item adds.
        counts: [R, N].
        statistic: Sums [K, S] to values [K].
    """
    whole = statistic(sums.sum(axis=0, keepdims=True))
    return Estimate(float(whole[0]), statistic(counts @ sums), len(sums))


def estimate_mean(values: Values, counts: Values) -> Estimate:
    """Estimate the mean of what each item has: [N]."""
    sums = np.stack([values, np.ones(len(values))], axis=1)
    return estimate_sums(sums, counts, lambda totals: totals[:, 0] / totals[:, 1])


def estimate_auc(positive: Values, negative: Values, counts: Values) -> Estimate:
    """Estimate the chance that a positive is above a negative, each of any item; ties count half.

    Args:
        positive: [N] cosines.
        negative: [N] cosines, of the same items.
        counts: [R, N].
    """
    wins = win_shares(positive[:, None], negative[None, :])
    totals = counts.sum(axis=1)
    samples = ((counts @ wins) * counts).sum(axis=1) / totals**2
    return Estimate(float(wins.mean()), samples, len(positive))


def estimate_separation(scores: Values, labels: Values, counts: Values) -> Estimate:
    """Estimate the area under the curve of scores that should tell two classes apart; ties count half.

    Args:
        scores: [N].
        labels: [N], 1 or 0; both are there.
        counts: [R, N]; resamples without one of the classes are left out.
    """
    first, second = labels == 1, labels == 0
    wins = win_shares(scores[first][:, None], scores[second][None, :])
    ones, zeros = counts[:, first], counts[:, second]
    totals = ones.sum(axis=1) * zeros.sum(axis=1)
    samples = ((ones @ wins) * zeros).sum(axis=1)[totals > 0] / totals[totals > 0]
    return Estimate(float(wins.mean()), samples, len(scores))


def win_shares(first: Values, second: Values) -> Values:
    """Give 1 where the first is greater, 0 where the second is, and a half for ties."""
    gap = first - second
    return np.where(np.abs(gap) <= TIE, 0.5, (gap > 0).astype(np.float64))


def squared_correlation(totals: Values) -> Values:
    """Give r^2 of x and y from sums [K, 6] of 1, x, y, x^2, y^2 and xy: [K]; 0 where one of them does not vary."""
    count, x, y, xx, yy, xy = totals.T
    spread = (count * xx - x * x) * (count * yy - y * y)
    shared = count * xy - x * y
    floor = np.finfo(np.float64).eps * (count * xx) * (count * yy)
    return np.where(spread > floor, shared**2 / np.maximum(spread, floor + 1e-300), 0.0)
