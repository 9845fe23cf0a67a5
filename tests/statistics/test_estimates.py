"""Intervals of items that come in clusters, against plain loops and known truths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.probes.order.findings import estimate_kept
from slimvec.statistics.estimates import (
    average,
    estimate_auc,
    estimate_mean,
    estimate_separation,
    estimate_sums,
    squared_correlation,
    win_shares,
)
from slimvec.statistics.resampling import draw_clusters


def test_clusters_are_drawn_whole_and_items_anew_within_them():
    clusters = ["a"] * 3 + ["b"] + ["c"] * 4
    counts = draw_clusters(clusters, np.random.default_rng(1), 4000)
    assert counts.shape == (4000, 8)
    sizes = np.stack([counts[:, :3].sum(1) / 3, counts[:, 3], counts[:, 4:].sum(1) / 4], axis=1)
    assert set(sizes.ravel().tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert (sizes.sum(axis=1) == 3).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(8), abs=0.06)
    assert (counts == draw_clusters(clusters, np.random.default_rng(1), 4000)).all()
    alone = draw_clusters([str(n) for n in range(6)], np.random.default_rng(2))
    assert (alone.sum(axis=1) == 6).all()


def test_alike_items_widen_the_interval():
    values = np.repeat([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0], 25)
    together = estimate_mean(values, draw_clusters([str(n // 25) for n in range(200)], np.random.default_rng(1)))
    apart = estimate_mean(values, draw_clusters([str(n) for n in range(200)], np.random.default_rng(1)))
    assert together.value == apart.value == 0.5
    assert together.high - together.low > 3 * (apart.high - apart.low)


@pytest.mark.parametrize("templates", [8, 20])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(templates):
    generator = np.random.default_rng(5)
    covered = 0
    for trial in range(50):
        means = generator.beta(3, 2, size=templates)  # true mean 0.6
        values = (generator.random((templates, 10)) < means[:, None]).astype(float).ravel()
        counts = draw_clusters([str(n // 10) for n in range(templates * 10)], np.random.default_rng(trial), 400)
        found = estimate_mean(values, counts)
        covered += found.low <= 0.6 <= found.high
    assert covered >= 0.84 * 50  # a percentile bootstrap of few clusters is somewhat too narrow


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8), st.integers(0, 99))
def test_auc_and_its_resamples_are_shares_of_won_comparisons(pairs, seed):
    positive, negative = (np.array(side, dtype=float) / 4 for side in zip(*pairs, strict=True))
    counts = draw_clusters([str(n) for n in range(len(pairs))], np.random.default_rng(seed), 3)
    found = estimate_auc(positive, negative, counts)

    def plain(weights):
        drawn = [n for n, weight in enumerate(weights) for _ in range(int(weight))]
        wins = [(positive[i] > negative[j]) + 0.5 * (positive[i] == negative[j]) for i in drawn for j in drawn]
        return sum(wins) / len(wins)

    assert found.value == pytest.approx(plain([1] * len(pairs)))
    assert found.samples.tolist() == pytest.approx([plain(row) for row in counts])


def test_separation_by_hand():
    scores, labels = np.array([0.9, 0.4, 0.6, 0.4]), np.array([1.0, 1.0, 0.0, 0.0])
    counts = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 1.0], [2.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, 2.0]])
    found = estimate_separation(scores, labels, counts)
    assert found.value == (1 + 1 + 0 + 0.5) / 4
    assert found.samples.tolist() == [0.625, 1.0, 0.5]  # a resample without one of the classes says nothing


def test_squared_correlation_is_numpys():
    generator = np.random.default_rng(3)
    x = generator.random(50)
    y = 2 * x + generator.random(50)
    sums = np.stack([np.ones(50), x, y, x * x, y * y, x * y], axis=1)
    found = estimate_sums(sums, np.ones((2, 50)), squared_correlation)
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert found.samples.tolist() == pytest.approx([found.value] * 2)
    flat = np.stack([np.ones(50), x, np.ones(50), x * x, np.ones(50), x], axis=1)
    assert estimate_sums(flat, np.ones((1, 50)), squared_correlation).value == 0.0


def test_ties_are_differences_of_rounding():
    assert win_shares(np.array([0.5, 0.5 + 5e-7, 0.6]), np.array([0.5, 0.5, 0.7])).tolist() == [0.5, 0.5, 0.0]


def test_averages_are_of_values_and_of_resamples():
    counts = np.ones((2, 2))
    first, second = estimate_mean(np.array([0.0, 1.0]), counts), estimate_mean(np.array([1.0, 1.0]), counts)
    both = average([first, second])
    assert (both.value, both.samples.tolist(), both.num_items) == (0.75, [0.75, 0.75], 4)


def test_what_is_kept_is_the_share_of_the_way_from_the_unrelated():
    shuffled, unrelated = np.array([0.9, 0.8]), np.array([0.2, 0.4])
    found = estimate_kept(shuffled, unrelated, np.array([[2.0, 0.0], [1.0, 1.0]]))
    assert found.value == pytest.approx((1.7 - 0.6) / (2 - 0.6))
    assert found.samples.tolist() == pytest.approx([0.7 / 0.8, found.value])
    assert estimate_kept(np.ones(2), np.ones(2), np.ones((1, 2))).value == 1.0
