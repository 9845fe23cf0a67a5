"""nDCG@10 where each question has one right document."""

import numpy as np
from numpy.typing import NDArray

DEPTH = 10


def single_ndcg(similarities: NDArray[np.floating], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give nDCG@10 of each question: 1 / log2(1 + rank), 0 beyond rank 10.

    Documents that are as like as the right one share its rank: a model that cannot tell them apart gains nothing by
    their order.

    Args:
        similarities: [Q, N].
        right: [Q] number of the right document of each question.
    """
    own = similarities[np.arange(len(right)), right][:, None]
    rank = 1 + (similarities > own).sum(axis=1) + 0.5 * ((similarities == own).sum(axis=1) - 1)
    return np.where(rank <= DEPTH, 1 / np.log2(1 + rank), 0.0)
