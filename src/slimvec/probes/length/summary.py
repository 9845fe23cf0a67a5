"""From needles and vectors by length to the result of the length probe: metrics, a table, plots and a sentence.

Long texts of one language share more words than short ones, so some of the growth of their likeness is honest: how
alike the same texts are as bags of words is the floor to hold it against.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from slimvec.probes.figures import Figure, curve, lay_out
from slimvec.probes.geometry.spread import mean_cosine
from slimvec.probes.length.needles import LengthScores
from slimvec.probes.order.bags import word_counts
from slimvec.probes.protocol import Probe, answered
from slimvec.probes.results import ProbeResult
from slimvec.ranking.metrics import DEPTH
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import Interval, bootstrap_intervals, percentile_interval
from slimvec.statistics.pairs import drawn_pair_means, pair_mean
from slimvec.statistics.resampling import Values

NEEDLE = Figure("needle/longest", "score", True, "chance")
FALL = Figure("needle/longest less shortest", "score", True, "equal at all lengths")
LIKENESS = Figure("likeness/longest", "cosine", False, "bag of words")
GROWTH = Figure("likeness/longest less shortest", "cosine", False, "bag of words")
REACH = Figure("reach", "tokens", True)


def summarise(probe: Probe, lengths: Sequence[int], scores: LengthScores, *, seed: int) -> ProbeResult:
    """Put the result together.

    Args:
        probe: Which one.
        lengths: L lengths in tokens, at most, from the shortest to the longest.
        scores: What came out at each.
        seed: Random seed for the bootstraps.
    """
    words, by_document = [word_counts(texts) for texts in scores.texts], scores.ndcg.mean(axis=2)
    needles = bootstrap_intervals(by_document.T, seed=seed)
    gains = bootstrap_intervals(scores.gains.mean(axis=2).T, seed=seed)
    likeness = [mean_cosine(vectors, seed=seed) for vectors in scores.bare]
    floors = [mean_cosine(counts, seed=seed).value for counts in words]
    fall = bootstrap_intervals((by_document[-1] - by_document[0])[:, None], seed=seed)[0]
    (grown, drawn), (said, drawn_said) = _growth(scores.bare, seed), _growth(words, seed)
    growth, excess = percentile_interval(grown, drawn), percentile_interval(grown - said, drawn - drawn_said)
    floor = floors[-1] - floors[0]
    chance, num_documents = _chance(scores.ndcg[0].size), by_document.shape[1]
    truncated = ["unknown" if np.isnan(share) else f"{share:.0%}" for share in scores.truncated]
    return answered(
        probe,
        (
            f"From {lengths[0]:,} to {lengths[-1]:,} tokens nDCG@10 of a needle goes from {needles[0].value:.3f} to "
            f"{needles[-1].value:.3f} ({_change(fall)}). Unrelated texts become more alike by {growth:+.3f}, "
            f"{_compared(excess)} ({floor:+.3f})."
        ),
        (
            NEEDLE.metric(needles[-1], num_documents, baseline=chance),
            FALL.metric(fall, num_documents, baseline=0.0),
            LIKENESS.metric(likeness[-1], num_documents, baseline=floors[-1]),
            GROWTH.metric(growth, num_documents, baseline=floor),
            REACH.metric(float(_reach(lengths, needles, chance)), num_documents),
        ),
        tables=(
            lay_out(
                "Needles and likeness by length",
                "at most | tokens | needle nDCG@10 | gain in cosine | likeness | as bags of words | truncated",
                "{0:,} | {1:,.0f} | {2:.3f} | {3:.3f} | {4:.3f} | {5:.3f} | {6}",
                zip(lengths, scores.tokens, needles, gains, likeness, floors, truncated, strict=True),
            ),
        ),
        plots=_plots(scores.tokens, needles, chance, likeness, floors),
        details={"documents": scores.source, "longest": lengths[-1]},
        num=num_documents,
    )


def _plots(
    tokens: Values, needles: Sequence[Interval], chance: float, likeness: Sequence[Interval], floors: Sequence[float]
) -> Iterable[Plot]:
    """Draw both over length."""
    yield Plot(
        title="A needle by the length of the text",
        x_label="tokens",
        y_label="nDCG@10",
        curves=(
            curve("needle", needles, tokens),
            curve("chance", [chance, chance], (tokens[0], tokens[-1]), baseline=True),
        ),
        x_log=True,
    )
    yield Plot(
        title="Likeness of unrelated texts by length",
        x_label="tokens",
        y_label="cosine",
        curves=(curve("unrelated texts", likeness, tokens), curve("bag of words", floors, tokens, baseline=True)),
        x_log=True,
    )


def _reach(lengths: Sequence[int], needles: Sequence[Interval], chance: float) -> int:
    """Longest length up to which needles keep half of what they are above chance at the shortest; 0 for none."""
    least = chance + (needles[0].value - chance) / 2
    reach = 0
    for length, found in zip(lengths, needles, strict=True):
        if found.value < least or found.value <= chance:
            break
        reach = length
    return reach


def _growth(vectors: Sequence[Values], seed: int) -> tuple[float, Values]:
    """Likeness at the longest less that at the shortest length, and the same in each draw of documents: [R]."""
    longest, shortest = (part @ part.T for part in (vectors[-1], vectors[0]))
    drawn = drawn_pair_means(longest, seed=seed) - drawn_pair_means(shortest, seed=seed)
    return pair_mean(longest) - pair_mean(shortest), drawn


def _chance(num_candidates: int) -> float:
    """Mean nDCG@10 of an order by chance."""
    ranks = np.arange(1, min(DEPTH, num_candidates) + 1)
    return float((1 / np.log2(1 + ranks)).sum() / num_candidates)


def _change(fall: Interval) -> str:
    return "not distinguishable from no change" if fall.low <= 0 <= fall.high else f"{fall:+.3f}"


def _compared(excess: Interval) -> str:
    if excess.low <= 0 <= excess.high:
        return "not distinguishable from what their words do"
    return "more than their words do" if excess.value > 0 else "less than their words do"
