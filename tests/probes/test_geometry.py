"""The geometry probe reads the dimension, the cone, the hubs and the instability that were planted."""

import gzip
import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.vector_store import VectorStore
from slimvec.model.folder import save_model
from slimvec.probes.geometry.geometry_probe import GeometryProbe, compare_batches, compare_dtypes
from slimvec.probes.geometry.spread import (
    count_occurrences,
    entropy_dimension,
    gaussian,
    gaussian_skewness,
    iso_score,
    mean_cosine,
    participation_ratio,
    skewness,
    skewness_interval,
    spectrum,
    uniformity,
)
from slimvec.probes.protocol import ProbeConfig
from slimvec.statistics.jackknife import jackknife_interval
from slimvec.statistics.pairs import pair_interval
from slimvec.statistics.resampling import draw_counts
from tests import tiny
from tests.probes.planted import Mapped, Planted, Random, direction


def drawn(model, count=400):

    vectors = model.embed([f"text {number}" for number in range(count)]).vectors
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("rank", [8, 40, 200])
def test_the_dimension_of_vectors_is_read_however_few_they_are(rank):
    found = participation_ratio(drawn(Random(rank=rank, dims=256), 150), seed=1)
    assert found.low <= rank <= found.high
    assert found.high - found.low < rank


def test_a_cone_is_read_as_the_cosine_that_was_planted():
    found = mean_cosine(drawn(Random(shared=0.6, dims=128)), seed=1)
    assert found.low <= 0.6 + 0.005
    assert found.high >= 0.6 - 0.005
    assert found.value == pytest.approx(0.6, abs=0.02)


def test_isotropic_vectors_are_read_as_such():
    vectors = drawn(Random(dims=64), 600)
    even = mean_cosine(vectors, seed=1)
    assert even.low < 0 < even.high or abs(even.value) < 0.003
    dimension = participation_ratio(vectors, seed=1)
    assert iso_score(dimension.low, 64) <= 1 <= iso_score(dimension.high, 64)
    # With cosines of variance 1/D: log E exp(4 c - 4) is -4 + 8/D up to the fourth moment.
    assert uniformity(vectors, seed=1).value == pytest.approx(-4 + 8 / 64, abs=0.01)
    assert entropy_dimension(spectrum(vectors)) == pytest.approx(64, rel=0.07)


def paper_iso_score(eigenvalues):
    """IsoScore in the six steps of its paper."""
    dims = len(eigenvalues)
    scaled = np.sqrt(dims) * eigenvalues / np.linalg.norm(eigenvalues)
    defect = np.linalg.norm(scaled - 1) / np.sqrt(2 * (dims - np.sqrt(dims)))
    share = (dims - defect**2 * (dims - np.sqrt(dims))) ** 2 / dims**2
    return (dims * share - 1) / (dims - 1)


@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=30))
def test_iso_score_is_that_of_its_paper(eigenvalues):
    values = np.array(eigenvalues)
    ratio = values.sum() ** 2 / (values**2).sum()
    assert iso_score(ratio, len(values)) == pytest.approx(paper_iso_score(values), abs=1e-9)


