"""Remedies at inference are chosen by the weights of sentences, on the same texts for every setting."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from slimvec.engine.embedder import Embedder, Embeddings
from slimvec.errors import InputError
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.model.folder import save_model
from slimvec.model.pooling import pool
from slimvec.model.rope_scaling import RopeScaling
from slimvec.model.spec import ModelSpec, Pooling
from slimvec.probes.documents import cut_sentences, gather_documents, tokens_a_word
from slimvec.probes.length.rope import SCALINGS, sweep_rope
from slimvec.probes.position.fitting import LENGTHS, Candidate, Fit, beta_pooling, fit_beta, fit_recency
from slimvec.probes.position.regression import measure_weights, shuffled_documents
from slimvec.probes.protocol import ProbeConfig
from slimvec.statistics.intervals import Interval
from slimvec.text.batch import PackedBatch
from tests import tiny
from tests.probes.planted import direction, words_of

TINY = ProbeConfig(amount="tiny", seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(tiny.embedding_model(max_tokens=1000), folder)
    return folder


def test_the_flattest_is_chosen_from_either_side_and_the_smallest_of_equals():
    tried = [Candidate(value, Interval(ratio, 0, 9)) for value, ratio in ((0, 1.3), (1, 0.8), (2, 0.8), (4, 0.3))]
    assert Fit(tuple(tried)).best is tried[1]


def test_betas_swept_on_states_equal_models_loaded_with_each(folder):
    embedder = Embedder.load(folder)
    fit = fit_beta(embedder, TINY, betas=(0.0, 2.0))
    generator = np.random.default_rng(TINY.seed)
    background = gather_documents(TINY, 10, max(LENGTHS), generator)
    model = SlimvecModel(embedder, name="", identity="")
    a_word = tokens_a_word(model, background.documents[0])
    cut = [cut_sentences(s, round(LENGTHS[n % 3] / a_word)) for n, s in enumerate(background.documents)]
    documents = shuffled_documents(cut, generator)
    for candidate in fit.candidates:
        loaded = Embedder.load(folder, pooling=Pooling(mode="beta", beta=candidate.value))
        weights = measure_weights(SlimvecModel(loaded, name="", identity=""), documents, TINY)
        wanted = weights.first_over_last(TINY.seed)
        assert candidate.ratio.value == pytest.approx(wanted.value, rel=1e-3)
        assert candidate.ratio.low == pytest.approx(wanted.low, rel=1e-3)


class Mixing:
    """One causal layer of uniform attention: s_t = a x_t + (1 - a) mean(x_1 .. x_t), words drawn at random.

    The parts of an embedder that a fit asks for; the beta that exposes all words alike is (1 - a) / a.
    """

    dims, dtype, engine, engine_reason = 512, "float32", "made", ""

    def __init__(self, own):
        self.own = own
        self.spec = ModelSpec()
        self.tokenizer = self

    def tokenize(self, texts, **_):
        lengths = [len(words_of(text)) for text in texts]
        return SimpleNamespace(lengths=lengths, truncated=[False] * len(texts))

    def counts(self, texts):
        lengths = [len(words_of(text)) for text in texts]
        return np.array(lengths, dtype=np.int32), np.zeros(len(texts), dtype=np.int8)

    def embed(self, texts, **_):
        return self.embed_poolings(texts, [self.spec.pooling])[0]

    def embed_poolings(self, texts, poolings, **_):
        states = [self.states(text) for text in texts]
        batch = PackedBatch.from_sequences([[0] * len(rows) for rows in states])
        packed = torch.from_numpy(np.concatenate(states)).float()
        found = [torch.nn.functional.normalize(pool(packed, batch, pooling)).numpy() for pooling in poolings]
        return [Embeddings(vectors, *self.counts(texts)) for vectors in found]

    def states(self, text):
        own = np.array([direction(word, self.dims) for word in words_of(text)])
        before = np.cumsum(own, axis=0) / np.arange(1, len(own) + 1)[:, None]
        return self.own * own + (1 - self.own) * before


@pytest.mark.parametrize(("own", "beta"), [(1.0, 0.0), (0.8, 0.25), (0.5, 1.0), (1 / 3, 2.0)])
def test_the_beta_that_theory_says_is_found(own, beta):
    fit = fit_beta(Mixing(own), ProbeConfig(amount="quick"), betas=(0.0, 0.25, 1.0, 2.0, 4.0))
    assert fit.best.value == beta
    assert fit.best.ratio.value == pytest.approx(1, abs=0.1)
    ratios = [candidate.ratio.value for candidate in fit.candidates]
    assert ratios == sorted(ratios, reverse=True)


def test_the_prompt_is_pooled_as_the_model_does(folder):
    embedder = Embedder.load(folder, pooling=Pooling(mode="mean", include_prompt=False))
    assert beta_pooling(embedder, 0.5) == Pooling(mode="beta", beta=0.5, include_prompt=False)


def test_recency_is_fitted_by_loading_the_model_with_each(folder):
    fit = fit_recency(str(folder), TINY, recencies=(0.0, 1.0))
    assert [candidate.value for candidate in fit.candidates] == [0.0, 1.0]
    assert fit.candidates[0].ratio != fit.candidates[1].ratio


@pytest.mark.parametrize("values", [(), (1.0, 1.0), (-0.5, 1.0)])
def test_settings_that_cannot_be_tried_are_refused(folder, values):
    with pytest.raises(InputError, match=r"beta .*; expected different ones from 0"):
        fit_beta(Embedder.load(folder), TINY, betas=values)
    with pytest.raises(InputError, match=r"recency .*; expected different ones from 0"):
        fit_recency(str(folder), TINY, recencies=values)


def test_scalings_are_compared_on_the_same_texts(folder):
    tried = [RopeScaling(kind="theta", factor=1), RopeScaling(kind="yarn", factor=4)]
    sweep = sweep_rope(str(folder), TINY, lengths=[300, 150], tried=tried)
    assert sweep.lengths == (150, 300)
    assert [score.scaling for score in sweep.scores] == [None, *tried]
    plain, same, _ = sweep.scores
    assert same.by_length == plain.by_length  # a factor of 1 changes nothing
    assert (same.gain.value, same.gain.low, same.gain.high) == (0, 0, 0)
    assert sweep.best is plain or sweep.best.gain.low > 0


def test_every_kind_is_tried_with_every_factor():
    assert [str(scaling) for scaling in SCALINGS] == [
        f"{kind}:{factor}" for kind in ("theta", "ntk", "linear", "yarn") for factor in (2, 4)
    ]


@pytest.mark.parametrize("lengths", [[], [0, 100]])
def test_a_sweep_needs_lengths(folder, lengths):
    with pytest.raises(InputError, match=r"lengths \[.*\]; expected some, in tokens"):
        sweep_rope(str(folder), TINY, lengths=lengths)
