"""Differences between trained variants: judged over the queries that were asked and the luck of training, both.

A training drawn again with another seed moves a score by more than a bootstrap over queries shows. The values of S
trainings on Q queries have two sources of chance, so the variance of their mean is the sum of two estimates:

    V_runs    = variance of the S means / S, less the noise of single queries in it, with S - 1 degrees of freedom
    V_queries = sum over K sets of the variance of the Q query means / Q, over K^2

and the interval is the mean +- sqrt(t(S - 1)^2 V_runs + t(f)^2 V_queries): the modified large-sample interval for a
sum of variance components (Graybill and Wang 1980, doi:10.1080/01621459.1980.10477565). Chosen by simulation against a
hierarchical bootstrap, plain and corrected, and Satterthwaite's degrees of freedom for the whole: it alone holds 95% at
3, 5 and 8 trainings with and without training noise (docs/log.md, 2026-11-29; test_training_honesty.py). The f of the K
sets is Satterthwaite's: a set of ten queries beside one of thousands gives nearly all of V_queries, and is known with
nine degrees of freedom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t

from slimvec.statistics.intervals import Interval
from slimvec.statistics.resampling import LEVEL, Values
from slimvec.statistics.significance import POWER, Difference, paired_differences

MIN_TRAININGS = 3
"""Under three an arm the variance of trainings is hardly known: t is 12.7 with two, 4.3 with three."""
_LEAST_P = 1e-15
"""Smaller ones mean nothing."""


@dataclass(frozen=True, slots=True)
class TrainingSpread:
    """How much a score moves between trainings of one recipe, measured elsewhere.

    Attributes:
        deviation: Standard deviation of the mean score over all sets, between seeds.
        num_trainings: Seeds it was measured with.
    """

    deviation: float
    num_trainings: int


@dataclass(frozen=True, slots=True)
class _Components:
    """Variances of a mean difference, with their degrees of freedom."""

    runs: float
    runs_freedom: float
    queries: float
    queries_freedom: float

    def half_width(self, false_alarms: float, power: float | None = None) -> float:
        """Half of the interval that is wrong this often; with a power, what is found that often outside it."""
        quantiles = []
        for freedom in (self.runs_freedom, self.queries_freedom):
            found = float(t.isf(false_alarms / 2, freedom))
            quantiles.append(found + (0.0 if power is None else float(t.ppf(power, freedom))))
        return float(np.sqrt(quantiles[0] ** 2 * self.runs + quantiles[1] ** 2 * self.queries))


def compare_trainings(
    first: Mapping[str, Values],
    second: Mapping[str, Values],
    *,
    spread: TrainingSpread | None = None,
    num_trained: int = 2,
    num_tests: int = 1,
) -> Difference:
    """Compare two variants on the same queries, each trained S times, with the luck of training in the interval.

    Args:
        first: By set, values [S, Q] of one variant.
        second: Values of the other: the same sets, queries and trainings; row i of both shared its seed.
        spread: Spread of trainings, measured elsewhere. Taken instead of the S means where these are under three.
        num_trained: How many of the two were trained; the spread counts once for each.
        num_tests: Comparisons that are corrected together, for what would have been seen.

    Raises:
        ValueError: other sets, queries or trainings; or under three trainings and no spread.
    """
    differences = paired_differences(first, second)
    num_runs = len(differences[0])
    if num_runs < MIN_TRAININGS and spread is None:
        raise ValueError(f"{num_runs} trainings and no measured spread: no judgement of trained variants")
    parts = _components(differences, spread, num_trained)
    mean = float(np.mean([rows.mean() for rows in differences]))
    half = parts.half_width(1 - LEVEL)
    detectable = parts.half_width((1 - LEVEL) / num_tests, POWER)
    return Difference(Interval(mean, mean - half, mean + half), _p_value(parts, abs(mean)), detectable)


def with_training_luck(interval: Interval, by_training: Values) -> Interval:
    """Widen the interval of a mean over items, which are the same in all trainings, by the luck of these.

    The distance to each end and t(S - 1) times the standard error of the S values are added as squares, as in the
    module's formula. What single items add to the spread of the values is not taken off: the interval is wide rather
    than narrow.

    Args:
        interval: The mean over trainings and its ends, with what the items leave open.
        by_training: [S], the value by each training.

    Raises:
        ValueError: under three trainings.
    """
    num = len(by_training)
    if num < MIN_TRAININGS:
        raise ValueError(f"{num} trainings say too little of their luck")
    luck = float(t.ppf((1 + LEVEL) / 2, num - 1)) * np.sqrt(_variance(by_training) / num)
    low, high = (float(np.hypot(end - interval.value, luck)) for end in (interval.low, interval.high))
    return Interval(interval.value, interval.value - low, interval.value + high)


def detectable_difference(
    *,
    deviation: float,
    query_deviation: float,
    set_sizes: Sequence[int],
    num_trainings: int,
    measured_with: int | None = None,
    num_tests: int = 1,
) -> float:
    """Give the smallest true difference of two trained variants that is found with a chance of 80%, beforehand.

    Args:
        deviation: Standard deviation of one variant's score between trainings.
        query_deviation: Standard deviation over queries of the difference of two variants.
        set_sizes: Queries of each set; sets weigh the same.
        num_trainings: Seeds an arm.
        measured_with: Seeds that the deviation was measured with, where these stand for an arm's own.
        num_tests: Comparisons that are corrected together.
    """
    by_set = [query_deviation**2 / size / len(set_sizes) ** 2 for size in set_sizes]
    freedom = (num_trainings if measured_with is None else measured_with) - 1
    parts = _Components(2 * deviation**2 / num_trainings, freedom, sum(by_set), _freedom(by_set, set_sizes))
    return parts.half_width((1 - LEVEL) / num_tests, POWER)


def _components(differences: list[Values], spread: TrainingSpread | None, num_trained: int) -> _Components:
    num_runs, num_sets = len(differences[0]), len(differences)
    by_set = [_variance(rows.mean(axis=0)) / rows.shape[1] / num_sets**2 for rows in differences]
    queries, freedom = sum(by_set), _freedom(by_set, [rows.shape[1] for rows in differences])
    if num_runs < MIN_TRAININGS and spread is not None:
        runs = num_trained * spread.deviation**2 / num_runs
        return _Components(runs, spread.num_trainings - 1, queries, freedom)
    means = np.mean([rows.mean(axis=1) for rows in differences], axis=0)
    noise = sum(_interaction(rows) / rows.size for rows in differences) / num_sets**2
    return _Components(max(0.0, _variance(means) / num_runs - noise), num_runs - 1, queries, freedom)


def _freedom(variances: Sequence[float], sizes: Sequence[int]) -> float:
    """Give the degrees of freedom of a sum of variances, each from a number of queries (Satterthwaite 1946)."""
    known = [(variance, size - 1) for variance, size in zip(variances, sizes, strict=True) if variance]
    if not known:
        return max(1, sum(sizes) - len(sizes))
    return sum(variance for variance, _ in known) ** 2 / sum(variance**2 / freedom for variance, freedom in known)


def _interaction(rows: Values) -> float:
    """Variance of single values beyond what their training and their query explain."""
    rest = rows - rows.mean(axis=0) - rows.mean(axis=1, keepdims=True) + rows.mean()
    freedom = (rows.shape[0] - 1) * (rows.shape[1] - 1)
    return float((rest**2).sum() / freedom) if freedom else 0.0


def _variance(values: Values) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _p_value(parts: _Components, distance: float) -> float:
    """Give the share of false alarms at which the interval just reaches 0."""
    if parts.runs == parts.queries == 0:
        return 0.0 if distance else 1.0
    if parts.half_width(_LEAST_P) <= distance:
        return _LEAST_P
    if parts.half_width(1 - 1e-12) >= distance:
        return 1.0
    return float(brentq(lambda alarms: parts.half_width(alarms) - distance, _LEAST_P, 1 - 1e-12, xtol=_LEAST_P))
