"""Tests of differences: honest under no difference, and able to see one."""

import numpy as np
import pytest

from slimvec.statistics.significance import compare_runs


def values(generator, num_runs, shift=0.0):
    """Two sets of queries as hard as they are, and noise of the run and of the query in it."""
    return {
        name: np.clip(hard + shift + 0.02 * generator.normal(size=(num_runs, 1))
                      + 0.1 * generator.normal(size=(num_runs, len(hard))), 0, 1)
        for name, hard in (("a", np.linspace(0.3, 0.7, 60)), ("b", np.linspace(0.4, 0.6, 40)))
    }  # fmt: skip


def test_a_true_difference_lies_in_19_of_20_intervals():
    generator = np.random.default_rng(1)
    inside = []
    for number in range(300):
        rows = {name: 0.05 + 0.2 * generator.normal(size=(1, size)) for name, size in (("a", 80), ("b", 50))}
        zero = {name: np.zeros_like(row) for name, row in rows.items()}
        interval = compare_runs(rows, zero, seed=number, num_resamples=400).interval
        inside.append(interval.low <= 0.05 <= interval.high)
    assert 0.91 < np.mean(inside) < 0.98


def test_the_detectable_difference_is_found_with_its_power():
    generator = np.random.default_rng(2)

    def run(shift, seed):
        rows = {"a": shift + 0.2 * generator.normal(size=(1, 100))}
        return compare_runs(rows, {"a": np.zeros((1, 100))}, seed=seed, num_resamples=400)

    detectable = run(0.0, 0).detectable
    assert detectable == pytest.approx(2.8 * 0.2 / 10, rel=0.2)
    assert np.mean([run(0.056, seed).p <= 0.05 for seed in range(200)]) == pytest.approx(0.8, abs=0.1)


def test_runs_that_vary_widen_the_interval():
    generator = np.random.default_rng(3)
    base = {name: row * 0 for name, row in values(generator, 3).items()}
    steady = {name: row + 0.1 for name, row in base.items()}
    lucky = {name: row + np.array([[0.0], [0.1], [0.2]]) for name, row in base.items()}
    assert compare_runs(steady, base, seed=0, num_resamples=200).interval.high == pytest.approx(0.1)
    assert compare_runs(lucky, base, seed=0, num_resamples=200).interval.high > 0.15


def test_different_queries_do_not_compare():
    with pytest.raises(ValueError, match="the same sets, queries and numbers of runs"):
        compare_runs({"a": np.zeros((1, 3))}, {"a": np.zeros((1, 4))}, seed=0)
