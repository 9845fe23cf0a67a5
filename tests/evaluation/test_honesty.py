"""Intervals and tests on simulated rankings whose truth is known: the promised rates, within the noise of counting."""

import numpy as np
import pytest

from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.jackknife import average_precision_values, spearman_values
from slimvec.statistics.significance import holm, sign_flip_p_value, smallest_visible

NUM_QUERIES = 150
NUM_REPEATS = 1_000
RESAMPLES = 400


def ndcg_of_rank(ranks):
    """nDCG@10 of queries with one relevant document at these ranks."""
    return np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)


def simulated_queries(generator, num_repeats, *, shift=0.0):
    """Values of queries of which some are hard and some easy: [repeats, queries]."""
    hardness = generator.normal(size=(num_repeats, NUM_QUERIES))
    ranks = 1 + generator.poisson(np.exp(1.2 + hardness - shift))
    return ndcg_of_rank(ranks)


def within_noise(count, total, rate):
    """Whether a count is what a rate gives, within four standard deviations."""
    return abs(count / total - rate) < 4 * np.sqrt(rate * (1 - rate) / total) + 0.005


def test_an_interval_of_95_percent_holds_the_truth_95_times_in_a_hundred():
    generator = np.random.default_rng(0)
    truth = simulated_queries(generator, 4_000).mean()
    values = simulated_queries(generator, NUM_REPEATS)
    # One column a repetition: all are resampled with the same draws, which changes no column's own distribution.
    intervals = bootstrap_intervals(values.T.copy(), seed=1, num_resamples=RESAMPLES)
    held = sum(interval.low <= truth <= interval.high for interval in intervals)
    assert within_noise(held, NUM_REPEATS, 0.95), held / NUM_REPEATS


def test_an_interval_of_half_holds_the_truth_half_the_time():
    generator = np.random.default_rng(2)
    truth = simulated_queries(generator, 4_000).mean()
    intervals = bootstrap_intervals(
        simulated_queries(generator, NUM_REPEATS).T.copy(), seed=3, num_resamples=RESAMPLES, level=0.5
    )
    held = sum(interval.low <= truth <= interval.high for interval in intervals)
    assert within_noise(held, NUM_REPEATS, 0.5), held / NUM_REPEATS


def test_no_difference_is_called_one_five_times_in_a_hundred():
    generator = np.random.default_rng(4)
    first, second = (simulated_queries(generator, NUM_REPEATS) for _ in range(2))
    p_values = [
        sign_flip_p_value(a - b, seed=seed, num_flips=RESAMPLES)
        for seed, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    assert within_noise(sum(p <= 0.05 for p in p_values), NUM_REPEATS, 0.05)
    assert within_noise(sum(p <= 0.5 for p in p_values), NUM_REPEATS, 0.5)


def test_holm_keeps_the_rate_of_any_false_alarm_over_ten_tasks():
    generator = np.random.default_rng(5)
    alarms, plain, num_families = 0, 0, 120
    for family in range(num_families):
        first, second = (simulated_queries(generator, 10) for _ in range(2))
        p_values = [sign_flip_p_value(a - b, seed=family, num_flips=999) for a, b in zip(first, second, strict=True)]
        alarms += min(holm(p_values)) <= 0.05
        plain += min(p_values) <= 0.05
    assert alarms / num_families < 0.05 + 4 * np.sqrt(0.05 * 0.95 / num_families)
    assert plain / num_families > 0.25  # the simulation would notice a correction that corrects nothing


def test_the_smallest_visible_difference_is_seen_four_times_in_five():
    generator = np.random.default_rng(6)
    first, second = (simulated_queries(generator, NUM_REPEATS) for _ in range(2))
    differences = first - second
    size = np.mean([smallest_visible(row) for row in differences])
    found = sum(sign_flip_p_value(row + size, seed=0, num_flips=RESAMPLES) <= 0.05 for row in differences)
    assert within_noise(found, NUM_REPEATS, 0.8), found / NUM_REPEATS


def test_a_rank_correlation_s_interval_holds_the_truth():
    generator = np.random.default_rng(7)
    covariance = [[1.0, 0.7], [0.7, 1.0]]
    truth = 6 / np.pi * np.arcsin(0.7 / 2)  # Spearman's of a normal with correlation 0.7
    held = 0
    for _ in range(250):
        predicted, gold = generator.multivariate_normal([0, 0], covariance, size=200).T
        interval = bootstrap_intervals(spearman_values(predicted, gold)[:, None], seed=8, num_resamples=RESAMPLES)[0]
        held += interval.low <= truth <= interval.high
    assert within_noise(held, 250, 0.95), held / 250


def test_an_average_precision_s_interval_holds_the_truth():
    generator = np.random.default_rng(9)

    def draw(size):
        labels = generator.integers(0, 2, size=size)
        return generator.normal(size=size) + labels, labels

    truth = average_precision_values(*draw(200_000)).mean()
    held = 0
    for _ in range(250):
        interval = bootstrap_intervals(average_precision_values(*draw(300))[:, None], seed=1, num_resamples=RESAMPLES)
        held += interval[0].low <= truth <= interval[0].high
    assert within_noise(held, 250, 0.95), held / 250


def test_pairing_sees_what_two_intervals_do_not():
    generator = np.random.default_rng(10)
    hard = generator.random(300)
    first = hard + generator.normal(0, 0.02, size=300) + 0.01
    assert sign_flip_p_value(first - hard, seed=0) < 0.001
    (difference,) = bootstrap_intervals((first - hard)[:, None], seed=0)
    assert difference.low > 0
    one, other = bootstrap_intervals(np.stack([first, hard], axis=1), seed=0)
    assert one.low < other.high  # the intervals of the two means overlap by far
    assert difference.value == pytest.approx(0.01, abs=0.004)
