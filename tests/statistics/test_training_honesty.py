"""Differences of trained variants, simulated with the luck of training: 95% and 5%, at three seeds and more."""

import numpy as np
import pytest
from scipy.stats import norm, t

from slimvec.statistics.intervals import Interval
from slimvec.statistics.significance import compare_runs
from slimvec.statistics.trainings import TrainingSpread, compare_trainings, detectable_difference, with_training_luck

SETS = {"one": 60, "two": 90, "three": 120}
NUM_REPEATS = 600


def trained(generator, num_runs, deviation, *, ahead=0.0):
    """Values [S, Q] by set of two variants whose trainings move the whole score by a normal of this deviation.

    One deviation for both, or one each.
    """
    first, second = {}, {}
    luck = generator.normal(0, np.broadcast_to(deviation, 2)[:, None], size=(2, num_runs))
    for name, queries in SETS.items():
        hard = generator.beta(0.6, 0.6, size=queries)
        share = generator.exponential(size=queries)  # queries that a training moves more than others
        liked = generator.standard_t(5, size=(2, queries)) * 0.08  # what a variant's recipe does to a query
        noise = generator.standard_t(5, size=(2, num_runs, queries)) * 0.05
        for found, which, more in ((first, 0, ahead), (second, 1, 0.0)):
            found[name] = hard + liked[which] + more + luck[which][:, None] * share + noise[which]
    return first, second


def rates(num_runs, deviation, *, seed, compare=compare_trainings, ahead=0.0, repeats=NUM_REPEATS, **options):
    """Shares of repetitions whose interval holds the truth, and which call the variants different."""
    generator = np.random.default_rng(seed)
    held = called = 0
    for _ in range(repeats):
        found = compare(*trained(generator, num_runs, deviation, ahead=ahead), **options)
        held += found.interval.low <= ahead <= found.interval.high
        called += found.p <= 0.05
    return held / repeats, called / repeats


def noise(rate, repeats=NUM_REPEATS):
    return 3.5 * np.sqrt(rate * (1 - rate) / repeats)


def _over_queries(first, second):
    return compare_runs(first, second, seed=0, num_resamples=400)


@pytest.mark.parametrize("num_runs", [3, 5])
@pytest.mark.parametrize("deviation", [0.0, 0.007, 0.014])
def test_an_interval_over_trainings_holds_the_truth_and_equal_recipes_are_called_different_one_time_in_twenty(
    num_runs, deviation
):
    held, called = rates(num_runs, deviation, seed=num_runs, ahead=0.0)
    assert held > 0.95 - noise(0.95), held
    assert called < 0.05 + noise(0.05), called
    assert held + called == pytest.approx(1, abs=0.002)  # test and interval are one


def test_it_holds_where_spreads_are_unlike_and_seeds_are_even():
    held, called = rates(4, (0.002, 0.02), seed=4, repeats=300)
    assert held > 0.95 - noise(0.95, 300), held
    assert called < 0.05 + noise(0.05, 300), called


@pytest.mark.parametrize(("sizes", "freedom"), [((10, 2000), 9), ((60, 60), 118), ((2000,), 1999)])
def test_a_small_set_beside_a_large_one_is_known_as_badly_as_it_is(sizes, freedom):
    """The fault that this replaces: t of all queries, and intervals that hold .931 (docs/log.md, 2026-11-29)."""
    generator = np.random.default_rng(6)
    rows = {str(n): np.repeat(_standard(generator, size), 3, axis=0) for n, size in enumerate(sizes)}
    found = compare_trainings(rows, {name: np.zeros_like(values) for name, values in rows.items()})
    error = np.sqrt(sum(1 / size for size in sizes)) / len(sizes)
    assert found.interval.high / error == pytest.approx(t.isf(0.025, freedom), rel=0.01)


def _standard(generator, size):
    """Values [1, Q] of mean 0 and variance 1."""
    values = generator.normal(size=(1, size))
    return (values - values.mean()) / values.std(ddof=1)


def test_queries_alone_promise_what_trainings_do_not_keep():
    """The fault that this replaces: one training an arm, an interval over queries."""
    held, called = rates(1, 0.014, seed=1, compare=_over_queries, repeats=150)
    assert held < 0.85, held
    assert called > 0.15, called


