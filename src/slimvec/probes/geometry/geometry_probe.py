"""How do the vectors lie in their space, and does a text always get the same one?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slimvec.errors import InputError
from slimvec.evaluation.cached_model import bare_model
from slimvec.evaluation.models import EvaluatedModel, Prompt, Usage
from slimvec.evaluation.opening import open_evaluated
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.probes.documents import read_set
from slimvec.probes.facts import make_facts
from slimvec.probes.geometry.spread import (
    count_occurrences,
    entropy_dimension,
    gaussian,
    gaussian_skewness,
    iso_score,
    mean_cosine,
    participation_ratio,
    skewness_interval,
    spectrum,
    uniformity,
)
from slimvec.probes.protocol import ProbeConfig, answered, embed, embed_with, skipped
from slimvec.probes.results import Figure, Metric, ProbeResult, curve, show_measure
from slimvec.reports.parts import Curve, Plot
from slimvec.statistics.intervals import Interval, bootstrap_intervals
from slimvec.statistics.jackknife import jackknife_interval
from slimvec.statistics.resampling import Values
from slimvec.text.embeddings import Vectors

FOLDER = "stsb_multi"
_FILE = "test.jsonl.gz"
_LANGUAGE = "en"
_ALIKE = 4.0
"""On the scale to 5: "mostly equivalent, but some unimportant details differ" (Cer et al. 2017)."""
_MIN_TEXTS, _MIN_PAIRS = 40, 8
_EXACT = "float32"
_EVEN, _TWIN = "isotropic Gaussian", "Gaussian of the effective dimension"
COSINE = Figure("mean cosine", "cosine", False, _EVEN)
DIMENSION = Figure("effective dimension", "count", True, _EVEN)
ISO_SCORE = Figure("IsoScore", "score", True, _EVEN)
ENTROPY = Figure("entropy dimension", "count", True, _EVEN)
UNIFORMITY = Figure("uniformity", "score", False, _EVEN)
HUBNESS = Figure("hubness", "score", False, _TWIN)
ANTIHUBS = Figure("antihubs", "share", False, _TWIN)
ALIGNMENT = Figure("alignment", "score", False, "pairs dealt again")
ITSELF = Figure("lowest cosine with itself", "cosine", True, "the same batch again")
_STEADY = 0.999
"""Cosine with itself above which a vector counts as the same: ranks of neighbours then stay."""


@dataclass(frozen=True)
class SpreadTexts:
    """Texts and pairs.

    Attributes:
        texts: Different ones.
        pairs: Pairs that belong together.
        source: Where they are from, for the report.
        pair_kind: What the pairs are.
    """

    texts: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    source: str
    pair_kind: str


def gather_texts(config: ProbeConfig, num_texts: int, num_pairs: int) -> SpreadTexts:
    """Gather at most so many texts of different content, and pairs of texts.

    They are of the English test part of `stsb_multi` where it is at hand; without it, facts are made.

    Raises:
        InputError: `stsb_multi` is there and malformed, or has too few sentences or no paraphrases.
    """
    generator = np.random.default_rng(config.seed)
    folder = config.folder(FOLDER)
    if folder is None:
        facts = make_facts(num_texts, generator)
        pairs = tuple((fact.question, fact.text) for fact in facts[:num_pairs])
        return SpreadTexts(
            tuple(fact.text for fact in facts), pairs, "made facts", "questions and the sentences that answer them"
        )
    read = read_set(folder, _FILE, ("s1", "s2", "lang"), ("score",))
    rows = [(first, second, score) for _, (first, second, language), (score,) in read if language == _LANGUAGE]
    sentences = list(dict.fromkeys(text for first, second, _ in rows for text in (first, second)))
    alike = [(first, second) for first, second, score in rows if score >= _ALIKE and first != second]
    needed = {"different sentences": _MIN_TEXTS, f"pairs of score {_ALIKE:g} or more": _MIN_PAIRS}
    for count, (what, least) in zip((len(sentences), len(alike)), needed.items(), strict=True):
        if count < least:
            raise InputError(f"{folder / _FILE} has {count} {what} in {_LANGUAGE}", expected=f"{least} or more")
    chosen = [sentences[number] for number in generator.permutation(len(sentences))[:num_texts]]
    pairs = tuple(alike[number] for number in generator.permutation(len(alike))[:num_pairs])
    return SpreadTexts(tuple(chosen), pairs, f"{FOLDER}, English", f"paraphrases (score {_ALIKE:g} of 5 or more)")


def compare_batches(model: EvaluatedModel, texts: Sequence[str], config: ProbeConfig) -> dict[str, float]:
    """Give the lowest cosine of different texts with themselves, embedded in other company.

    A store of vectors is left aside, as it would give back what it was given.

    Returns:
        `again` (the same batch twice), `reversed` (the other order) and `alone` (one at a time), each against the
        first batch.
    """
    bare, prompt = bare_model(model), _prompt(model)
    together = embed_with(bare, texts, prompt, config)
    again = embed_with(bare, texts, prompt, config)
    backwards = embed_with(bare, list(texts)[::-1], prompt, config)[::-1]
    alone = np.concatenate([embed_with(bare, [text], prompt, config) for text in texts])
    others = {"again": again, "reversed": backwards, "alone": alone}
    return {name: lowest_cosine(together, other) for name, other in others.items()}


def compare_dtypes(model: EvaluatedModel, texts: Sequence[str], config: ProbeConfig) -> float | str:
    """Give the lowest cosine of texts with themselves, computed in float32.

    Returns:
        The cosine, or why there is none.
    """
    bare, prompt = bare_model(model), _prompt(model)
    card = bare.card
    if not isinstance(bare, SlimvecModel) or not config.source:
        return "only a model of slimvec's that was loaded by name can be loaded anew in float32"
    if card.dtype == _EXACT:
        return "it is computed in float32 already"
    exact = open_evaluated(config.source, backend="slimvec", dtype=_EXACT, dims=card.dims, revision=card.revision)
    if _prompt(exact).text != prompt.text:
        return "prompts given on the command line are not those of the model loaded anew"
    return lowest_cosine(embed_with(bare, texts, prompt, config), embed_with(exact, texts, prompt, config))


def lowest_cosine(first: Vectors, second: Vectors) -> float:
    """Lowest cosine of vectors [N, D] of length 1 with those of the same texts, at most 1."""
    cosines = (first.astype(np.float64) * second.astype(np.float64)).sum(axis=1)
    lengths = np.linalg.norm(first.astype(np.float64), axis=1) * np.linalg.norm(second.astype(np.float64), axis=1)
    return float(min(1.0, (cosines / lengths).min()))


def _prompt(model: EvaluatedModel) -> Prompt:
    return model.prompt(Usage("probe", "STS", None))


@dataclass(frozen=True)
class GeometryProbe:
    """Spread, dimension, hubs, and whether a text always gets the same vector.

    Attributes:
        num_texts: Texts embedded. 1,500 bring the interval of the effective dimension to a few hundredths of it.
        num_pairs: Pairs for alignment.
        num_neighbours: k of hubness, as in the paper.
        num_stable: Texts embedded again in other company; one at a time is slow.
    """

    num_texts: int = 1500
    num_pairs: int = 300
    num_neighbours: int = 10
    num_stable: int = 24

    name: ClassVar[str] = "geometry"
    question: ClassVar[str] = "How do the vectors lie in their space, and does a text always get the same one?"

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model.

        Raises:
            InputError: `stsb_multi` is there and malformed.
        """
        texts = gather_texts(config, max(_MIN_TEXTS, config.count(self.num_texts)), config.count(self.num_pairs))
        vectors = embed(model, texts.texts, config)
        if vectors.shape[1] < 2:
            return skipped(self, "vectors of one dim have no spread; expected two dims at least")
        if np.ptp(vectors, axis=0).max() == 0:
            return skipped(self, "all texts have the same vector; expected a model that tells texts apart")
        spread, plots = _spread(vectors, min(self.num_neighbours, len(vectors) - 1), config.seed)
        metrics = [*spread, _alignment(model, texts, config)]
        num_stable = min(self.num_stable, len(texts.texts))
        stable, left_out = _stability(model, texts, num_stable, config)
        return answered(
            self,
            _answer({metric.name: metric for metric in metrics}, stable),
            [*metrics, *stable],
            plots=plots,
            skipped="; ".join([*left_out, *([] if config.folder(FOLDER) else [f"real sentences: no {FOLDER}"])]),
            details={"texts": len(texts.texts), "pairs": len(texts.pairs), "source": texts.source},
            num=len(texts.texts),
            source=texts.source,
            pair_kind=texts.pair_kind,
            num_neighbours=self.num_neighbours,
            num_stable=num_stable,
        )


