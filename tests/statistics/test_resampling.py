"""Every draw of the resampler against drawing items one by one, and every interval against a slow reference."""

import numpy as np
import pytest
from scipy.stats import skew, spearmanr

from slimvec.probes.geometry.spread import skewness_interval
from slimvec.statistics import resampling
from slimvec.statistics.intervals import crossed_intervals, interval_ends, percentile_interval
from slimvec.statistics.jackknife import rank_correlation
from slimvec.statistics.pairs import drawn_pair_means, pair_interval, pair_mean
from slimvec.statistics.resampling import draw_blocks, draw_clusters, draw_counts, draw_crossed
from slimvec.statistics.significance import compare_runs


def drawn_one_by_one(num_items, seed, num_draws):
    generator = np.random.default_rng(seed)
    return [generator.integers(num_items, size=num_items) for _ in range(num_draws)]


def test_counts_are_those_of_drawing_one_by_one_whatever_the_blocks(monkeypatch):
    expected = [np.bincount(row, minlength=7) for row in drawn_one_by_one(7, 3, 50)]
    for cells in (1, 20, 4_000_000):
        monkeypatch.setattr(resampling, "_CELLS_AT_ONCE", cells)
        assert (draw_counts(7, np.random.default_rng(3), 50) == expected).all()
        blocks = list(draw_blocks(7, np.random.default_rng(3), 50))
        assert (np.concatenate(blocks) == expected).all()
    assert len(blocks) == 1


def test_clusters_come_whole_and_their_items_anew():
    clusters = ["a", "b", "a", "c", "b", "a"]
    counts = draw_clusters(clusters, np.random.default_rng(0), 300)
    by_cluster = draw_counts(3, np.random.default_rng(0), 300)
    sizes = {"a": 3, "b": 2, "c": 1}
    for number, (name, size) in enumerate(sizes.items()):
        own = [place for place, cluster in enumerate(clusters) if cluster == name]
        assert (counts[:, own].sum(axis=1) == size * by_cluster[:, number]).all()


def test_crossed_items_count_as_often_as_unit_and_kind_together():
    units, kinds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    cells, draws = draw_crossed(units, kinds, np.random.default_rng(0), 40)
    generator = np.random.default_rng(0)
    by_unit, by_kind = draw_counts(3, generator, 40), draw_counts(2, generator, 40)
    for item, (unit, kind) in enumerate(zip(units, kinds, strict=True)):
        assert (draws[:, cells[item]] == by_unit[:, unit] * by_kind[:, kind]).all()
    alone, drawn = draw_crossed(units, None, np.random.default_rng(0), 40)
    assert (alone == units).all()
    assert (drawn == by_unit).all()
    (found,) = crossed_intervals(np.arange(5.0)[:, None], units, kinds, seed=0)
    assert found.low < found.value == 2 < found.high


def test_means_over_pairs_leave_out_a_text_with_itself():
    grid = np.random.default_rng(2).random((6, 6))
    grid = grid + grid.T
    expected = []
    for row in drawn_one_by_one(6, 5, 30):
        pairs = [grid[a, b] for a in row for b in row if a != b]
        expected.append(np.mean(pairs) if pairs else 0)
    drawn = drawn_pair_means(grid, seed=5, num_draws=30)
    np.testing.assert_allclose(drawn, expected, atol=1e-12)
    found = pair_interval([grid], lambda mean: mean, seed=5, num_draws=30)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))
    assert found.value == pytest.approx(pair_mean(grid)) == pytest.approx(grid[~np.eye(6, dtype=bool)].mean())


def test_skewness_of_draws_is_that_of_the_texts_drawn():
    counts = np.random.default_rng(0).poisson(3, size=40).astype(float)
    found = skewness_interval(counts, seed=1)
    drawn = [skew(counts[row]) for row in drawn_one_by_one(40, 1, 2_000)]
    assert found.value == pytest.approx(skew(counts))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_runs_and_queries_are_drawn_as_by_hand():
    generator = np.random.default_rng(4)
    first = {"a": generator.random((3, 12)), "b": generator.random((3, 9))}
    second = {name: generator.random(rows.shape) for name, rows in first.items()}
    found = compare_runs(first, second, seed=8, num_resamples=200).interval
    draw = np.random.default_rng(8)
    runs = [draw.integers(3, size=3) for _ in range(200)]
    means = np.zeros(200)
    for name in first:
        difference = first[name] - second[name]
        for number, own in enumerate(runs):
            queries = draw.integers(difference.shape[1], size=difference.shape[1])
            means[number] += difference[np.ix_(own, queries)].mean() / 2
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_ends_leave_out_resamples_that_give_nothing():
    drawn = np.array([np.nan, 1.0, 2.0, 3.0, np.nan])
    assert (interval_ends(drawn) == np.quantile([1.0, 2.0, 3.0], [0.025, 0.975])).all()
    assert percentile_interval(2.0, drawn[1:4], level=0.5).low == 1.5


def test_rank_correlation_is_spearmans():
    generator = np.random.default_rng(0)
    xs, ys = generator.integers(0, 4, 9).astype(float), generator.integers(0, 4, (5, 9)).astype(float)
    expected = [spearmanr(xs, row).statistic for row in ys]
    np.testing.assert_allclose(rank_correlation(xs, ys), expected, atol=1e-12)
    assert rank_correlation(xs, np.ones((1, 9)))[0] == 0
