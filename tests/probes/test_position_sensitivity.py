"""PSI, its interval and what it is by chance, against slow references and planted truth."""

import numpy as np
import pytest

from slimvec.probes.position.sensitivity import (
    NUM_DRAWS,
    _shuffled_means,
    group_places,
    measure_sensitivity,
    sensitivity_index,
)
from slimvec.ranking.metrics import single_ndcg


def drawn(truths, num, seed, num_units=40):
    """Scores whose mean is known by group, in units that share nothing."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(truths)), num)
    values = (generator.random(len(groups)) < np.asarray(truths)[groups]).astype(np.float64)
    return values, groups, generator.integers(num_units, size=len(groups))


def test_the_index_is_what_it_says():
    means = np.array([[0.8, 0.4, 0.6], [0.0, 0.0, 0.0], [np.nan, 0.5, 0.5]])
    assert sensitivity_index(means).tolist() == [0.5, 0.0, 0.0]
    assert np.isnan(sensitivity_index(np.full((1, 3), np.nan))).all()  # a draw of nothing


def test_means_and_counts_are_by_group():
    found = measure_sensitivity(np.array([1.0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.arange(4), seed=0)
    assert [group.value for group in found.by_group] == [0.5, 1.0]
    assert found.counts.tolist() == [2, 2]
    assert found.value == 0.5


@pytest.mark.parametrize(("truths", "psi"), [((0.6,) * 5, 0.0), ((0.9, 0.7, 0.6, 0.5, 0.45), 0.5)])
def test_the_interval_covers_what_was_planted(truths, psi, monkeypatch):
    monkeypatch.setattr("slimvec.probes.position.sensitivity.NUM_DRAWS", 300)
    found = [measure_sensitivity(*drawn(truths, 150, seed), seed=seed) for seed in range(25)]
    covered = sum(one.low - 1e-9 <= psi <= one.high + 1e-9 for one in found)
    assert covered >= 21  # 24 expected, standard deviation 1.1
    assert sum(one.is_distinguishable for one in found) == (25 if psi else pytest.approx(1, abs=3))


def test_by_chance_it_is_as_large_as_the_shuffles_say():
    found = [measure_sensitivity(*drawn((0.6,) * 5, 30, seed), seed=seed) for seed in range(10)]
    assert np.mean([one.value for one in found]) == pytest.approx(
        np.mean([one.chance.value for one in found]), abs=0.06
    )
    assert np.mean([one.chance.value for one in found]) > 0.15  # few items a group: far above the truth, which is 0
    assert all(one.chance.low <= one.chance.value <= one.chance.high for one in found)


def test_shuffles_stay_within_their_blocks():
    # Two blocks whose scores differ, each with one item a group: no shuffle within a block can change a group's mean.
    values, groups = np.array([1.0, 1, 1, 0, 0, 0]), np.array([0, 1, 2, 0, 1, 2])
    blocks = np.array([0, 0, 0, 1, 1, 1])
    means = _shuffled_means(values, groups, blocks, np.random.default_rng(0), 3)
    assert means.shape == (NUM_DRAWS, 3)
    assert (means == 0.5).all()
    free = _shuffled_means(values, groups, None, np.random.default_rng(0), 3)
    assert {0.0, 0.5, 1.0} == set(free.ravel().tolist())
    assert free.mean() == pytest.approx(0.5, abs=0.01)


def test_units_are_drawn_whole():
    # All items of a unit are alike: what varies is which units are drawn, so the interval is as wide as for 10 items.
    generator = np.random.default_rng(0)
    scores = generator.random(10)
    values, units = np.repeat(scores, 100), np.repeat(np.arange(10), 100)
    found = measure_sensitivity(values, np.tile([0, 1], 500), units, seed=0)
    assert found.value == 0
    assert found.by_group[0].high - found.by_group[0].low == pytest.approx(4 * scores.std() / np.sqrt(10), rel=0.2)


def test_small_groups_are_left_out():
    places = np.array([0.1] * 9 + [0.3] * 3 + [0.9] * 8 + [1.0])
    kept, groups = group_places(places, np.linspace(0, 1, 6))
    assert kept.tolist() == [*range(9), *range(12, 21)]
    assert groups.tolist() == [0] * 9 + [4] * 9


def test_ndcg_of_one_right_document_shares_ties():
    similarities = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.2, 0.2, 0.1]])
    found = single_ndcg(similarities, np.array([0, 2, 1]))
    assert found == pytest.approx([1, 1 / 2, 1 / np.log2(2.5)])
    far = single_ndcg(np.arange(12.0)[None], np.array([0]))
    assert far.tolist() == [0.0]