def _spread(vectors: Vectors, num_neighbours: int, seed: int) -> tuple[list[Metric], list[Plot]]:
    """Say how vectors [N, D] of length 1 lie beside Gaussian ones: as many of D dims, and of the effective dimension.

    The mean cosine is the main metric, the effective dimension stands second.
    """
    num_texts, dims = vectors.shape
    dimension = participation_ratio(vectors, seed=seed)
    even, twin = (gaussian(num_texts, one, seed=seed) for one in (dims, max(2, round(dimension.value))))
    counts, twin_counts = (count_occurrences(drawn, num_neighbours=num_neighbours) for drawn in (vectors, twin))
    usual = gaussian_skewness(num_texts, dimension.value, num_neighbours=num_neighbours, seed=seed)
    scores = (iso_score(end, dims) for end in (dimension.value, dimension.low, dimension.high))
    never = bootstrap_intervals((counts == 0).astype(float)[:, None], seed=seed)[0]
    rows: list[tuple[Figure, Interval, float]] = [
        (COSINE, mean_cosine(vectors, seed=seed), 0.0),
        (DIMENSION, dimension, float(dims)),
        (ISO_SCORE, Interval(*scores), 1.0),
        (ENTROPY, jackknife_interval(_entropy, vectors, seed=seed), _entropy(even)),
        (UNIFORMITY, uniformity(vectors, seed=seed), uniformity(even, seed=seed).value),
        (HUBNESS, skewness_interval(counts, seed=seed), usual),
        (ANTIHUBS, never, float((twin_counts == 0).mean())),
    ]
    held = [np.minimum(np.cumsum(spectrum(drawn)), 1.0) for drawn in (vectors, even)]
    times = [np.sort(drawn)[::-1] for drawn in (counts, twin_counts)]
    plots = [
        _ranked(
            "Variance in the first directions",
            "number of directions",
            "share of the variance",
            {"vectors": held[0], _EVEN: held[1]},
        ),
        _ranked(
            f"How often a text is among the {num_neighbours} nearest of others",
            "rank of the text",
            "times",
            {"texts": times[0], _TWIN: times[1]},
        ),
    ]
    return [figure.metric(found, num_texts, baseline=baseline) for figure, found, baseline in rows], plots


