"""What a sweep finds, on values whose truth is planted; and how much a model mixes context."""

import numpy as np
import pytest
import scipy.stats
import torch

from slimvec.comparison.context_mixing import measure_mixing
from slimvec.comparison.sweeps import Sweeps
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.statistics.jackknife import rank_correlation
from tests import tiny
from tests.comparison.support import result

BETAS = (0, 1, 2, 4)
POOLINGS = [*({"mode": "beta", "beta": beta} for beta in BETAS), "last"]
MODELS = ("base", "raw", "third", "fourth")
CHECKS = [
    {"name": "all want 0", "best_beta": 0, "of": ["base"]},
    {"name": "third wants 0", "best_beta": 0, "of": ["third"]},
    {"name": "more with mixing", "rises_with": "mixing", "of": list(MODELS)},
    {"name": "three are few", "rises_with": "mixing", "of": list(MODELS[:3])},
]


def planted(best, *, noise, seeds=(0, 1, 2), num_queries=400, mixing=(0.1, 0.5, 0.8, 0.9)):
    """Results of models whose score falls by 0.1 with each step away from the best beta."""
    generator = np.random.default_rng(0)
    found = []
    for model, place, mixed in zip(MODELS, best, mixing, strict=True):
        for seed in seeds:
            found.append(result(model, seed, [0.5], mixed))
            hard = generator.normal(0.5, 0.2, num_queries)
            for number, name in enumerate([*(f"beta={beta}" for beta in BETAS), "last"]):
                values = hard - 0.1 * abs(number - place) + generator.normal(0, noise, num_queries)
                found.append(result(f"{model}@{name}", seed, values.tolist()))
    return found


@pytest.fixture
def swept(study):
    variants = {"base": {}, "raw": {}, "third": {}, "fourth": {}}
    return study(variants=variants, sweep={"pooling": POOLINGS}, checks=CHECKS, seeds=[0, 1, 2])


def test_planted_curves_are_read(swept):
    sweeps = Sweeps(swept, planted((0, 1, 2, 3), noise=0.2))
    models = sweeps.models()
    assert [model.best_beta.value for model in models] == [0, 1, 2, 4]
    assert [(m.best_beta.low, m.best_beta.high) for m in models] == [(0, 0), (1, 1), (2, 2), (4, 4)]
    assert [model.best for model in models] == ["beta=0", "beta=1", "beta=2", "beta=4"]
    assert models[0].best_over_mean.value == 0
    assert models[2].best_over_mean.low < 0.2 < models[2].best_over_mean.high
    assert models[3].betas == (0, 1, 2, 4, None)
    for score, steps in zip(models[3].scores, (3, 2, 1, 0, 1), strict=True):
        assert score.low < score.value < score.high
        assert score.value == pytest.approx(0.5 - 0.1 * steps, abs=0.03)
    assert [model.mixing for model in models] == pytest.approx([0.1, 0.5, 0.8, 0.9])
    assert [check.outcome for check in sweeps.checks()] == ["borne out", "not borne out", "borne out", "undecided"]
    assert "third is best at 2 [2, 2], +0." in sweeps.checks()[1].finding
    assert (
        "+1.00 [+1.00, +1.00] over 4 models, as high in 4.2% of their orders; mixing: best beta of base 0.10: 0,"
        in sweeps.checks()[2].finding
    )


def test_what_cannot_be_told_is_said(swept):
    noisy = Sweeps(swept, planted((0.4, 0.5, 0.6, 0.5), noise=3.0, num_queries=20))
    assert noisy.models()[0].best_beta.high > noisy.models()[0].best_beta.low
    assert [noisy.checks()[number].outcome for number in (0, 2)] == ["undecided", "undecided"]
    turned = Sweeps(swept, planted((3, 2, 0, 0), noise=0.2))
    assert [check.outcome for check in turned.checks()] == [
        "not borne out",
        "borne out",
        "not borne out",
        "not borne out",
    ]


