"""Measures of a ranking from the grades of its documents; evaluation and validation during training share them.

Letters: Q queries, K documents ranked.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def ndcg(gains: Values, grades: Sequence[Sequence[int]], *, depth: int) -> Values:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002): [Q].

    DCG = sum over ranks r = 1..depth of grade_r / log2(r + 1), with the grade itself as the gain, divided by the DCG of
    the judged documents in the best order.

    Args:
        gains: [Q, K] grades of the ranked documents.
        grades: All grades above 0 of each query.
        depth: How many ranks count.
    """
    discounts = 1 / np.log2(np.arange(2, depth + 2))
    best = np.zeros((len(gains), depth))
    for row, found in zip(best, grades, strict=True):
        ordered = sorted(found, reverse=True)[:depth]
        row[: len(ordered)] = ordered
    ranked = np.zeros_like(best)
    ranked[:, : gains.shape[1]] = gains[:, :depth]
    result: Values = (ranked * discounts).sum(axis=1) / (best * discounts).sum(axis=1)
    return result


def reciprocal_rank(gains: Values, *, depth: int) -> Values:
    """1 / rank of the first relevant document, 0 if it is not among the first `depth`: [Q]."""
    relevant = gains[:, :depth] > 0
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def recall(gains: Values, num_relevant: Sequence[int], *, depth: int) -> Values:
    """Share of the relevant documents that are among the first `depth`: [Q]."""
    result: Values = (gains[:, :depth] > 0).sum(axis=1) / np.asarray(num_relevant)
    return result
