"""The length probe reads what was planted: a collapse, a beginning beyond which nothing is read, or neither."""

from itertools import combinations

import numpy as np
import pytest

from slimvec.probes.geometry.spread import mean_cosine
from slimvec.probes.length.length_probe import LengthProbe
from slimvec.probes.order.bags import word_counts
from slimvec.probes.protocol import ProbeConfig
from slimvec.statistics.pairs import drawn_pair_means
from tests.probes.planted import BagOfWords, Collapsing, FirstWords, Random

TINY = ProbeConfig(amount="tiny", seed=2)


def test_the_mean_cosine_is_that_of_all_pairs():
    vectors = np.random.default_rng(0).standard_normal((9, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [left @ right for left, right in combinations(vectors, 2)]
    found = mean_cosine(vectors, seed=0)
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low < found.value < found.high


def test_a_text_makes_no_pair_with_itself_however_often_it_is_drawn():
    assert drawn_pair_means(np.eye(6), seed=0).max() < 1e-12
    assert drawn_pair_means(np.ones((6, 6)), seed=0).min() > 0


def test_intervals_cover_a_planted_likeness():
    covered = 0
    for seed in range(30):
        draw = np.random.default_rng(seed)
        vectors = draw.standard_normal((20, 300)) / np.sqrt(300)
        vectors = np.sqrt(0.6) * np.eye(300)[0] + np.sqrt(0.4) * vectors
        found = mean_cosine(vectors, seed=seed)
        covered += found.low <= 0.6 <= found.high
    assert covered >= 24


def test_word_counts_are_cosines_of_words():
    counts = word_counts(["a b b", "B c", "d"])
    assert (counts @ counts.T)[0] == pytest.approx([1, 2 / np.sqrt(10), 0])


def test_a_bag_of_words_bears_any_length():
    result = LengthProbe().run(BagOfWords(dims=2048), TINY)
    assert result.measure("needle/longest").value > 0.8
    assert "not distinguishable from what their words do" in result.answer
    likeness = result.measure("likeness/longest")
    assert likeness.value == pytest.approx(likeness.baseline, abs=0.1)
    assert result.measure("reach").value == 256


def test_a_collapse_is_read_at_its_rate():
    result = LengthProbe().run(Collapsing(half=60), TINY)
    longest = result.measure("likeness/longest")
    # Of n words the share n / (n + 60) is common to all, the rest is as alike as words are.
    words = 0.9 * 256
    common = words / (words + 60)
    assert longest.value == pytest.approx(common + (1 - common) * longest.baseline, abs=0.05)
    assert "more than their words do" in result.answer


def test_beyond_what_is_read_a_needle_is_lost():
    result = LengthProbe().run(FirstWords(40), ProbeConfig(amount="quick"))
    fall = result.measure("needle/longest less shortest")
    assert fall.high < 0
    assert result.measure("reach").value <= 128
    assert result.tables[0].rows[0][0] == "32"
    assert result.tables[0].rows[-1][0] == "1,024"


def test_by_chance_nothing_reaches():
    result = LengthProbe().run(Random(), TINY)
    longest = result.measure("needle/longest")
    assert longest.low <= longest.baseline <= longest.high
    assert result.measure("needle/longest").baseline_name == "chance"


@pytest.mark.parametrize(
    ("amount", "limit", "most", "lengths"),
    [
        ("full", None, 4096, [32, 64, 128, 256, 512, 1024, 2048, 4096]),
        ("quick", 512, 4096, [32, 64, 128, 256, 512]),
        ("full", 300, 4096, [32, 64, 128, 256, 300]),
        ("tiny", None, 100, [32, 64, 100]),
        ("full", 40_000, 32_768, [32 * 2**n for n in range(11)]),
        ("full", 20, 4096, [32]),
    ],
)
def test_lengths_double_up_to_what_model_and_amount_allow(amount, limit, most, lengths):
    assert LengthProbe(max_tokens=most).lengths(BagOfWords(max_tokens=limit), ProbeConfig(amount=amount)) == lengths


def test_what_is_asked_for_counts_where_everything_is_drawn():
    probe = LengthProbe()
    assert probe.lengths(BagOfWords(), ProbeConfig(max_tokens=32_768))[-1] == 32_768
    assert probe.lengths(BagOfWords(max_tokens=8192), ProbeConfig(max_tokens=32_768))[-1] == 8192
    assert probe.lengths(BagOfWords(), ProbeConfig(max_tokens=64, amount="tiny")) == [32, 64]
    assert probe.lengths(BagOfWords(), ProbeConfig(max_tokens=9999, amount="tiny"))[-1] == 256


def test_a_model_of_one_length_is_skipped():
    result = LengthProbe().run(BagOfWords(max_tokens=20), TINY)
    assert result.skipped == "a model of 20 tokens has no two lengths to compare"
    assert result.measures == ()


def test_documents_fit_the_length_and_what_is_cut_off_is_told():
    fitting = LengthProbe(max_tokens=128).run(BagOfWords(max_tokens=128), TINY)
    assert {row[-1] for row in fitting.tables[0].rows} == {"0%"}