def test_two_trainings_give_figures_and_no_verdict(swept):
    sweeps = Sweeps(swept, planted((0, 1, 2, 3), noise=0.2, seeds=(0, 1)))
    assert {check.outcome for check in sweeps.checks()} == {"no verdict"}
    assert sweeps.checks()[1].finding.startswith("third is best at 2 [2, 2], +0.")
    assert sweeps.checks()[1].finding.endswith("(third was trained 2 time(s); a verdict needs 3)")


def test_under_ten_queries_there_is_no_interval_and_no_verdict(swept):
    for num_queries in (9, 10):
        sweeps = Sweeps(swept, planted((0, 1, 2, 3), noise=0.2, num_queries=num_queries))
        shown = num_queries == 10
        for model in sweeps.models():
            for score in (*model.scores, model.best_beta, model.best_over_mean):
                assert (score.low is not None, score.high is not None) == (shown, shown)
        assert ("no verdict" in {check.outcome for check in sweeps.checks()}) == (not shown)
        for check in sweeps.checks():
            assert ("[" in check.finding, "queries; a verdict needs 10" in check.finding) == (shown, not shown)


def test_models_that_are_not_done_wait(swept):
    some = [
        r
        for r in planted((0, 1, 2, 3), noise=0.2)
        if r.variant != "third@beta=1" and (r.variant, r.seed) != ("raw@last", 1)
    ]
    sweeps = Sweeps(swept, some)
    assert [model.variant for model in sweeps.models()] == ["base", "raw", "fourth"]
    assert [check.name for check in sweeps.checks()] == ["all want 0"]


def test_the_interval_covers_the_true_mean(swept):
    covered = 0
    for trial in range(40):
        generator = np.random.default_rng(trial)
        names = [*(f"base@beta={beta}" for beta in BETAS), "base@last"]
        found = [result(name, 0, generator.normal(0.4, 0.3, 50).tolist()) for name in names]
        scores = Sweeps(swept, found).models()[0].scores
        covered += sum(score.low <= 0.4 <= score.high for score in scores)
    assert 0.87 <= covered / 200 <= 0.99


def test_rank_correlation_is_spearmans():
    generator = np.random.default_rng(1)
    xs, rows = generator.normal(size=7), generator.integers(0, 4, size=(20, 7)).astype(float)
    wanted = [scipy.stats.spearmanr(xs, row).statistic for row in rows]
    np.testing.assert_allclose(rank_correlation(xs, rows), wanted, atol=1e-12)
    assert rank_correlation(xs, np.ones((1, 7)))[0] == 0


class _Mixer:
    """States a x_t + (1 - a) mean of x_1 ... x_t, in a narrow cone."""

    def __init__(self, own):
        self.own, self.table = own, torch.randn(300, 64, generator=torch.Generator().manual_seed(0))

    def __call__(self, batch):
        rows = []
        for start, end in zip(batch.cu_seqlens[:-1].tolist(), batch.cu_seqlens[1:].tolist(), strict=True):
            own = self.table[batch.input_ids[start:end]]
            mean = own.cumsum(0) / torch.arange(1, end - start + 1)[:, None]
            rows.append(self.own * own + (1 - self.own) * mean)
        return torch.cat(rows) + 5


def test_mixing_falls_with_what_is_a_tokens_own():
    generator = np.random.default_rng(0)
    texts = ["".join(chr(97 + n) for n in generator.integers(0, 26, 30)) for _ in range(60)]
    embedder = Embedder.from_model(tiny.embedding_model())
    found = []
    for own in (1.0, 0.8, 0.5, 0.2):
        embedder.backbone = _Mixer(own)
        found.append(measure_mixing(embedder, texts))
    assert found[0] == pytest.approx(0, abs=1e-5)
    assert found == sorted(found)
    assert found[-1] > found[1] + 0.2
    with pytest.raises(InputError, match="no token is in two of the texts; expected texts with words in common"):
        measure_mixing(embedder, ["abc", "def"])