def test_a_mean_over_pairs_is_that_of_all_pairs_and_copies_are_left_out():
    generator = np.random.default_rng(3)
    grid = generator.random((9, 9))
    grid = grid + grid.T
    found = pair_interval([grid], lambda mean: mean, seed=4, num_draws=50)
    pairs = [(i, j) for i in range(9) for j in range(9) if i != j]
    assert found.value == pytest.approx(np.mean([grid[pair] for pair in pairs]))
    np.fill_diagonal(grid, 1e6)  # of no meaning
    again = pair_interval([grid], lambda mean: mean, seed=4, num_draws=50)
    assert (again.value, again.low, again.high) == pytest.approx((found.value, found.low, found.high))
    draws = draw_counts(9, np.random.default_rng(4), 50).astype(int)
    means = []
    for draw in draws:
        texts = np.repeat(np.arange(9), draw)
        means.append(np.mean([grid[i, j] for i in texts for j in texts if i != j]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = 0
    for seed in range(60):
        found = participation_ratio(gaussian(60, 20, seed=1000 + seed), seed=seed)
        covered += found.low <= 20 <= found.high
    assert covered >= 50  # 57 of 60 on average; below 50 has a chance of 1e-3


def test_leaving_out_groups_gives_the_interval_of_a_mean():
    vectors = np.random.default_rng(1).standard_normal((400, 1)).astype(np.float32)
    found = jackknife_interval(lambda v: float(v.mean()), vectors, seed=2)
    assert found.value == pytest.approx(vectors.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.35)


def test_neighbours_are_counted_as_one_by_one():
    vectors = gaussian(50, 6, seed=2)
    expected = np.zeros(50)
    for text in range(50):
        cosines = vectors @ vectors[text]
        cosines[text] = -2
        expected[np.argsort(-cosines)[:5]] += 1
    assert count_occurrences(vectors, num_neighbours=5).tolist() == expected.tolist()


def test_hubs_are_seen_and_a_gaussian_has_those_of_its_dimension():
    counts = count_occurrences(gaussian(500, 30, seed=8), num_neighbours=10)
    usual = gaussian_skewness(500, 30, num_neighbours=10, seed=1)
    found = skewness_interval(counts, seed=1)
    assert found.low <= usual <= found.high
    assert counts.mean() == 10
    centre = np.concatenate([gaussian(490, 30, seed=8), np.full((10, 30), 30**-0.5, np.float32)])
    pulled = centre + 0.4 * np.float32(30**-0.5)
    pulled /= np.linalg.norm(pulled, axis=1, keepdims=True)
    assert skewness(count_occurrences(pulled, num_neighbours=10)) > found.high + 1


def run(model, **options):
    return GeometryProbe(**options).run(model, ProbeConfig(amount="tiny"))


def test_the_probe_reads_cone_and_dimension():
    result = run(Random(shared=0.5, rank=16, dims=256))
    cosine, dimension = result.measure("mean cosine"), result.measure("effective dimension")
    assert cosine.low - 0.01 <= 0.5 <= cosine.high + 0.01
    assert dimension.low <= 16 <= dimension.high
    assert (dimension.baseline, dimension.baseline_name) == (256, "isotropic Gaussian")
    assert result.measure("lowest cosine with itself/alone").value == pytest.approx(1)
    assert result.main == cosine
    assert result.skipped == (
        "stability in float32: only a model of slimvec's that was loaded by name can be loaded anew in float32; "
        "real sentences: no stsb_multi"
    )
    assert "A text keeps its vector" in result.answer
    assert [plot.title for plot in result.plots] == [
        "Variance in the first directions",
        "How often a text is among the 10 nearest of others",
    ]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Random(dims=1), "vectors of one dim have no spread; expected two dims at least"),
        (
            Mapped(function=lambda _: np.full(8, 8**-0.5), dims=8),
            "all texts have the same vector; expected",
        ),
    ],
)
def test_vectors_without_a_spread_are_passed_over(model, reason):
    result = run(model)
    assert result.skipped.startswith(reason)
    assert result.measures == ()


def test_hubness_of_isotropic_vectors_is_not_distinguishable():
    result = run(Random(dims=32), num_texts=6000)
    assert "not distinguishable from" in result.answer
    uniform = result.measure("uniformity")
    assert uniform.low <= uniform.baseline <= uniform.high
    aligned = result.measure("alignment")
    assert aligned.low <= aligned.baseline <= aligned.high