def test_a_measured_spread_makes_one_training_honest():
    spread = TrainingSpread(deviation=0.014, num_trainings=200)
    held, called = rates(1, 0.014, seed=2, spread=spread)
    assert held > 0.95 - noise(0.95), held
    assert called < 0.05 + noise(0.05), called
    with pytest.raises(ValueError, match="1 trainings and no measured spread"):
        compare_trainings(*trained(np.random.default_rng(0), 1, 0.01))


def test_what_would_have_been_seen_is_seen_four_times_in_five():
    generator = np.random.default_rng(3)
    pairs = [trained(generator, 6, 0.007) for _ in range(200)]
    size = float(np.mean([compare_trainings(*pair).detectable for pair in pairs]))
    _, seen = rates(6, 0.007, seed=4, ahead=size, repeats=200)
    assert 0.7 < seen < 0.9, seen
    corrected = compare_trainings(*pairs[0], num_tests=10).detectable
    assert corrected > compare_trainings(*pairs[0]).detectable


def test_without_any_spread_of_trainings_it_is_the_test_over_queries():
    first, second = trained(np.random.default_rng(5), 1, 0.0, ahead=0.01)
    first, second = ({name: np.repeat(rows, 3, axis=0) for name, rows in found.items()} for found in (first, second))
    found, plain = compare_trainings(first, second), compare_runs(first, second, seed=0)
    assert found.interval.value == pytest.approx(plain.interval.value)
    assert found.interval.high - found.interval.low == pytest.approx(plain.interval.high - plain.interval.low, rel=0.05)
    error = (found.interval.high - found.interval.value) / norm.ppf(0.975)
    assert found.p == pytest.approx(2 * norm.sf(abs(found.interval.value) / error), rel=0.15)


def test_equal_and_opposite_values_have_a_p_of_one_and_of_nearly_none():
    rows = {"one": np.full((3, 20), 0.5)}
    assert compare_trainings(rows, rows).p == 1.0
    assert compare_trainings(rows, {"one": np.full((3, 20), 0.4)}).p < 1e-12


def test_power_is_known_beforehand():
    """docs/comparing.md: what a study sees, by the spreads that were measured."""

    def seen(queries, trainings, **options):
        return detectable_difference(
            deviation=0.007, query_deviation=0.2, set_sizes=queries, num_trainings=trainings, **options
        )

    assert seen([520], 3) > seen([1200], 3) > seen([1200], 6)
    assert seen([1200], 6) < 0.025 < seen([300], 50)  # there queries are missing, not seeds
    assert seen([20, 1180], 6) > seen([600, 600], 6)  # sets weigh the same
    assert seen([1200], 6, num_tests=5) > seen([1200], 6)
    assert seen([1200], 1, measured_with=6) > seen([1200], 6)


def test_what_is_seen_beforehand_is_what_a_study_has_seen():
    generator = np.random.default_rng(7)
    pairs = [trained(generator, 6, 0.007) for _ in range(200)]
    size = float(np.mean([compare_trainings(*pair).detectable for pair in pairs]))
    first, second = pairs[0]
    per_query = np.std(np.concatenate([(first[name] - second[name]).mean(axis=0) for name in first]), ddof=1)
    sizes = [rows.shape[1] for rows in first.values()]
    planned = detectable_difference(deviation=0.007, query_deviation=float(per_query), set_sizes=sizes, num_trainings=6)
    assert planned == pytest.approx(size, rel=0.15)


@pytest.mark.parametrize("num", [3, 5])
@pytest.mark.parametrize("luck", [0.0, 0.05])
def test_a_measure_over_items_with_the_luck_of_trainings_holds_the_truth(num, luck):
    """The items are the same in all trainings, so what they leave open is common to all."""
    generator = np.random.default_rng(num)
    held = 0
    for _ in range(2000):
        values = 0.05 * generator.normal() + luck * generator.normal(size=num)
        mean = float(values.mean())
        half = float(norm.ppf(0.975)) * 0.05
        found = with_training_luck(Interval(mean, mean - half, mean + half), values)
        held += found.low <= 0 <= found.high
    assert held / 2000 >= 0.94
    assert luck or held / 2000 <= 0.96
    with pytest.raises(ValueError, match="2 trainings say too little"):
        with_training_luck(Interval(0.0, -1.0, 1.0), values[:2])
