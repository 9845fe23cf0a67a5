"""Remedies at inference, fitted on the probe: the setting under which a document's sentences weigh most alike.

Beta pooling weighs the states anew and is kept with the model; recency changes attention itself (see
`slimvec.model.attention`) and is given whenever a model is loaded. Under one causal layer of uniform attention with
share 1 - a of context the first is exact with beta = (1 - a) / a (`slimvec.model.pooling`). The second is not: token u
of T gets, beside its own state, (1 - a) (1 + 1/r) (1 - (u / T)^r) of the sum, which is flatter than without r and never
flat, since some of what a state holds comes from before it and none from behind. But it reaches models pooled at their
last token, for which beta has nothing left to weigh.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.model.opening import OpenSettings
from slimvec.model.spec import Pooling
from slimvec.probes.documents import cut_sentences, gather_documents, tokens_a_word
from slimvec.probes.position.regression import measure_weights, shuffled_documents, weigh_sentences
from slimvec.probes.protocol import ProbeConfig
from slimvec.statistics.intervals import Interval

BETAS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0)
"""From the mean over the position-weighted mean (1) towards the last token."""
RECENCIES = (0.0, 0.25, 0.5, 1.0, 2.0)
"""From the model as it is; on raw SmolLM2-135M 1 takes a tenth off the ratio. What a large one costs in quality is
to be measured: later layers are used to the attention they were trained with."""
LENGTHS = (96, 192, 384)
"""Tokens of the documents, in turn: the middles of the probe's buckets."""
NUM_DOCUMENTS = 90


@dataclass(frozen=True, slots=True)
class Candidate:
    """A setting that was tried.

    Attributes:
        value: The setting.
        ratio: Weight of a sentence in the first third over that of one in the last, with its interval.
    """

    value: float
    ratio: Interval


@dataclass(frozen=True)
class Fit:
    """What was tried, and what is best.

    Attributes:
        candidates: In the order tried; the first is the model as it is, for recency.
    """

    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The one under which sentences weigh most alike; the smallest setting of equal ones."""
        return min(self.candidates, key=lambda found: (abs(math.log(found.ratio.value)), found.value))


def fit_beta(embedder: Embedder, config: ProbeConfig, *, betas: Sequence[float] = BETAS) -> Fit:
    """Choose the beta of the pooling; all are tried on the same states, which are computed once.

    The model with the beta that was found: `Embedder.load(source, pooling=beta_pooling(embedder, fit.best.value))`;
    saved, it keeps it.

    Args:
        embedder: The model, of whatever pooling.
        config: Amount, seed, and `longdocs` where they are at hand.
        betas: To be tried, different ones of at least 0.

    Raises:
        InputError: no betas, one twice, or one below 0.
        ModelError: the model has fewer dims than a document has sentences.
    """
    _check(betas, "beta")
    poolings = [beta_pooling(embedder, beta) for beta in betas]
    documents = _documents(SlimvecModel(embedder, name="", identity=""), config)
    alone = [sentence for sentences in documents for sentence in sentences]
    texts = [" ".join(sentences) for sentences in documents]
    rows = zip(
        betas,
        embedder.embed_poolings(texts, poolings, on_progress=config.on_progress),
        embedder.embed_poolings(alone, poolings, on_progress=config.on_progress),
        strict=True,
    )
    weighed = ((beta, weigh_sentences(documents, full.vectors, own.vectors)) for beta, full, own in rows)
    return Fit(tuple(Candidate(beta, weights.first_over_last(config.seed)) for beta, weights in weighed))


def beta_pooling(embedder: Embedder, beta: float) -> Pooling:
    """Give the pooling of a beta that treats the prompt as the model does."""
    return Pooling(mode="beta", beta=beta, include_prompt=embedder.spec.pooling.include_prompt)


def fit_recency(
    source: str,
    config: ProbeConfig,
    *,
    recencies: Sequence[float] = RECENCIES,
    dtype: str = "auto",
    **settings: Unpack[OpenSettings],
) -> Fit:
    """Choose the exponent of the attention calibration; the model is loaded and run for each.

    The model with what was found: `Embedder.load(source, recency=fit.best.value)`.

    Args:
        source: The model, a causal one.
        config: As for `fit_beta`.
        recencies: To be tried, different ones of at least 0.
        dtype: As for `Embedder.load`.
        settings: As for `Embedder.load`, without recency.

    Raises:
        InputError: no exponents, one twice or below 0; a bidirectional model.
        ModelError: the model cannot be used.
        FetchError: it has to be fetched and cannot be.
    """
    _check(recencies, "recency")
    candidates, documents = [], None
    for recency in recencies:
        settings["recency"] = recency
        model = SlimvecModel(Embedder.load(source, dtype=dtype, **settings), name=source, identity="")
        documents = documents or _documents(model, config)
        weights = measure_weights(model, documents, config)
        candidates.append(Candidate(recency, weights.first_over_last(config.seed)))
    return Fit(tuple(candidates))


def _documents(model: SlimvecModel, config: ProbeConfig) -> list[tuple[str, ...]]:
    """Gather documents of several lengths, sentences in random order."""
    generator = np.random.default_rng(config.seed)
    longest = model.card.max_tokens or max(LENGTHS)
    lengths = [length for length in LENGTHS if length <= longest] or [longest]
    background = gather_documents(config, config.count(NUM_DOCUMENTS), max(lengths), generator)
    a_word = tokens_a_word(model, background.documents[0])
    cut = [
        cut_sentences(sentences, round(lengths[number % len(lengths)] / a_word))
        for number, sentences in enumerate(background.documents)
    ]
    return shuffled_documents(cut, generator)


def _check(values: Sequence[float], name: str) -> None:
    """Refuse settings that cannot be tried."""
    if not values or len(set(values)) < len(values) or min(values) < 0:
        shown = ", ".join(f"{value:g}" for value in values) or "none"
        raise InputError(f"{name} {shown}", expected="different ones from 0")
