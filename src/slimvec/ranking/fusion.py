"""Two judges of the same documents made one, by their scores or by their ranks.

Scores are standardised over a query's candidates, then weighted:

    fused = (1 - w) z(first) + w z(second),   z(s) = (s - mean s) / std s over the candidates of a query

Cosines and log-likelihoods have other ranges, and other spreads for every query; standardised they weigh alike. The
weight is fitted on queries with judgments, of other sets than those it is used on.

Ranks are fused reciprocally (Cormack, Clarke and Buettcher, SIGIR 2009): the sum of 1 / (60 + rank) over the rankings a
row is in. A cosine and BM25 of a whole collection have no common scale, and one that suits a model and a collection
would have to be learned from judgments nobody has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimvec.ranking.metrics import DEPTH, ndcg

Values = NDArray[np.float64]
Judged = tuple[Values, Values, Values]
"""Scores of a query: those of its N candidates by the first judge and by the second, and their grades."""

K = 60
"""What is added to a rank, as in the paper."""
RANKED_DEPTH = 100
"""Rows taken of each ranking, at least."""
_STEPS = 20


def standardise(scores: NDArray[np.floating]) -> Values:
    """Give scores [N] a mean of 0 and a spread of 1; scores that are all alike become 0."""
    centred = scores.astype(np.float64) - scores.mean(dtype=np.float64)
    spread = centred.std()
    return centred / spread if spread > 1e-12 else np.zeros_like(centred)


def fuse_scores(first: NDArray[np.floating], second: NDArray[np.floating], weight: float) -> Values:
    """Fuse two judges' scores of one query's candidates.

    Args:
        first: [N].
        second: [N].
        weight: Share of the second, 0 to 1.
    """
    if weight in (0, 1):  # one judge alone, whose order no rounding shall change
        return standardise(second if weight else first)
    return (1 - weight) * standardise(first) + weight * standardise(second)


def fused_ndcg(queries: Sequence[Judged], weight: float, *, relevant: Sequence[Sequence[int]] | None = None) -> Values:
    """Give nDCG@10 of each query's candidates in the fused order: [Q].

    Args:
        queries: Candidates with scores and grades; equal scores keep the candidates' order.
        weight: Share of the second judge.
        relevant: All grades above 0 of each query, those of documents that are not candidates included; default the
            candidates' own.
    """
    found = np.zeros((len(queries), DEPTH))
    for row, (first, second, grades) in zip(found, queries, strict=True):
        order = np.argsort(-fuse_scores(first, second, weight), kind="stable")[:DEPTH]
        row[: len(order)] = grades[order]
    if relevant is None:
        relevant = [[int(grade) for grade in grades if grade > 0] for _, _, grades in queries]
    return ndcg(found, relevant, depth=DEPTH)


def fit_weight(sets: Sequence[Sequence[Judged]]) -> float:
    """Fit the share of the second judge: the best mean over sets of nDCG@10, among 21 shares from 0 to 1.

    Args:
        sets: Queries by set; those without a relevant candidate say nothing and are left out. Of equal shares the
            smallest is taken.

    Raises:
        ValueError: no query has a relevant candidate.
    """
    told = [[query for query in queries if (query[2] > 0).any()] for queries in sets]
    told = [queries for queries in told if queries]
    if not told:
        raise ValueError("a weight fitted on queries without relevant candidates")
    weights = [step / _STEPS for step in range(_STEPS + 1)]
    means = [np.mean([fused_ndcg(queries, weight).mean() for queries in told]) for weight in weights]
    return weights[int(np.argmax(np.round(means, 9)))]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows that a search gave, best first.

    Attributes:
        rows: Their ids.
        scores: Larger is better.
    """

    rows: list[int]
    scores: list[float]


@dataclass(frozen=True, slots=True)
class FusedRow:
    """A row of the fused ranking.

    Attributes:
        row: Its id.
        score: The fused score.
        ranks: Its rank, from 1, in each ranking; None where it is not in it.
        scores: Its score in each.
    """

    row: int
    score: float
    ranks: tuple[int | None, ...]
    scores: tuple[float | None, ...]


def fuse_ranks(rankings: Sequence[Ranked], *, top: int) -> list[FusedRow]:
    """Fuse rankings; of equal rows the one that stands higher in the first ranking comes first.

    Args:
        rankings: Best first.
        top: How many rows to give.
    """
    ranks = [{row: rank for rank, row in enumerate(ranking.rows, start=1)} for ranking in rankings]
    rows = list(dict.fromkeys(row for ranking in rankings for row in ranking.rows))
    fused = []
    for row in rows:
        found = tuple(places.get(row) for places in ranks)
        scores = tuple(
            None if rank is None else ranking.scores[rank - 1] for rank, ranking in zip(found, rankings, strict=True)
        )
        total = sum(1 / (K + rank) for rank in found if rank is not None)
        fused.append(FusedRow(row, total, found, scores))
    return sorted(fused, key=lambda one: -one.score)[:top]
