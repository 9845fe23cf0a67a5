"""Two rankings into one, by reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009).

A row's score is the sum of 1 / (60 + rank) over the rankings it is in. Ranks and not scores, because a cosine and BM25
have no common scale, and one that suits a model and a collection would have to be learned from judgments nobody has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from slimvec.search.store import Ranked

K = 60
DEPTH = 100
"""Rows taken of each ranking, at least."""


@dataclass(frozen=True, slots=True)
class FusedRow:
    """A row of the fused ranking.

    Attributes:
        row: Its id within LanceDB.
        score: The fused score.
        ranks: Its rank, from 1, in each ranking; None where it is not in it.
        scores: Its score in each.
    """

    row: int
    score: float
    ranks: tuple[int | None, ...]
    scores: tuple[float | None, ...]


def fuse(rankings: Sequence[Ranked], *, top: int) -> list[FusedRow]:
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
