"""From needles and vectors by length to the result of the length probe: measures, a table, plots and a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimvec.probes.estimates import estimated, estimated_cell, estimated_curve
from slimvec.probes.length.likeness import mean_cosine, word_counts
from slimvec.probes.length.needles import LengthScores
from slimvec.probes.results import Metric, ProbeResult
from slimvec.ranking.metrics import DEPTH
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import Interval, bootstrap_intervals, percentile_interval
from slimvec.statistics.pairs import drawn_pair_means, pair_mean

Values = NDArray[np.float64]

DEFINITION = (
    "{num} documents of different content are cut to 32, 64, 128, ... tokens, up to max_tokens and what the model "
    "takes. Likeness: mean cosine of two of them; as bags of words (cosine of word counts) the same texts are as alike "
    "as the baseline says. Needle: two made facts are put into each document at a depth drawn once, documents and "
    "needle together being as long as is said; nDCG@10 of a fact's question among all documents with needles of that "
    "length, and the gain in cosine over the document without it. Bootstrap over documents."
)
SOURCES = (
    "Needle in a haystack, on embeddings, and collapse of long texts: as published (docs/probes.md)",
    "YaRN: arXiv 2309.00071",
)
REMEDIES = (
    "stretch rotary positions: slimvec adjust MODEL --rope sweep, or --rope yarn:4",
    "embed long texts in windows: Embedder.embed_long, Embedder.embed_chunks",
)


@dataclass(frozen=True, eq=False)
class Summary:
    """What came out, by length and from the shortest to the longest.

    Attributes:
        lengths: L lengths in tokens, at most.
        tokens: [L] tokens of a document, on the mean.
        truncated: [L] share of documents that were truncated; NaN where nobody knows.
        needles: nDCG@10 of needles, by length.
        gains: Gain in cosine by a needle.
        likeness: Mean cosine of unrelated documents.
        floors: That of their word counts.
        fall: Needles at the longest less at the shortest length.
        growth: Likeness at the longest less at the shortest length.
        excess: Growth beyond that of the word counts, over the same draws.
        chance: nDCG@10 of an order by chance.
        num_documents: At each length.
    """

    lengths: tuple[int, ...]
    tokens: Values
    truncated: Values
    needles: list[Interval]
    gains: list[Interval]
    likeness: list[Interval]
    floors: list[Interval]
    fall: Interval
    growth: Interval
    excess: Interval
    chance: float
    num_documents: int

    @classmethod
    def of(cls, lengths: Sequence[int], scores: LengthScores, seed: int) -> "Summary":
        """Sum scores up."""
        words = [word_counts(texts) for texts in scores.texts]
        by_document = scores.ndcg.mean(axis=2)
        return cls(
            lengths=tuple(lengths),
            tokens=scores.tokens,
            truncated=scores.truncated,
            needles=bootstrap_intervals(by_document.T, seed=seed),
            gains=bootstrap_intervals(scores.gains.mean(axis=2).T, seed=seed),
            likeness=[mean_cosine(vectors, seed=seed) for vectors in scores.bare],
            floors=[mean_cosine(counts, seed=seed) for counts in words],
            fall=bootstrap_intervals((by_document[-1] - by_document[0])[:, None], seed=seed)[0],
            growth=_growth(scores.bare, seed),
            excess=_excess(scores.bare, words, seed),
            chance=_chance(scores.ndcg[0].size),
            num_documents=by_document.shape[1],
        )

    @property
    def floor(self) -> float:
        """Growth of the likeness of the word counts."""
        return self.floors[-1].value - self.floors[0].value

    @property
    def reach(self) -> int:
        """Longest length up to which needles keep half of what they are above chance at the shortest; 0 for none."""
        least = self.chance + (self.needles[0].value - self.chance) / 2
        reach = 0
        for length, found in zip(self.lengths, self.needles, strict=True):
            if found.value < least or found.value <= self.chance:
                break
            reach = length
        return reach


def summarise(name: str, question: str, found: Summary, source: str) -> ProbeResult:
    """Put the result together.

    Args:
        name: Name of the probe.
        question: Question of the probe.
        found: What came out.
        source: Where the documents are from.
    """
    return ProbeResult(
        probe=name,
        question=question,
        definition=DEFINITION.format(num=found.num_documents),
        sources=SOURCES,
        answer=_answer(found),
        measures=_measures(found),
        tables=(_table(found),),
        plots=_plots(found),
        remedies=REMEDIES,
        details={"documents": source, "longest": found.lengths[-1]},
    )


def _measures(found: Summary) -> tuple[Metric, ...]:
    """Give the numbers."""
    num = found.num_documents
    return (
        _needle("needle/longest", found.needles[-1], found.chance, "chance", num),
        _needle("needle/longest less shortest", found.fall, 0.0, "equal at all lengths", num),
        _likeness("likeness/longest", found.likeness[-1], found.floors[-1].value, num),
        _likeness("likeness/longest less shortest", found.growth, found.floor, num),
        Metric(name="reach", value=float(found.reach), unit="tokens", num_items=num, higher_is_better=True),
    )


def _needle(name: str, found: Interval, baseline: float, baseline_name: str, num: int) -> Metric:
    return estimated(
        name,
        found,
        "score",
        baseline=baseline,
        baseline_name=baseline_name,
        num_items=num,
        higher_is_better=True,
    )


def _likeness(name: str, found: Interval, baseline: float, num: int) -> Metric:
    return estimated(
        name,
        found,
        "cosine",
        baseline=baseline,
        baseline_name="bag of words",
        num_items=num,
        higher_is_better=False,
    )


def _growth(vectors: Sequence[Values], seed: int) -> Interval:
    """Likeness at the longest less that at the shortest length, with its interval over the same draws of documents."""
    return percentile_interval(_grown(vectors), _drawn_growth(vectors, seed))


def _excess(vectors: Sequence[Values], words: Sequence[Values], seed: int) -> Interval:
    """What likeness grows by beyond that of the words, with its interval over the same draws of documents."""
    drawn = _drawn_growth(vectors, seed) - _drawn_growth(words, seed)
    return percentile_interval(_grown(vectors) - _grown(words), drawn)


def _grown(vectors: Sequence[Values]) -> float:
    """Likeness at the longest less that at the shortest length."""
    return pair_mean(vectors[-1] @ vectors[-1].T) - pair_mean(vectors[0] @ vectors[0].T)


def _drawn_growth(vectors: Sequence[Values], seed: int) -> Values:
    """Likeness at the longest less that at the shortest length in each draw."""
    longest, shortest = (drawn_pair_means(part @ part.T, seed=seed) for part in (vectors[-1], vectors[0]))
    return longest - shortest


def _chance(num_candidates: int) -> float:
    """Mean nDCG@10 of an order by chance."""
    ranks = np.arange(1, min(DEPTH, num_candidates) + 1)
    return float((1 / np.log2(1 + ranks)).sum() / num_candidates)


def _answer(found: Summary) -> str:
    """Say what came out."""
    fall, growth, excess = found.fall, found.growth, found.excess
    same = fall.low <= 0 <= fall.high
    change = "not distinguishable from no change" if same else f"{fall.value:+.3f} [{fall.low:+.3f}, {fall.high:+.3f}]"
    if excess.low <= 0 <= excess.high:
        verdict = "not distinguishable from what their words do"
    else:
        verdict = "more than their words do" if excess.value > 0 else "less than their words do"
    return (
        f"From {found.lengths[0]:,} to {found.lengths[-1]:,} tokens nDCG@10 of a needle goes from "
        f"{found.needles[0].value:.3f} to {found.needles[-1].value:.3f} ({change}). Unrelated texts "
        f"become more alike by {growth.value:+.3f} [{growth.low:+.3f}, {growth.high:+.3f}], {verdict} "
        f"({found.floor:+.3f})."
    )


def _table(found: Summary) -> Table:
    """Lay everything out by length."""
    rows = tuple(
        (
            f"{length:,}",
            f"{found.tokens[number]:,.0f}",
            estimated_cell(found.needles[number]),
            estimated_cell(found.gains[number]),
            estimated_cell(found.likeness[number]),
            f"{found.floors[number].value:.3f}",
            "unknown" if np.isnan(found.truncated[number]) else f"{found.truncated[number]:.0%}",
        )
        for number, length in enumerate(found.lengths)
    )
    header = ("at most", "tokens", "needle nDCG@10", "gain in cosine", "likeness", "as bags of words", "truncated")
    return Table(title="Needles and likeness by length", header=header, rows=rows)


def _plots(found: Summary) -> tuple[Plot, ...]:
    """Draw both over length."""
    tokens = found.tokens.tolist()
    ends = (tokens[0], tokens[-1])
    by_chance = Curve(label="chance", xs=ends, ys=(found.chance, found.chance), baseline=True)
    words = Curve(label="bag of words", xs=tuple(tokens), ys=tuple(f.value for f in found.floors), baseline=True)
    needle = estimated_curve("needle", tokens, found.needles)
    likeness = estimated_curve("unrelated texts", tokens, found.likeness)
    return (
        Plot(
            title="A needle by the length of the text",
            x_label="tokens",
            y_label="nDCG@10",
            curves=(needle, by_chance),
            x_log=True,
        ),
        Plot(
            title="Likeness of unrelated texts by length",
            x_label="tokens",
            y_label="cosine",
            curves=(likeness, words),
            x_log=True,
        ),
    )
