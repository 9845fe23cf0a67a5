"""The best documents of every query, and the place of a given document, over a corpus that streams by in blocks.

Both are exact, and the same for every size of block. Known documents (right answers, the query itself) are neither
returned nor counted. Letters: q queries, n documents of a block, K documents kept, T targets.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimvec.data.mining.ragged import Ragged
from slimvec.data.mining.scoring import Scorer, Scores
from slimvec.data.mining.texts import Numbers
from slimvec.ranking.top_k import TopK

_NOTHING = np.float32("-inf")
_TARGETS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Found:
    """The best documents of some queries.

    Attributes:
        documents: [q, K] int64, best first; -1 where there are no more.
        scores: [q, K] float32; -inf there.
        num_known: [q] int64, known documents that would have been among them.
    """

    documents: Numbers
    scores: Scores
    num_known: Numbers


def find_best(scorer: Scorer, start: int, stop: int, known: Ragged, num_kept: int) -> Found:
    """Find the K best documents of the queries from `start` to `stop`; of equal scores the earlier document first.

    Args:
        scorer: Scorer of all queries and documents.
        start: First query.
        stop: After the last query.
        known: Documents not to return, a row for each of these queries.
        num_kept: K.

    Raises:
        ValueError: a score is not a number.
    """
    best = TopK(num_kept)
    hidden_rows: list[Numbers] = []
    hidden_scores: list[Scores] = []
    for first, scores in scorer.blocks(start, stop):
        rows, values = _hide(scores, first, known)
        hidden_rows.append(rows)
        hidden_scores.append(values)
        scores[scores <= scorer.floor] = _NOTHING
        best.add(scores, first)
    documents, scores = best.sorted()
    documents = np.where(scores > _NOTHING, documents, -1)
    missing = num_kept - documents.shape[1]
    scores = np.pad(scores, ((0, 0), (0, max(0, missing))), constant_values=_NOTHING)
    documents = np.pad(documents, ((0, 0), (0, max(0, missing))), constant_values=-1)
    rows, values = np.concatenate(hidden_rows), np.concatenate(hidden_scores)
    shown = rows[(values >= scores[rows, -1]) & (values > scorer.floor)]
    return Found(documents, scores, np.bincount(shown, minlength=stop - start))


def find_ranks(scorer: Scorer, start: int, stop: int, known: Ragged, targets: Ragged) -> tuple[Numbers, Scores]:
    """Find the rank of target documents of the queries from `start` to `stop` among the documents not known.

    The rank is 1 plus the number of other candidates that score at least as much: who ties with the target stands
    before it, so that a scorer which cannot tell documents apart puts every target last.

    Args:
        scorer: Scorer of all queries and documents.
        start: First query.
        stop: After the last query.
        known: Documents that do not count, a row for each of these queries.
        targets: Documents to rank, a row for each of these queries.

    Returns:
        [T] ranks from 1 and [T] scores, in the order of `targets.values`.

    Raises:
        ValueError: a score is not a number.
    """
    rows = targets.rows
    own = scorer.pairs(rows + start, targets.values)
    if np.isnan(own).any():
        raise ValueError("a score is not a number")
    ranks = np.ones(len(rows), dtype=np.int64)
    for first, scores in scorer.blocks(start, stop):
        _hide(scores, first, known)
        for part in range(0, len(rows), _TARGETS_AT_ONCE):
            some = slice(part, part + _TARGETS_AT_ONCE)
            ahead: NDArray[np.bool_] = scores[rows[some]] >= own[some, None]
            inside = (targets.values[some] >= first) & (targets.values[some] < first + scores.shape[1])
            ahead[np.flatnonzero(inside), targets.values[some][inside] - first] = False  # no target beats itself
            ranks[some] += ahead.sum(axis=1)
    return ranks, own


def _hide(scores: Scores, first: int, known: Ragged) -> tuple[Numbers, Scores]:
    """Take the known documents of a block out of its scores: their rows, and what they scored."""
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    here = (known.values >= first) & (known.values < first + scores.shape[1])
    rows, columns = known.rows[here], known.values[here] - first
    values = scores[rows, columns]
    scores[rows, columns] = _NOTHING
    return rows, values