def write_pairs(folder, rows):
    target = folder / "stsb_multi"
    target.mkdir(parents=True)
    with gzip.open(target / "test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def test_paraphrases_that_lie_at_a_known_distance_are_read(tmp_path):
    rows = [{"s1": f"a {n}", "s2": f"b {n}", "score": 5.0, "lang": "en"} for n in range(60)]
    rows += [{"s1": f"x {n}", "s2": f"y {n}", "score": 1.0, "lang": "en"} for n in range(9)]
    rows += [{"s1": "vergessen", "s2": "gleich", "score": 5.0, "lang": "de"}]

    def near(text):
        kind, number = text.split()
        own, other = direction(number, 256), direction(f"other {text}", 256)
        return own if kind in "ax" else np.sqrt(0.8) * own + np.sqrt(0.2) * other

    model = Mapped(dims=256, function=near)
    result = GeometryProbe().run(model, ProbeConfig(data=write_pairs(tmp_path, rows)))
    alignment = result.measure("alignment")
    planted = 2 - 2 * np.sqrt(0.8)
    assert alignment.low <= planted <= alignment.high
    assert alignment.num_items == 60
    assert alignment.baseline == pytest.approx(2, abs=0.1)
    assert result.details["texts"] == 138
    assert "real sentences" not in result.skipped


BAD = {
    "no field": ([{"s1": "a", "s2": "b", "score": 1}], "no field 'lang'; expected the fields s1, s2, lang, score"),
    "no score": ([{"s1": "a", "s2": "b", "score": "x", "lang": "en"}], "score 'x'; expected a number"),
    "no text": ([{"s1": " ", "s2": "b", "score": 1, "lang": "en"}], "s1 is empty; expected some text"),
    "too few": ([{"s1": "a", "s2": "b", "score": 1, "lang": "en"}], "has 2 different sentences in en; expected 40"),
    "no paraphrases": (
        [{"s1": f"a {n}", "s2": f"b {n}", "score": 1, "lang": "en"} for n in range(20)],
        "has 0 pairs of score 4 or more in en; expected 8 or more",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_pairs_are_named(case, tmp_path):
    rows, message = BAD[case]
    with pytest.raises(InputError) as caught:
        GeometryProbe().run(Random(), ProbeConfig(data=write_pairs(tmp_path, rows)))
    assert message in str(caught.value)


@dataclass(frozen=True, kw_only=True)
class Leaking(Planted):
    """A model whose vectors depend on what stands before a text in its batch."""

    share: float = 0.2

    def embed(self, texts, **options):
        found = super().embed(texts, **options)
        before = np.roll(found.vectors, 1, axis=0)
        found.vectors[:] = np.sqrt(1 - self.share) * found.vectors + np.sqrt(self.share) * before
        return found

    def vector(self, words, text):  # noqa: ARG002
        return direction(text, self.dims)


def test_a_leak_between_texts_of_a_batch_is_seen_through_a_store(tmp_path):
    texts = [f"text {number}" for number in range(12)]
    steady = compare_batches(CachedModel(Random(), VectorStore("a", tmp_path)), texts, ProbeConfig())
    assert steady == pytest.approx({"again": 1.0, "reversed": 1.0, "alone": 1.0})
    leaking = compare_batches(CachedModel(Leaking(), VectorStore("b", tmp_path)), texts, ProbeConfig())
    assert leaking["again"] == pytest.approx(1)
    assert leaking["reversed"] < 0.9
    assert leaking["alone"] < 0.97
    assert "A text does not keep its vector" in run(Leaking()).answer


def test_dtypes_are_compared_by_loading_anew(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "model")
    source = str(tmp_path / "model")
    texts = ["how to open a file", "what the weather is like"]
    config = ProbeConfig(source=source)
    rounded = SlimvecModel.load(source, dtype="bfloat16")
    found = compare_dtypes(rounded, texts, config)
    exact = Embedder.load(source, dtype="float32").embed(texts).vectors
    coarse = Embedder.load(source, dtype="bfloat16").embed(texts).vectors
    assert found == pytest.approx(float((exact * coarse).sum(axis=1).min()), abs=1e-6)
    assert 0.9 < found < 1
    assert compare_dtypes(SlimvecModel.load(source), texts, config) == "it is computed in float32 already"
    changed = SlimvecModel.load(source, dtype="bfloat16", document_prompt="passage: ")
    assert compare_dtypes(changed, texts, config) == (
        "prompts given on the command line are not those of the model loaded anew"
    )
