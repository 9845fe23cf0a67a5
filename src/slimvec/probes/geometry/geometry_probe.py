"""How do the vectors lie in their space, and does a text always get the same one?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.estimates import estimated
from slimvec.probes.figures import show, show_measure
from slimvec.probes.geometry.hubness import count_occurrences, gaussian_skewness, skewness_interval
from slimvec.probes.geometry.spread import (
    entropy_dimension,
    gaussian,
    iso_score,
    mean_cosine,
    participation_ratio,
    spectrum,
    uniformity,
)
from slimvec.probes.geometry.stability import compare_batches, compare_dtypes
from slimvec.probes.geometry.texts import FOLDER, SpreadTexts, gather_texts
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.probes.results import Metric, ProbeResult, Unit
from slimvec.reports.parts import Curve, Plot
from slimvec.statistics.group_jackknife import jackknife_interval
from slimvec.statistics.intervals import Interval, bootstrap_intervals
from slimvec.text.embeddings import Vectors

_DEFINITION = (
    "{num_texts:,} texts ({source}) are embedded alone, not as pairs. Mean cosine: of all pairs. Effective dimension: "
    "participation ratio of the covariance's eigenvalues, from products of different texts, so that it does not depend "
    "on how many there are; IsoScore is (it - 1) / (dims - 1). Entropy dimension: exp of the entropy of the sample's "
    "own eigenvalues. Uniformity: log mean exp(-2 d^2) over pairs; alignment: mean d^2 over {pair_kind}, d being the "
    "distance of vectors of length 1. Hubness: skewness of how often a text is among the {num_neighbours} nearest of "
    "others; antihubs: texts that never are. Baselines: as many Gaussian vectors of as many dims, for hubness of the "
    "effective dimension; for alignment the same pairs dealt again. Intervals: bootstrap over texts, or over pairs for "
    "alignment; by leaving out groups of texts for the entropy dimension. Stability: lowest cosine of {num_stable} "
    "texts with themselves in one batch, against the same batch again, the other order, one at a time, and float32."
)
_SOURCES = (
    "Anisotropy: Ethayarajh 2019, arXiv 1909.00512",
    "Alignment and uniformity: Wang and Isola 2020, arXiv 2005.10242",
    "IsoScore: Rudman et al. 2022, arXiv 2108.07344",
    "Effective rank: Roy and Vetterli 2007, EUSIPCO; unbiased squares: Chen, Zhang and Zhong 2010, JASA 105",
    "Hubness: Radovanovic, Nanopoulos and Ivanovic 2010, JMLR 11",
)
_REMEDIES = (
    "Contrastive training spreads vectors; `loss.spread` adds a term that asks for it.",
    "A model whose batches or dtype move its vectors: `--dtype float32`, and `Embedder.verify` against golden vectors.",
)
_STEADY = 0.999
"""Cosine with itself above which a vector counts as the same: ranks of neighbours then stay."""


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
        texts = gather_texts(config, max(40, config.count(self.num_texts)), config.count(self.num_pairs))
        vectors = embed(model, texts.texts, config)
        measures = [*self._spread(vectors, config.seed), *self._hubs(vectors, config.seed)]
        measures.append(_alignment(model, texts, config))
        stable, left_out = self._stability(model, texts, config)
        return ProbeResult(
            probe=self.name,
            question=self.question,
            definition=_DEFINITION.format(
                num_texts=len(texts.texts),
                source=texts.source,
                pair_kind=texts.pair_kind,
                num_neighbours=self.num_neighbours,
                num_stable=self._num_stable(texts),
            ),
            sources=_SOURCES,
            answer=_answer({measure.name: measure for measure in [*measures, *stable]}),
            measures=(*measures, *stable),
            plots=(_spectrum_plot(vectors, config.seed), self._hub_plot(vectors, measures[1].value, config.seed)),
            remedies=_REMEDIES,
            skipped="; ".join([*left_out, *([] if config.folder(FOLDER) else [f"real sentences: no {FOLDER}"])]),
            details={"texts": len(texts.texts), "pairs": len(texts.pairs), "source": texts.source},
        )

    def _spread(self, vectors: Vectors, seed: int) -> list[Metric]:
        """How far the vectors spread; the mean cosine is the main measure, the effective dimension stands second."""
        num_texts, dims = vectors.shape
        even = gaussian(num_texts, dims, seed=seed)
        dimension = participation_ratio(vectors, seed=seed)
        score = Interval(*(iso_score(end, dims) for end in (dimension.value, dimension.low, dimension.high)))
        entropy = jackknife_interval(lambda v: entropy_dimension(spectrum(v)), vectors, seed=seed)
        rows: list[tuple[str, Interval, Unit, float, bool]] = [
            ("mean cosine", mean_cosine(vectors, seed=seed), "cosine", 0.0, False),
            ("effective dimension", dimension, "count", float(dims), True),
            ("IsoScore", score, "score", 1.0, True),
            ("entropy dimension", entropy, "count", entropy_dimension(spectrum(even)), True),
            ("uniformity", uniformity(vectors, seed=seed), "score", uniformity(even, seed=seed).value, False),
        ]
        return [
            _measure(name, interval, unit, baseline, "isotropic Gaussian", num_texts, better)
            for name, interval, unit, baseline, better in rows
        ]

    def _hubs(self, vectors: Vectors, seed: int) -> list[Metric]:
        """Skewness and antihubs, beside what a Gaussian of the same effective dimension has."""
        num_texts, k = len(vectors), min(self.num_neighbours, len(vectors) - 1)
        dimension = participation_ratio(vectors, seed=seed).value
        counts = count_occurrences(vectors, num_neighbours=k)
        usual = gaussian_skewness(num_texts, dimension, num_neighbours=k, seed=seed)
        twin = count_occurrences(gaussian(num_texts, max(2, round(dimension)), seed=seed), num_neighbours=k)
        never = bootstrap_intervals((counts == 0).astype(float)[:, None], seed=seed)[0]
        name = "Gaussian of the effective dimension"
        return [
            _measure("hubness", skewness_interval(counts, seed=seed), "score", usual, name, num_texts, False),
            _measure("antihubs", never, "share", float((twin == 0).mean()), name, num_texts, False),
        ]

    def _hub_plot(self, vectors: Vectors, dimension: float, seed: int) -> Plot:
        """Draw how often texts are neighbours of others, the most frequent first."""
        num_texts, k = len(vectors), min(self.num_neighbours, len(vectors) - 1)
        ranks = np.unique(np.geomspace(1, num_texts, 60).round()).astype(int)
        twin = gaussian(num_texts, max(2, round(dimension)), seed=seed)
        curves = [
            Curve(
                label=label,
                xs=tuple(ranks.astype(float).tolist()),
                ys=tuple(np.sort(count_occurrences(drawn, num_neighbours=k))[::-1][ranks - 1].tolist()),
                baseline=baseline,
            )
            for label, drawn, baseline in (
                ("texts", vectors, False),
                ("Gaussian of the effective dimension", twin, True),
            )
        ]
        return Plot(
            title=f"How often a text is among the {k} nearest of others",
            x_label="rank of the text",
            y_label="times",
            curves=tuple(curves),
            x_log=True,
        )

    def _num_stable(self, texts: SpreadTexts) -> int:
        return min(self.num_stable, len(texts.texts))

    def _stability(
        self, model: EvaluatedModel, texts: SpreadTexts, config: ProbeConfig
    ) -> tuple[list[Metric], list[str]]:
        """Lowest cosines of texts with themselves, and what could not be tried."""
        chosen = sorted(texts.texts, key=len)[:: max(1, len(texts.texts) // self.num_stable)][: self._num_stable(texts)]
        found = compare_batches(model, chosen, config)
        again = found["again"]
        measures = [
            _lowest("another order", found["reversed"], again, len(chosen)),
            _lowest("alone", found["alone"], again, len(chosen)),
        ]
        exact = compare_dtypes(model, chosen, config)
        if isinstance(exact, str):
            return measures, [f"stability in float32: {exact}"]
        return [*measures, _lowest("float32", exact, again, len(chosen))], []


def _alignment(model: EvaluatedModel, texts: SpreadTexts, config: ProbeConfig) -> Metric:
    """Mean squared distance of texts that belong together, beside the same dealt anew."""
    both = embed(model, [text for pair in texts.pairs for text in pair], config)
    first, second = both[::2].astype(np.float64), both[1::2].astype(np.float64)
    distances = ((first - second) ** 2).sum(axis=1)
    dealt = ((first - np.roll(second, 1, axis=0)) ** 2).sum(axis=1)
    interval = bootstrap_intervals(distances[:, None], seed=config.seed)[0]
    return _measure("alignment", interval, "score", float(dealt.mean()), "pairs dealt again", len(distances), False)


def _spectrum_plot(vectors: Vectors, seed: int) -> Plot:
    """Draw how much of the variance the first directions hold."""
    num_texts, dims = vectors.shape
    curves = []
    for label, drawn, baseline in (
        ("vectors", vectors, False),
        ("isotropic Gaussian", gaussian(num_texts, dims, seed=seed), True),
    ):
        held = np.cumsum(spectrum(drawn))
        places = np.unique(np.geomspace(1, len(held), 60).round()).astype(int)
        ys = tuple(np.minimum(held[places - 1], 1.0).tolist())
        curves.append(Curve(label=label, xs=tuple(places.astype(float).tolist()), ys=ys, baseline=baseline))
    return Plot(
        title="Variance in the first directions",
        x_label="number of directions",
        y_label="share of the variance",
        curves=tuple(curves),
        x_log=True,
    )


def _measure(
    name: str, interval: Interval, unit: Unit, baseline: float, baseline_name: str, num_items: int, better: bool
) -> Metric:
    return estimated(
        name,
        interval,
        unit,
        baseline=baseline,
        baseline_name=baseline_name,
        num_items=num_items,
        higher_is_better=better,
    )


def _lowest(name: str, cosine: float, again: float, num_items: int) -> Metric:
    return Metric(
        name=f"lowest cosine with itself/{name}",
        value=cosine,
        unit="cosine",
        baseline=again,
        baseline_name="the same batch again",
        num_items=num_items,
        higher_is_better=True,
    )


def _answer(found: dict[str, Metric]) -> str:
    """Say how the vectors lie, and whether they stay."""
    cosine, dimension, hubs = found["mean cosine"], found["effective dimension"], found["hubness"]
    usual = hubs.baseline or 0.0
    apart = hubs.low is not None and hubs.high is not None and not hubs.low <= usual <= hubs.high
    more = "against" if apart else "not distinguishable from"
    stable = {name: measure.value for name, measure in found.items() if name.startswith("lowest cosine")}
    worst = min(stable, key=stable.__getitem__)
    steady = "keeps its vector" if stable[worst] >= _STEADY else "does not keep its vector"
    return (
        f"Two random texts have a cosine of {show_measure(cosine)}; the vectors use {show_measure(dimension)} of "
        f"{dimension.baseline:,.0f} dims evenly; neighbours pile up on hubs with a skewness of {show_measure(hubs)}, "
        f"{more} {show(usual, 'score')} for a Gaussian of that dimension. A text {steady}: lowest cosine with itself "
        f"{stable[worst]:.5f} ({worst.split('/')[1]})."
    )