def _entropy(vectors: Vectors) -> float:
    return entropy_dimension(spectrum(vectors))


def _ranked(title: str, x_label: str, y_label: str, found: Mapping[str, Values]) -> Plot:
    """Draw values by rank, at some sixty ranks; the second are the baseline."""
    curves: list[Curve] = []
    for label, values in found.items():
        ranks = np.unique(np.geomspace(1, len(values), 60).round()).astype(int)
        curves.append(curve(label, values[ranks - 1].tolist(), ranks, baseline=bool(curves)))
    return Plot(title=title, x_label=x_label, y_label=y_label, curves=tuple(curves), x_log=True)


def _alignment(model: EvaluatedModel, texts: SpreadTexts, config: ProbeConfig) -> Metric:
    """Mean squared distance of texts that belong together, beside the same dealt anew."""
    both = embed(model, [text for pair in texts.pairs for text in pair], config)
    first, second = both[::2].astype(np.float64), both[1::2].astype(np.float64)
    distances = ((first - second) ** 2).sum(axis=1)
    dealt = ((first - np.roll(second, 1, axis=0)) ** 2).sum(axis=1)
    interval = bootstrap_intervals(distances[:, None], seed=config.seed)[0]
    return ALIGNMENT.metric(interval, len(distances), baseline=float(dealt.mean()))


def _stability(
    model: EvaluatedModel, texts: SpreadTexts, num_stable: int, config: ProbeConfig
) -> tuple[list[Metric], list[str]]:
    """Lowest cosines of texts with themselves, and what could not be tried."""
    chosen = sorted(texts.texts, key=len)[:: max(1, len(texts.texts) // num_stable)][:num_stable]
    batches, exact = compare_batches(model, chosen, config), compare_dtypes(model, chosen, config)
    again, cosines = batches["again"], {"another order": batches["reversed"], "alone": batches["alone"]}
    cosines |= {} if isinstance(exact, str) else {"float32": exact}
    metrics = [ITSELF.metric(cosine, len(chosen), name, baseline=again) for name, cosine in cosines.items()]
    return metrics, [f"stability in float32: {exact}"] if isinstance(exact, str) else []


def _answer(at: Mapping[str, Metric], stable: Sequence[Metric]) -> str:
    """Say how the vectors lie, and whether they stay."""
    cosine, dimension, hubs = (at[figure.name] for figure in (COSINE, DIMENSION, HUBNESS))
    worst = min(stable, key=lambda metric: metric.value)
    steady = "keeps its vector" if worst.value >= _STEADY else "does not keep its vector"
    return (
        f"Two random texts have a cosine of {cosine:.3f}; the vectors use {show_measure(dimension)} of "
        f"{dimension.baseline:,.0f} dims evenly; neighbours pile up on hubs with a skewness of {hubs:.3f}, "
        f"{'against' if hubs.is_apart else 'not distinguishable from'} {hubs.baseline:.3f} for a Gaussian of that "
        f"dimension. A text {steady}: lowest cosine with itself {worst.value:.5f} ({worst.name.split('/')[1]})."
    )
