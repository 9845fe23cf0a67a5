import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.statistics import resampling
from slimvec.statistics.intervals import bootstrap_intervals, paired_difference


def slow_interval(values, seed, num_resamples):
    generator = np.random.default_rng(seed)
    means = [values[generator.integers(len(values), size=len(values))].mean() for _ in range(num_resamples)]
    return np.quantile(means, [0.025, 0.975])


def test_intervals_equal_the_slow_reference_in_blocks_or_at_once(monkeypatch):
    values = np.random.default_rng(1).random((30, 2))
    for draws in (1, 100, 1_000_000):
        monkeypatch.setattr(resampling, "_CELLS_AT_ONCE", draws)
        for column, found in enumerate(bootstrap_intervals(values, seed=3, num_resamples=200)):
            low, high = slow_interval(values[:, column], 3, 200)
            assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
            assert found.value == pytest.approx(values[:, column].mean())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_bounds_hold_the_mean_of_resamples_within_the_values(values):
    found = bootstrap_intervals(np.array(values)[:, None], seed=0, num_resamples=100)[0]
    slack = 1e-12
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_about_95_of_100_intervals_hold_the_true_mean():
    generator = np.random.default_rng(5)
    num_trials, num_queries = 400, 100
    samples = generator.beta(0.4, 0.6, size=(num_trials, num_queries))  # as skewed as nDCG by query is
    found = [bootstrap_intervals(row[:, None], seed=n, num_resamples=1000)[0] for n, row in enumerate(samples)]
    covered = np.mean([interval.low <= 0.4 <= interval.high for interval in found])
    assert 0.92 <= covered <= 0.97  # 95% less the small-sample bias of the percentile form, +- 2 standard errors


def test_systems_that_do_not_differ_are_called_different_in_1_of_20_trials():
    generator = np.random.default_rng(6)
    wrong = 0
    for trial in range(400):
        hard = generator.beta(0.4, 0.6, size=100)
        first, second = (np.clip(hard + generator.normal(scale=0.1, size=100), 0, 1) for _ in range(2))
        found = paired_difference(first, second, seed=trial, num_resamples=1000)
        wrong += not found.low <= 0 <= found.high
    assert 0.02 <= wrong / 400 <= 0.08


def test_pairing_sees_what_two_intervals_do_not():
    hard = np.random.default_rng(7).random(200)
    better = hard * 0.95 + 0.05
    difference = paired_difference(better, hard, seed=0)
    one, other = bootstrap_intervals(np.stack([better, hard], axis=1), seed=0)
    assert difference.low > 0
    assert one.low < other.high


def test_wrong_values_are_refused():
    with pytest.raises(ValueError, match="at least one query and finite numbers"):
        bootstrap_intervals(np.empty((0, 1)), seed=0)
    with pytest.raises(ValueError, match="at least one query and finite numbers"):
        bootstrap_intervals(np.array([[np.nan]]), seed=0)
    with pytest.raises(ValueError, match="expected the same queries"):
        paired_difference(np.ones(2), np.ones(3), seed=0)
